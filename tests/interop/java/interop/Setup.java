package interop;

import java.util.stream.Stream;

/** The configurations of servers that scenarios ask for; the runner starts them one after the other. */
public enum Setup {
    STANDARD(1, "autoCreateTopicEnable=true"),
    NO_AUTO_CREATE(1, "autoCreateTopicEnable=false"),
    /** Commit log files of 1 MiB and consume queue files of 1,000 entries: a few messages fill several. */
    SMALL_FILES(1, "autoCreateTopicEnable=true", "mappedFileSizeCommitLog=1048576", "mappedFileSizeConsumeQueue=20000"),
    /** Whatever lies in a full commit log file may be deleted at once. */
    NOTHING_KEPT(1, "mappedFileSizeCommitLog=1048576", "fileReservedTime=0"),
    /** The levels of the first retries, 3 to 6, are a second long. */
    SHORT_LEVELS(1, "autoCreateTopicEnable=true", "messageDelayLevel=1s 1s 1s 1s 1s 1s 10s"),
    /** Producers are asked about half messages after a second, every second. */
    EARLY_CHECKS(1, "autoCreateTopicEnable=true", "transactionTimeOut=1000", "transactionCheckInterval=1000"),
    /** Messages of up to three days ahead, as in RocketMQ by default, which can be taken back. */
    TIMERS(1, "autoCreateTopicEnable=true", "timerMaxDelaySec=259200", "recallMessageEnable=true"),
    /** Requests are served only with the signature of a user: on the control, as CastMQ does not look at signatures. */
    SIGNED(1, "authenticationEnabled=true",
        "authenticationProvider=org.apache.rocketmq.auth.authentication.provider.DefaultAuthenticationProvider",
        "authenticationMetadataProvider=org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider",
        "initAuthenticationUser={\"username\":\"alice\",\"password\":\"secret\"}",
        "innerClientAuthenticationCredentials={\"accessKey\":\"alice\",\"secretKey\":\"secret\"}"),
    TWO_NAMESERVERS(2, "autoCreateTopicEnable=true"),
    /** The store changes hands: small files, and what is pending comes soon. CastMQ has it first. */
    EXCHANGE(1, "mappedFileSizeCommitLog=1048576", "mappedFileSizeConsumeQueue=20000", "messageDelayLevel=1s 6s 2h",
        "transactionTimeOut=1000", "transactionCheckInterval=1000", "transactionCheckMax=1000", "registerNameServerPeriod=10000"),
    /** The same where RocketMQ has it first. */
    EXCHANGE_FROM_ROCKETMQ(EXCHANGE),
    /** Messages wait in write buffers before they come to the log. */
    EXCHANGE_BUFFERED(EXCHANGE, "transientStorePoolEnable=true");

    public final int nameservers;
    public final String[] brokerKeys;

    Setup(int nameservers, String... brokerKeys) {
        this.nameservers = nameservers;
        this.brokerKeys = brokerKeys;
    }

    Setup(Setup same, String... more) {
        this(same.nameservers, Stream.concat(Stream.of(same.brokerKeys), Stream.of(more)).toArray(String[]::new));
    }
}
