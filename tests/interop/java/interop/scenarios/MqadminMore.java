package interop.scenarios;

import java.time.Duration;
import java.util.List;

import interop.Check;
import interop.Mqadmin;
import interop.Scenario;
import interop.Scene;

/** Further commands of {@code mqadmin}. */
final class MqadminMore {
    @Scenario
    static void deleteTopic(Scene it) throws Exception {
        String topic = it.topic(1);
        new Mqadmin(it).runAlike("deleteTopic", "-c", Scene.CLUSTER, "-t", topic);
        Check.equal("code of the route", 17, Check.refused("route", () -> it.admin().examineTopicRouteInfo(topic)));
    }

    @Scenario
    static void kvConfig(Scene it) throws Exception {
        String namespace = it.name("space");
        Mqadmin mqadmin = new Mqadmin(it);
        mqadmin.runAlike("updateKvConfig", "-s", namespace, "-k", "ключ", "-v", "значение");
        Check.equal("value", "значение", it.admin().getKVConfig(namespace, "ключ"));
        mqadmin.runAlike("deleteKvConfig", "-s", namespace, "-k", "ключ");
        Check.equal("code of the key deleted", 22, Check.refused("get", () -> it.admin().getKVConfig(namespace, "ключ")));
    }

    @Scenario
    static void getNamesrvConfig(Scene it) throws Exception {
        String config = new Mqadmin(it).run("getNamesrvConfig");
        Check.equal("listenPort", it.namesrv.split(":")[1], Mqadmin.value(config, "listenPort"));
        it.sameOnBothSides(config.lines().findFirst().orElse("nothing") + keys(config, "clusterTest", "orderMessageEnable", "returnOrderTopicConfigToBroker",
            "scanNotActiveBrokerInterval", "enableTopicList", "enableAllTopicList", "configBlackList", "serverChannelMaxIdleTimeSeconds"));
    }

    @Scenario
    static void getBrokerConfig(Scene it) throws Exception {
        String config = new Mqadmin(it).run("getBrokerConfig", "-b", it.broker);
        Check.equal("listenPort", it.broker.split(":")[1], Mqadmin.value(config, "listenPort"));
        it.sameOnBothSides(config.lines().findFirst().orElse("nothing") + keys(config, "brokerName", "brokerId", "brokerClusterName", "brokerRole",
            "flushDiskType", "autoCreateTopicEnable", "autoCreateSubscriptionGroup", "maxMessageSize", "mappedFileSizeCommitLog", "mappedFileSizeConsumeQueue",
            "fileReservedTime", "deleteWhen", "messageDelayLevel", "defaultTopicQueueNums", "enablePropertyFilter", "brokerPermission"));
    }

    @Scenario
    static void updateBrokerConfig(Scene it) throws Exception {
        Mqadmin mqadmin = new Mqadmin(it);
        String before = Mqadmin.value(mqadmin.run("getBrokerConfig", "-b", it.broker), "fileReservedTime");
        try {
            mqadmin.runAlike("updateBrokerConfig", "-b", it.broker, "-k", "fileReservedTime", "-v", "49");
            Check.equal("fileReservedTime", "49", Mqadmin.value(mqadmin.run("getBrokerConfig", "-b", it.broker), "fileReservedTime"));
        } finally {
            mqadmin.run("updateBrokerConfig", "-b", it.broker, "-k", "fileReservedTime", "-v", before);
        }
    }

    @Scenario
    static void brokerStatus(Scene it) throws Exception {
        String status = new Mqadmin(it).run("brokerStatus", "-b", it.broker);
        Check.equal("version", "V5_4_0", Mqadmin.value(status, "brokerVersionDesc"));
        Check.equal("active", "true", Mqadmin.value(status, "brokerActive"));
        for (String number : List.of("commitLogMaxOffset", "msgPutTotalTodayNow", "msgGetTotalTodayNow", "bootTimestamp", "sendThreadPoolQueueSize")) {
            Check.that(Mqadmin.value(status, number).matches("\\d+"), "%s is a number in\n%s", number, status);
        }
    }

    @Scenario
    static void writePermission(Scene it) throws Exception {
        String topic = it.topic(1);
        Mqadmin mqadmin = new Mqadmin(it);
        Check.that(mqadmin.run("wipeWritePerm", "-b", Scene.BROKER_NAME).contains("OK, "), "the nameserver wipes the permission");
        try {
            permission(it, topic, 4);
        } finally {
            Check.that(mqadmin.run("addWritePerm", "-b", Scene.BROKER_NAME).contains("OK, "), "the nameserver adds the permission");
        }
        permission(it, topic, 6);
    }

    private static void permission(Scene it, String topic, int expected) throws Exception {
        Check.eventually(Duration.ofSeconds(5), "permission in the route",
            () -> it.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getPerm(), perm -> perm == expected);
    }

    private static String keys(String config, String... keys) {
        StringBuilder lines = new StringBuilder();
        for (String key : keys) {
            lines.append('\n').append(key).append(" = ").append(Mqadmin.value(config, key));
        }
        return lines.toString();
    }
}
