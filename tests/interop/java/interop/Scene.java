package interop;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.function.Consumer;
import java.util.stream.IntStream;

import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RemotingClient;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyRemotingClient;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What one scenario has at hand: where the servers are, names of its own, and clients that are closed at its end. */
public final class Scene implements AutoCloseable {
    public static final String CLUSTER = "DefaultCluster";
    public static final String BROKER_NAME = "broker-a";

    /** The nameservers, as the runner started them. */
    public final List<String> nameservers = List.of(System.getProperty("interop.nameservers").split(";"));
    public final String broker = System.getProperty("interop.broker");
    /** The one(s) that this scenario's clients are told. */
    public String namesrv = nameservers.get(0);

    private final Runner runner;
    private final String suffix = String.format("%08x", new Random().nextInt());
    private final Deque<Runnable> closing = new ConcurrentLinkedDeque<>();
    private int serial;
    private DefaultMQAdminExt admin;
    private DefaultMQProducer producer;
    private DefaultMQPullConsumer reader;
    private RemotingClient remoting;

    /** What only the process outside can do. */
    public interface Runner {
        /** Ends the broker with the signal KILL or TERM, starts it again, and returns when it answers. */
        void restartBroker(String signal) throws Exception;

        /** The same, but the other program, RocketMQ instead of CastMQ or the reverse, goes on with the store. The control has no other. */
        void exchangeBroker(String signal) throws Exception;

        /** Kills nameserver {@code number}, or starts it again. */
        void nameserver(int number, boolean runs) throws Exception;

        /** Leaves text that must be the same on every side. */
        void output(String text);
    }

    Scene(Runner runner) {
        this.runner = runner;
    }

    /** Another scene that speaks to another nameserver. */
    public Scene sibling(String namesrv) {
        Scene other = new Scene(runner);
        other.namesrv = namesrv;
        return other;
    }

    public void restartBroker(String signal) throws Exception {
        runner.restartBroker(signal);
    }

    public void stopNameserver(int number) throws Exception {
        runner.nameserver(number, false);
    }

    public void startNameserver(int number) throws Exception {
        runner.nameserver(number, true);
    }

    /** The Rust client, told the same nameservers; see {@code rust/member.rs} for the arguments. */
    public Member member(String... arguments) throws IOException {
        List<String> all = new ArrayList<>(List.of(namesrv));
        all.addAll(List.of(arguments));
        Member made = new Member(System.getProperty("interop.member"), body -> { }, all.toArray(String[]::new));
        closing.push(made::close);
        return made;
    }

    public void exchangeBroker(String signal) throws Exception {
        runner.exchangeBroker(signal);
    }

    /** This text must be the same with CastMQ and with the control; what varies from run to run is masked. */
    public void sameOnBothSides(String text) {
        runner.output(masked(text));
    }

    /** The text without addresses and without this scenario's random suffix. */
    public String masked(String text) {
        String out = text.replace(broker, "<broker>").replace("_" + suffix, "");
        for (String address : nameservers) {
            out = out.replace(address, "<namesrv>");
        }
        return out.replaceAll("[ \t]+(?=\n|$)", "");
    }

    /** A name that no other scenario uses. */
    public String name(String what) {
        return what + "_" + suffix;
    }

    /** A fresh topic, visible to clients. */
    public String topic(int queues) throws Exception {
        String topic = name("topic" + serial++);
        createTopic(new TopicConfig(topic, queues, queues));
        return topic;
    }

    public void createTopic(TopicConfig config) throws Exception {
        admin().createAndUpdateTopicConfig(broker, config);
        awaitRoute(config.getTopicName(), config.getWriteQueueNums());
    }

    public void awaitRoute(String topic, int writeQueues) throws Exception {
        // A broker that comes back may be known only after its next registration, up to 40 s later with the control.
        Check.eventually(Duration.ofSeconds(60), "write queues in the route of " + topic,
            () -> admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getWriteQueueNums(), n -> n == writeQueues);
    }

