package interop.scenarios;

import java.time.Duration;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

import interop.Check;
import interop.Inbox;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages with a time of their own. RocketMQ is up to two seconds late. */
final class Timing {
    private static Message inSeconds(String topic, String body, long seconds) {
        Message message = new Message(topic, "tag", "key-" + body, Scene.bytes(body));
        message.setDelayTimeSec(seconds);
        return message;
    }

    @Scenario(on = Setup.TIMERS, binary = true)
    static void bySecondsMillisecondsAndTime(Scene it) throws Exception {
        String topic = it.topic(2);
        Inbox inbox = it.consume(topic, "*");
        it.send(topic, "at-once-", 1);
        Check.eventually(Duration.ofSeconds(20), "the first message", () -> inbox.received().size(), n -> n == 1);
        long began = System.currentTimeMillis();
        Message milliseconds = new Message(topic, Scene.bytes("milliseconds"));
        milliseconds.setDelayTimeMs(2300);
        Message time = new Message(topic, Scene.bytes("time"));
        time.setDeliverTimeMs(began + 4000);
        for (Message message : List.of(inSeconds(topic, "seconds", 3), milliseconds, time)) {
            Check.that(Scene.stored(it.producer().send(message)).getRecallHandle() != null, "%s has a handle", Scene.text(message));
        }
        Map<String, Long> asked = Map.of("seconds", 3000L, "milliseconds", 2300L, "time", 4000L);
        Map<String, Long> took = new ConcurrentHashMap<>();
        Check.eventually(Duration.ofSeconds(20), "messages with a time", () -> {
            inbox.bodies().forEach(body -> took.putIfAbsent(body, System.currentTimeMillis() - began));
            return took.size();
        }, n -> n == 4);
        asked.forEach((body, after) ->
            Check.that(took.get(body) >= after - 20 && took.get(body) < after + 3000, "%s came after %d ms", body, took.get(body)));
        // The order is not told: RocketMQ knows seconds only.
        for (MessageExt message : inbox.received().stream().sorted(Comparator.comparing(Scene::text)).toList()) {
            Set<String> kept = new HashSet<>(message.getProperties().keySet());
            kept.retainAll(Set.of("TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS", "TIMER_OUT_MS", "TIMER_ENQUEUE_MS",
                "TIMER_DEQUEUE_MS", "REAL_TOPIC", "REAL_QID"));
            it.sameOnBothSides(Scene.text(message) + " has " + List.of(kept.stream().sorted().toArray()));
        }
    }

    @Scenario(on = Setup.TIMERS)
    static void takenBack(Scene it) throws Exception {
        String topic = it.topic(1);
        SendResult kept = Scene.stored(it.producer().send(inSeconds(topic, "kept", 5)));
        SendResult gone = Scene.stored(it.producer().send(inSeconds(topic, "gone", 5)));
        Check.equal("what is taken back", gone.getMsgId(), it.producer().recallMessage(topic, gone.getRecallHandle()));
        Check.eventually(Duration.ofSeconds(30), "the other one", () -> it.reader().maxOffset(it.queue(topic, 0)), max -> max == 1);
        Check.steady(Duration.ofSeconds(3), "messages", 1L, () -> it.reader().maxOffset(it.queue(topic, 0)));
        Check.equal("bodies", List.of("kept"), Scene.texts(it.read(it.queue(topic, 0), 1)));
        int late = Check.refused("a recall of what was delivered", () -> it.producer().recallMessage(topic, kept.getRecallHandle()));
        int other = Check.refused("a handle of another topic", () -> it.producer().recallMessage(it.topic(1), gone.getRecallHandle()));
        it.sameOnBothSides("too late: " + late + ", another topic: " + other);
    }

    @Scenario(on = Setup.TIMERS)
    static void beyondTheLimitAndWithin(Scene it) throws Exception {
        String topic = it.topic(1);
        Scene.stored(it.producer().send(inSeconds(topic, "within", 259_190)));
        int code = Check.refused("a message too far ahead", () -> it.producer().send(inSeconds(topic, "beyond", 259_210)));
        Message odd = new Message(topic, Scene.bytes("odd"));
        odd.putUserProperty("unused", "x");
        odd.getProperties().put("TIMER_DELAY_SEC", "soon");
        int unreadable = Check.refused("a message of no time", () -> it.producer().send(odd));
        it.sameOnBothSides("beyond the limit: " + code + ", unreadable: " + unreadable);
        Message past = new Message(topic, Scene.bytes("past"));
        past.setDeliverTimeMs(1000);
        Check.equal("the handle of what does not wait", null, Scene.stored(it.producer().send(past)).getRecallHandle());
        Check.equal("bodies", List.of("past"), Scene.texts(it.read(it.queue(topic, 0), 1)));
    }

    @Scenario(on = Setup.TIMERS, seconds = 120)
    static void survivesARestart(Scene it) throws Exception {
        String topic = it.topic(1);
        Scene.stored(it.producer().send(inSeconds(topic, "later", 12)));
        Scene.stored(it.producer().send(inSeconds(topic, "too late to wait", 2)));
        it.restartBroker("KILL");
        it.awaitRoute(topic, 1);
        Check.eventually(Duration.ofSeconds(60), "both", () -> it.reader().maxOffset(it.queue(topic, 0)), max -> max == 2);
        List<String> bodies = Scene.texts(it.read(it.queue(topic, 0), 2));
        Check.equal("bodies", Set.of("later", "too late to wait"), new HashSet<>(bodies));
    }
}
