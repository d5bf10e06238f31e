//! Names of the properties that the system reads or writes (fact sheet: remoting 3.3).

/// Declares one constant per name.
macro_rules! names {
    ($($(#[$meta:meta])* $constant:ident = $name:literal),+ $(,)?) => {
        $($(#[$meta])* pub const $constant: &str = $name;)+
    };
}

names! {
    /// Keys for the index, separated by spaces.
    KEYS = "KEYS",
    /// The tag that consumers filter by.
    TAGS = "TAGS",
    /// Unique id, made by the client or else by the broker.
    UNIQ_KEY = "UNIQ_KEY",
    /// "false": do not wait for flush and replication.
    WAIT = "WAIT",
    /// Delay level, 1 to 18.
    DELAY = "DELAY",
    /// Timer request: delay in seconds.
    TIMER_DELAY_SEC = "TIMER_DELAY_SEC",
    /// Timer request: delay in milliseconds.
    TIMER_DELAY_MS = "TIMER_DELAY_MS",
    /// Timer request: time of delivery, milliseconds since 1970.
    TIMER_DELIVER_MS = "TIMER_DELIVER_MS",
    /// Timer wheel: rounded time of delivery.
    TIMER_OUT_MS = "TIMER_OUT_MS",
    /// Timer wheel: when the message entered.
    TIMER_ENQUEUE_MS = "TIMER_ENQUEUE_MS",
    /// Timer wheel: when the message left.
    TIMER_DEQUEUE_MS = "TIMER_DEQUEUE_MS",
    /// Timer wheel: how often the message went round.
    TIMER_ROLL_TIMES = "TIMER_ROLL_TIMES",
    /// Timer wheel: unique id of the message to delete.
    TIMER_DEL_UNIQKEY = "TIMER_DEL_UNIQKEY",
    /// Timer wheel: delay level kept through the wheel.
    TIMER_DELAY_LEVEL = "TIMER_DELAY_LEVEL",
    /// Timer wheel: mark of a rolled message.
    TIMER_ROLL_LABEL = "TIMER_ROLL_LABEL",
    /// Topic that a redirected message belongs to.
    REAL_TOPIC = "REAL_TOPIC",
    /// Queue that a redirected message belongs to.
    REAL_QUEUE_ID = "REAL_QID",
    /// Topic that a retried message came from.
    RETRY_TOPIC = "RETRY_TOPIC",
    /// Offset message id of the first delivery of a retried message.
    ORIGIN_MESSAGE_ID = "ORIGIN_MESSAGE_ID",
    /// How often a message was retried.
    RECONSUME_TIME = "RECONSUME_TIME",
    /// Most retries that the client asks for.
    MAX_RECONSUME_TIMES = "MAX_RECONSUME_TIMES",
    /// Topic that a dead letter came from.
    DLQ_ORIGIN_TOPIC = "DLQ_ORIGIN_TOPIC",
    /// Message id that a dead letter had.
    DLQ_ORIGIN_MESSAGE_ID = "DLQ_ORIGIN_MESSAGE_ID",
    /// "true": a half message.
    TRAN_MSG = "TRAN_MSG",
    /// Producer group, which is asked how a transaction ended.
    PGROUP = "PGROUP",
    /// Transaction id: the unique id.
    TRANSACTION_ID = "__transactionId__",
    /// How often the producer was asked.
    TRANSACTION_CHECK_TIMES = "TRANSACTION_CHECK_TIMES",
    /// Seconds during which the producer is not asked.
    CHECK_IMMUNITY_TIME_IN_SECONDS = "CHECK_IMMUNITY_TIME_IN_SECONDS",
    /// Queue offset of the first copy of a half message.
    TRAN_PREPARED_QUEUE_OFFSET = "TRAN_PREPARED_QUEUE_OFFSET",
    /// Transaction offset.
    TRANS_OFFSET = "TRANS_OFFSET",
    /// Lowest offset of the queue; clients set it on what they consume.
    MIN_OFFSET = "MIN_OFFSET",
    /// Highest offset of the queue; clients set it on what they consume.
    MAX_OFFSET = "MAX_OFFSET",
    /// When consuming began; clients set it.
    CONSUME_START_TIME = "CONSUME_START_TIME",
    /// Region of the broker.
    MSG_REGION = "MSG_REGION",
    /// Whether the broker wants traces.
    TRACE_ON = "TRACE_ON",
    /// Cluster of the broker.
    CLUSTER = "CLUSTER",
    /// "reply" for the answer of a request-reply pair.
    MSG_TYPE = "MSG_TYPE",
    /// Client id that waits for the reply.
    REPLY_TO_CLIENT = "REPLY_TO_CLIENT",
    /// Which request a reply answers.
    CORRELATION_ID = "CORRELATION_ID",
    /// How long the requester waits, milliseconds.
    TTL = "TTL",
    /// When the broker pushed the reply.
    PUSH_REPLY_TIME = "PUSH_REPLY_TIME",
    /// When the reply arrived at the broker.
    ARRIVE_TIME = "ARRIVE_TIME",
    /// Ordering key.
    SHARDING_KEY = "__SHARDINGKEY",
    /// Pop handle; stripped from what clients send.
    POP_CK = "POP_CK",
    /// Offset part of a pop handle.
    POP_CK_OFFSET = "POP_CK_OFFSET",
    /// When the message was first popped.
    FIRST_POP_TIME = "1ST_POP_TIME",
    /// Group that a pop retry message belongs to.
    ORIGIN_GROUP = "ORIGIN_GROUP",
    /// Priority of the message.
    PRIORITY = "_SYS_MSG_PRIORITY_",
    /// Number of messages in an inner batch.
    INNER_NUM = "INNER_NUM",
    /// Queue offset of the first message of an inner batch.
    INNER_BASE = "INNER_BASE",
    /// Names of the light queues that a message goes to, joined by commas.
    INNER_MULTI_DISPATCH = "INNER_MULTI_DISPATCH",
    /// Offsets in the light queues, joined by commas.
    INNER_MULTI_QUEUE_OFFSET = "INNER_MULTI_QUEUE_OFFSET",
    /// Reserved.
    BUYER_ID = "BUYER_ID",
    /// Reserved.
    TRANSFER_FLAG = "TRANSFER_FLAG",
    /// Reserved.
    CORRECTION_FLAG = "CORRECTION_FLAG",
    /// Reserved.
    MQ2_FLAG = "MQ2_FLAG",
    /// Reserved.
    EXTEND_UNIQ_INFO = "EXTEND_UNIQ_INFO",
    /// Reserved.
    DUP_INFO = "DUP_INFO",
    /// Instance of the client.
    INSTANCE_ID = "INSTANCE_ID",
    /// Reserved.
    REDIRECT = "REDIRECT",
    /// Reserved.
    FORWARD_QUEUE_ID = "PROPERTY_FORWARD_QUEUE_ID",
    /// Trace context of the sender.
    TRACE_CONTEXT = "TRACE_CONTEXT",
    /// Address of the sender, for messages that a proxy passes on.
    BORN_HOST = "__BORNHOST",
    /// When the message was made, for messages that a proxy passes on.
    BORN_TIMESTAMP = "BORN_TIMESTAMP",
    /// Check sum over the record (fact sheet: store 2.4).
    CRC32 = "__CRC32#",
    /// Topic flags on their way to a client.
    TRANSIENT_TOPIC_SYS_FLAG = "__RMQ.TRANSIENT.TOPIC_SYS_FLAG",
    /// Group flags on their way to a client.
    TRANSIENT_GROUP_SYS_FLAG = "__RMQ.TRANSIENT.GROUP_SYS_FLAG",
}
