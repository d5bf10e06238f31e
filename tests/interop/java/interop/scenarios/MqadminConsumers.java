package interop.scenarios;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import interop.Check;
import interop.Inbox;
import interop.Mqadmin;
import interop.Scenario;
import interop.Scene;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.MixAll;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/** What {@code mqadmin} says of consumers, and does to them. */
final class MqadminConsumers {
    /** Without times, rates and ports of clients. */
    private static void alike(Scene it, String output) {
        it.sameOnBothSides(output.replaceAll("\\d{4}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d:\\d\\d(,\\d+)?", "<time>").replaceAll("TPS: [\\d.E-]+", "TPS: <rate>")
            .replaceAll("127\\.0\\.0\\.1:\\d+", "<address>").replaceAll("\\d{13}", "<ms>").replaceAll("[ \t]+", " "));
    }

    private static Inbox consumed(Scene it, String group, String topic, int count) throws Exception {
        it.send(topic, "m", count);
        Inbox inbox = it.consume(group, topic, "*", c -> { });
        it.awaitCommitted(group, topic, count);
        return inbox;
    }

    /** Clients commit the empty retry queue with the first commit after a parked pull of it has ended, and the row shows from then on. */
    private static void awaitRetryQueueCommitted(Scene it, String group) throws Exception {
        MessageQueue retry = it.queue(MixAll.getRetryTopic(group), 0);
        Check.eventually(Duration.ofSeconds(40), "offset of the empty retry queue", () -> it.committed(group, retry), offset -> offset == 0);
    }

    /** Its rows are those of a hash map, whose order the names of this very run decide. */
    private static String subscriptionInOrder(String said) {
        List<String> lines = new ArrayList<>(said.lines().toList());
        int from = 1;
        while (from < lines.size() && !lines.get(from - 1).startsWith("#Topic")) {
            from++;
        }
        int to = from;
        while (to < lines.size() && !lines.get(to).isBlank()) {
            to++;
        }
        Check.that(from < to, "consumerConnection says\n%s", said);
        Collections.sort(lines.subList(from, to));
        return String.join("\n", lines);
    }

    @Scenario
    static void progressAndConnections(Scene it) throws Exception {
        String topic = it.topic(2);
        String group = it.name("watched");
        consumed(it, group, topic, 10);
        awaitRetryQueueCommitted(it, group);
        Mqadmin mqadmin = new Mqadmin(it);
        alike(it, mqadmin.run("consumerProgress", "-g", group));
        alike(it, mqadmin.run("consumerProgress", "-g", group, "-t", topic, "-s", "true"));
        alike(it, subscriptionInOrder(mqadmin.run("consumerConnection", "-g", group)));
        alike(it, mqadmin.run("producerConnection", "-g", it.producer().getProducerGroup(), "-t", topic));
        String status = mqadmin.run("consumerStatus", "-g", group);
        Check.that(status.contains("Same subscription in the same group of consumer") || status.contains("#Index"), "consumerStatus says\n%s", status);
    }

    @Scenario
    static void resetOffsetByTime(Scene it) throws Exception {
        String topic = it.topic(1);
        String group = it.name("reset");
        Inbox inbox = consumed(it, group, topic, 10);
        alike(it, new Mqadmin(it).run("resetOffsetByTime", "-g", group, "-t", topic, "-s", "0"));
        Check.eventually(Duration.ofSeconds(30), "consumed twice", () -> inbox.received().size(), n -> n == 20);
    }

    @Scenario
    static void cloneGroupOffset(Scene it) throws Exception {
        String topic = it.topic(2);
        String from = it.name("from");
        String to = it.name("to");
        consumed(it, from, topic, 10).close();
        consumed(it, to, it.topic(1), 1).close();
        alike(it, new Mqadmin(it).run("cloneGroupOffset", "-s", from, "-d", to, "-t", topic, "-o", "true"));
        it.awaitCommitted(to, topic, 10);
        for (int id = 0; id < 2; id++) {
            Check.equal("offset of queue " + id, it.committed(from, it.queue(topic, id)), it.committed(to, it.queue(topic, id)));
        }
    }

