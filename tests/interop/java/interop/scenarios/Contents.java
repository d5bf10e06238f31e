package interop.scenarios;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

import interop.Check;
import interop.Inbox;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;

/** What a message carries comes back as it was. */
final class Contents {
    private static final int MEBIBYTE = 1 << 20;
    private static final int MESSAGE_ILLEGAL = 13;

    @Scenario(binary = true)
    static void everyField(Scene it) throws Exception {
        String topic = it.topic(1);
        Message message = new Message(topic, "TagA", "key-1 key-2", 7, Scene.bytes("grüße 你好 🦀"), true);
        message.putUserProperty("ключ", "значение „ü“ \\ \" \u2028");
        message.putUserProperty("plain", "a=b c");
        message.setBuyerId("buyer");
        long before = System.currentTimeMillis();
        SendResult result = Scene.stored(it.producer().send(message));

        MessageExt got = it.read(it.queue(topic, 0), 1).get(0);
        Check.equal("body", "grüße 你好 🦀", Scene.text(got));
        Check.equal("topic", topic, got.getTopic());
        Check.equal("tag", "TagA", got.getTags());
        Check.equal("keys", "key-1 key-2", got.getKeys());
        Check.equal("flag", 7, got.getFlag());
        Check.equal("unique id", result.getMsgId(), got.getMsgId());
        Check.equal("reconsume times", 0, got.getReconsumeTimes());
        Check.equal("system flag", 0, got.getSysFlag());
        Check.equal("prepared transaction offset", 0L, got.getPreparedTransactionOffset());
        Check.equal("store host", it.broker, got.getStoreHost().toString().replaceFirst("^.*/", ""));
        Check.equal("born host", "127.0.0.1", got.getBornHostString());
        long now = System.currentTimeMillis();
        Check.that(before <= got.getBornTimestamp() && got.getBornTimestamp() <= got.getStoreTimestamp() && got.getStoreTimestamp() <= now,
            "sent at %d <= born at %d <= stored at %d <= read at %d", before, got.getBornTimestamp(), got.getStoreTimestamp(), now);

        Map<String, String> expected = new TreeMap<>(Map.of("TAGS", "TagA", "KEYS", "key-1 key-2", "WAIT", "true", "BUYER_ID", "buyer",
            "ключ", "значение „ü“ \\ \" \u2028", "plain", "a=b c", "UNIQ_KEY", result.getMsgId(),
            "CLUSTER", Scene.CLUSTER, "MSG_REGION", "DefaultRegion", "TRACE_ON", "true"));
        expected.putAll(Map.of("MIN_OFFSET", "0", "MAX_OFFSET", "1"));
        Check.equal("properties", expected, new TreeMap<>(got.getProperties()));
    }

    /** Bodies whose encodings differ: every byte value, one byte, none that is text. */
    @Scenario
    static void anyBytes(Scene it) throws Exception {
        String topic = it.topic(1);
        byte[] all = new byte[256];
        for (int i = 0; i < all.length; i++) {
            all[i] = (byte) i;
        }
        for (byte[] body : List.of(all, new byte[1], new byte[] {-1, -2, 0})) {
            Scene.stored(it.producer().send(new Message(topic, body)));
        }
        List<MessageExt> got = it.read(it.queue(topic, 0), 3);
        Check.equal("first body", all, got.get(0).getBody());
        Check.equal("second body", new byte[1], got.get(1).getBody());
        Check.equal("third body", new byte[] {-1, -2, 0}, got.get(2).getBody());
    }

    @Scenario(binary = true)
    static void mebibyteThatTheClientCompresses(Scene it) throws Exception {
        String topic = it.topic(1);
        Inbox inbox = it.consume(topic, "*");
        byte[] body = Scene.bytes("0123456789abcdef".repeat(MEBIBYTE / 16));
        Scene.stored(it.producer().send(new Message(topic, body)));
        inbox.expect(List.of(new String(body)));
        MessageExt got = inbox.received().get(0);
        // The client unpacks the body and clears the flag for "compressed", but leaves the kind of compression.
        Check.equal("system flag", MessageSysFlag.COMPRESSION_ZLIB_TYPE, got.getSysFlag());
        Check.that(got.getStoreSize() < MEBIBYTE / 10, "stored in %d bytes, compressed", got.getStoreSize());
    }

    @Scenario(binary = true)
    static void bodyAtTheLimit(Scene it) throws Exception {
        String topic = it.topic(1);
        byte[] body = noise(4 * MEBIBYTE);
        Scene.stored(uncompressed(it).send(new Message(topic, body)));
        MessageExt got = it.read(it.queue(topic, 0), 1).get(0);
        Check.that(Arrays.equals(body, got.getBody()), "4 MiB come back unchanged");
    }

    @Scenario
    static void bodyOverTheLimit(Scene it) throws Exception {
        String topic = it.topic(1);
        DefaultMQProducer producer = uncompressed(it);
        Check.equal("code for 4 MiB + 1", MESSAGE_ILLEGAL, Check.refused("send", () -> producer.send(new Message(topic, noise(4 * MEBIBYTE + 1)))));
        Scene.stored(producer.send(new Message(topic, Scene.bytes("after"))));
        Check.equal("bodies stored", List.of("after"), it.bodiesIn(topic, 1));
    }

    @Scenario
    static void propertiesOverTheLimit(Scene it) throws Exception {
        String topic = it.topic(1);
        Message message = new Message(topic, Scene.bytes("body"));
        message.putUserProperty("long", "x".repeat(Short.MAX_VALUE));
        Check.equal("code", MESSAGE_ILLEGAL, Check.refused("send", () -> it.producer().send(message)));

        message.putUserProperty("long", "x".repeat(32_000));
        Scene.stored(it.producer().send(message));
        Check.equal("length of the property", 32_000, it.read(it.queue(topic, 0), 1).get(0).getUserProperty("long").length());
    }

    /** A producer that leaves limits to the broker. */
    private static DefaultMQProducer uncompressed(Scene it) throws Exception {
        return it.producer(p -> {
            p.setMaxMessageSize(8 * MEBIBYTE);
            p.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        });
    }

    private static byte[] noise(int length) {
        byte[] bytes = new byte[length];
        new Random(length).nextBytes(bytes);
        return bytes;
    }
}
