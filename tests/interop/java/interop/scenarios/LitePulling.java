package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The lite pull consumer: subscribe or assign, seek, commit. */
final class LitePulling {
    @Scenario(binary = true)
    static void subscribe(Scene it) throws Exception {
        String topic = it.topic(4);
        String group = it.name("lite");
        List<String> first = it.send(topic, "lite-", 50);
        DefaultLitePullConsumer consumer = subscribed(it, group, topic);
        Check.equal("bodies", first.stream().sorted().toList(), poll(consumer, 50));
        consumer.commit();
        it.awaitCommitted(group, topic, 50);
        consumer.shutdown();

        List<String> second = it.send(topic, "more-", 10);
        Check.equal("bodies after the commit", second.stream().sorted().toList(), poll(subscribed(it, group, topic), 10));
    }

    @Scenario
    static void subscribeByTag(Scene it) throws Exception {
        String topic = it.topic(1);
        for (String tag : List.of("TagA", "TagB", "TagA")) {
            Scene.stored(it.producer().send(new Message(topic, tag, Scene.bytes(tag))));
        }
        DefaultLitePullConsumer consumer = it.litePull(it.name("lite"));
        consumer.subscribe(topic, "TagA");
        consumer.start();
        Check.equal("bodies", List.of("TagA", "TagA"), poll(consumer, 2));
    }

    @Scenario(binary = true)
    static void assignAndSeek(Scene it) throws Exception {
        String topic = it.topic(4);
        MessageQueue one = it.queue(topic, 1);
        for (int i = 0; i < 20; i++) {
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes("q1-" + i)), one));
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes("q2-" + i)), it.queue(topic, 2)));
        }
        DefaultLitePullConsumer consumer = it.litePull(it.name("lite"));
        consumer.start();
        Check.equal("queues", 4, consumer.fetchMessageQueues(topic).size());
        consumer.assign(Set.of(one));
        Check.equal("bodies of the assigned queue", 20L, poll(consumer, 20).stream().filter(body -> body.startsWith("q1-")).count());

        consumer.seek(one, 15);
        Check.equal("bodies from 15 on", List.of("q1-15", "q1-16", "q1-17", "q1-18", "q1-19"), poll(consumer, 5));
        consumer.seekToBegin(one);
        Check.equal("number of bodies from the beginning on", 20, poll(consumer, 20).size());
        consumer.seekToEnd(one);
        Scene.stored(it.producer().send(new Message(topic, Scene.bytes("q1-last")), one));
        Check.equal("bodies from the end on", List.of("q1-last"), poll(consumer, 1));
        Check.that(Check.refused("seek beyond the end", () -> {
            consumer.seek(one, 100);
            return null;
        }) != 0, "seeking beyond the end is refused");
    }

    @Scenario
    static void commitOfAnAssignedQueue(Scene it) throws Exception {
        String topic = it.topic(2);
        String group = it.name("lite");
        MessageQueue queue = it.queue(topic, 0);
        for (int i = 0; i < 10; i++) {
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes("commit-" + i)), queue));
        }
        DefaultLitePullConsumer first = it.litePull(group);
        first.start();
        first.assign(Set.of(queue));
        first.seek(queue, 4);
        Check.equal("bodies", 6, poll(first, 6).size());
        first.commit(Set.of(queue), true);
        it.awaitCommitted(group, topic, 10);
        Check.equal("committed, as the consumer sees it", 10L, first.committed(queue));
        Scene.stored(it.producer().send(new Message(topic, Scene.bytes("next")), queue));
        first.shutdown();

        DefaultLitePullConsumer second = it.litePull(group);
        second.start();
        second.assign(Set.of(queue));
        Check.equal("bodies after the committed offset", List.of("next"), poll(second, 1));
    }

    private static DefaultLitePullConsumer subscribed(Scene it, String group, String topic) throws Exception {
        DefaultLitePullConsumer consumer = it.litePull(group);
        consumer.subscribe(topic, "*");
        consumer.start();
        return consumer;
    }

    /** Polls until {@code count} bodies are there, then once more for what ought not to follow; sorted. */
    private static List<String> poll(DefaultLitePullConsumer consumer, int count) throws Exception {
        List<String> bodies = new ArrayList<>();
        Check.eventually(Duration.ofSeconds(20), "messages polled", () -> {
            for (MessageExt message : consumer.poll(200)) {
                bodies.add(Scene.text(message));
            }
            return bodies.size();
        }, n -> n >= count);
        consumer.poll(200).forEach(message -> bodies.add(Scene.text(message)));
        return bodies.stream().sorted().toList();
    }
}
