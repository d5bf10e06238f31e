//! What a broker tells of its traffic.

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// GET_CONSUME_STATS 208.
    pub struct ConsumeStatsRequest {
        "consumerGroup" => consumer_group: Text,
        /// Absent or blank for all topics of the group.
        "topic" => topic: Option<Text>,
        /// Several topics, separated by semicolons.
        "topicList" => topic_list: Option<Text>,
    }

    /// GET_BROKER_CONSUME_STATS 317.
    pub struct BrokerConsumeStatsRequest {
        /// Only groups that consume in order.
        "isOrder" => order: bool = false,
    }

    /// VIEW_BROKER_STATS_DATA 315.
    pub struct ViewBrokerStatsRequest {
        /// The kind of figure, as TOPIC_PUT_NUMS.
        "statsName" => stats_name: Text,
        /// What it is counted for, as `topic` or `topic@group`.
        "statsKey" => stats_key: Text,
    }
}
