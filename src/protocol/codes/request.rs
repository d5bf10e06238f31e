//! Request codes (fact sheets: request-codes, remoting 1.3).

use super::codes;

codes! {
    /// What a request asks for; any number is representable, unknown ones have no name.
    RequestCode {
        /// Send message; served by a broker.
        SEND_MESSAGE = 10,
        /// Pull message; served by a broker.
        PULL_MESSAGE = 11,
        /// Query message; served by a broker.
        QUERY_MESSAGE = 12,
        /// Query broker offset: a reserved number that 5.4.0 does not serve.
        QUERY_BROKER_OFFSET = 13,
        /// Query consumer offset; served by a broker.
        QUERY_CONSUMER_OFFSET = 14,
        /// Update consumer offset; served by a broker.
        UPDATE_CONSUMER_OFFSET = 15,
        /// Update and create topic; served by a broker.
        UPDATE_AND_CREATE_TOPIC = 17,
        /// Update and create topic list; served by a broker.
        UPDATE_AND_CREATE_TOPIC_LIST = 18,
        /// Get all topic config; served by a broker.
        GET_ALL_TOPIC_CONFIG = 21,
        /// Get topic config list: a reserved number that 5.4.0 does not serve.
        GET_TOPIC_CONFIG_LIST = 22,
        /// Get topic name list: a reserved number that 5.4.0 does not serve.
        GET_TOPIC_NAME_LIST = 23,
        /// Update broker config; served by a broker.
        UPDATE_BROKER_CONFIG = 25,
        /// Get broker config; served by a broker.
        GET_BROKER_CONFIG = 26,
        /// Trigger delete files: a reserved number that 5.4.0 does not serve.
        TRIGGER_DELETE_FILES = 27,
        /// Get broker runtime info; served by a broker.
        GET_BROKER_RUNTIME_INFO = 28,
        /// Search offset by timestamp; served by a broker.
        SEARCH_OFFSET_BY_TIMESTAMP = 29,
        /// Get max offset; served by a broker.
        GET_MAX_OFFSET = 30,
        /// Get min offset; served by a broker.
        GET_MIN_OFFSET = 31,
        /// Get earliest msg storetime; served by a broker.
        GET_EARLIEST_MSG_STORETIME = 32,
        /// View message by id; served by a broker.
        VIEW_MESSAGE_BY_ID = 33,
        /// Heart beat; served by a broker.
        HEART_BEAT = 34,
        /// Unregister client; served by a broker.
        UNREGISTER_CLIENT = 35,
        /// Consumer send msg back; served by a broker.
        CONSUMER_SEND_MSG_BACK = 36,
        /// End transaction; served by a broker.
        END_TRANSACTION = 37,
        /// Get consumer list by group; served by a broker.
        GET_CONSUMER_LIST_BY_GROUP = 38,
        /// Check transaction state; served by a client.
        CHECK_TRANSACTION_STATE = 39,
        /// Notify consumer ids changed; served by a client.
        NOTIFY_CONSUMER_IDS_CHANGED = 40,
        /// Lock batch mq; served by a broker.
        LOCK_BATCH_MQ = 41,
        /// Unlock batch mq; served by a broker.
        UNLOCK_BATCH_MQ = 42,
        /// Get all consumer offset; served by a broker.
        GET_ALL_CONSUMER_OFFSET = 43,
        /// Get all delay offset; served by a broker.
        GET_ALL_DELAY_OFFSET = 45,
        /// Check client config; served by a broker.
        CHECK_CLIENT_CONFIG = 46,
        /// Get client config: a reserved number that 5.4.0 does not serve.
        GET_CLIENT_CONFIG = 47,
        /// Get timer check point; served by a broker.
        GET_TIMER_CHECK_POINT = 60,
        /// Get timer metrics; served by a broker.
        GET_TIMER_METRICS = 61,
        /// Put kv config; served by a nameserver.
        PUT_KV_CONFIG = 100,
        /// Get kv config; served by a nameserver.
        GET_KV_CONFIG = 101,
        /// Delete kv config; served by a nameserver.
        DELETE_KV_CONFIG = 102,
        /// Register broker; served by a nameserver.
        REGISTER_BROKER = 103,
        /// Unregister broker; served by a nameserver.
        UNREGISTER_BROKER = 104,
        /// Get routeinfo by topic; served by a nameserver.
        GET_ROUTEINFO_BY_TOPIC = 105,
        /// Get broker cluster info; served by a nameserver.
        GET_BROKER_CLUSTER_INFO = 106,
        /// Update and create subscriptiongroup; served by a broker.
        UPDATE_AND_CREATE_SUBSCRIPTIONGROUP = 200,
        /// Get all subscriptiongroup config; served by a broker.
        GET_ALL_SUBSCRIPTIONGROUP_CONFIG = 201,
        /// Get topic stats info; served by a broker.
        GET_TOPIC_STATS_INFO = 202,
        /// Get consumer connection list; served by a broker.
        GET_CONSUMER_CONNECTION_LIST = 203,
        /// Get producer connection list; served by a broker.
        GET_PRODUCER_CONNECTION_LIST = 204,
        /// Wipe write perm of broker; served by a nameserver.
        WIPE_WRITE_PERM_OF_BROKER = 205,
        /// Get all topic list from nameserver; served by a nameserver.
        GET_ALL_TOPIC_LIST_FROM_NAMESERVER = 206,
        /// Delete subscriptiongroup; served by a broker.
        DELETE_SUBSCRIPTIONGROUP = 207,
        /// Get consume stats; served by a broker.
        GET_CONSUME_STATS = 208,
        /// Suspend consumer: a reserved number that 5.4.0 does not serve.
        SUSPEND_CONSUMER = 209,
        /// Resume consumer: a reserved number that 5.4.0 does not serve.
        RESUME_CONSUMER = 210,
        /// Reset consumer offset in consumer: a reserved number that 5.4.0 does not serve.
        RESET_CONSUMER_OFFSET_IN_CONSUMER = 211,
        /// Reset consumer offset in broker: a reserved number that 5.4.0 does not serve.
        RESET_CONSUMER_OFFSET_IN_BROKER = 212,
        /// Adjust consumer thread pool: a reserved number that 5.4.0 does not serve.
        ADJUST_CONSUMER_THREAD_POOL = 213,
        /// Who consume the message: a reserved number that 5.4.0 does not serve.
        WHO_CONSUME_THE_MESSAGE = 214,
        /// Delete topic in broker; served by a broker.
        DELETE_TOPIC_IN_BROKER = 215,
        /// Delete topic in namesrv; served by a nameserver.
        DELETE_TOPIC_IN_NAMESRV = 216,
        /// Register topic in namesrv; served by a nameserver.
        REGISTER_TOPIC_IN_NAMESRV = 217,
        /// Get kvlist by namespace; served by a nameserver.
        GET_KVLIST_BY_NAMESPACE = 219,
        /// Reset consumer client offset; served by a client.
        RESET_CONSUMER_CLIENT_OFFSET = 220,
        /// Get consumer status from client; served by a client.
        GET_CONSUMER_STATUS_FROM_CLIENT = 221,
        /// Invoke broker to reset offset; served by a broker.
        INVOKE_BROKER_TO_RESET_OFFSET = 222,
        /// Invoke broker to get consumer status; served by a broker.
        INVOKE_BROKER_TO_GET_CONSUMER_STATUS = 223,
        /// Get topics by cluster; served by a nameserver.
        GET_TOPICS_BY_CLUSTER = 224,
        /// Update and create subscriptiongroup list; served by a broker.
        UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST = 225,
        /// Query topic consume by who; served by a broker.
        QUERY_TOPIC_CONSUME_BY_WHO = 300,
        /// Register filter server: a reserved number that 5.4.0 does not serve.
        REGISTER_FILTER_SERVER = 301,
        /// Register message filter class: a reserved number that 5.4.0 does not serve.
        REGISTER_MESSAGE_FILTER_CLASS = 302,
        /// Query consume time span; served by a broker.
        QUERY_CONSUME_TIME_SPAN = 303,
        /// Get system topic list from ns; served by a nameserver.
        GET_SYSTEM_TOPIC_LIST_FROM_NS = 304,
        /// Get system topic list from broker; served by a broker.
        GET_SYSTEM_TOPIC_LIST_FROM_BROKER = 305,
        /// Clean expired consumequeue; served by a broker.
        CLEAN_EXPIRED_CONSUMEQUEUE = 306,
        /// Get consumer running info; served by a broker.
        GET_CONSUMER_RUNNING_INFO = 307,
        /// Query correction offset; served by a broker.
        QUERY_CORRECTION_OFFSET = 308,
        /// Consume message directly; served by a broker.
        CONSUME_MESSAGE_DIRECTLY = 309,
        /// Send message v2; served by a broker.
        SEND_MESSAGE_V2 = 310,
        /// Get unit topic list; served by a nameserver.
        GET_UNIT_TOPIC_LIST = 311,
        /// Get has unit sub topic list; served by a nameserver.
        GET_HAS_UNIT_SUB_TOPIC_LIST = 312,
        /// Get has unit sub ununit topic list; served by a nameserver.
        GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST = 313,
        /// Clone group offset; served by a broker.
        CLONE_GROUP_OFFSET = 314,
        /// View broker stats data; served by a broker.
        VIEW_BROKER_STATS_DATA = 315,
        /// Clean unused topic; served by a broker.
        CLEAN_UNUSED_TOPIC = 316,
        /// Get broker consume stats; served by a broker.
        GET_BROKER_CONSUME_STATS = 317,
        /// Update namesrv config; served by a nameserver.
        UPDATE_NAMESRV_CONFIG = 318,
        /// Get namesrv config; served by a nameserver.
        GET_NAMESRV_CONFIG = 319,
        /// Send batch message; served by a broker.
        SEND_BATCH_MESSAGE = 320,
        /// Query consume queue; served by a broker.
        QUERY_CONSUME_QUEUE = 321,
        /// Query data version; served by a nameserver.
        QUERY_DATA_VERSION = 322,
        /// Resume check half message; served by a broker.
        RESUME_CHECK_HALF_MESSAGE = 323,
        /// Send reply message; served by a broker.
        SEND_REPLY_MESSAGE = 324,
        /// Send reply message v2; served by a broker.
        SEND_REPLY_MESSAGE_V2 = 325,
        /// Push reply message to client; served by a client.
        PUSH_REPLY_MESSAGE_TO_CLIENT = 326,
        /// Add write perm of broker; served by a nameserver.
        ADD_WRITE_PERM_OF_BROKER = 327,
        /// Get all producer info; served by a broker.
        GET_ALL_PRODUCER_INFO = 328,
        /// Delete expired commitlog; served by a broker.
        DELETE_EXPIRED_COMMITLOG = 329,
        /// Query topics by consumer; served by a broker.
        QUERY_TOPICS_BY_CONSUMER = 343,
        /// Query subscription by consumer; served by a broker.
        QUERY_SUBSCRIPTION_BY_CONSUMER = 345,
        /// Get topic config; served by a broker.
        GET_TOPIC_CONFIG = 351,
        /// Get subscriptiongroup config; served by a broker.
        GET_SUBSCRIPTIONGROUP_CONFIG = 352,
        /// Update and get group forbidden; served by a broker.
        UPDATE_AND_GET_GROUP_FORBIDDEN = 353,
        /// Check rocksdb cq write progress; served by a broker.
        CHECK_ROCKSDB_CQ_WRITE_PROGRESS = 354,
        /// Export rocksdb config to json; served by a broker.
        EXPORT_ROCKSDB_CONFIG_TO_JSON = 355,
        /// Lite pull message; served by a broker.
        LITE_PULL_MESSAGE = 361,
        /// Recall message; served by a broker.
        RECALL_MESSAGE = 370,
        /// Query assignment; served by a broker.
        QUERY_ASSIGNMENT = 400,
        /// Set message request mode; served by a broker.
        SET_MESSAGE_REQUEST_MODE = 401,
        /// Get all message request mode; served by a broker.
        GET_ALL_MESSAGE_REQUEST_MODE = 402,
        /// Update and create static topic; served by a broker.
        UPDATE_AND_CREATE_STATIC_TOPIC = 513,
        /// Get broker member group; served by a nameserver.
        GET_BROKER_MEMBER_GROUP = 901,
        /// Add broker; served by a broker container.
        ADD_BROKER = 902,
        /// Remove broker; served by a broker container.
        REMOVE_BROKER = 903,
        /// Broker heartbeat; served by a nameserver or a controller.
        BROKER_HEARTBEAT = 904,
        /// Notify min broker id change; served by a broker.
        NOTIFY_MIN_BROKER_ID_CHANGE = 905,
        /// Exchange broker ha info; served by a broker.
        EXCHANGE_BROKER_HA_INFO = 906,
        /// Get broker ha status; served by a broker.
        GET_BROKER_HA_STATUS = 907,
        /// Reset master flush offset; served by a broker.
        RESET_MASTER_FLUSH_OFFSET = 908,
        /// Controller alter sync state set; served by a controller.
        CONTROLLER_ALTER_SYNC_STATE_SET = 1001,
        /// Controller elect master; served by a controller.
        CONTROLLER_ELECT_MASTER = 1002,
        /// Controller register broker; served by a controller.
        CONTROLLER_REGISTER_BROKER = 1003,
        /// Controller get replica info; served by a controller.
        CONTROLLER_GET_REPLICA_INFO = 1004,
        /// Controller get metadata info; served by a controller.
        CONTROLLER_GET_METADATA_INFO = 1005,
        /// Controller get sync state data; served by a controller.
        CONTROLLER_GET_SYNC_STATE_DATA = 1006,
        /// Get broker epoch cache; served by a broker.
        GET_BROKER_EPOCH_CACHE = 1007,
        /// Notify broker role changed; served by a broker.
        NOTIFY_BROKER_ROLE_CHANGED = 1008,
        /// Update controller config; served by a controller.
        UPDATE_CONTROLLER_CONFIG = 1009,
        /// Get controller config; served by a controller.
        GET_CONTROLLER_CONFIG = 1010,
        /// Clean broker data; served by a controller.
        CLEAN_BROKER_DATA = 1011,
        /// Controller get next broker id; served by a controller.
        CONTROLLER_GET_NEXT_BROKER_ID = 1012,
        /// Controller apply broker id; served by a controller.
        CONTROLLER_APPLY_BROKER_ID = 1013,
        /// Broker close channel request: internal to a controller's log, never on the wire.
        BROKER_CLOSE_CHANNEL_REQUEST = 1014,
        /// Check not active broker request: internal to a controller's log, never on the wire.
        CHECK_NOT_ACTIVE_BROKER_REQUEST = 1015,
        /// Get broker live info request: internal to a controller's log, never on the wire.
        GET_BROKER_LIVE_INFO_REQUEST = 1016,
        /// Get sync state data request: internal to a controller's log, never on the wire.
        GET_SYNC_STATE_DATA_REQUEST = 1017,
        /// Raft broker heart beat event request: internal to a controller's log, never on the wire.
        RAFT_BROKER_HEART_BEAT_EVENT_REQUEST = 1018,
        /// Update cold data flow ctr config; served by a broker.
        UPDATE_COLD_DATA_FLOW_CTR_CONFIG = 2001,
        /// Remove cold data flow ctr config; served by a broker.
        REMOVE_COLD_DATA_FLOW_CTR_CONFIG = 2002,
        /// Get cold data flow ctr info; served by a broker.
        GET_COLD_DATA_FLOW_CTR_INFO = 2003,
        /// Set commitlog read mode; served by a broker.
        SET_COMMITLOG_READ_MODE = 2004,
        /// Auth create user; served by a broker.
        AUTH_CREATE_USER = 3001,
        /// Auth update user; served by a broker.
        AUTH_UPDATE_USER = 3002,
        /// Auth delete user; served by a broker.
        AUTH_DELETE_USER = 3003,
        /// Auth get user; served by a broker.
        AUTH_GET_USER = 3004,
        /// Auth list user; served by a broker.
        AUTH_LIST_USER = 3005,
        /// Auth create acl; served by a broker.
        AUTH_CREATE_ACL = 3006,
        /// Auth update acl; served by a broker.
        AUTH_UPDATE_ACL = 3007,
        /// Auth delete acl; served by a broker.
        AUTH_DELETE_ACL = 3008,
        /// Auth get acl; served by a broker.
        AUTH_GET_ACL = 3009,
        /// Auth list acl; served by a broker.
        AUTH_LIST_ACL = 3010,
        /// Switch timer engine; served by a broker.
        SWITCH_TIMER_ENGINE = 5001,
        /// Pop message; served by a broker.
        POP_MESSAGE = 200050,
        /// Ack message; served by a broker.
        ACK_MESSAGE = 200051,
        /// Peek message; served by a broker.
        PEEK_MESSAGE = 200052,
        /// Change message invisibletime; served by a broker.
        CHANGE_MESSAGE_INVISIBLETIME = 200053,
        /// Notification; served by a broker.
        NOTIFICATION = 200054,
        /// Polling info; served by a broker.
        POLLING_INFO = 200055,
        /// Pop rollback; served by a broker.
        POP_ROLLBACK = 200056,
        /// Batch ack message; served by a broker.
        BATCH_ACK_MESSAGE = 200151,
    }
}

