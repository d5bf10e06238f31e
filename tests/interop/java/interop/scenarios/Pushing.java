package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

import interop.Check;
import interop.Inbox;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;

/** Push consumers: everything once, shared, broadcast, from the right place on. */
final class Pushing {
    private static final Set<Integer> FOUR_QUEUES = Set.of(0, 1, 2, 3);

    @Scenario(binary = true)
    static void everyMessageOnce(Scene it) throws Exception {
        String topic = it.topic(4);
        List<String> bodies = new ArrayList<>(it.send(topic, "before-", 50));
        Inbox inbox = it.consume(topic, "*");
        bodies.addAll(it.send(topic, "after-", 50));
        inbox.expect(bodies);
        for (MessageExt message : inbox.received()) {
            Check.equal("topic", topic, message.getTopic());
            Check.equal("reconsume times", 0, message.getReconsumeTimes());
        }
    }

    @Scenario
    static void twoShareATopic(Scene it) throws Exception {
        String topic = it.topic(4);
        String group = it.name("shared");
        Inbox one = it.consume(group, topic, "*", c -> { });
        Inbox two = it.consume(group, topic, "*", c -> { });
        Check.eventually(Duration.ofSeconds(10), "two queues each", () -> List.of(one.queues(topic).size(), two.queues(topic).size()),
            List.of(2, 2)::equals);
        Set<Integer> owned = new HashSet<>(one.queues(topic));
        owned.addAll(two.queues(topic));
        Check.equal("queues owned together", FOUR_QUEUES, owned);

        List<String> bodies = it.send(topic, "shared-", 100).stream().sorted().toList();
        Check.eventually(Duration.ofSeconds(20), "messages consumed", () -> one.received().size() + two.received().size(), n -> n >= 100);
        Check.steady(Duration.ofMillis(200), "bodies, each once", bodies, () -> {
            List<String> both = new ArrayList<>(one.bodies());
            both.addAll(two.bodies());
            return both.stream().sorted().toList();
        });
        for (Inbox inbox : List.of(one, two)) {
            Check.that(inbox.received().stream().allMatch(m -> inbox.queues(topic).contains(m.getQueueId())), "each consumes from its own queues only");
        }

        int before = two.received().size();
        CompletableFuture<Void> leaving = CompletableFuture.runAsync(one::close);
        // The broker tells the member that stays; by itself it would look every 20 s only.
        Check.eventually(Duration.ofSeconds(5), "queues after the other left", () -> two.queues(topic), FOUR_QUEUES::equals);
        leaving.join();
        List<String> more = it.send(topic, "alone-", 20);
        Check.eventually(Duration.ofSeconds(10), "messages consumed alone", () -> two.received().size() - before, n -> n >= 20);
        Check.steady(Duration.ofMillis(200), "bodies consumed alone", more.stream().sorted().toList(),
            () -> two.bodies().stream().filter(body -> body.startsWith("alone-")).toList());
        Check.equal("nothing for who left", true, one.bodies().stream().noneMatch(body -> body.startsWith("alone-")));
    }

    @Scenario
    static void broadcastReachesEveryMember(Scene it) throws Exception {
        String topic = it.topic(4);
        String group = it.name("broadcast");
        Inbox one = it.consume(group, topic, "*", c -> c.setMessageModel(MessageModel.BROADCASTING));
        Inbox two = it.consume(group, topic, "*", c -> c.setMessageModel(MessageModel.BROADCASTING));
        for (Inbox inbox : List.of(one, two)) {
            Check.eventually(Duration.ofSeconds(10), "queues of each", () -> inbox.queues(topic), FOUR_QUEUES::equals);
        }
        List<String> bodies = it.send(topic, "cast-", 40);
        one.expect(bodies);
        two.expect(bodies);
    }

    @Scenario
    static void newGroupFromFirst(Scene it) throws Exception {
        fromTheFirstOn(it, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    }

    /** Of a young queue a broker says "offset 0" to a group that it does not know, so nothing is missed. */
    @Scenario
    static void newGroupFromLastOnAYoungTopic(Scene it) throws Exception {
        fromTheFirstOn(it, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
    }

    private static void fromTheFirstOn(Scene it, ConsumeFromWhere where) throws Exception {
        String topic = it.topic(2);
        List<String> bodies = new ArrayList<>(it.send(topic, "old-", 10));
        Inbox inbox = it.consume(it.name("group"), topic, "*", c -> c.setConsumeFromWhere(where));
        bodies.addAll(it.send(topic, "new-", 10));
        inbox.expect(bodies);
    }

    /** The oldest messages are gone: a broker leaves it to the client now where a new group begins. */
    @Scenario(on = Setup.NOTHING_KEPT, seconds = 180)
    static void newGroupsOnAnOldTopic(Scene it) throws Exception {
        String topic = it.topic(1);
        MessageQueue queue = it.queue(topic, 0);
        DefaultMQProducer large = it.producer(p -> p.setCompressMsgBodyOverHowmuch(1 << 20));
        List<String> old = new ArrayList<>();
        for (int i = 0; i < 35; i++) {
            old.add("old-" + i + "x".repeat(100_000));
            Scene.stored(large.send(new Message(topic, Scene.bytes(old.get(i)))));
        }
        it.admin().deleteExpiredCommitLogByAddr(it.broker);
        // The control looks for old files for the first time when it has run for a minute.
        long min = Check.eventually(Duration.ofSeconds(100), "offset of the oldest message", () -> it.admin().minOffset(queue), n -> n > 0);
        Check.that(min < old.size(), "the newest file is kept, the oldest message is %d", min);
        // Consumers are told a time in seconds.
        Thread.sleep(2_000);
        String since = UtilAll.timeMillisToHumanString3(System.currentTimeMillis());
        List<String> late = it.send(topic, "late-", 5);
        Check.eventually(Duration.ofSeconds(5), "max offset", () -> it.admin().maxOffset(queue), n -> n == old.size() + late.size());

        Inbox first = it.consume(it.name("first"), topic, "*", c -> c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET));
        Inbox last = it.consume(it.name("last"), topic, "*", c -> c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET));
        Inbox timed = it.consume(it.name("timed"), topic, "*", c -> {
            c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_TIMESTAMP);
            c.setConsumeTimestamp(since);
        });
        for (Inbox inbox : List.of(first, last, timed)) {
            Check.eventually(Duration.ofSeconds(10), "the queue", () -> inbox.queues(topic), Set.of(0)::equals);
        }
        List<String> fresh = it.send(topic, "new-", 5);
        last.expect(fresh);
        List<String> expected = new ArrayList<>(late);
        expected.addAll(fresh);
        timed.expect(expected);
        expected.addAll(old.subList((int) min, old.size()));
        first.expect(expected);
    }

    @Scenario
    static void groupGoesOnWhereItStopped(Scene it) throws Exception {
        String topic = it.topic(4);
        String group = it.name("durable");
        List<String> first = it.send(topic, "first-", 20);
        Inbox before = it.consume(group, topic, "*", c -> { });
        before.expect(first);
        it.awaitCommitted(group, topic, 20);
        before.close();
        List<String> second = it.send(topic, "second-", 20);
        it.consume(group, topic, "*", c -> { }).expect(second);
    }
}
