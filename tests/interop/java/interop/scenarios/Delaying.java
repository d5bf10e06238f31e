package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.Map;

import interop.Check;
import interop.Inbox;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages with a delay level. */
final class Delaying {
    @Scenario(binary = true)
    static void firstTwoLevelsInTime(Scene it) throws Exception {
        String topic = it.topic(2);
        Map<String, Long> arrived = new ConcurrentHashMap<>();
        Inbox inbox = it.consume(topic, "*");
        it.send(topic, "at-once-", 1);
        Check.eventually(Duration.ofSeconds(20), "the first message", () -> inbox.received().size(), n -> n == 1);
        long sent = System.currentTimeMillis();
        for (int level : List.of(2, 1)) {
            Message message = new Message(topic, Scene.bytes("level-" + level));
            message.setDelayTimeLevel(level);
            Scene.stored(it.producer().send(message));
        }
        for (String body : List.of("level-1", "level-2")) {
            Check.eventually(Duration.ofSeconds(20), body, () -> inbox.bodies().contains(body), seen -> seen);
            arrived.put(body, System.currentTimeMillis() - sent);
        }
        for (Map.Entry<String, Long> each : Map.of("level-1", 1000L, "level-2", 5000L).entrySet()) {
            long took = arrived.get(each.getKey());
            Check.that(took >= each.getValue() - 20 && took < each.getValue() + 1500, "%s came after %d ms", each.getKey(), took);
        }
        for (MessageExt message : inbox.received()) {
            Check.equal("topic", topic, message.getTopic());
        }
        inbox.expect(List.of("at-once-0", "level-1", "level-2"));
    }

    @Scenario
    static void inOrderOfTheLevel(Scene it) throws Exception {
        String topic = it.topic(1);
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            Message message = new Message(topic, Scene.bytes("body-" + i));
            message.setDelayTimeLevel(1);
            Scene.stored(it.producer().send(message));
            bodies.add("body-" + i);
        }
        Check.equal("bodies in their order", bodies, Scene.texts(it.read(it.queue(topic, 0), 50)));
    }

    @Scenario(seconds = 120)
    static void survivesARestart(Scene it) throws Exception {
        String topic = it.topic(1);
        Message message = new Message(topic, Scene.bytes("later"));
        message.setDelayTimeLevel(3);
        Scene.stored(it.producer().send(message));
        it.restartBroker("KILL");
        it.awaitRoute(topic, 1);
        Check.eventually(Duration.ofSeconds(40), "the delayed message", () -> it.reader().maxOffset(it.queue(topic, 0)), max -> max == 1);
        Check.equal("bodies", List.of("later"), Scene.texts(it.read(it.queue(topic, 0), 1)));
    }
}
