//! Looking up single messages (fact sheet: remoting 6.4) and handing them back.

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// QUERY_MESSAGE 12.
    pub struct QueryMessageRequest {
        "topic" => topic: Text,
        "key" => key: Text,
        "maxNum" => max_num: i32,
        /// Store time in ms since 1970.
        "beginTimestamp" => begin_timestamp: i64,
        /// Store time in ms since 1970.
        "endTimestamp" => end_timestamp: i64,
        /// "K" key, "U" unique key, "T" tag.
        "indexType" => index_type: Option<Text>,
        "lastKey" => last_key: Option<Text>,
        /// Whether `key` is a UNIQ_KEY; the number of messages is then the broker's default.
        "_UNIQUE_KEY_QUERY" => unique_key_query: Option<bool>,
    }

    /// Answer to QUERY_MESSAGE.
    pub struct QueryMessageResponse {
        /// In ms since 1970.
        "indexLastUpdateTimestamp" => index_last_update_timestamp: i64,
        "indexLastUpdatePhyoffset" => index_last_update_phyoffset: i64,
    }

    /// VIEW_MESSAGE_BY_ID 33.
    pub struct ViewMessageRequest {
        "topic" => topic: Option<Text>,
        /// The offset in the commit log.
        "offset" => offset: i64,
    }

    /// QUERY_CONSUME_QUEUE 321.
    pub struct QueryConsumeQueueRequest {
        "topic" => topic: Option<Text>,
        "queueId" => queue_id: i32 = 0,
        /// The first offset of the queue to show.
        "index" => index: i64 = 0,
        "count" => count: i32 = 0,
        "consumerGroup" => consumer_group: Option<Text>,
    }

    /// CONSUMER_SEND_MSG_BACK 36.
    pub struct SendBackRequest {
        /// The message's offset in the commit log.
        "offset" => offset: i64,
        "group" => group: Text,
        /// Below zero: dead letter; 0: by the number of tries.
        "delayLevel" => delay_level: i32,
        "originMsgId" => origin_msg_id: Option<Text>,
        "originTopic" => origin_topic: Option<Text>,
        "unitMode" => unit_mode: bool = false,
        "maxReconsumeTimes" => max_reconsume_times: Option<i32>,
    }
}
