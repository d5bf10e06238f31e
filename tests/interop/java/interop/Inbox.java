package interop;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;

/** What a push consumer has received so far. */
public final class Inbox {
    public final DefaultMQPushConsumer consumer;
    private final List<MessageExt> received = new ArrayList<>();

    Inbox(DefaultMQPushConsumer consumer) {
        this.consumer = consumer;
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            synchronized (received) {
                received.addAll(messages);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
    }

    public List<MessageExt> received() {
        synchronized (received) {
            return List.copyOf(received);
        }
    }

    /** Bodies received, sorted, repetitions included. */
    public List<String> bodies() {
        return received().stream().map(Scene::text).sorted().toList();
    }

    /** Queues of {@code topic} that the consumer now pulls from. */
    public Set<Integer> queues(String topic) {
        return consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
            .filter(queue -> queue.getTopic().equals(topic)).map(queue -> queue.getQueueId())
            .collect(Collectors.toCollection(TreeSet::new));
    }

    /** Waits for exactly these bodies, each once, and that nothing follows them. */
    public void expect(List<String> bodies) throws Exception {
        List<String> sorted = bodies.stream().sorted().toList();
        Check.eventually(Duration.ofSeconds(20), "number of messages consumed", () -> received().size(), n -> n >= sorted.size());
        Check.steady(Duration.ofMillis(200), "bodies consumed", sorted, this::bodies);
    }

    /** Waits for each of these bodies, and that nothing else comes; RocketMQ may commit one transaction twice. */
    public void expectAtLeastOnce(Set<String> bodies) throws Exception {
        Check.eventually(Duration.ofSeconds(20), "bodies consumed", () -> Set.copyOf(bodies()), seen -> seen.containsAll(bodies));
        Check.steady(Duration.ofMillis(200), "bodies consumed", bodies, () -> Set.copyOf(bodies()));
    }

    /** Stops the consumer: it commits its offsets and leaves the group. */
    public void close() {
        consumer.shutdown();
    }
}