/// What truncation to 16 bits takes off the pop family's codes: 200050 arrives as 3442.
const POP_TRUNCATED: i32 = 3 << 16;

impl RequestCode {
    /// The code as the binary header carries it: the low 16 bits.
    pub const fn to_binary16(self) -> i16 {
        self.0 as i16
    }

    /// The code that a binary header means: the truncated numbers of the pop family, which name nothing else,
    /// become the full ones again.
    pub const fn from_binary16(code: i16) -> Self {
        match code as i32 {
            code @ (3442..=3448 | 3543) => Self(code + POP_TRUNCATED),
            code => Self(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pop_codes_survive_sixteen_bits() {
        for code in [RequestCode::POP_MESSAGE, RequestCode::POP_ROLLBACK, RequestCode::BATCH_ACK_MESSAGE] {
            assert_eq!(RequestCode::from_binary16(code.to_binary16()), code);
        }
        assert_eq!(RequestCode::POP_MESSAGE.to_binary16(), 3442);
        assert_eq!(RequestCode::from_binary16(105), RequestCode::GET_ROUTEINFO_BY_TOPIC);
        assert_eq!(RequestCode::from_binary16(-1), RequestCode::from(-1));
    }

    #[test]
    fn unknown_codes_are_kept_and_have_no_name() {
        assert_eq!(i32::from(RequestCode::from(9999)), 9999);
        assert_eq!(RequestCode::from(9999).name(), None);
        assert_eq!(RequestCode::from(9999).to_string(), "9999");
        assert_eq!(RequestCode::PULL_MESSAGE.to_string(), "PULL_MESSAGE (11)");
    }
}
