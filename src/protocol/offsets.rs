//! How far groups have consumed: files, and bodies of resets.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::data_version::DataVersion;
use super::json;
use super::message::MessageQueue;

/// Stands between topic and group in the key of an offset table.
const TOPIC_GROUP_SEPARATOR: char = '@';

/// The key of a topic and group in [`ConsumerOffsets::offset_table`].
pub fn offset_key(topic: &str, group: &str) -> String {
    format!("{topic}{TOPIC_GROUP_SEPARATOR}{group}")
}

/// Topic and group of a key.
pub fn split_offset_key(key: &str) -> Option<(&str, &str)> {
    key.split_once(TOPIC_GROUP_SEPARATOR)
}

/// The files `consumerOffset.json` and `lmqConsumerOffset.json` (fact sheet: store 7), answer to code 43.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerOffsets {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Topics by group.
    pub group_topic_map: BTreeMap<String, BTreeSet<String>>,
    /// Offsets in light queues by `topic@group`; only with light queues enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lmq_offset_table: Option<BTreeMap<String, i64>>,
    /// Next offset by `topic@group` and queue.
    pub offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
}

/// The file `delayOffset.json`, answer to code 45.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct DelayOffsets {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Next offset by delay level, from 1.
    pub offset_table: BTreeMap<i32, i64>,
    /// Deliveries that the table does not tell of yet lie in the log from here on. RocketMQ passes it over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_from: Option<i64>,
}

/// Offsets by queue: the answer to code 222, the body of codes 220 and 221.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsetBody {
    /// Offset to go on with.
    #[serde(deserialize_with = "json::queue_map")]
    pub offset_table: BTreeMap<MessageQueue, i64>,
}

/// The body of code 220 for clients in C++.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsetBodyForC {
    /// Queues and where to go on.
    pub offset_table: Vec<QueueOffset>,
}

/// A queue and where to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueOffset {
    /// Broker.
    pub broker_name: String,
    /// Offset.
    pub offset: i64,
    /// Queue.
    pub queue_id: i32,
    /// Topic.
    pub topic: String,
}

/// What consumers say of their offsets (codes 221, 223).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStatusBody {
    /// Offsets by client and queue.
    pub consumer_table: BTreeMap<String, QueueOffsets>,
    /// Offsets of the one client that was asked.
    #[serde(deserialize_with = "json::queue_map")]
    pub message_queue_table: BTreeMap<MessageQueue, i64>,
}

/// Offsets by queue, within another table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct QueueOffsets(#[serde(deserialize_with = "json::queue_map")] pub BTreeMap<MessageQueue, i64>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_written_as_observed() {
        let text = br#"{"offsetTable":{{"brokerName":"b","queueId":3,"topic":"t"}:3}}"#;
        let body: ResetOffsetBody = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&body).unwrap(), text);
        let text = br#"{"consumerTable":{"c":{{"brokerName":"b","queueId":0,"topic":"t"}:1}},"messageQueueTable":{}}"#;
        let body: ConsumerStatusBody = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&body).unwrap(), text);
        let text = br#"{"dataVersion":{"counter":0,"stateVersion":0,"timestamp":0},"offsetTable":{1:6}}"#;
        let body: DelayOffsets = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&body).unwrap(), text);
    }

    #[test]
    fn the_file_is_standard_json_and_old_files_read() {
        let text = br#"{
	"dataVersion":{"counter":2,"stateVersion":0,"timestamp":5},
	"groupTopicMap":{"g":["T"]},
	"offsetTable":{"T@g":{0:7,1:9}}
}"#;
        let offsets: ConsumerOffsets = json::from_slice(text).unwrap();
        assert_eq!(offsets.offset_table[&offset_key("T", "g")], BTreeMap::from([(0, 7), (1, 9)]));
        let file = json::to_config(&offsets).unwrap();
        assert_eq!(serde_json::from_slice::<ConsumerOffsets>(&file).unwrap(), offsets);
    }

    #[test]
    fn keys_split_as_they_were_made() {
        assert_eq!(split_offset_key(&offset_key("T", "g")), Some(("T", "g")));
        assert_eq!(split_offset_key("T"), None);
    }
}
