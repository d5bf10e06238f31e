package crash;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

import interop.Member;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * One producer and one push consumer of the official client, and a push consumer of the Rust client in the same group, while somebody else crashes parts of the
 * broker. Every line on standard input asks for a line of counts: acknowledged, send calls that failed after the client's own
 * retries, the longest send in ms, received, received more than once. At the end of input it stops sending, waits for what is
 * acknowledged but not received, and prints how many stayed missing.
 */
public final class UnderCrashes {
    private static final Map<String, Boolean> MISSING = new ConcurrentHashMap<>();
    private static final Map<String, Integer> TIMES = new ConcurrentHashMap<>();
    private static final AtomicInteger FAILED = new AtomicInteger();
    private static final AtomicInteger ACKNOWLEDGED = new AtomicInteger();
    private static final AtomicLong LONGEST = new AtomicLong();
    private static volatile boolean sending = true;

    public static void main(String[] args) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("under-crashes-c");
        consumer.setNamesrvAddr(args[0]);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe("UnderCrashes", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                received(new String(message.getBody(), StandardCharsets.UTF_8));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQProducer producer = new DefaultMQProducer("under-crashes-p");
        producer.setNamesrvAddr(args[0]);
        producer.start();
        // The topic is there before the consumer looks for it.
        producer.send(new Message("UnderCrashes", "first".getBytes(StandardCharsets.UTF_8)));
        consumer.start();
        Member rust = new Member(args[1], UnderCrashes::received, args[0], "consume", "UnderCrashes", "under-crashes-c", "average");
        Thread sender = new Thread(() -> send(producer));
        sender.start();
        System.out.println("ready");
        for (int c; (c = System.in.read()) >= 0; ) {
            if (c == '\n') {
                long again = TIMES.values().stream().filter(times -> times > 1).count();
                System.out.println(ACKNOWLEDGED + " " + FAILED + " " + LONGEST.getAndSet(0) + " " + TIMES.size() + " " + again);
            }
        }
        sending = false;
        sender.join();
        long deadline = System.currentTimeMillis() + 30_000;
        while (!MISSING.isEmpty() && System.currentTimeMillis() < deadline) {
            Thread.sleep(50);
        }
        System.out.println("missing " + MISSING.size() + " " + rust.bodies().size());
        rust.close();
        System.exit(0);
    }

    private static void received(String body) {
        TIMES.merge(body, 1, Integer::sum);
        MISSING.remove(body);
    }

    private static void send(DefaultMQProducer producer) {
        for (int number = 0; sending; number++) {
            String body = Integer.toString(number);
            long began = System.nanoTime();
            try {
                Message message = new Message("UnderCrashes", body.getBytes(StandardCharsets.UTF_8));
                if (producer.send(message).getSendStatus() == SendStatus.SEND_OK) {
                    ACKNOWLEDGED.incrementAndGet();
                    // It may have been received already.
                    if (!TIMES.containsKey(body)) {
                        MISSING.put(body, true);
                        if (TIMES.containsKey(body)) {
                            MISSING.remove(body);
                        }
                    }
                }
            } catch (Exception e) {
                FAILED.incrementAndGet();
            }
            LONGEST.accumulateAndGet((System.nanoTime() - began) / 1_000_000, Math::max);
        }
    }

    private UnderCrashes() {
    }
}
