//! Response codes (fact sheet: response-codes).

use super::codes;

codes! {
    /// How a request ended; any number is representable, unknown ones have no name.
    ResponseCode {
        /// Rpc time out: never on the wire: the calling side's own failure.
        RPC_TIME_OUT = -1006,
        /// Rpc send to channel failed: never on the wire: the calling side's own failure.
        RPC_SEND_TO_CHANNEL_FAILED = -1004,
        /// Rpc addr is null: never on the wire: the calling side's own failure.
        RPC_ADDR_IS_NULL = -1002,
        /// Rpc unknown: never on the wire: the calling side's own failure.
        RPC_UNKNOWN = -1000,
        /// Success.
        SUCCESS = 0,
        /// System error: generic failure; remark carries text (often exception class + message).
        SYSTEM_ERROR = 1,
        /// System busy: flow control / queue full / reject; client retries another broker on send.
        SYSTEM_BUSY = 2,
        /// Request code not supported: unknown code; remark " request type N not supported".
        REQUEST_CODE_NOT_SUPPORTED = 3,
        /// Transaction failed: unused by 5.x server.
        TRANSACTION_FAILED = 4,
        /// Flush disk timeout: message stored; sync flush late : SendStatus FLUSH_DISK_TIMEOUT.
        FLUSH_DISK_TIMEOUT = 10,
        /// Slave not available: stored; no in-sync slave (SYNC_MASTER) : SendStatus.
        SLAVE_NOT_AVAILABLE = 11,
        /// Flush slave timeout: stored; slave ack late : SendStatus.
        FLUSH_SLAVE_TIMEOUT = 12,
        /// Message illegal: topic/body/properties size, missing key, bad timer time, bad pop queue.
        MESSAGE_ILLEGAL = 13,
        /// Service not available: store shut, disk full or slave.
        SERVICE_NOT_AVAILABLE = 14,
        /// Version not supported.
        VERSION_NOT_SUPPORTED = 15,
        /// No permission: broker/topic/group permission, ACL refusal, black-listed config, feature disabled.
        NO_PERMISSION = 16,
        /// Topic not exist: also namesrv answer to unknown route.
        TOPIC_NOT_EXIST = 17,
        /// Topic exist already.
        TOPIC_EXIST_ALREADY = 18,
        /// Pull not found: nothing new (after poll); client : NO_NEW_MSG.
        PULL_NOT_FOUND = 19,
        /// Pull retry immediately: filtered out; client : NO_MATCHED_MSG, continues at nextBeginOffset.
        PULL_RETRY_IMMEDIATELY = 20,
        /// Pull offset moved: client : OFFSET_ILLEGAL, jumps to nextBeginOffset.
        PULL_OFFSET_MOVED = 21,
        /// Query not found: offset/key/message/kv not found.
        QUERY_NOT_FOUND = 22,
        /// Subscription parse failed: bad filter expression.
        SUBSCRIPTION_PARSE_FAILED = 23,
        /// Subscription not exist: no heartbeat for group/topic yet.
        SUBSCRIPTION_NOT_EXIST = 24,
        /// Subscription not latest: subVersion in pull newer than broker knows.
        SUBSCRIPTION_NOT_LATEST = 25,
        /// Subscription group not exist.
        SUBSCRIPTION_GROUP_NOT_EXIST = 26,
        /// Filter data not exist: SQL filter not compiled.
        FILTER_DATA_NOT_EXIST = 27,
        /// Filter data not latest.
        FILTER_DATA_NOT_LATEST = 28,
        /// Invalid parameter: bad topic name, queueId, attribute.
        INVALID_PARAMETER = 29,
        /// Transaction should commit: a legacy answer.
        TRANSACTION_SHOULD_COMMIT = 200,
        /// Transaction should rollback: a legacy answer.
        TRANSACTION_SHOULD_ROLLBACK = 201,
        /// Transaction state unknow: a legacy answer.
        TRANSACTION_STATE_UNKNOW = 202,
        /// Transaction state group wrong: a legacy answer.
        TRANSACTION_STATE_GROUP_WRONG = 203,
        /// No buyer id: a legacy answer.
        NO_BUYER_ID = 204,
        /// Not in current unit: a legacy answer.
        NOT_IN_CURRENT_UNIT = 205,
        /// Consumer not online: group/client not connected.
        CONSUMER_NOT_ONLINE = 206,
        /// Consume msg timeout: client did not answer broker relay.
        CONSUME_MSG_TIMEOUT = 207,
        /// No message: pop ack/changeInvisible outside queue; empty batch ack.
        NO_MESSAGE = 208,
        /// Polling full: pop long-poll table full.
        POLLING_FULL = 209,
        /// Polling timeout: pop long-poll ended empty.
        POLLING_TIMEOUT = 210,
        /// Broker not exist.
        BROKER_NOT_EXIST = 211,
        /// Broker dispatch not complete.
        BROKER_DISPATCH_NOT_COMPLETE = 212,
        /// Broadcast consumption.
        BROADCAST_CONSUMPTION = 213,
        /// Flow control.
        FLOW_CONTROL = 215,
        /// Not leader for queue: static topic queue led elsewhere.
        NOT_LEADER_FOR_QUEUE = 501,
        /// Illegal operation.
        ILLEGAL_OPERATION = 604,
        /// Go away: server shutting down; only to clients with version > 475 (V5_3_1); client reconnects and
        /// retries once.
        GO_AWAY = 1500,
        /// Controller fenced master epoch: a controller's answer.
        CONTROLLER_FENCED_MASTER_EPOCH = 2000,
        /// Controller fenced sync state set epoch: a controller's answer.
        CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH = 2001,
        /// Controller invalid master: a controller's answer.
        CONTROLLER_INVALID_MASTER = 2002,
        /// Controller invalid replicas: a controller's answer.
        CONTROLLER_INVALID_REPLICAS = 2003,
        /// Controller master not available: a controller's answer.
        CONTROLLER_MASTER_NOT_AVAILABLE = 2004,
        /// Controller invalid request: a controller's answer.
        CONTROLLER_INVALID_REQUEST = 2005,
        /// Controller broker not alive: a controller's answer.
        CONTROLLER_BROKER_NOT_ALIVE = 2006,
        /// Controller not leader: a controller's answer.
        CONTROLLER_NOT_LEADER = 2007,
        /// Controller broker metadata not exist: a controller's answer.
        CONTROLLER_BROKER_METADATA_NOT_EXIST = 2008,
        /// Controller invalid clean broker metadata: a controller's answer.
        CONTROLLER_INVALID_CLEAN_BROKER_METADATA = 2009,
        /// Controller broker need to be registered: a controller's answer.
        CONTROLLER_BROKER_NEED_TO_BE_REGISTERED = 2010,
        /// Controller master still exist: a controller's answer.
        CONTROLLER_MASTER_STILL_EXIST = 2011,
        /// Controller elect master failed: a controller's answer.
        CONTROLLER_ELECT_MASTER_FAILED = 2012,
        /// Controller alter sync state set failed: a controller's answer.
        CONTROLLER_ALTER_SYNC_STATE_SET_FAILED = 2013,
        /// Controller broker id invalid: a controller's answer.
        CONTROLLER_BROKER_ID_INVALID = 2014,
        /// Controller jraft internal error: a controller's answer.
        CONTROLLER_JRAFT_INTERNAL_ERROR = 2015,
        /// Controller broker live info not exists: a controller's answer.
        CONTROLLER_BROKER_LIVE_INFO_NOT_EXISTS = 2016,
        /// User not exist: authentication and authorization.
        USER_NOT_EXIST = 3001,
        /// Policy not exist: authentication and authorization.
        POLICY_NOT_EXIST = 3002,
    }
}
