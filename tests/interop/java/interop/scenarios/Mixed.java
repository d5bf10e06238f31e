package interop.scenarios;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import interop.Check;
import interop.Inbox;
import interop.Member;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragelyByCircle;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueByMachineRoom;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueConsistentHash;
import org.apache.rocketmq.client.trace.TraceContext;
import org.apache.rocketmq.client.trace.TraceDataEncoder;
import org.apache.rocketmq.client.trace.TraceType;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.topic.TopicValidator;

/** Java's client and the Rust client beside each other: in one group, and at the two ends of a topic. */
final class Mixed {
    private static final int QUEUES = 8;
    private static final Set<Integer> ALL = IntStream.range(0, QUEUES).boxed().collect(Collectors.toSet());

    /** Two members of a group, and what they have received together. */
    private record Group(String topic, Inbox java, Member rust) {
        List<String> bodies() {
            List<String> all = new ArrayList<>(java.bodies());
            all.addAll(rust.bodies());
            return all.stream().sorted().toList();
        }

        /** Every queue has one reader, and each member has some. */
        void awaitShared() throws Exception {
            Check.eventually(Duration.ofSeconds(30), "queues of the two", () -> List.of(java.queues(topic), rust.queues()), both -> {
                Set<Integer> union = new HashSet<>(both.get(0));
                union.addAll(both.get(1));
                return union.equals(ALL) && both.get(0).size() + both.get(1).size() == QUEUES && both.stream().noneMatch(Set::isEmpty);
            });
        }

        void expectOnceEach(List<String> sent) throws Exception {
            List<String> sorted = sent.stream().sorted().toList();
            Check.eventually(Duration.ofSeconds(20), "messages consumed", () -> bodies().size(), n -> n >= sorted.size());
            Check.steady(Duration.ofMillis(300), "bodies consumed by the two, each once", sorted, this::bodies);
        }
    }

    private static Group join(Scene it, String name, AllocateMessageQueueStrategy strategy) throws Exception {
        String topic = it.topic(QUEUES);
        String group = it.name("mixed");
        Member rust = it.member("consume", topic, group, name);
        Inbox java = it.consume(group, topic, "*", c -> c.setAllocateMessageQueueStrategy(strategy));
        Group both = new Group(topic, java, rust);
        both.awaitShared();
        return both;
    }

    @Scenario
    static void sharedByAverage(Scene it) throws Exception {
        Group group = join(it, "average", new AllocateMessageQueueAveragely());
        group.expectOnceEach(it.send(group.topic, "average-", 80));
        Check.equal("size of the shares", List.of(4, 4), List.of(group.java.queues(group.topic).size(), group.rust.queues().size()));
        Check.that(!group.rust.bodies().isEmpty() && !group.java.bodies().isEmpty(), "both have consumed");
    }

    @Scenario
    static void sharedByCircle(Scene it) throws Exception {
        Group group = join(it, "circle", new AllocateMessageQueueAveragelyByCircle());
        group.expectOnceEach(it.send(group.topic, "circle-", 80));
        Check.equal("remainders of the queues of each", 1L, group.rust.queues().stream().map(id -> id % 2).distinct().count());
    }

    @Scenario
    static void sharedByConsistentHash(Scene it) throws Exception {
        Group group = join(it, "consistent-hash", new AllocateMessageQueueConsistentHash());
        group.expectOnceEach(it.send(group.topic, "hash-", 80));
    }

