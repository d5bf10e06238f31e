//! Static topics: which broker holds which logical queue (fact sheet: remoting 9.3 code 513, store 12).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::data_version::DataVersion;

/// What a name server knows of a static topic on one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicQueueMappingInfo {
    /// Broker.
    pub bname: String,
    /// Logical queue to the broker's own queue.
    pub curr_id_map: BTreeMap<i32, i32>,
    /// Whether the table is not saved yet.
    pub dirty: bool,
    /// Time of the mapping, milliseconds since 1970.
    pub epoch: i64,
    /// Scope, `__global__` unless set otherwise.
    pub scope: String,
    /// Topic.
    pub topic: String,
    /// Logical queues of the topic over all brokers.
    pub total_queues: i32,
}

/// What a broker knows of a static topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicQueueMappingDetail {
    /// Broker.
    pub bname: String,
    /// Logical queue to the broker's own queue.
    pub curr_id_map: BTreeMap<i32, i32>,
    /// Whether the table is not saved yet.
    pub dirty: bool,
    /// Time of the mapping, milliseconds since 1970.
    pub epoch: i64,
    /// The history of each logical queue that ends on this broker.
    pub hosted_queues: BTreeMap<i32, Vec<LogicQueueMappingItem>>,
    /// Scope, `__global__` unless set otherwise.
    pub scope: String,
    /// Topic.
    pub topic: String,
    /// Logical queues of the topic over all brokers.
    pub total_queues: i32,
}

/// A stretch of a logical queue that lies in one physical queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogicQueueMappingItem {
    /// Broker.
    pub bname: String,
    /// Physical offset at which the stretch ends; -1 while it is open.
    pub end_offset: i64,
    /// Order of the stretches.
    #[serde(rename = "gen")]
    pub generation: i32,
    /// Logical offset of the first message.
    pub logic_offset: i64,
    /// Physical queue.
    pub queue_id: i32,
    /// Physical offset of the first message.
    pub start_offset: i64,
    /// When the stretch ended, milliseconds since 1970; -1 if unknown.
    pub time_of_end: i64,
    /// When the stretch began, milliseconds since 1970; -1 if unknown.
    pub time_of_start: i64,
}

impl Default for LogicQueueMappingItem {
    fn default() -> Self {
        Self {
            bname: String::new(),
            end_offset: -1,
            generation: 0,
            logic_offset: 0,
            queue_id: 0,
            start_offset: 0,
            time_of_end: -1,
            time_of_start: -1,
        }
    }
}

/// The file `topicQueueMapping.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicQueueMappingTable {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Static topics by name.
    pub topic_queue_mapping_info_map: BTreeMap<String, TopicQueueMappingDetail>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    #[test]
    fn a_detail_reads_as_sent() {
        let text = br#"{"bname":"b","currIdMap":{},"dirty":false,"epoch":9,"hostedQueues":{0:[{"bname":"b","endOffset":-1,"gen":0,"logicOffset":0,"queueId":0,"startOffset":0,"timeOfEnd":-1,"timeOfStart":-1}]},"scope":"__global__","topic":"T","totalQueues":2}"#;
        let detail: TopicQueueMappingDetail = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&detail).unwrap(), text);
    }
}
