package interop.scenarios;

import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/** The pull consumer, its answers, and pulls that the broker parks. */
final class Pulling {
    @Scenario(binary = true)
    static void answersByOffset(Scene it) throws Exception {
        String topic = it.topic(1);
        MessageQueue queue = it.queue(topic, 0);
        List<String> bodies = it.send(topic, "pull-", 10);
        DefaultMQPullConsumer reader = it.reader();
        Check.equal("queues", Set.of(queue), reader.fetchSubscribeMessageQueues(topic));

        PullResult some = reader.pull(queue, "*", 2, 5);
        Check.equal("bodies of 5 from 2 on", bodies.subList(2, 7), Scene.texts(some.getMsgFoundList()));
        Check.equal("next, min, max", List.of(7L, 0L, 10L), List.of(some.getNextBeginOffset(), some.getMinOffset(), some.getMaxOffset()));

        answer(reader.pull(queue, "*", 9, 32), PullStatus.FOUND, 10);
        answer(reader.pull(queue, "*", 10, 32), PullStatus.NO_NEW_MSG, 10);
        answer(reader.pull(queue, "*", 11, 32), PullStatus.OFFSET_ILLEGAL, 10);
        answer(reader.pull(queue, "*", 1000, 32), PullStatus.OFFSET_ILLEGAL, 10);
    }

    @Scenario
    static void emptyQueue(Scene it) throws Exception {
        MessageQueue queue = it.queue(it.topic(1), 0);
        answer(it.reader().pull(queue, "*", 0, 32), PullStatus.NO_NEW_MSG, 0);
        answer(it.reader().pull(queue, "*", 5, 32), PullStatus.OFFSET_ILLEGAL, 0);
    }

    @Scenario
    static void queueThatIsNot(Scene it) throws Exception {
        String topic = it.topic(2);
        Check.equal("code for queue 2 of 2", 29, Check.refused("pull", () -> it.reader().pull(it.queue(topic, 2), "*", 0, 32)));
        Check.equal("code for an unknown topic", 17, Check.refused("pull", () -> it.reader().pull(it.queue(it.name("none"), 0), "*", 0, 32)));
    }

    @Scenario(binary = true)
    static void groupOffsets(Scene it) throws Exception {
        String topic = it.topic(2);
        String group = it.name("offsets");
        it.send(topic, "m", 10);
        DefaultMQPullConsumer first = it.reader(group, c -> { });
        first.pull(it.queue(topic, 0), "*", 0, 1); // makes the group known to the broker
        first.updateConsumeOffset(it.queue(topic, 0), 3);
        first.updateConsumeOffset(it.queue(topic, 1), 5);
        first.getOffsetStore().persistAll(Set.of(it.queue(topic, 0), it.queue(topic, 1)));
        it.awaitCommitted(group, topic, 8);
        first.shutdown();

        DefaultMQPullConsumer second = it.reader(group, c -> { });
        Check.equal("offset of queue 0", 3L, second.fetchConsumeOffset(it.queue(topic, 0), true));
        Check.equal("offset of queue 1", 5L, second.fetchConsumeOffset(it.queue(topic, 1), true));
        Check.equal("offset of a group that never was", -1L, it.committed(it.name("none"), it.queue(topic, 0)));
    }

    @Scenario(binary = true)
    static void parkedPullIsWokenByAMessage(Scene it) throws Exception {
        String topic = it.topic(1);
        for (int i = 0; i < 3; i++) {
            String body = "wake-" + i;
            CompletableFuture<PullResult> parked = park(it, topic, "*", i, c -> { });
            Check.steady(Duration.ofMillis(400), "the pull is answered", false, parked::isDone);
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes(body))));
            long sent = System.nanoTime();
            PullResult woken = parked.get(10, TimeUnit.SECONDS);
            long millis = (System.nanoTime() - sent) / 1_000_000;
            Check.equal("bodies", List.of(body), Scene.texts(woken.getMsgFoundList()));
            Check.that(millis < 1000, "woken %d ms after the send, of a poll of 20 s", millis);
        }
    }

    @Scenario
    static void parkedPullSleepsThroughOtherTags(Scene it) throws Exception {
        String topic = it.topic(1);
        CompletableFuture<PullResult> parked = park(it, topic, "TagA", 0, c -> { });
        Check.steady(Duration.ofMillis(300), "the pull is answered", false, parked::isDone);
        Scene.stored(it.producer().send(new Message(topic, "TagB", Scene.bytes("other"))));
        Check.steady(Duration.ofMillis(500), "the pull is answered after another tag", false, parked::isDone);
        Scene.stored(it.producer().send(new Message(topic, "TagA", Scene.bytes("wanted"))));
        Check.equal("bodies", List.of("wanted"), Scene.texts(parked.get(2, TimeUnit.SECONDS).getMsgFoundList()));
    }

    /** The control looks at parked pulls every 5 s, so that it may answer that much late. */
    @Scenario
    static void parkedPullEndsEmpty(Scene it) throws Exception {
        String topic = it.topic(1);
        long start = System.nanoTime();
        PullResult empty = park(it, topic, "*", 0, c -> c.setBrokerSuspendMaxTimeMillis(1000)).get(15, TimeUnit.SECONDS);
        long millis = (System.nanoTime() - start) / 1_000_000;
        answer(empty, PullStatus.NO_NEW_MSG, 0);
        Check.that(millis >= 950 && millis < 8000, "answered after %d ms when asked to wait 1000", millis);
    }

    private static CompletableFuture<PullResult> park(Scene it, String topic, String expression, long offset,
        java.util.function.Consumer<DefaultMQPullConsumer> options) throws Exception {
        DefaultMQPullConsumer consumer = it.reader(it.name("parked" + offset), options);
        return CompletableFuture.supplyAsync(() -> {
            try {
                return consumer.pullBlockIfNotFound(it.queue(topic, 0), expression, offset, 32);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
    }

    private static void answer(PullResult result, PullStatus status, long next) {
        Check.equal("pull status", status, result.getPullStatus());
        Check.equal("next begin offset", next, result.getNextBeginOffset());
    }
}