    @Scenario
    static void inOrder(Scene it) throws Exception {
        String topic = it.topic(QUEUES);
        String group = it.name("ordered");
        List<String> bodies = Collections.synchronizedList(new ArrayList<>());
        Member rust = it.member("consume", topic, group, "ordered");
        it.listen(group, topic, c -> c.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            messages.forEach(message -> bodies.add(Scene.text(message)));
            return ConsumeOrderlyStatus.SUCCESS;
        }));
        Check.eventually(Duration.ofSeconds(30), "queues of the Rust member", () -> rust.queues().size(), n -> n == QUEUES / 2);
        List<String> sent = new ArrayList<>();
        for (int number = 0; number < 10; number++) {
            for (int queue = 0; queue < QUEUES; queue++) {
                sent.add(queue + ":" + number);
                Scene.stored(it.producer().send(new Message(topic, Scene.bytes(queue + ":" + number)), it.queue(topic, queue)));
            }
        }
        Check.eventually(Duration.ofSeconds(30), "messages consumed", () -> bodies.size() + rust.bodies().size(), n -> n >= sent.size());
        Check.steady(Duration.ofMillis(300), "messages consumed", sent.size(), () -> bodies.size() + rust.bodies().size());
        List<String> all = new ArrayList<>(bodies);
        all.addAll(rust.bodies());
        for (int queue = 0; queue < QUEUES; queue++) {
            String prefix = queue + ":";
            Check.equal("queue " + queue, sent.stream().filter(body -> body.startsWith(prefix)).toList(),
                all.stream().filter(body -> body.startsWith(prefix)).toList());
        }
    }

    /** Sends until it is told to stop; remembers what was acknowledged. */
    private static final class Sender implements AutoCloseable {
        final List<String> acknowledged = Collections.synchronizedList(new ArrayList<>());
        private volatile boolean stopped;
        private final Thread thread;

        Sender(Scene it, String topic) throws Exception {
            var producer = it.producer();
            thread = new Thread(() -> {
                for (int number = 0; !stopped; number++) {
                    String body = "flight-" + number;
                    try {
                        producer.send(new Message(topic, Scene.bytes(body)));
                        acknowledged.add(body);
                        Thread.sleep(5);
                    } catch (Exception e) {
                        // Not acknowledged: it may be there or not.
                    }
                }
            });
            thread.start();
        }

        @Override
        public void close() throws Exception {
            stopped = true;
            thread.join();
        }
    }

    /** Without a broker nobody knows the group for a moment: a message may come twice then, but none may be lost. */
    @Scenario(seconds = 150)
    static void brokerRestartedInFlight(Scene it) throws Exception {
        Group group = join(it, "average", new AllocateMessageQueueAveragely());
        Sender sender = new Sender(it, group.topic);
        try (sender) {
            Check.eventually(Duration.ofSeconds(10), "messages before", () -> sender.acknowledged.size(), n -> n > 50);
            it.restartBroker("TERM");
            int before = sender.acknowledged.size();
            Check.eventually(Duration.ofSeconds(60), "messages after", () -> sender.acknowledged.size(), n -> n > before + 50);
        }
        Check.eventually(Duration.ofSeconds(60), "acknowledged messages that are missing", () -> {
            Set<String> missing = new TreeSet<>(sender.acknowledged);
            group.bodies().forEach(missing::remove);
            return missing;
        }, Set::isEmpty);
        group.awaitShared();
        Check.steady(Duration.ofSeconds(2), "the queues stay shared", QUEUES, () -> group.java.queues(group.topic).size() + group.rust.queues().size());
        List<String> later = it.send(group.topic, "later-", 40);
        Check.eventually(Duration.ofSeconds(20), "later messages, each once", () -> group.bodies().stream().filter(body -> body.startsWith("later-")).toList(),
            later.stream().sorted().toList()::equals);
    }

    @Scenario(on = Setup.TWO_NAMESERVERS)
    static void nameserverLostInFlight(Scene it) throws Exception {
        it.namesrv = String.join(";", it.nameservers);
        Group group = join(it, "average", new AllocateMessageQueueAveragely());
        Sender sender = new Sender(it, group.topic);
        try (sender) {
            it.stopNameserver(0);
            int before = sender.acknowledged.size();
            // Routes are asked for every second.
            Check.eventually(Duration.ofSeconds(20), "messages after", () -> sender.acknowledged.size(), n -> n > before + 500);
        } finally {
            it.startNameserver(0);
        }
        group.expectOnceEach(sender.acknowledged);
    }

    @Scenario
    static void compressedBothWaysAndTraced(Scene it) throws Exception {
        String topic = it.topic(1);
        String back = it.topic(1);
        String body = "castmq ".repeat(3000);
        Member rust = it.member("echo", topic, it.name("echo"), back);
        for (CompressionType type : CompressionType.values()) {
            Scene.stored(it.producer(p -> p.setCompressType(type)).send(new Message(topic, Scene.bytes(body))));
        }
        int count = CompressionType.values().length * 3;
        Inbox inbox = it.consume(back, "*");
        inbox.expect(Collections.nCopies(count, body));
        Check.that(inbox.received().stream().allMatch(message -> message.getStoreSize() < body.length() / 2), "all were stored compressed");
        Check.equal("ids", rust.sent().stream().sorted().toList(), inbox.received().stream().map(MessageExt::getMsgId).sorted().toList());
        String id = rust.sent().get(0);
        rust.close();
        TraceContext trace = Check.eventually(Duration.ofSeconds(20), "the trace of " + id, () -> trace(it, id), found -> found != null);
        Check.equal("traced topic", back, trace.getTraceBeans().get(0).getTopic());
        Check.equal("traced keys and tags", "echo back", trace.getTraceBeans().get(0).getKeys() + " " + trace.getTraceBeans().get(0).getTags());
        Check.that(trace.isSuccess() && trace.getTraceBeans().get(0).getStoreHost().equals(it.broker), "success at the broker");
    }

    /** What Java's client reads in the trace of a message that was sent. */
    private static TraceContext trace(Scene it, String id) throws Exception {
        String topic = TopicValidator.RMQ_SYS_TRACE_TOPIC;
        for (MessageExt message : it.admin().queryMessage(topic, id, 32, 0, Long.MAX_VALUE).getMessageList()) {
            for (TraceContext context : TraceDataEncoder.decoderFromTraceDataString(Scene.text(message))) {
                if (context.getTraceType() == TraceType.Pub && context.getTraceBeans().get(0).getMsgId().equals(id)) {
                    return context;
                }
            }
        }
        return null;
    }

    /** The table that the Rust client's strategies are tested with says what Java's do; {@code BLESS=1} writes it anew. */
    @Scenario
    static void allocationsAreAsListed(Scene it) throws Exception {
        AllocateMessageQueueByMachineRoom rooms = new AllocateMessageQueueByMachineRoom();
        rooms.setConsumeridcs(Set.of("r1", "r2"));
        Map<String, AllocateMessageQueueStrategy> strategies = new LinkedHashMap<>();
        strategies.put("average", new AllocateMessageQueueAveragely());
        strategies.put("circle", new AllocateMessageQueueAveragelyByCircle());
        strategies.put("consistent-hash", new AllocateMessageQueueConsistentHash());
        strategies.put("machine-room", rooms);
        List<String> rows = new ArrayList<>(List.of("strategy\tqueues\tshares of the members 10.0.0.1@0, 10.0.0.1@1 …"));
        for (String layout : List.of("a=1", "a=8", "a=4 b=3", "a=16 b=16", "c=2 r1@a=5 r1@a@x=2 r2@b=2")) {
            Map<String, Integer> brokers = new TreeMap<>();
            for (String broker : layout.split(" ")) {
                brokers.put(broker.split("=")[0], Integer.valueOf(broker.split("=")[1]));
            }
            List<MessageQueue> queues = brokers.entrySet().stream()
                .flatMap(e -> IntStream.range(0, e.getValue()).mapToObj(id -> new MessageQueue("T", e.getKey(), id))).sorted().toList();
            strategies.forEach((name, strategy) -> {
                for (int count : new int[] {1, 2, 3, 5, 9}) {
                    List<String> members = IntStream.range(0, count).mapToObj(i -> "10.0.0.1@" + i).toList();
                    rows.add(name + "\t" + layout + "\t" + members.stream()
                        .map(own -> strategy.allocate("g", own, queues, members).stream().map(q -> q.getBrokerName() + ":" + q.getQueueId()).collect(Collectors.joining(" ")))
                        .collect(Collectors.joining(",")));
                }
            });
        }
        Path list = Path.of(System.getProperty("interop.home"), "../../src/client/consumer/allocations.tsv");
        if (System.getenv("BLESS") != null) {
            Files.write(list, rows);
        }
        Check.equal("the table", rows, Files.readAllLines(list));
    }
}
