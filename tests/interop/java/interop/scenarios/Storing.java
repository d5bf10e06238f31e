package interop.scenarios;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages that fill several files. */
final class Storing {
    private static final long FILE = 1 << 20;

    @Scenario(on = Setup.SMALL_FILES)
    static void overSeveralCommitLogFiles(Scene it) throws Exception {
        String topic = it.topic(2);
        Random random = new Random(1);
        List<byte[]> bodies = new ArrayList<>();
        DefaultMQProducer producer = it.producer(p -> p.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE));
        for (int i = 0; i < 100; i++) {
            byte[] body = new byte[1 + random.nextInt(150_000)];
            random.nextBytes(body);
            bodies.add(body);
            Scene.stored(producer.send(new Message(topic, body), it.queue(topic, i % 2)));
        }
        TreeSet<Long> files = new TreeSet<>();
        for (int queue = 0; queue < 2; queue++) {
            List<MessageExt> messages = it.read(it.queue(topic, queue), 50);
            for (int i = 0; i < messages.size(); i++) {
                MessageExt message = messages.get(i);
                Check.equal("body " + i + " of queue " + queue, bodies.get(2 * i + queue), message.getBody());
                long inFile = message.getCommitLogOffset() % FILE;
                Check.that(inFile + message.getStoreSize() <= FILE, "message at %d of %d bytes lies within one file", inFile, message.getStoreSize());
                files.add(message.getCommitLogOffset() / FILE);
            }
        }
        Check.that(files.size() >= 5, "messages lie in files %s", files);
    }

    @Scenario(on = Setup.SMALL_FILES)
    static void overSeveralConsumeQueueFiles(Scene it) throws Exception {
        String topic = it.topic(1);
        List<String> bodies = new ArrayList<>();
        for (int batch = 0; batch < 25; batch++) {
            List<Message> messages = new ArrayList<>();
            for (int i = 0; i < 100; i++) {
                String body = batch + "." + i;
                bodies.add(body);
                messages.add(new Message(topic, Scene.bytes(body)));
            }
            Scene.stored(it.producer().send(messages));
        }
        Check.equal("bodies in order", bodies, Scene.texts(it.read(it.queue(topic, 0), 2500)));
    }
}
