package interop.scenarios;

import java.time.Duration;
import java.util.List;
import java.util.Set;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.route.QueueData;

/** Topics: made by a send, made by an administrator, changed, gone. */
final class Topics {
    private static final int NO_PERMISSION = 16;
    private static final int TOPIC_NOT_EXIST = 17;
    /** The client's own code when no nameserver knows a route. */
    private static final int NOT_FOUND_TOPIC = 10005;

    @Scenario(binary = true)
    static void madeByASend(Scene it) throws Exception {
        String topic = it.name("auto");
        Scene.stored(it.producer().send(new Message(topic, Scene.bytes("first"))));
        it.awaitRoute(topic, 4);
        QueueData queues = it.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0);
        Check.equal("read queues", 4, queues.getReadQueueNums());
        Check.equal("permission: read and write, not to be inherited", 6, queues.getPerm());
        Check.equal("bodies", List.of("first"), it.bodiesIn(topic, 1));
    }

    @Scenario
    static void madeByASendWithFewerQueues(Scene it) throws Exception {
        String topic = it.name("auto");
        Scene.stored(it.producer(p -> p.setDefaultTopicQueueNums(2)).send(new Message(topic, Scene.bytes("first"))));
        it.awaitRoute(topic, 2);
    }

    @Scenario(on = Setup.NO_AUTO_CREATE)
    static void unknownTopicIsRefused(Scene it) throws Exception {
        String topic = it.name("unknown");
        it.send(it.topic(1), "the producer knows the broker's address", 1);
        Check.equal("code when no route is known", NOT_FOUND_TOPIC, Check.refused("send", () -> it.producer().send(new Message(topic, Scene.bytes("x")))));
        Check.equal("code of the broker", TOPIC_NOT_EXIST,
            Check.refused("send to a queue", () -> it.producer().send(new Message(topic, Scene.bytes("x")), it.queue(topic, 0))));
        Check.equal("code of the route", TOPIC_NOT_EXIST, Check.refused("route", () -> it.admin().examineTopicRouteInfo(topic)));
    }

    @Scenario(on = Setup.NO_AUTO_CREATE)
    static void knownTopicIsServed(Scene it) throws Exception {
        String topic = it.topic(2);
        it.consume(topic, "*").expect(it.send(topic, "known-", 10));
    }

    @Scenario
    static void madeByCreateTopic(Scene it) throws Exception {
        String topic = it.name("made");
        it.admin().createTopic("TBW102", topic, 3, null);
        it.awaitRoute(topic, 3);
        TopicConfig config = it.admin().examineTopicConfig(it.broker, topic);
        Check.equal("read queues", 3, config.getReadQueueNums());
        Check.equal("write queues", 3, config.getWriteQueueNums());
        Check.equal("permission", 6, config.getPerm());
    }

    @Scenario
    static void changed(Scene it) throws Exception {
        String topic = it.topic(2);
        it.createTopic(new TopicConfig(topic, 8, 8));
        Check.equal("queues after growth", 8, it.reader().fetchSubscribeMessageQueues(topic).size());
        Scene.stored(it.producer().send(new Message(topic, Scene.bytes("to the new one")), it.queue(topic, 7)));

        Check.equal("bodies", List.of("to the new one"), it.bodiesIn(topic, 1));

        it.admin().createAndUpdateTopicConfig(it.broker, new TopicConfig(topic, 8, 8, 2));
        Check.eventually(Duration.ofSeconds(10), "permission in the route",
            () -> it.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getPerm(), perm -> perm == 2);
        Check.equal("code of a pull from a topic that is write only", NO_PERMISSION,
            Check.refused("pull", () -> it.reader().pull(it.queue(topic, 7), "*", 0, 1)));
    }

    @Scenario
    static void deleted(Scene it) throws Exception {
        String topic = it.topic(2);
        it.send(topic, "old-", 6);
        it.awaitStored(topic, 6);
        it.admin().deleteTopicInBroker(Set.of(it.broker), topic);
        it.admin().deleteTopicInNameServer(Set.of(it.namesrv), Scene.CLUSTER, topic);
        Check.equal("code of the route", TOPIC_NOT_EXIST, Check.refused("route", () -> it.admin().examineTopicRouteInfo(topic)));
        Check.equal("code of the broker", TOPIC_NOT_EXIST, Check.refused("configuration", () -> it.admin().examineTopicConfig(it.broker, topic)));

        it.createTopic(new TopicConfig(topic, 2, 2));
        Check.equal("max offset of the topic made anew", 0L, it.admin().maxOffset(it.queue(topic, 0)));
    }
}