    public DefaultMQAdminExt admin() throws MQClientException {
        if (admin == null) {
            admin = new DefaultMQAdminExt(5000);
            configure(admin).start();
            closing.push(admin::shutdown);
        }
        return admin;
    }

    /** The scenario's producer. */
    public DefaultMQProducer producer() throws MQClientException {
        if (producer == null) {
            producer = producer(p -> { });
        }
        return producer;
    }

    public DefaultMQProducer producer(Consumer<DefaultMQProducer> options) throws MQClientException {
        DefaultMQProducer made = configure(new DefaultMQProducer(name("producer" + serial++)));
        made.setSendMsgTimeout(10_000);
        options.accept(made);
        made.start();
        closing.push(made::shutdown);
        return made;
    }

    public TransactionMQProducer transactions(String group, TransactionListener listener) throws MQClientException {
        TransactionMQProducer made = configure(new TransactionMQProducer(group));
        made.setSendMsgTimeout(10_000);
        made.setTransactionListener(listener);
        made.start();
        closing.push(made::shutdown);
        return made;
    }

    /** A push consumer of a new group, from the first message on. */
    public Inbox consume(String topic, String expression) throws MQClientException {
        return consume(name("group" + serial++), topic, expression, c -> { });
    }

    public Inbox consume(String group, String topic, String expression, Consumer<DefaultMQPushConsumer> options) throws MQClientException {
        DefaultMQPushConsumer made = pushConsumer(group, topic, expression, options);
        Inbox inbox = new Inbox(made);
        made.start();
        closing.push(made::shutdown);
        return inbox;
    }

    /** A push consumer with a listener of its own. */
    public DefaultMQPushConsumer listen(String group, String topic, Consumer<DefaultMQPushConsumer> options) throws MQClientException {
        DefaultMQPushConsumer made = pushConsumer(group, topic, "*", options);
        made.start();
        closing.push(made::shutdown);
        return made;
    }

    private DefaultMQPushConsumer pushConsumer(String group, String topic, String expression, Consumer<DefaultMQPushConsumer> options)
        throws MQClientException {
        DefaultMQPushConsumer made = configure(new DefaultMQPushConsumer(group));
        made.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        options.accept(made);
        made.subscribe(topic, expression);
        return made;
    }

    /** The scenario's pull consumer. */
    public DefaultMQPullConsumer reader() throws MQClientException {
        if (reader == null) {
            reader = reader(name("reader"), c -> { });
        }
        return reader;
    }

    public DefaultMQPullConsumer reader(String group, Consumer<DefaultMQPullConsumer> options) throws MQClientException {
        DefaultMQPullConsumer made = configure(new DefaultMQPullConsumer(group));
        options.accept(made);
        made.start();
        closing.push(made::shutdown);
        return made;
    }

    public DefaultLitePullConsumer litePull(String group) throws MQClientException {
        DefaultLitePullConsumer made = configure(new DefaultLitePullConsumer(group));
        made.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        made.setAutoCommit(false);
        closing.push(made::shutdown);
        return made;
    }

    /** Sends one request and returns the answer, as the client's own remoting layer does. */
    public RemotingCommand invoke(String address, RemotingCommand request) throws Exception {
        if (remoting == null) {
            remoting = new NettyRemotingClient(new NettyClientConfig());
            remoting.start();
            closing.push(remoting::shutdown);
        }
        return remoting.invokeSync(address, request, 5000);
    }

    /** Clients notice changes of routes fast and renew their subscriptions often; rebalancing by themselves stays at every 20 s. */
    private <T extends ClientConfig> T configure(T client) {
        client.setNamesrvAddr(namesrv);
        client.setPollNameServerInterval(1000);
        client.setHeartbeatBrokerInterval(1000);
        client.setPersistConsumerOffsetInterval(200);
        client.setInstanceName(name("client" + serial++));
        client.setMqClientApiTimeout(10_000);
        return client;
    }

    public MessageQueue queue(String topic, int queueId) {
        return new MessageQueue(topic, BROKER_NAME, queueId);
    }

