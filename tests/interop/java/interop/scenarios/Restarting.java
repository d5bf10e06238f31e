package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

import interop.Check;
import interop.Inbox;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** The broker goes away and comes back: in good order (TERM) or not (KILL). */
final class Restarting {
    @Scenario(seconds = 150)
    static void clientsGoOnAfterTerm(Scene it) throws Exception {
        clientsGoOn(it, "TERM");
    }

    @Scenario(seconds = 150)
    static void clientsGoOnAfterKill(Scene it) throws Exception {
        clientsGoOn(it, "KILL");
    }

    @Scenario(seconds = 150)
    static void keepsEverythingOverTerm(Scene it) throws Exception {
        keepsTopicsAndMessages(it, "TERM");
    }

    @Scenario(seconds = 150)
    static void keepsEverythingOverKill(Scene it) throws Exception {
        keepsTopicsAndMessages(it, "KILL");
    }

    @Scenario(on = Setup.SMALL_FILES, seconds = 150)
    static void keepsManyFilesOverKill(Scene it) throws Exception {
        String topic = it.topic(2);
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            bodies.add(i + "x".repeat(50_000));
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes(bodies.get(i)))));
        }
        it.restartBroker("KILL");
        Check.equal("bodies", bodies.stream().sorted().toList(), it.bodiesIn(topic, 100));
    }

    @Scenario(seconds = 150)
    static void groupOffsetsOutliveTheBroker(Scene it) throws Exception {
        String topic = it.topic(4);
        String group = it.name("durable");
        Inbox before = it.consume(group, topic, "*", c -> { });
        before.expect(it.send(topic, "before-", 20));
        it.awaitCommitted(group, topic, 20);
        before.close();
        it.restartBroker("TERM");
        it.awaitRoute(topic, 4);
        Inbox after = it.consume(group, topic, "*", c -> { });
        after.expect(sendUntilStored(it, topic, "after-", 20));
    }

    private static void clientsGoOn(Scene it, String signal) throws Exception {
        String topic = it.topic(4);
        Inbox inbox = it.consume(topic, "*");
        DefaultMQProducer producer = it.producer(p -> p.setSendMsgTimeout(3000));
        List<String> acknowledged = Collections.synchronizedList(new ArrayList<>());
        AtomicBoolean going = new AtomicBoolean(true);
        Thread sender = new Thread(() -> {
            for (int i = 0; going.get(); i++) {
                try {
                    if (producer.send(new Message(topic, Scene.bytes("m" + i))).getSendStatus() == SendStatus.SEND_OK) {
                        acknowledged.add("m" + i);
                    }
                } catch (Exception brokerIsAway) {
                    // not acknowledged, so nothing is promised; the next message tries again
                }
                LockSupport.parkNanos(2_000_000);
            }
        });
        sender.start();
        try {
            Check.eventually(Duration.ofSeconds(20), "acknowledged before", acknowledged::size, n -> n >= 200);
            it.restartBroker(signal);
            int then = acknowledged.size();
            Check.eventually(Duration.ofSeconds(60), "acknowledged since", () -> acknowledged.size() - then, n -> n >= 200);
        } finally {
            going.set(false);
            sender.join();
        }
        Check.eventually(Duration.ofSeconds(60), "acknowledged but not consumed", () -> {
            Set<String> missing = new HashSet<>(acknowledged);
            missing.removeAll(inbox.bodies());
            return missing;
        }, Set::isEmpty);
    }

    private static void keepsTopicsAndMessages(Scene it, String signal) throws Exception {
        String topic = it.topic(3);
        String readOnly = it.name("read-only");
        it.createTopic(new TopicConfig(readOnly, 5, 5, 4));
        it.send(topic, "kept-", 60);
        Map<Integer, List<String>> before = contents(it, topic, 60);
        String group = it.name("group");
        DefaultMQPullConsumer consumer = it.reader(group, c -> { });
        consumer.pull(it.queue(topic, 1), "*", 0, 1); // makes the group known to the broker
        consumer.updateConsumeOffset(it.queue(topic, 1), 7);
        consumer.getOffsetStore().persistAll(Set.of(it.queue(topic, 1)));
        it.awaitCommitted(group, topic, 7);

        it.restartBroker(signal);
        it.awaitRoute(topic, 3);
        it.awaitRoute(readOnly, 5);
        Check.equal("permission", 4, it.admin().examineTopicConfig(it.broker, readOnly).getPerm());
        Check.equal("messages, their ids and places", before, contents(it, topic, 60));
        if (signal.equals("TERM")) { // a killed broker may have lost the last seconds of offsets, which repeats messages but loses none
            Check.equal("offset after", 7L, it.committed(group, it.queue(topic, 1)));
        }
        List<String> more = sendUntilStored(it, topic, "more-", 30);
        Map<Integer, List<String>> after = contents(it, topic, 60 + more.size());
        before.forEach((queue, lines) -> Check.equal("messages before, in queue " + queue, lines, after.get(queue).subList(0, lines.size())));
    }

    private static Map<Integer, List<String>> contents(Scene it, String topic, int count) throws Exception {
        Map<Integer, List<String>> lines = new TreeMap<>();
        it.readAll(topic, count).forEach((queue, messages) -> lines.put(queue, messages.stream().map(Restarting::line).toList()));
        return lines;
    }

    private static String line(MessageExt message) {
        return message.getQueueOffset() + " @" + message.getCommitLogOffset() + " " + message.getMsgId() + " " + Scene.text(message);
    }

    /** The first send waits for the client to find the broker again. */
    private static List<String> sendUntilStored(Scene it, String topic, String prefix, int count) throws Exception {
        List<String> bodies = new ArrayList<>(List.of(prefix + "first"));
        Check.eventually(Duration.ofSeconds(60), "send after the restart",
            () -> it.producer().send(new Message(topic, Scene.bytes(prefix + "first")), it.queue(topic, 0)).getSendStatus(), SendStatus.SEND_OK::equals);
        bodies.addAll(it.send(topic, prefix, count - 1));
        return bodies;
    }
}
