package interop.scenarios;

import java.util.List;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Requests and replies between clients. */
final class Replying {
    @Scenario(binary = true)
    static void eachRequestGetsItsReply(Scene it) throws Exception {
        String topic = it.topic(2);
        DefaultMQProducer replier = it.producer(p -> { });
        it.listen(it.name("replying"), topic, c -> c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                try {
                    replier.send(MessageUtil.createReplyMessage(message, Scene.bytes("re:" + Scene.text(message))), 3000);
                } catch (Exception e) {
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        }));
        for (String body : List.of("one", "two", "three")) {
            Message answer = it.producer().request(new Message(topic, Scene.bytes(body)), 15_000);
            Check.equal("reply", "re:" + body, Scene.text(answer));
        }
    }

    @Scenario
    static void aRequestThatNobodyAnswersTimesOut(Scene it) throws Exception {
        String topic = it.topic(1);
        try {
            it.producer().request(new Message(topic, Scene.bytes("anyone?")), 1500);
            throw new Check.Failed("a reply came");
        } catch (RequestTimeoutException expected) {
            Check.equal("bodies", List.of("anyone?"), Scene.texts(it.read(it.queue(topic, 0), 1)));
        }
    }
}
