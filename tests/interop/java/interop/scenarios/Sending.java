package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

import interop.Check;
import interop.Inbox;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** The ways to send, and what the sender is told. */
final class Sending {
    @Scenario(binary = true)
    static void sync(Scene it) throws Exception {
        String topic = it.topic(4);
        Map<Integer, List<String>> sent = new TreeMap<>();
        for (int i = 0; i < 40; i++) {
            SendResult result = Scene.stored(it.producer().send(new Message(topic, Scene.bytes("sync-" + i))));
            List<String> queue = sent.computeIfAbsent(result.getMessageQueue().getQueueId(), id -> new ArrayList<>());
            Check.equal("queue offset", (long) queue.size(), result.getQueueOffset());
            Check.equal("broker", Scene.BROKER_NAME, result.getMessageQueue().getBrokerName());
            Check.that(result.getMsgId().matches("[0-9A-F]{32}|[0-9A-F]{56}"), "unique id %s is that of an IPv4 or IPv6 client", result.getMsgId());
            Check.that(result.getOffsetMsgId().matches("7F000001[0-9A-F]{24}"), "offset id %s is on 127.0.0.1", result.getOffsetMsgId());
            Check.equal("region", "DefaultRegion", result.getRegionId());
            queue.add("sync-" + i);
        }
        Check.equal("queues used by round robin", 4, sent.size());
        Map<Integer, List<String>> stored = new TreeMap<>();
        it.readAll(topic, 40).forEach((queue, messages) -> stored.put(queue, Scene.texts(messages)));
        Check.equal("bodies by queue", sent, stored);
    }

    @Scenario(binary = true)
    static void async(Scene it) throws Exception {
        String topic = it.topic(4);
        List<String> bodies = IntStream.range(0, 200).mapToObj(i -> "async-" + i).sorted().toList();
        List<SendResult> results = Collections.synchronizedList(new ArrayList<>());
        List<Throwable> errors = Collections.synchronizedList(new ArrayList<>());
        for (String body : bodies) {
            it.producer().send(new Message(topic, Scene.bytes(body)), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    results.add(result);
                }

                @Override
                public void onException(Throwable error) {
                    errors.add(error);
                }
            });
        }
        Check.eventually(Duration.ofSeconds(20), "callbacks", () -> results.size() + errors.size(), n -> n == 200);
        Check.equal("errors", List.of(), errors);
        results.forEach(Scene::stored);
        Check.equal("distinct ids", 200, new HashSet<>(results.stream().map(SendResult::getMsgId).toList()).size());
        Check.equal("bodies", bodies, it.bodiesIn(topic, 200));
    }

    @Scenario(binary = true)
    static void oneWay(Scene it) throws Exception {
        String topic = it.topic(4);
        Inbox inbox = it.consume(topic, "*");
        List<String> bodies = IntStream.range(0, 20).mapToObj(i -> "one-way-" + i).toList();
        for (String body : bodies) {
            it.producer().sendOneway(new Message(topic, Scene.bytes(body)));
        }
        inbox.expect(bodies);
    }

    @Scenario(binary = true)
    static void batch(Scene it) throws Exception {
        String topic = it.topic(4);
        List<Message> batch = IntStream.range(0, 10).mapToObj(i -> {
            Message message = new Message(topic, "tag" + i, "key" + i, Scene.bytes("batch-" + i));
            message.putUserProperty("n", "№" + i);
            return message;
        }).toList();
        it.producer().send(new Message(topic, Scene.bytes("before")), it.queue(topic, 2));
        SendResult result = Scene.stored(it.producer().send(batch, it.queue(topic, 2)));
        Check.equal("offset of the first", 1L, result.getQueueOffset());
        Check.equal("ids told", 10, result.getMsgId().split(",").length);
        Check.equal("offset ids told", 10, result.getOffsetMsgId().split(",").length);

        List<MessageExt> stored = it.read(it.queue(topic, 2), 11).subList(1, 11);
        Check.equal("bodies", Scene.texts(batch), Scene.texts(stored));
        Check.equal("ids", List.of(result.getMsgId().split(",")), stored.stream().map(MessageExt::getMsgId).toList());
        for (int i = 0; i < 10; i++) {
            Check.equal("tag", "tag" + i, stored.get(i).getTags());
            Check.equal("key", "key" + i, stored.get(i).getKeys());
            Check.equal("property", "№" + i, stored.get(i).getUserProperty("n"));
        }
    }

    @Scenario
    static void toOneQueue(Scene it) throws Exception {
        String topic = it.topic(4);
        for (int queue = 3; queue >= 0; queue--) {
            SendResult result = Scene.stored(it.producer().send(new Message(topic, Scene.bytes("to-" + queue)), it.queue(topic, queue)));
            Check.equal("queue told", queue, result.getMessageQueue().getQueueId());
            Check.equal("bodies in queue " + queue, List.of("to-" + queue), Scene.texts(it.read(it.queue(topic, queue), 1)));
        }
    }

    @Scenario(binary = true)
    static void selectorKeepsOrder(Scene it) throws Exception {
        String topic = it.topic(4);
        for (int i = 0; i < 100; i++) {
            int order = i % 7;
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes(order + ":" + i)),
                (queues, message, key) -> queues.get((Integer) key % queues.size()), order));
        }
        it.readAll(topic, 100).forEach((queue, messages) -> {
            List<Integer> steps = messages.stream().map(m -> Integer.valueOf(Scene.text(m).split(":")[1])).toList();
            List<Integer> expected = IntStream.range(0, 100).filter(i -> i % 7 % 4 == queue).boxed().toList();
            Check.equal("steps in queue " + queue, expected, steps);
        });
    }
}
