package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * One store directory in turns under CastMQ and Apache RocketMQ, each ending in good order (TERM) or not (KILL). At every hop more is written,
 * and the next program must find all there is. The control goes the same way with RocketMQ alone.
 */
final class Exchanging {
    @Scenario(on = Setup.EXCHANGE, seconds = 200)
    static void aStoreOfCastmqGoesForthAndBack(Scene it) throws Exception {
        travel(it, "TERM", "TERM", "KILL", "KILL");
    }

    @Scenario(on = Setup.EXCHANGE_FROM_ROCKETMQ, seconds = 200)
    static void aStoreOfRocketmqGoesForthAndBack(Scene it) throws Exception {
        travel(it, "TERM", "KILL", "KILL");
    }

    /** A kill would lose what is in the buffers, which is the price of them. */
    @Scenario(on = Setup.EXCHANGE_BUFFERED, seconds = 200)
    static void aStoreWithWriteBuffersGoesForthAndBack(Scene it) throws Exception {
        travel(it, "TERM", "TERM");
    }

    private static void travel(Scene it, String... signals) throws Exception {
        Journey journey = new Journey(it);
        for (String signal : signals) {
            journey.load();
            it.exchangeBroker(signal);
            journey.verify(signal);
        }
    }

    /** What was written so far, and how it must be found again. */
    private static final class Journey {
        private static final String SCHEDULED = "SCHEDULE_TOPIC_XXXX";

        private final Scene it;
        private final String topic;
        private final String readOnly;
        private final String later;
        private final String decided;
        private final String group;
        private final DefaultMQPullConsumer member;
        private final DefaultMQProducer plain;
        private final TransactionMQProducer transactions;
        /** Half messages that the producer, when asked, is to commit. */
        private final Set<String> decisions = ConcurrentHashMap.newKeySet();
        private final Set<String> decidedBodies = new TreeSet<>();
        private final Set<String> laterBodies = new TreeSet<>();
        private Map<Integer, List<String>> lines = new TreeMap<>();
        /** Keys that the index must know: RocketMQ forgets what lies before the range of a recovery. */
        private final Set<String> keys = new HashSet<>();
        private int hop;
        private int count;
        private long committed;
        /** What was committed when a broker last ended in good order. */
        private long kept;

        Journey(Scene it) throws Exception {
            this.it = it;
            topic = it.topic(4);
            readOnly = it.name("read-only");
            it.createTopic(new TopicConfig(readOnly, 5, 5, 4));
            later = it.topic(1);
            decided = it.topic(1);
            group = it.name("group");
            member = it.reader(group, c -> { });
            plain = it.producer(p -> p.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE));
            transactions = it.transactions(it.name("transactions"), new TransactionListener() {
                @Override
                public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                    return argument == null ? LocalTransactionState.UNKNOW : LocalTransactionState.COMMIT_MESSAGE;
                }

                @Override
                public LocalTransactionState checkLocalTransaction(MessageExt message) {
                    return decisions.contains(Scene.text(message)) ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.UNKNOW;
                }
            });
        }

        void load() throws Exception {
            hop++;
            for (int i = 0; i < 60; i++) { // a file of the log and a half; every second one compressed
                Message message = new Message(topic, "tag" + i % 3, "key-" + hop + "-" + i + " hop-" + hop, Scene.bytes(hop + "." + i + "x".repeat(30_000)));
                Scene.stored((i % 2 == 0 ? plain : it.producer()).send(message, it.queue(topic, i % 4)));
                keys.add("key-" + hop + "-" + i);
            }
            List<Message> batch = IntStream.range(0, 50).mapToObj(i -> new Message(topic, "tag", Scene.bytes(hop + ".batch." + i))).toList();
            Scene.stored(it.producer().send(batch, it.queue(topic, 1)));
            count += 110;
            lines = contents();

            transact("at-once-" + hop, true);
            transact("asked-" + hop, false);
            for (int i = 0; i < 3; i++) {
                delay(2, hop + ".later." + i);
                laterBodies.add(hop + ".later." + i);
            }
            delay(3, hop + ".much later");

            committed = hop * 9L;
            member.pull(it.queue(topic, 1), "*", 0, 1); // makes the group known to the broker
            member.updateConsumeOffset(it.queue(topic, 1), committed);
            member.getOffsetStore().persistAll(Set.of(it.queue(topic, 1)));
            it.awaitCommitted(group, topic, committed);
        }

        private void transact(String body, boolean atOnce) throws Exception {
            Scene.stored(transactions.sendMessageInTransaction(new Message(decided, "tag", body, Scene.bytes(body)), atOnce ? "commit" : null));
            decidedBodies.add(body);
        }

        private void delay(int level, String body) throws Exception {
            Message message = new Message(later, Scene.bytes(body));
            message.setDelayTimeLevel(level);
            Scene.stored(it.producer().send(message));
        }

        void verify(String signal) throws Exception {
            it.awaitRoute(topic, 4);
            it.awaitRoute(readOnly, 5);
            Check.that(it.admin().fetchAllTopicList().getTopicList().containsAll(Set.of(topic, readOnly, later, decided)), "all topics are listed");
            Check.equal("permission", 4, it.admin().examineTopicConfig(it.broker, readOnly).getPerm());
            boolean inOrder = signal.equals("TERM");
            long found = it.committed(group, it.queue(topic, 1));
            Check.that(found <= committed && found >= (inOrder ? committed : kept), "group offset %d after %s is %d", committed, signal, found);
            kept = inOrder ? committed : kept;

            Check.equal("messages, their ids and places", lines, contents());
            if (!inOrder) {
                keys.removeIf(key -> !key.startsWith("key-" + hop + "-"));
            }
            for (String key : keys) {
                List<MessageExt> byKey = it.admin().queryMessage(topic, key, 32, 0, Long.MAX_VALUE).getMessageList();
                Check.equal("messages with key " + key, 1, byKey.size());
                Check.that(byKey.get(0).getKeys().startsWith(key + " "), "%s has key %s", byKey.get(0), key);
            }
            decisions.addAll(decidedBodies);
            awaitBodies(decided, decidedBodies);
            awaitBodies(later, laterBodies);
            Check.equal("messages that wait for two hours", (long) hop, it.reader().maxOffset(it.queue(SCHEDULED, 2)));
        }

        /** By queue offset, and each once more by its offset id. */
        private Map<Integer, List<String>> contents() throws Exception {
            Map<Integer, List<String>> out = new TreeMap<>();
            for (Map.Entry<Integer, List<MessageExt>> queue : it.readAll(topic, count).entrySet()) {
                List<String> its = new ArrayList<>();
                for (MessageExt message : queue.getValue()) {
                    String line = line(message);
                    Check.equal("by offset id", line, line(it.admin().viewMessage(topic, ((MessageClientExt) message).getOffsetMsgId())));
                    its.add(line);
                }
                out.put(queue.getKey(), its);
            }
            return out;
        }

        private static String line(MessageExt message) {
            return message.getQueueOffset() + " @" + message.getCommitLogOffset() + " " + message.getMsgId() + " " + message.getTags() + " " + Scene.text(message);
        }

        /** The topic has exactly these messages; a broker that was killed may have delivered one twice. */
        private void awaitBodies(String topic, Set<String> bodies) throws Exception {
            Check.eventually(Duration.ofSeconds(30), "bodies in " + topic,
                () -> new TreeSet<>(Scene.texts(it.readNow(it.queue(topic, 0)))), bodies::equals);
        }
    }
}
