//! Topics and groups that are there without anybody's asking.

use std::collections::BTreeSet;

use crate::{
    config::BrokerConfig,
    protocol::{
        subscription::{SYSTEM_GROUPS, SubscriptionGroupConfig},
        topic::{
            self, AUTO_CREATE, BENCHMARK, OFFSET_MOVED_EVENT, Perm, ROCKSDB_TRANS_HALF,
            ROCKSDB_TRANS_OP_HALF, SCHEDULE, SELF_TEST, TIMER_WHEEL, TRANS_HALF, TRANS_OP_HALF, TopicConfig,
        },
    },
};

/// Queues of the topic of delay levels, whatever their number.
const SCHEDULE_QUEUES: usize = 18;
/// Prefix of groups that the system itself consumes with; they are made on demand, always.
const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";

/// The topics made at start (fact sheet: store 7.1).
pub(super) fn system_topics(config: &BrokerConfig) -> Vec<TopicConfig> {
    let (cluster, broker) = (&config.broker_cluster_name, &config.broker_name);
    let named = |enabled| if enabled { Perm::READ_WRITE.with(Perm::INHERIT) } else { Perm::INHERIT };
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let default_queues = i32::try_from(config.default_topic_queue_nums).unwrap_or(i32::MAX);
    let revive_queues = i32::try_from(config.revive_queue_num).unwrap_or(i32::MAX);
    let levels = number(config.message_delay_level.delays().len().max(SCHEDULE_QUEUES));
    let mut topics: Vec<_> = [
        SELF_TEST,
        OFFSET_MOVED_EVENT,
        TRANS_HALF,
        TRANS_OP_HALF,
        ROCKSDB_TRANS_HALF,
        ROCKSDB_TRANS_OP_HALF,
        TIMER_WHEEL,
    ]
    .into_iter()
    .map(|name| TopicConfig::new(name, 1, Perm::READ_WRITE))
    .collect();
    topics.extend([
        TopicConfig::new(BENCHMARK, 1024, Perm::READ_WRITE),
        TopicConfig::new(cluster, 16, named(config.cluster_topic_enable)),
        TopicConfig::new(broker, 1, named(config.broker_topic_enable)),
        TopicConfig::new(SCHEDULE, levels, Perm::READ_WRITE),
        TopicConfig::new(format!("{cluster}_REPLY_TOPIC"), 1, Perm::READ_WRITE),
        TopicConfig::new(
            format!("{}REVIVE_LOG_{cluster}", topic::SYSTEM_PREFIX),
            revive_queues,
            Perm::READ_WRITE,
        ),
        TopicConfig::new(format!("{}SYNC_BROKER_MEMBER_{broker}", topic::SYSTEM_PREFIX), 1, Perm::INHERIT),
    ]);
    if config.auto_create_topic_enable {
        let perm = Perm::READ_WRITE.with(Perm::INHERIT);
        topics.push(TopicConfig::new(AUTO_CREATE, default_queues, perm));
    }
    if config.trace_topic_enable {
        topics.push(TopicConfig::new(&config.msg_trace_topic_name, 1, Perm::READ_WRITE));
    }
    topics
}

/// Names of this broker that belong to the system beside the ones that always do.
pub(super) fn system_names(config: &BrokerConfig) -> BTreeSet<String> {
    let topics = system_topics(config).into_iter().map(|topic| topic.topic_name);
    topics.chain([config.msg_trace_topic_name.clone()]).collect()
}

/// The groups made at start (fact sheet: store 7.2).
pub(super) fn system_groups() -> impl Iterator<Item = SubscriptionGroupConfig> {
    SYSTEM_GROUPS.into_iter().map(SubscriptionGroupConfig::new)
}

/// Whether the group is one of the system's own consumers.
pub(super) fn is_system_group(group: &str) -> bool {
    group.starts_with(SYSTEM_GROUP_PREFIX)
}

/// The topic that a first message creates after the model of `default`, if that one may be a model
/// (fact sheet: remoting 5.1).
pub(super) fn after_the_model(default: &TopicConfig, topic: &str, queue_nums: i32) -> Option<TopicConfig> {
    if !default.perm.is_inherited() {
        return None;
    }
    let queues = queue_nums.min(default.write_queue_nums).max(0);
    let perm = default.perm.without(Perm::INHERIT);
    let made = TopicConfig::new(topic, queues, perm);
    Some(TopicConfig { topic_filter_type: default.topic_filter_type, ..made })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_broker_has_the_topics_that_were_observed() {
        let config = BrokerConfig {
            broker_name: "b".into(),
            broker_cluster_name: "C".into(),
            ..BrokerConfig::default()
        };
        let topics = system_topics(&config);
        let find = |name: &str| {
            let topic = topics.iter().find(|topic| topic.topic_name == name).unwrap();
            (topic.write_queue_nums, topic.read_queue_nums, topic.perm.0)
        };
        assert_eq!(topics.len(), 15);
        assert_eq!(find("TBW102"), (8, 8, 7));
        assert_eq!(find("C"), (16, 16, 7));
        assert_eq!(find("b"), (1, 1, 7));
        assert_eq!(find("SCHEDULE_TOPIC_XXXX"), (18, 18, 6));
        assert_eq!(find("BenchmarkTest"), (1024, 1024, 6));
        assert_eq!(find("rmq_sys_REVIVE_LOG_C"), (8, 8, 6));
        assert_eq!(find("rmq_sys_SYNC_BROKER_MEMBER_b"), (1, 1, 1));
        assert!(!topics.iter().any(|topic| topic.topic_name == "RMQ_SYS_TRACE_TOPIC"));
    }

    #[test]
    fn a_topic_is_made_only_after_one_that_is_inherited() {
        let model = TopicConfig::new(AUTO_CREATE, 8, Perm(7));
        let made = after_the_model(&model, "T", 4).unwrap();
        assert_eq!(made, TopicConfig::new("T", 4, Perm(6)));
        assert_eq!(after_the_model(&model, "T", 99).unwrap().write_queue_nums, 8);
        assert_eq!(after_the_model(&model, "T", -3).unwrap().write_queue_nums, 0);
        assert!(after_the_model(&TopicConfig::new("D", 8, Perm(6)), "T", 4).is_none());
    }
}
