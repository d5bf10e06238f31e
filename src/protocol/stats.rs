//! Where the queues of a topic or group stand (codes 202, 208; fact sheet: remoting 9.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json;
use super::message::MessageQueue;

/// The queues of a topic (code 202).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStatsTable {
    /// Extent by queue.
    #[serde(deserialize_with = "json::queue_map")]
    pub offset_table: BTreeMap<MessageQueue, TopicOffset>,
    /// Messages stored per second.
    pub topic_put_tps: f64,
}

/// The extent of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicOffset {
    /// When the last message was stored, milliseconds since 1970.
    pub last_update_timestamp: i64,
    /// Offset of the next message.
    pub max_offset: i64,
    /// Offset of the first message.
    pub min_offset: i64,
}

/// How far a group is (code 208).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStats {
    /// Messages consumed per second.
    pub consume_tps: f64,
    /// Progress by queue.
    #[serde(deserialize_with = "json::queue_map")]
    pub offset_table: BTreeMap<MessageQueue, OffsetWrapper>,
}

/// How far a group is in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetWrapper {
    /// Offset of the next message that is stored.
    pub broker_offset: i64,
    /// Offset of the next message to consume.
    pub consumer_offset: i64,
    /// When the last consumed message was stored, milliseconds since 1970.
    pub last_timestamp: i64,
    /// Offset of the next message to pull.
    pub pull_offset: i64,
}

/// How far the groups of a broker are (code 317).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStatsList {
    /// The broker's address.
    pub broker_addr: String,
    /// One entry a group: its name, and how far it is in each of its topics.
    pub consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
    /// Messages that wait to be consumed, of all groups.
    pub total_diff: i64,
    /// Messages pulled and not consumed yet.
    pub total_inflight_diff: i64,
}

/// A figure over the last day, hour and minute (code 315).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatsData {
    /// Sampled every hour.
    pub stats_day: BrokerStatsItem,
    /// Sampled every ten minutes.
    pub stats_hour: BrokerStatsItem,
    /// Sampled every ten seconds.
    pub stats_minute: BrokerStatsItem,
}

/// A figure over one span of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct BrokerStatsItem {
    /// For one request on average.
    pub avgpt: f64,
    /// In all.
    pub sum: i64,
    /// Per second.
    pub tps: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_written_as_observed() {
        let text = br#"{"offsetTable":{{"brokerName":"b","queueId":3,"topic":"T"}:{"lastUpdateTimestamp":1,"maxOffset":3,"minOffset":0}},"topicPutTps":0.15}"#;
        let table: TopicStatsTable = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&table).unwrap(), text);
        let text = br#"{"consumeTps":0.01,"offsetTable":{{"brokerName":"b","queueId":3,"topic":"T"}:{"brokerOffset":3,"consumerOffset":2,"lastTimestamp":1,"pullOffset":2}}}"#;
        let stats: ConsumeStats = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&stats).unwrap(), text);
    }
}
