package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.MixAll;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages that consumers cannot consume. The levels of this set-up are short. */
final class Retrying {
    @Scenario(on = Setup.SHORT_LEVELS)
    static void laterWithGrowingTimes(Scene it) throws Exception {
        String topic = it.topic(1);
        List<MessageExt> seen = Collections.synchronizedList(new ArrayList<>());
        it.listen(it.name("retrying"), topic, c -> c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            seen.addAll(messages);
            return messages.get(0).getReconsumeTimes() < 3 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        }));
        Message message = new Message(topic, "tag", "key", Scene.bytes("again"));
        String id = Scene.stored(it.producer().send(message)).getMsgId();
        Check.eventually(Duration.ofSeconds(30), "times consumed", seen::size, n -> n == 4);
        Check.steady(Duration.ofSeconds(2), "reconsume times", List.of(0, 1, 2, 3), () -> seen.stream().map(MessageExt::getReconsumeTimes).toList());
        for (MessageExt each : seen) {
            Check.equal("topic", topic, each.getTopic());
            Check.equal("message id", id, each.getMsgId());
            Check.equal("tag and key", "tag key", each.getTags() + " " + each.getKeys());
            Check.equal("body", "again", Scene.text(each));
        }
    }

    @Scenario(on = Setup.SHORT_LEVELS)
    static void deadLetterAfterTheLastTry(Scene it) throws Exception {
        String topic = it.topic(1);
        String group = it.name("hopeless");
        List<MessageExt> seen = Collections.synchronizedList(new ArrayList<>());
        it.listen(group, topic, c -> {
            c.setMaxReconsumeTimes(2);
            c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                seen.addAll(messages);
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
        });
        Scene.stored(it.producer().send(new Message(topic, Scene.bytes("dead"))));
        dead(it, topic, group, "dead");
        Check.equal("times consumed", 3, seen.size());
    }

    @Scenario(on = Setup.SHORT_LEVELS)
    static void deadLetterAtOnce(Scene it) throws Exception {
        String topic = it.topic(1);
        String group = it.name("resolute");
        it.listen(group, topic, c -> c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            context.setDelayLevelWhenNextConsume(-1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        }));
        Scene.stored(it.producer().send(new Message(topic, Scene.bytes("dead"))));
        dead(it, topic, group, "dead");
    }

    @Scenario(on = Setup.SHORT_LEVELS)
    static void orderlyConsumersGiveUpToo(Scene it) throws Exception {
        String topic = it.topic(1);
        String group = it.name("orderly");
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        it.listen(group, topic, c -> {
            c.setMaxReconsumeTimes(2);
            c.setSuspendCurrentQueueTimeMillis(100);
            c.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                String body = Scene.text(messages.get(0));
                seen.add(body);
                return body.equals("bad") ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
            });
        });
        for (String body : List.of("good", "bad", "after")) {
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes(body))));
        }
        dead(it, topic, group, "bad");
        Check.eventually(Duration.ofSeconds(10), "what was consumed", () -> List.copyOf(seen), s -> s.equals(List.of("good", "bad", "bad", "bad", "after")));
    }

    private static void dead(Scene it, String topic, String group, String body) throws Exception {
        String letters = MixAll.getDLQTopic(group);
        Check.eventually(Duration.ofSeconds(30), "dead letters", () -> it.reader().maxOffset(it.queue(letters, 0)), max -> max == 1);
        MessageExt dead = it.read(it.queue(letters, 0), 1).get(0);
        Check.equal("body", body, Scene.text(dead));
        Check.equal("origin", topic, dead.getProperty(MessageConst.PROPERTY_RETRY_TOPIC));
        Check.that(dead.getProperty(MessageConst.PROPERTY_ORIGIN_MESSAGE_ID) != null, "it names the message that it was");
    }
}
