package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;

import interop.Check;
import interop.Inbox;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import interop.Victim;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;

/** Groups of consumers: who gets which queue, in which order, from where on. */
final class Consuming {
    private static final Duration TAKEN_OVER = Duration.ofSeconds(3);

    @Scenario
    static void fiveShareAsTheyCompute(Scene it) throws Exception {
        String topic = it.topic(8);
        String group = it.name("five");
        List<Inbox> all = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            all.add(it.consume(group, topic, "*", c -> { }));
        }
        shares(it, topic, all);
        List<String> bodies = it.send(topic, "m", 80);
        Check.eventually(Duration.ofSeconds(10), "bodies consumed", () -> consumed(all), new TreeSet<>(bodies)::equals);
        CompletableFuture<Void> leaving = CompletableFuture.runAsync(all.remove(2)::close);
        shares(it, topic, all);
        leaving.join();
    }

    private static void shares(Scene it, String topic, List<Inbox> members) throws Exception {
        List<MessageQueue> queues = IntStream.range(0, 8).mapToObj(id -> it.queue(topic, id)).toList();
        List<String> ids = members.stream().map(Consuming::clientId).sorted().toList();
        for (Inbox member : members) {
            Set<Integer> share = new TreeSet<>();
            new AllocateMessageQueueAveragely().allocate("g", clientId(member), queues, ids).forEach(queue -> share.add(queue.getQueueId()));
            Check.eventually(TAKEN_OVER, "share of " + clientId(member), () -> member.queues(topic), share::equals);
        }
    }

    private static String clientId(Inbox inbox) {
        return inbox.consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId();
    }

    private static Set<String> consumed(List<Inbox> members) {
        Set<String> bodies = new TreeSet<>();
        members.forEach(member -> bodies.addAll(member.bodies()));
        return bodies;
    }

    @Scenario
    static void queuesOfAKilledConsumerAreTakenOver(Scene it) throws Exception {
        String topic = it.topic(4);
        String group = it.name("killed");
        Inbox stays = it.consume(group, topic, "*", c -> { });
        Process victim = new ProcessBuilder("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
            "-Drocketmq.client.logUseSlf4j=true", "-Duser.home=" + System.getProperty("user.home"), "-cp", System.getProperty("java.class.path"),
            Victim.class.getName(), it.namesrv, group, topic).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        try {
            Check.eventually(Duration.ofSeconds(20), "queues left to this one", () -> stays.queues(topic).size(), n -> n == 2);
        } finally {
            victim.destroyForcibly();
        }
        Check.eventually(TAKEN_OVER, "queues of who stays", () -> stays.queues(topic), Set.of(0, 1, 2, 3)::equals);
        List<String> bodies = it.send(topic, "after", 20);
        Check.eventually(Duration.ofSeconds(10), "bodies after the kill", stays::bodies, got -> got.containsAll(bodies));
    }

    /** Members come and go and the broker restarts; a queue is never with two, and nothing is skipped. */
    @Scenario(seconds = 120)
    static void inOrderNeverWithTwoOwners(Scene it) throws Exception {
        String topic = it.topic(4);
        String group = it.name("ordered");
        Map<Integer, String> inside = new ConcurrentHashMap<>();
        Map<Integer, List<Long>> offsets = new ConcurrentHashMap<>();
        List<String> wrong = Collections.synchronizedList(new ArrayList<>());
        List<DefaultMQPushConsumer> members = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            members.add(ordered(it, group, topic, "member" + i, inside, offsets, wrong));
        }
        it.send(topic, "a", 60);
        members.add(ordered(it, group, topic, "late", inside, offsets, wrong));
        it.send(topic, "b", 60);
        members.get(0).shutdown();
        it.send(topic, "c", 60);
        it.restartBroker("TERM");
        Check.eventually(Duration.ofSeconds(60), "send after the restart", () -> it.send(topic, "d", 1).size(), n -> n == 1);
        it.send(topic, "e", 60);
        Map<Integer, Long> ends = new HashMap<>();
        for (int id = 0; id < 4; id++) {
            ends.put(id, it.reader().maxOffset(it.queue(topic, id)));
        }
        Check.eventually(Duration.ofSeconds(60), "consumed up to " + ends, () -> {
            Map<Integer, Long> last = new HashMap<>();
            offsets.forEach((id, got) -> last.put(id, Collections.max(List.copyOf(got)) + 1));
            return last;
        }, ends::equals);
        Check.equal("two at a time, or skipped", List.of(), wrong);
    }

    private static DefaultMQPushConsumer ordered(Scene it, String group, String topic, String name, Map<Integer, String> inside,
        Map<Integer, List<Long>> offsets, List<String> wrong) throws Exception {
        return it.listen(group, topic, c -> c.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            MessageExt message = messages.get(0);
            int queue = message.getQueueId();
            String other = inside.putIfAbsent(queue, name);
            if (other != null) {
                wrong.add(name + " and " + other + " have queue " + queue);
            }
            List<Long> got = offsets.computeIfAbsent(queue, id -> Collections.synchronizedList(new ArrayList<>()));
            long next = got.isEmpty() ? 0 : Collections.max(List.copyOf(got)) + 1;
            if (message.getQueueOffset() > next) {
                wrong.add("queue " + queue + ": " + message.getQueueOffset() + " after " + next);
            }
            got.add(message.getQueueOffset());
            inside.remove(queue, name);
            return ConsumeOrderlyStatus.SUCCESS;
        }));
    }

    @Scenario
    static void bySql92(Scene it) throws Exception {
        String topic = it.topic(2);
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = it.listen(it.name("sql"), topic, c -> c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> seen.add(Scene.text(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        }));
        consumer.subscribe(topic, MessageSelector.bySql("n BETWEEN 3 AND 6 AND TAGS IS NOT NULL OR name IN ('x', 'y')"));
        // The new subscription is known once the next heartbeat has told it.
        String key = consumer.getDefaultMQPushConsumerImpl().getSubscriptionInner().get(topic).getSubString();
        Check.eventually(Duration.ofSeconds(10), "expression at the broker", () -> it.admin().examineConsumerConnectionInfo(consumer.getConsumerGroup())
            .getSubscriptionTable().get(topic).getSubString(), key::equals);
        for (int n = 0; n < 10; n++) {
            Message message = new Message(topic, n == 5 ? null : "tag", Scene.bytes("m" + n));
            message.putUserProperty("n", Integer.toString(n));
            message.putUserProperty("name", n == 9 ? "x" : "z");
            Scene.stored(it.producer().send(message));
        }
        Check.eventually(Duration.ofSeconds(10), "bodies", () -> seen.stream().sorted().toList(), List.of("m3", "m4", "m6", "m9")::equals);
        consumer.subscribe(topic, MessageSelector.bySql("n >"));
        Check.eventually(Duration.ofSeconds(10), "the broken expression", () -> it.admin().examineConsumerConnectionInfo(consumer.getConsumerGroup())
            .getSubscriptionTable().get(topic).getSubString(), "n >"::equals);
        it.send(topic, "n", 5);
        Check.steady(Duration.ofMillis(500), "nothing more", 4, seen::size);
    }

    @Scenario
    static void differentSubscriptionsInOneGroupAreTold(Scene it) throws Exception {
        String topic = it.topic(2);
        String group = it.name("torn");
        List<Inbox> members = List.of(it.consume(group, topic, "TagA", c -> { }), it.consume(group, topic, "TagB", c -> { }));
        List<String> told = new ArrayList<>();
        for (Inbox member : members) {
            it.admin().getConsumerRunningInfo(group, clientId(member), false).getSubscriptionSet().stream()
                .filter(one -> one.getTopic().equals(topic)).forEach(one -> told.add(one.getSubString()));
        }
        Check.equal("what each says", List.of("TagA", "TagB"), told);
        Check.equal("what the group is taken for: the last word", "TagB",
            it.admin().examineConsumerConnectionInfo(group).getSubscriptionTable().get(topic).getSubString());
    }

    @Scenario
    static void anOffsetOutsideOfTheQueueIsMended(Scene it) throws Exception {
        String topic = it.topic(1);
        String group = it.name("astray");
        it.send(topic, "before", 5);
        it.awaitStored(topic, 5);
        it.admin().createAndUpdateSubscriptionGroupConfig(it.broker, group(group));
        it.admin().updateConsumeOffset(it.broker, group, it.queue(topic, 0), 1000);
        Check.eventually(Duration.ofSeconds(5), "offset", () -> it.committed(group, it.queue(topic, 0)), offset -> offset == 1000);
        Inbox inbox = it.consume(group, topic, "*", c -> { });
        it.awaitCommitted(group, topic, 5);
        List<String> bodies = it.send(topic, "after", 5);
        Check.eventually(Duration.ofSeconds(40), "bodies", inbox::bodies, got -> got.containsAll(bodies));
    }

    @Scenario
    static void resetOnlineAndOffline(Scene it) throws Exception {
        String topic = it.topic(1);
        String group = it.name("reset");
        it.send(topic, "old", 5);
        long between = it.read(it.queue(topic, 0), 5).stream().map(MessageExt::getStoreTimestamp).max(Comparator.naturalOrder()).get() + 1;
        Check.eventually(Duration.ofSeconds(1), "clock", System::currentTimeMillis, now -> now > between + 10);
        List<String> later = it.send(topic, "new", 5);
        Inbox inbox = it.consume(group, topic, "*", c -> { });
        it.awaitCommitted(group, topic, 10);
        int before = inbox.received().size();
        it.admin().resetOffsetByTimestamp(topic, group, between, true);
        Check.eventually(Duration.ofSeconds(30), "consumed again", () -> inbox.received().size() - before, n -> n >= 5);
        Check.equal("what came again", later, Scene.texts(inbox.received()).subList(before, before + 5).stream().sorted().toList());
        it.awaitCommitted(group, topic, 10);
        inbox.close();
        it.admin().resetOffsetByTimestamp(topic, group, between, true);
        it.consume(group, topic, "*", c -> { }).expect(later);
    }

    @Scenario(on = Setup.SHORT_LEVELS)
    static void retryTopicsHaveAsManyQueuesAsTheGroupSays(Scene it) throws Exception {
        String topic = it.topic(1);
        String group = it.name("wide");
        SubscriptionGroupConfig config = group(group);
        config.setRetryQueueNums(3);
        it.admin().createAndUpdateSubscriptionGroupConfig(it.broker, config);
        Map<String, Integer> times = new ConcurrentHashMap<>();
        it.listen(group, topic, c -> c.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
            times.merge(Scene.text(messages.get(0)), 1, Integer::sum) < 2 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS));
        it.awaitRoute("%RETRY%" + group, 3);
        List<String> bodies = it.send(topic, "m", 10);
        Check.eventually(Duration.ofSeconds(30), "each consumed twice", () -> bodies.stream().filter(body -> times.getOrDefault(body, 0) == 2).count(), n -> n == 10);
    }

    private static SubscriptionGroupConfig group(String name) {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(name);
        return config;
    }
}
