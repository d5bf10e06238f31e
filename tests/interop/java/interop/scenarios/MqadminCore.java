package interop.scenarios;

import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Collectors;

import interop.Check;
import interop.Mqadmin;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.common.message.Message;

/** The first commands of {@code mqadmin} that anybody types. */
final class MqadminCore {
    @Scenario
    static void clusterList(Scene it) throws Exception {
        String[] lines = new Mqadmin(it).run("clusterList").split("\n");
        Check.equal("lines", 2, lines.length);
        List<String> row = Arrays.asList(lines[1].trim().split(" +"));
        Check.equal("cluster, broker, id, address, version", List.of(Scene.CLUSTER, Scene.BROKER_NAME, "0", it.broker, "V5_4_0"), row.subList(0, 5));
        Check.that(row.get(5).matches("\\d+\\.\\d\\d\\(\\d+,\\d+ms\\)"), "incoming rate and load %s", row.get(5));
        Check.that(row.get(6).matches("\\d+\\.\\d\\d\\(\\d+,\\d+ms\\|\\d+,\\d+ms\\)"), "outgoing rate and load %s", row.get(6));
        Check.equal("active", "true", row.get(row.size() - 1));
        it.sameOnBothSides(lines[0].replaceAll(" +", " ") + "\n" + row.subList(0, 5) + ", " + row.size() + " words");
    }

    @Scenario
    static void topicList(Scene it) throws Exception {
        String topic = it.topic(1);
        List<String> topics = new Mqadmin(it).run("topicList").lines().map(String::strip).toList();
        Check.that(topics.contains(topic), "%s is in %s", topic, topics);
        it.sameOnBothSides(topics.stream().filter(name -> !name.matches(".*_[0-9a-f]{8}")).collect(Collectors.toCollection(TreeSet::new)).toString());
    }

    @Scenario
    static void topicRoute(Scene it) throws Exception {
        String topic = it.topic(3);
        String route = new Mqadmin(it).runAlike("topicRoute", "-t", topic);
        Check.that(route.contains("\"" + it.broker + "\""), "the broker's address is in\n%s", route);
        Check.that(new Mqadmin(it).runAlike("topicRoute", "-t", topic, "-l").contains("#Perm"), "a list with a column Perm");
    }

    @Scenario
    static void updateTopic(Scene it) throws Exception {
        String topic = it.name("made");
        Mqadmin mqadmin = new Mqadmin(it);
        mqadmin.runAlike("updateTopic", "-b", it.broker, "-t", topic, "-r", "5", "-w", "3");
        it.awaitRoute(topic, 3);
        Check.equal("read queues", 5, it.admin().examineTopicConfig(it.broker, topic).getReadQueueNums());
        mqadmin.runAlike("updateTopic", "-c", Scene.CLUSTER, "-t", topic, "-r", "6", "-w", "6", "-p", "4");
        it.awaitRoute(topic, 6);
        Check.equal("permission", 4, it.admin().examineTopicConfig(it.broker, topic).getPerm());
    }

    @Scenario
    static void topicStatus(Scene it) throws Exception {
        String topic = it.topic(2);
        for (int i = 0; i < 3; i++) {
            Scene.stored(it.producer().send(new Message(topic, Scene.bytes("m")), it.queue(topic, 1)));
        }
        it.awaitStored(topic, 3);
        String[] lines = new Mqadmin(it).run("topicStatus", "-t", topic).split("\n");
        Check.equal("queue 0: broker, id, min, max", List.of(Scene.BROKER_NAME, "0", "0", "0"), Arrays.asList(lines[1].trim().split(" +")));
        List<String> written = Arrays.asList(lines[2].trim().split(" +"));
        Check.equal("queue 1: broker, id, min, max", List.of(Scene.BROKER_NAME, "1", "0", "3"), written.subList(0, 4));
        it.sameOnBothSides(lines[0] + "\n" + written.size() + " words, " + lines.length + " lines, last: " + lines[lines.length - 1].replaceAll("[\\d.E-]+$", ""));
    }
}