    @Scenario
    static void consumeMessageDirectly(Scene it) throws Exception {
        String topic = it.topic(1);
        Inbox inbox = it.consume(it.name("direct"), topic, "*", c -> { });
        SendResult sent = Scene.stored(it.producer().send(new Message(topic, Scene.bytes("once"))));
        Check.eventually(Duration.ofSeconds(10), "consumed", () -> inbox.received().size(), n -> n == 1);
        String client = inbox.consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId();
        String said = new Mqadmin(it).run("queryMsgById", "-t", topic, "-i", sent.getOffsetMsgId(), "-g", inbox.consumer.getConsumerGroup(), "-d", client);
        Check.that(said.contains("CR_SUCCESS"), "consumed directly:\n%s", said);
        Check.equal("bodies", List.of("once", "once"), inbox.bodies());
    }

    @Scenario
    static void queryCqAndBrokerConsumeStats(Scene it) throws Exception {
        String topic = it.topic(1);
        String group = it.name("stats");
        consumed(it, group, topic, 3);
        Mqadmin mqadmin = new Mqadmin(it);
        String units = mqadmin.run("queryCq", "-t", topic, "-q", "0", "-i", "0", "-c", "2", "-b", it.broker, "-g", group);
        it.sameOnBothSides(units.replaceAll("\"?(physicOffset|subVersion)\"?[=:]\\d+", "$1").replaceAll("physicSize\"?[=:]\\d+", "size"));
        Check.equal("units", 2L, units.lines().filter(line -> line.contains("physicOffset")).count());
        String all = mqadmin.run("brokerConsumeStats", "-b", it.broker);
        String row = all.lines().filter(line -> line.contains(group) && line.contains(topic)).findFirst().orElseThrow(() -> new Check.Failed(all));
        alike(it, row);
        alike(it, mqadmin.run("cleanUnusedTopic", "-b", it.broker));
    }

    /** Both sample every ten seconds. */
    @Scenario
    static void statsAllAndBrokerStatus(Scene it) throws Exception {
        Mqadmin mqadmin = new Mqadmin(it);
        long[] before = totals(mqadmin.run("brokerStatus", "-b", it.broker));
        String topic = it.topic(2);
        String group = it.name("counted");
        Inbox inbox = consumed(it, group, topic, 30);
        Check.eventually(Duration.ofSeconds(10), "received", () -> inbox.received().size(), n -> n == 30);
        String row = Check.eventually(Duration.ofSeconds(25), "row of statsAll", () -> mqadmin.run("statsAll", "-t", topic).lines()
            .filter(line -> line.contains(group)).findFirst().orElse(""), line -> line.matches(".* 30 +30\\s*"));
        String[] words = row.trim().split(" +");
        Check.that(Double.parseDouble(words[3]) > 0 && Double.parseDouble(words[4]) > 0, "rates in %s", row);
        it.sameOnBothSides(words[0] + " " + words[1] + " " + words[2] + " " + words[5] + " " + words[6]);
        long[] after = totals(mqadmin.run("brokerStatus", "-b", it.broker));
        for (int i = 0; i < before.length; i++) {
            Check.that(after[i] - before[i] >= 30, "total %d grew by %d", i, after[i] - before[i]);
        }
        Check.that(mqadmin.run("consumerProgress", "-g", group).contains("Consume TPS: 0.") || words[4].compareTo("0") > 0, "a rate of the group");
    }

    private static long[] totals(String status) {
        return List.of("msgPutTotalTodayNow", "msgGetTotalTodayNow", "putMessageTimesTotal", "putMessageSizeTotal").stream()
            .mapToLong(key -> Long.parseLong(Mqadmin.value(status, key))).toArray();
    }
}