    /** Sends messages with the bodies {@code prefix0}, {@code prefix1}, … and returns the bodies. */
    public List<String> send(String topic, String prefix, int count) throws Exception {
        List<String> bodies = IntStream.range(0, count).mapToObj(i -> prefix + i).toList();
        for (String body : bodies) {
            stored(producer().send(new Message(topic, bytes(body))));
        }
        return bodies;
    }

    public static SendResult stored(SendResult result) {
        Check.equal("send status", SendStatus.SEND_OK, result.getSendStatus());
        return result;
    }

    /** All {@code count} messages of the topic, by queue, in the order of the offsets, which must be dense. */
    public Map<Integer, List<MessageExt>> readAll(String topic, int count) throws Exception {
        awaitStored(topic, count);
        Map<Integer, List<MessageExt>> byQueue = new TreeMap<>();
        for (MessageQueue queue : reader().fetchSubscribeMessageQueues(topic)) {
            byQueue.put(queue.getQueueId(), readNow(queue));
        }
        Check.equal("messages in " + topic, count, byQueue.values().stream().mapToInt(List::size).sum());
        return byQueue;
    }

    /** All {@code count} messages of the queue. */
    public List<MessageExt> read(MessageQueue queue, int count) throws Exception {
        Check.eventually(Duration.ofSeconds(20), "max offset of " + queue, () -> reader().maxOffset(queue), max -> max >= count);
        List<MessageExt> messages = readNow(queue);
        Check.equal("messages in " + queue, count, messages.size());
        return messages;
    }

    /** What the queue holds now. */
    public List<MessageExt> readNow(MessageQueue queue) throws Exception {
        List<MessageExt> messages = new ArrayList<>();
        long end = reader().maxOffset(queue);
        for (long next = reader().minOffset(queue); next < end; ) {
            PullResult result = reader().pull(queue, "*", next, 32, 10_000);
            Check.equal("pull of " + queue + " at " + next, PullStatus.FOUND, result.getPullStatus());
            for (MessageExt message : result.getMsgFoundList()) {
                Check.equal("queue offset in " + queue, next++, message.getQueueOffset());
                messages.add(message);
            }
            Check.equal("next begin offset in " + queue, next, result.getNextBeginOffset());
        }
        return messages;
    }

    /** Bodies of all {@code count} messages of the topic, sorted. */
    public List<String> bodiesIn(String topic, int count) throws Exception {
        return readAll(topic, count).values().stream().flatMap(List::stream).map(Scene::text).sorted().toList();
    }

    /** Waits until the topic shows {@code count} messages in all its queues. */
    public void awaitStored(String topic, long count) throws Exception {
        Check.eventually(Duration.ofSeconds(20), "messages stored in " + topic, () -> {
            long sum = 0;
            for (MessageQueue queue : reader().fetchSubscribeMessageQueues(topic)) {
                sum += reader().maxOffset(queue);
            }
            return sum;
        }, n -> n >= count);
    }

    /** The offset that the broker holds for the group, or −1. */
    public long committed(String group, MessageQueue queue) throws Exception {
        QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(queue.getTopic());
        header.setQueueId(queue.getQueueId());
        header.setSetZeroIfNotFound(false);
        RemotingCommand answer = invoke(broker, RemotingCommand.createRequestCommand(RequestCode.QUERY_CONSUMER_OFFSET, header));
        return answer.getCode() == ResponseCode.SUCCESS ? Long.parseLong(answer.getExtFields().get("offset")) : -1;
    }

    /** Waits until the group has committed {@code count} messages of the topic: clients do it one-way, now and then. */
    public void awaitCommitted(String group, String topic, long count) throws Exception {
        Check.eventually(Duration.ofSeconds(20), "messages committed by " + group, () -> {
            long sum = 0;
            for (MessageQueue queue : reader().fetchSubscribeMessageQueues(topic)) {
                sum += Math.max(0, committed(group, queue));
            }
            return sum;
        }, sum -> sum == count);
    }

    public static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    public static String text(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    public static List<String> texts(List<? extends Message> messages) {
        return messages.stream().map(Scene::text).toList();
    }

    @Override
    public void close() {
        closing.forEach(Runnable::run);
    }
}
