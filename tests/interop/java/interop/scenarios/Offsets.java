package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Questions about offsets, and messages by their offset id. */
final class Offsets {
    @Scenario(binary = true)
    static void minAndMax(Scene it) throws Exception {
        String topic = it.topic(2);
        MessageQueue queue = it.queue(topic, 1);
        Check.equal("min and max of an empty queue", List.of(0L, 0L), List.of(it.admin().minOffset(queue), it.admin().maxOffset(queue)));
        for (int i = 1; i <= 5; i++) {
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes("m")), queue));
            long expected = i;
            Check.eventually(Duration.ofSeconds(5), "max offset after " + i, () -> it.admin().maxOffset(queue), max -> max == expected);
        }
        Check.equal("min offset", 0L, it.admin().minOffset(queue));
        Check.equal("max offset of the other queue", 0L, it.admin().maxOffset(it.queue(topic, 0)));
    }

    @Scenario(binary = true)
    static void byTime(Scene it) throws Exception {
        String topic = it.topic(1);
        MessageQueue queue = it.queue(topic, 0);
        Check.equal("earliest store time of an empty queue", -1L, it.admin().earliestMsgStoreTime(queue));
        for (int i = 0; i < 5; i++) {
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes("m" + i))));
            long now = System.currentTimeMillis();
            Check.eventually(Duration.ofSeconds(1), "clock", System::currentTimeMillis, t -> t > now + 20);
        }
        List<MessageExt> stored = it.read(queue, 5);
        List<Long> at = new ArrayList<>();
        List<Long> justAfter = new ArrayList<>();
        for (MessageExt message : stored) {
            at.add(it.admin().searchOffset(queue, message.getStoreTimestamp()));
            justAfter.add(it.admin().searchOffset(queue, message.getStoreTimestamp() + 1));
        }
        Check.equal("offsets at the store times", List.of(0L, 1L, 2L, 3L, 4L), at);
        Check.equal("offsets one millisecond later", List.of(1L, 2L, 3L, 4L, 5L), justAfter);
        Check.equal("offset long before", 0L, it.admin().searchOffset(queue, 0));
        Check.equal("offset in future", 5L, it.admin().searchOffset(queue, System.currentTimeMillis() + 3_600_000));
        Check.equal("earliest store time", stored.get(0).getStoreTimestamp(), it.admin().earliestMsgStoreTime(queue));
    }

    @Scenario(binary = true)
    static void messageByOffsetId(Scene it) throws Exception {
        String topic = it.topic(1);
        Message message = new Message(topic, "TagA", "key", Scene.bytes("find me"));
        it.send(topic, "noise-", 3);
        SendResult result = Scene.stored(it.producer().send(message));
        MessageExt found = it.admin().viewMessage(topic, result.getOffsetMsgId());
        Check.equal("body", "find me", Scene.text(found));
        Check.equal("topic", topic, found.getTopic());
        Check.equal("tag", "TagA", found.getTags());
        Check.equal("unique id", result.getMsgId(), found.getMsgId());
        Check.equal("queue offset", 3L, found.getQueueOffset());
    }
}
