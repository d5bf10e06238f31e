//! Topics of a broker: create, delete, ask.

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// UPDATE_AND_CREATE_TOPIC 17 and UPDATE_AND_CREATE_STATIC_TOPIC 513.
    pub struct CreateTopicRequest {
        "topic" => topic: Text,
        "defaultTopic" => default_topic: Option<Text>,
        "readQueueNums" => read_queue_nums: i32,
        "writeQueueNums" => write_queue_nums: i32,
        /// Bits 4 read, 2 write, 1 inherit.
        "perm" => perm: i32,
        /// SINGLE_TAG or MULTI_TAG.
        "topicFilterType" => topic_filter_type: Option<Text>,
        /// Bit 1 unit, 2 unit subscription.
        "topicSysFlag" => topic_sys_flag: i32 = 0,
        "order" => order: bool = false,
        /// Attribute changes, `+key=value,-key`.
        "attributes" => attributes: Option<Text>,
        /// Of static topics.
        "force" => force: bool = false,
    }

    /// Requests that name a topic and nothing else: DELETE_TOPIC_IN_BROKER 215, REGISTER_TOPIC_IN_NAMESRV
    /// 217, GET_TOPIC_STATS_INFO 202, QUERY_TOPIC_CONSUME_BY_WHO 300, GET_TOPIC_CONFIG 351.
    pub struct TopicRequest {
        "topic" => topic: Text,
    }

    /// DELETE_TOPIC_IN_NAMESRV 216.
    pub struct DeleteTopicFromNamesrvRequest {
        "topic" => topic: Text,
        /// Takes only this cluster's brokers off the topic.
        "clusterName" => cluster_name: Option<Text>,
    }

    /// GET_ALL_TOPIC_CONFIG 21.
    pub struct AllTopicConfigRequest {
        /// The first topic of the page; absent for all of them.
        "topicSeq" => topic_seq: Option<i32>,
        /// The data version that the pages before came from, JSON.
        "dataVersion" => data_version: Option<Text>,
        "maxTopicNum" => max_topic_num: Option<i32>,
    }

    /// Answer to GET_ALL_TOPIC_CONFIG.
    pub struct AllTopicConfigResponse {
        "totalTopicNum" => total_topic_num: i32,
    }

    /// CHECK_ROCKSDB_CQ_WRITE_PROGRESS 354.
    pub struct CheckRocksdbCqWriteProgressRequest {
        "topic" => topic: Text,
        /// In ms since 1970.
        "checkStoreTime" => check_store_time: i64 = 0,
    }
}
