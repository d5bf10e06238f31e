package interop.scenarios;

import java.util.List;

import interop.Check;
import interop.Scenario;
import interop.Scene;
import interop.Wire;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.topic.TopicValidator;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeaderV2;

/** What servers answer to requests that they cannot or must not serve. */
final class Refusals {
    private static final int NOT_SUPPORTED = 3;
    private static final int NO_PERMISSION = 16;
    private static final int INVALID_PARAMETER = 29;

    @Scenario(binary = true)
    static void unknownRequestCode(Scene it) throws Exception {
        for (String server : List.of(it.broker, it.namesrv)) {
            RemotingCommand answer = it.invoke(server, RemotingCommand.createRequestCommand(9999, null));
            Check.equal("code from " + it.masked(server), NOT_SUPPORTED, answer.getCode());
            Check.equal("remark from " + it.masked(server), " request type 9999 not supported", answer.getRemark());
        }
    }

    @Scenario
    static void queueOutOfRange(Scene it) throws Exception {
        String topic = it.topic(4);
        for (int queue : List.of(4, 99)) {
            Check.equal("code for queue " + queue, INVALID_PARAMETER,
                Check.refused("send", () -> it.producer().send(new Message(topic, Scene.bytes("x")), it.queue(topic, queue))));
        }
    }

    @Scenario(binary = true)
    static void negativeQueueIsChosenByTheBroker(Scene it) throws Exception {
        String topic = it.topic(4);
        RemotingCommand answer = send(it, topic, -1);
        Check.equal("code", 0, answer.getCode());
        int queue = Integer.parseInt(answer.getExtFields().get("queueId"));
        Check.that(queue >= 0 && queue < 4, "queue %d is one of four", queue);
        Check.equal("bodies in the queue told", List.of("x"), Scene.texts(it.read(it.queue(topic, queue), 1)));
    }

    @Scenario
    static void illegalTopicName(Scene it) throws Exception {
        for (String topic : List.of("no blanks", "no.dots", "x".repeat(128), "ü")) {
            Check.equal("code for topic '" + topic + "'", INVALID_PARAMETER, send(it, topic, 0).getCode());
        }
    }

    @Scenario
    static void systemTopic(Scene it) throws Exception {
        for (String topic : List.of(TopicValidator.RMQ_SYS_SCHEDULE_TOPIC, TopicValidator.RMQ_SYS_TRANS_HALF_TOPIC,
            TopicValidator.RMQ_SYS_TRANS_OP_HALF_TOPIC, TopicValidator.RMQ_SYS_TRANS_CHECK_MAX_TIME_TOPIC,
            TopicValidator.RMQ_SYS_SELF_TEST_TOPIC, TopicValidator.RMQ_SYS_OFFSET_MOVED_EVENT)) {
            Check.equal("code for topic " + topic, NO_PERMISSION, send(it, topic, 0).getCode());
        }
    }

    @Scenario
    static void oversizeFrameClosesItsConnectionOnly(Scene it) throws Exception {
        for (String server : List.of(it.broker, it.namesrv)) {
            try (Wire good = new Wire(server); Wire bad = new Wire(server)) {
                ask(good, 1);
                bad.frame((1 << 24) - 3, 16, new byte[64]);
                Check.that(bad.closedByServer(), "a frame over 16 MiB ends its connection to %s", it.masked(server));
                ask(good, 2);
            }
        }
    }

    @Scenario
    static void brokenHeaderClosesItsConnectionOnly(Scene it) throws Exception {
        for (String server : List.of(it.broker, it.namesrv)) {
            try (Wire good = new Wire(server)) {
                ask(good, 1);
                for (String header : List.of("{\"code\":", "[1, 2, 3, 4]", "null        ")) {
                    try (Wire bad = new Wire(server)) {
                        bad.json(header);
                        Check.that(bad.closedByServer(), "header %s ends its connection to %s", header, it.masked(server));
                    }
                }
                try (Wire bad = new Wire(server)) {
                    bad.frame(20, 1000, new byte[16]);
                    Check.that(bad.closedByServer(), "a header longer than its frame ends its connection to %s", it.masked(server));
                }
                ask(good, 2);
            }
        }
    }

    /** A connection that is served answers even to a code that it does not know. */
    private static void ask(Wire wire, int opaque) throws Exception {
        wire.json("{\"code\":9999,\"flag\":0,\"language\":\"JAVA\",\"opaque\":" + opaque + ",\"version\":493}");
        String header = wire.header();
        Check.that(header.contains("\"opaque\":" + opaque) && header.contains("\"code\":3"), "answer %s is to request %d", header, opaque);
    }

    private static RemotingCommand send(Scene it, String topic, int queueId) throws Exception {
        SendMessageRequestHeader header = new SendMessageRequestHeader();
        header.setProducerGroup(it.name("raw"));
        header.setTopic(topic);
        header.setDefaultTopic("TBW102");
        header.setDefaultTopicQueueNums(4);
        header.setQueueId(queueId);
        header.setSysFlag(0);
        header.setBornTimestamp(System.currentTimeMillis());
        header.setFlag(0);
        header.setProperties("");
        header.setReconsumeTimes(0);
        header.setUnitMode(false);
        RemotingCommand request = RemotingCommand.createRequestCommand(RequestCode.SEND_MESSAGE_V2,
            SendMessageRequestHeaderV2.createSendMessageRequestHeaderV2(header));
        request.setBody(Scene.bytes("x"));
        return it.invoke(it.broker, request);
    }
}
