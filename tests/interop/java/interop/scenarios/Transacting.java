package interop.scenarios;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;

import interop.Check;
import interop.Inbox;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Transactional messages. Producers are asked early in this set-up. */
final class Transacting {
    @Scenario(on = Setup.EARLY_CHECKS, binary = true)
    static void commitAndRollback(Scene it) throws Exception {
        String topic = it.topic(2);
        TransactionMQProducer producer = it.transactions(it.name("producer"), listener(
            body -> body.startsWith("yes") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE,
            body -> LocalTransactionState.UNKNOW));
        Inbox inbox = it.consume(topic, "*");
        for (int i = 0; i < 10; i++) {
            String body = (i % 2 == 0 ? "yes-" : "no-") + i;
            Scene.stored(producer.sendMessageInTransaction(new Message(topic, "tag", "key-" + i, Scene.bytes(body)), null));
        }
        inbox.expect(List.of("yes-0", "yes-2", "yes-4", "yes-6", "yes-8"));
        for (MessageExt message : inbox.received()) {
            Check.that(message.getTransactionId() != null && message.getPreparedTransactionOffset() > 0, "%s names its half", Scene.text(message));
        }
    }

    @Scenario(on = Setup.EARLY_CHECKS)
    static void unknownIsAskedFor(Scene it) throws Exception {
        String topic = it.topic(1);
        Map<String, AtomicInteger> asked = new ConcurrentHashMap<>();
        TransactionMQProducer producer = it.transactions(it.name("producer"), listener(body -> LocalTransactionState.UNKNOW, body -> {
            int times = asked.computeIfAbsent(body, b -> new AtomicInteger()).incrementAndGet();
            if (times < 3) {
                return LocalTransactionState.UNKNOW;
            }
            return body.equals("yes") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        }));
        Inbox inbox = it.consume(topic, "*");
        for (String body : List.of("yes", "no")) {
            Scene.stored(producer.sendMessageInTransaction(new Message(topic, Scene.bytes(body)), null));
        }
        Check.eventually(Duration.ofSeconds(40), "times asked", () -> asked.values().stream().mapToInt(AtomicInteger::get).sum(), n -> n >= 6);
        inbox.expectAtLeastOnce(Set.of("yes"));
        // RocketMQ may ask again before it has written down the end, and then commits twice; never what was rolled back.
        Check.steady(Duration.ofSeconds(4), "no was seen", false, () -> inbox.bodies().contains("no"));
    }

    @Scenario(on = Setup.EARLY_CHECKS)
    static void anotherProducerOfTheGroupIsAsked(Scene it) throws Exception {
        String topic = it.topic(1);
        String group = it.name("producer");
        TransactionMQProducer first = it.transactions(group, listener(body -> LocalTransactionState.UNKNOW, body -> LocalTransactionState.UNKNOW));
        Scene.stored(first.sendMessageInTransaction(new Message(topic, Scene.bytes("orphan")), null));
        first.shutdown();
        TransactionMQProducer second = it.transactions(group, listener(body -> LocalTransactionState.UNKNOW, body -> LocalTransactionState.COMMIT_MESSAGE));
        // It is known to the broker once it has sent something, or with its next heartbeat.
        Scene.stored(second.send(new Message(topic, Scene.bytes("plain"))));
        it.consume(topic, "*").expectAtLeastOnce(Set.of("orphan", "plain"));
    }

    private static TransactionListener listener(
        Function<String, LocalTransactionState> at, Function<String, LocalTransactionState> later) {
        return new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return at.apply(Scene.text(message));
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return later.apply(Scene.text(message));
            }
        };
    }
}
