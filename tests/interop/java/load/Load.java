package load;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;

import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** The load of {@code rust/member.rs} by the official client: {@code send TOPIC COUNT} and {@code drain TOPIC GROUP COUNT}. */
public final class Load {
    private static final int IN_FLIGHT = 256;

    public static void main(String[] args) throws Exception {
        if (args[1].equals("send")) {
            send(args[0], args[2], Integer.parseInt(args[3]));
        } else {
            drain(args[0], args[2], args[3], Integer.parseInt(args[4]));
        }
        System.exit(0);
    }

    private static void send(String namesrv, String topic, int count) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("load");
        producer.setNamesrvAddr(namesrv);
        producer.start();
        byte[] body = "x".repeat(256).getBytes();
        Semaphore free = new Semaphore(IN_FLIGHT);
        for (int number = 0; number < count; number++) {
            free.acquire();
            producer.send(new Message(topic, body), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    free.release();
                }

                @Override
                public void onException(Throwable error) {
                    error.printStackTrace();
                    System.exit(1);
                }
            });
        }
        free.acquire(IN_FLIGHT);
        producer.shutdown();
    }

    private static void drain(String namesrv, String topic, String group, int count) throws Exception {
        CountDownLatch left = new CountDownLatch(count);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> left.countDown());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        left.await();
        consumer.shutdown();
    }

    private Load() {
    }
}
