//! The pop family (fact sheet: remoting 6.5).

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// POP_MESSAGE 200050.
    pub struct PopMessageRequest {
        "consumerGroup" => consumer_group: Text,
        "topic" => topic: Text,
        /// -1 for any queue.
        "queueId" => queue_id: i32,
        /// At most 32.
        "maxMsgNums" => max_msg_nums: i32,
        /// For how many ms the messages are hidden from others.
        "invisibleTime" => invisible_time: i64,
        /// How long the broker may wait for messages, in ms.
        "pollTime" => poll_time: i64,
        /// When the request was made, in ms since 1970.
        "bornTime" => born_time: i64,
        /// Where a new group starts: 0 first, 1 last message.
        "initMode" => init_mode: i32,
        /// "TAG" or "SQL92".
        "expType" => expression_type: Option<Text>,
        "exp" => expression: Option<Text>,
        "order" => order: bool = false,
        /// Of ordered pops, names the attempt that a repeated request continues.
        "attemptId" => attempt_id: Option<Text>,
        "bname" => broker_name: Option<Text>,
    }

    /// PEEK_MESSAGE 200052.
    pub struct PeekMessageRequest {
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
        "maxMsgNums" => max_msg_nums: i32,
        "consumerGroup" => consumer_group: Text,
    }

    /// Answer to POP_MESSAGE and PEEK_MESSAGE.
    pub struct PopMessageResponse {
        /// In ms since 1970.
        "popTime" => pop_time: i64,
        /// In ms.
        "invisibleTime" => invisible_time: i64,
        /// The revive queue; 999 of an ordered pop.
        "reviveQid" => revive_qid: i32,
        /// How many messages are left.
        "restNum" => rest_num: i64,
        "startOffsetInfo" => start_offset_info: Option<Text>,
        "msgOffsetInfo" => msg_offset_info: Option<Text>,
        "orderCountInfo" => order_count_info: Option<Text>,
    }

    /// ACK_MESSAGE 200051.
    pub struct AckMessageRequest {
        "consumerGroup" => consumer_group: Text,
        /// The topic that the message lies in, which may be a retry topic.
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
        /// The receipt handle.
        "extraInfo" => extra_info: Text,
        "offset" => offset: i64,
        "bname" => broker_name: Option<Text>,
    }

    /// CHANGE_MESSAGE_INVISIBLETIME 200053.
    pub struct ChangeInvisibleTimeRequest {
        "consumerGroup" => consumer_group: Text,
        /// The topic that the message lies in, which may be a retry topic.
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
        /// The receipt handle.
        "extraInfo" => extra_info: Text,
        "offset" => offset: i64,
        /// In ms from now.
        "invisibleTime" => invisible_time: i64,
        "bname" => broker_name: Option<Text>,
    }

    /// Answer to CHANGE_MESSAGE_INVISIBLETIME.
    pub struct ChangeInvisibleTimeResponse {
        /// In ms since 1970.
        "popTime" => pop_time: i64,
        /// In ms.
        "invisibleTime" => invisible_time: i64,
        "reviveQid" => revive_qid: i32,
    }

    /// NOTIFICATION 200054.
    pub struct NotificationRequest {
        "consumerGroup" => consumer_group: Text,
        "topic" => topic: Text,
        /// -1 for any queue.
        "queueId" => queue_id: i32,
        /// How long the broker may wait for messages, in ms.
        "pollTime" => poll_time: i64,
        /// When the request was made, in ms since 1970.
        "bornTime" => born_time: i64,
        "order" => order: bool = false,
        "attemptId" => attempt_id: Option<Text>,
    }

    /// Answer to NOTIFICATION.
    pub struct NotificationResponse {
        "hasMsg" => has_msg: bool,
        "pollingFull" => polling_full: bool = false,
    }

    /// POLLING_INFO 200055.
    pub struct PollingInfoRequest {
        "consumerGroup" => consumer_group: Text,
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
    }

    /// Answer to POLLING_INFO.
    pub struct PollingInfoResponse {
        /// How many requests wait.
        "pollingNum" => polling_num: i32,
    }
}
