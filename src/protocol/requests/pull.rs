//! Pulling messages (fact sheet: remoting 6.1).

use super::{Field, headers};
use crate::protocol::fields::{Raw, Text, Value};

headers! {
    /// PULL_MESSAGE 11 and LITE_PULL_MESSAGE 361.
    pub struct PullMessageRequest {
        "consumerGroup" => consumer_group: Text,
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
        /// The first offset that the consumer wants.
        "queueOffset" => queue_offset: i64,
        /// How many messages the consumer wants at most.
        "maxMsgNums" => max_msg_nums: i32,
        /// What else the request says.
        "sysFlag" => sys_flag: PullFlags,
        /// The consumer's progress, if the flags call it valid.
        "commitOffset" => commit_offset: i64,
        /// How long the broker may wait for messages, in ms, if the flags allow it.
        "suspendTimeoutMillis" => suspend_timeout_millis: i64,
        /// The filter expression; counts only if the flags say so.
        "subscription" => subscription: Option<Text>,
        /// The version of the subscription that the consumer registered.
        "subVersion" => sub_version: i64,
        /// Absent, "", "TAG" or "SQL92".
        "expressionType" => expression_type: Option<Text>,
        /// How many bytes the consumer wants at most.
        "maxMsgBytes" => max_msg_bytes: Option<i32>,
        /// Absent or -1: a client; 0 to 2: a proxy.
        "requestSource" => request_source: Option<i32>,
        /// The client behind a proxy; the name is spelled so.
        "proxyFrowardClientId" => proxy_forward_client_id: Option<Text>,
        /// The broker that the consumer means.
        "bname" => broker_name: Option<Text>,
    }

    /// Answer to a pull with code 0, 19, 20 or 21. Clients fail without the first four.
    pub struct PullMessageResponse {
        /// Id of the broker to pull from next time, 0 for the master.
        "suggestWhichBrokerId" => suggest_which_broker_id: i64,
        /// The offset to go on from.
        "nextBeginOffset" => next_begin_offset: i64,
        /// The queue's first offset.
        "minOffset" => min_offset: i64,
        /// The offset behind the queue's last message.
        "maxOffset" => max_offset: i64,
        /// Of static topics: logical minus physical offset.
        "offsetDelta" => offset_delta: Option<i64>,
        "topicSysFlag" => topic_sys_flag: Option<i32>,
        "groupSysFlag" => group_sys_flag: Option<i32>,
        /// Why code 16 was answered, 1 to 5.
        "forbiddenType" => forbidden_type: Option<i32>,
    }
}

/// The bits of a pull's `sysFlag`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullFlags(pub i32);

impl PullFlags {
    /// `commitOffset` is valid: store it.
    pub const COMMIT_OFFSET: i32 = 1;
    /// The broker may hold the request until there are messages.
    pub const SUSPEND: i32 = 2;
    /// `subscription` is valid: use it instead of the registered one.
    pub const SUBSCRIPTION: i32 = 4;
    /// A class filter, long gone.
    pub const CLASS_FILTER: i32 = 8;
    /// Sent by a lite pull consumer.
    pub const LITE_PULL: i32 = 16;

    /// Whether `commitOffset` is to be stored.
    pub const fn has_commit_offset(self) -> bool {
        self.0 & Self::COMMIT_OFFSET != 0
    }

    /// Whether the broker may hold the request.
    pub const fn may_suspend(self) -> bool {
        self.0 & Self::SUSPEND != 0
    }

    /// Whether `subscription` is to be used.
    pub const fn has_subscription(self) -> bool {
        self.0 & Self::SUBSCRIPTION != 0
    }

    /// Whether a class filter is asked for.
    pub const fn has_class_filter(self) -> bool {
        self.0 & Self::CLASS_FILTER != 0
    }

    /// Whether a lite pull consumer asks.
    pub const fn is_lite_pull(self) -> bool {
        self.0 & Self::LITE_PULL != 0
    }
}

impl Field for PullFlags {
    fn read(found: Option<Raw<'_>>) -> Option<Self> {
        i32::read(found).map(Self)
    }

    fn value(&self) -> Option<Value<'_>> {
        Some(self.0.into())
    }
}
