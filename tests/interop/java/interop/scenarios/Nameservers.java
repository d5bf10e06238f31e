package interop.scenarios;

import java.time.Duration;
import java.util.List;
import java.util.Set;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import interop.Setup;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;

/** Several nameservers, of which each knows everything. */
final class Nameservers {
    @Scenario(on = Setup.TWO_NAMESERVERS)
    static void clientOfTheSecondOnly(Scene it) throws Exception {
        it.namesrv = it.nameservers.get(1);
        String topic = it.topic(4);
        it.consume(topic, "*").expect(it.send(topic, "second-", 20));
    }

    @Scenario(on = Setup.TWO_NAMESERVERS)
    static void bothKnowANewTopic(Scene it) throws Exception {
        it.namesrv = it.nameservers.get(0);
        String topic = it.topic(4);
        try (Scene other = it.sibling(it.nameservers.get(1))) {
            other.awaitRoute(topic, 4);
            Check.equal("brokers", List.of(it.broker),
                other.admin().examineTopicRouteInfo(topic).getBrokerDatas().stream().map(BrokerData::selectBrokerAddr).toList());
        }
    }

    /** Nothing listens at the first address: a client that begins there fails once, then moves on to the next and stays. */
    @Scenario(on = Setup.TWO_NAMESERVERS)
    static void clientMovesOnFromADeadOne(Scene it) throws Exception {
        it.namesrv = "127.0.0.1:1;" + it.nameservers.get(1);
        String topic = it.topic(2);
        Check.eventually(Duration.ofSeconds(10), "queues that the producer sees", () -> it.producer().fetchPublishMessageQueues(topic).size(), n -> n == 2);
        Check.equal("bodies", it.send(topic, "live-", 10), it.bodiesIn(topic, 10));
    }

    @Scenario
    static void clusterOfOneBroker(Scene it) throws Exception {
        ClusterInfo cluster = it.admin().examineBrokerClusterInfo();
        Check.equal("brokers by cluster", Set.of(Scene.BROKER_NAME), cluster.getClusterAddrTable().get(Scene.CLUSTER));
        Check.equal("addresses by id", java.util.Map.of(0L, it.broker), cluster.getBrokerAddrTable().get(Scene.BROKER_NAME).getBrokerAddrs());
    }
}
