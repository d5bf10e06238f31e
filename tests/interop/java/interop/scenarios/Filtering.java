package interop.scenarios;

import java.util.List;

import interop.Check;
import interop.Inbox;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.common.message.Message;

/** Tags: the broker filters by hash, the client by text. */
final class Filtering {
    @Scenario(binary = true)
    static void pushByTags(Scene it) throws Exception {
        String topic = it.topic(2);
        Inbox some = it.consume(topic, "TagA || TagB");
        Inbox all = it.consume(topic, "*");
        send(it, topic, "TagA", "TagB", "TagC", null, "TagA", "tagA", "TagAB");
        some.expect(List.of("0 TagA", "1 TagB", "4 TagA"));
        all.expect(List.of("0 TagA", "1 TagB", "2 TagC", "3 null", "4 TagA", "5 tagA", "6 TagAB"));
    }

    @Scenario(binary = true)
    static void brokerPassesOverOtherTags(Scene it) throws Exception {
        String topic = it.topic(1);
        send(it, topic, "TagB", "TagB", "TagB", "TagA", "TagB");
        PullResult none = it.reader().pull(it.queue(topic, 0), "TagC", 0, 32);
        Check.equal("status when nothing matches", PullStatus.NO_MATCHED_MSG, none.getPullStatus());
        Check.equal("next offset when nothing matches", 5L, none.getNextBeginOffset());

        PullResult one = it.reader().pull(it.queue(topic, 0), "TagA", 0, 32);
        Check.equal("status", PullStatus.FOUND, one.getPullStatus());
        Check.equal("bodies", List.of("3 TagA"), Scene.texts(one.getMsgFoundList()));
        Check.equal("next offset", 5L, one.getNextBeginOffset());
    }

    /** {@code AaAa} and {@code BBBB} have one hash: the broker cannot tell them apart, the client does. */
    @Scenario
    static void tagsOfOneHash(Scene it) throws Exception {
        Check.equal("hash", "AaAa".hashCode(), "BBBB".hashCode());
        String topic = it.topic(1);
        send(it, topic, "BBBB", "BBBB");
        PullResult pulled = it.reader().pull(it.queue(topic, 0), "AaAa", 0, 32);
        Check.equal("status: the broker found some", PullStatus.FOUND, pulled.getPullStatus());
        Check.equal("bodies that the client lets pass", List.of(), Scene.texts(pulled.getMsgFoundList()));

        Inbox inbox = it.consume(topic, "AaAa");
        send(it, topic, "AaAa", "BBBB", "AaAa");
        inbox.expect(List.of("0 AaAa", "2 AaAa"));
    }

    private static void send(Scene it, String topic, String... tags) throws Exception {
        for (int i = 0; i < tags.length; i++) {
            Scene.stored(it.producer().send(new Message(topic, tags[i], Scene.bytes(i + " " + tags[i]))));
        }
    }
}
