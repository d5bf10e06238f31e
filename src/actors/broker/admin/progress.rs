//! Where topics stand, and how far groups are in them (fact sheet: remoting 9.3).

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;

use super::{
    answer::{Answer, Answered, refuse},
    ask::{NO_TIME, extent, store_time},
};
use crate::{
    actors::{broker::Broker, remoting::Request, store::Refusal, supervision::Millis},
    protocol::{
        codes::ResponseCode,
        fields::Fields,
        message::MessageQueue,
        requests::{
            group::GroupTopicRequest,
            stats::{BrokerConsumeStatsRequest, ConsumeStatsRequest, ViewBrokerStatsRequest},
            topic::TopicRequest,
        },
        stats::{ConsumeStats, ConsumeStatsList, OffsetWrapper, TopicOffset, TopicStatsTable},
        topic::{RETRY_PREFIX, TopicConfig},
    },
};

/// The ids of a topic's queues, whether they are read or written.
fn queue_ids(topic: &TopicConfig) -> std::ops::Range<i32> {
    0..topic.read_queue_nums.max(topic.write_queue_nums)
}

fn queue(broker: &Broker, topic: &str, queue_id: i32) -> MessageQueue {
    MessageQueue { broker_name: broker.identity.name.clone(), queue_id, topic: topic.to_owned() }
}

/// GET_TOPIC_STATS_INFO 202.
pub(super) async fn topic(broker: Arc<Broker>, fields: Fields) -> Answered {
    let topic = TopicRequest::from_fields(&fields)?.topic;
    let Some(config) = broker.topics.get(&topic) else {
        return refuse(ResponseCode::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist"));
    };
    let mut table = TopicStatsTable::default();
    for queue_id in queue_ids(&config) {
        let (min_offset, max_offset) = extent(&broker, &topic, queue_id);
        // 0 stands for a queue that never had a message.
        let last_update_timestamp = match max_offset {
            0 => 0,
            max => store_time(&broker, &topic, queue_id, max - 1).await?,
        };
        let offset = TopicOffset { last_update_timestamp, max_offset, min_offset };
        table.offset_table.insert(queue(&broker, &topic, queue_id), offset);
    }
    table.topic_put_tps = broker.statistics.stored_per_second(&topic);
    Answer::json(&table)
}

/// GET_CONSUME_STATS 208.
pub(super) async fn group(broker: Arc<Broker>, fields: Fields) -> Answered {
    let asked = ConsumeStatsRequest::from_fields(&fields)?;
    let mut stats = ConsumeStats::default();
    for topic in topics_of(&broker, &asked) {
        if let Some(config) = broker.topics.get(&topic) {
            if is_consumed(&broker, &asked.consumer_group, &topic) {
                add(&broker, &asked.consumer_group, &config, 0..config.read_queue_nums, &mut stats).await?;
            }
        } else {
            tracing::warn!(topic, "a group has consumed a topic that is not there");
        }
    }
    Answer::json(&stats)
}

fn topics_of(broker: &Broker, asked: &ConsumeStatsRequest) -> BTreeSet<String> {
    let one = asked.topic.iter().map(|topic| topic.trim());
    let several = asked.topic_list.as_deref().unwrap_or_default().split(';').map(str::trim);
    let named = |topics: &mut dyn Iterator<Item = &str>| -> BTreeSet<String> {
        topics.filter(|topic| !topic.is_empty()).map(str::to_owned).collect()
    };
    [named(&mut one.into_iter()), named(&mut several.into_iter())]
        .into_iter()
        .find(|topics| !topics.is_empty())
        .unwrap_or_else(|| broker.groups.topics_consumed_by(&asked.consumer_group))
}

/// A topic that a live group is no longer subscribed to is history.
fn is_consumed(broker: &Broker, group: &str, topic: &str) -> bool {
    !broker.groups.is_online(group)
        || topic.starts_with(RETRY_PREFIX)
        || broker.groups.subscription(group, topic).is_some()
}

async fn add(
    broker: &Broker,
    group: &str,
    topic: &TopicConfig,
    queue_ids: std::ops::Range<i32>,
    stats: &mut ConsumeStats,
) -> Result<(), Refusal> {
    let name = &topic.topic_name;
    stats.consume_tps += broker.statistics.read_per_second(name, group);
    for queue_id in queue_ids {
        let (_, broker_offset) = extent(broker, name, queue_id);
        let consumer_offset = broker.groups.offset(group, name, queue_id).unwrap_or(-1);
        let last_timestamp =
            store_time(broker, name, queue_id, consumer_offset.saturating_sub(1)).await?.max(0);
        let offset =
            OffsetWrapper { broker_offset, consumer_offset, last_timestamp, pull_offset: consumer_offset };
        stats.offset_table.insert(queue(broker, name, queue_id), offset);
    }
    Ok(())
}

/// GET_BROKER_CONSUME_STATS 317.
pub(super) async fn all(broker: Arc<Broker>, fields: Fields) -> Answered {
    let only_order = BrokerConsumeStatsRequest::from_fields(&fields)?.order;
    let mut list =
        ConsumeStatsList { broker_addr: broker.identity.address.to_string(), ..ConsumeStatsList::default() };
    for group in broker.topics.groups() {
        let group = &group.group_name;
        let mut by_topic = Vec::new();
        for topic in broker.groups.topics_consumed_by(group) {
            let Some(config) = broker
                .topics
                .get(&topic)
                .filter(|config| (!only_order || config.order) && is_consumed(&broker, group, &topic))
            else {
                continue;
            };
            let mut stats = ConsumeStats::default();
            add(&broker, group, &config, 0..config.write_queue_nums, &mut stats).await?;
            for offset in stats.offset_table.values_mut() {
                // Unlike code 208, what was never consumed counts as consumed up to the start.
                offset.consumer_offset = offset.consumer_offset.max(0);
                offset.pull_offset = 0;
                list.total_diff += offset.broker_offset - offset.consumer_offset;
                list.total_inflight_diff += offset.pull_offset - offset.consumer_offset;
            }
            by_topic.push(stats);
        }
        list.consume_stats_list.push([(group.clone(), by_topic)].into());
    }
    Answer::json(&list)
}

/// VIEW_BROKER_STATS_DATA 315.
pub(super) fn figures(broker: &Broker, request: &Request) -> Answered {
    let asked = ViewBrokerStatsRequest::from_fields(&request.header.fields)?;
    match broker.statistics.show(&asked.stats_name, &asked.stats_key) {
        Some(figures) => Answer::json(&figures),
        None => {
            let remark = format!("The stats <{}> <{}> not exist", asked.stats_name, asked.stats_key);
            refuse(ResponseCode::SYSTEM_ERROR, remark)
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeSpanBody {
    consume_time_span_set: Vec<TimeSpan>,
}

/// Store times of a queue's messages, ms since 1970.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeSpan {
    /// Of the last one consumed.
    consume_time_stamp: Millis,
    /// How long the next one to consume has waited.
    delay_time: Millis,
    max_time_stamp: Millis,
    message_queue: MessageQueue,
    min_time_stamp: Millis,
}

/// QUERY_CONSUME_TIME_SPAN 303.
pub(super) async fn time_span(broker: Arc<Broker>, fields: Fields) -> Answered {
    let asked = GroupTopicRequest::from_fields(&fields)?;
    let topic = asked.topic.as_deref().unwrap_or_default();
    let Some(config) = broker.topics.get(topic) else {
        return refuse(ResponseCode::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist"));
    };
    let mut spans = Vec::new();
    for queue_id in 0..config.write_queue_nums {
        spans.push(span(&broker, &asked.group, topic, queue_id).await?);
    }
    Answer::json(&TimeSpanBody { consume_time_span_set: spans })
}

async fn span(broker: &Broker, group: &str, topic: &str, queue_id: i32) -> Result<TimeSpan, Refusal> {
    let (min, max) = extent(broker, topic, queue_id);
    let at = |offset| store_time(broker, topic, queue_id, offset);
    let min_time_stamp = at(min).await?;
    let consumed = broker.groups.offset(group, topic, queue_id).unwrap_or(0);
    let consume_time_stamp = if consumed > 0 { at(consumed - 1).await? } else { min_time_stamp };
    let next = at(consumed).await?;
    Ok(TimeSpan {
        consume_time_stamp,
        delay_time: if next == NO_TIME { 0 } else { broker.clock.now() - next },
        max_time_stamp: at(max - 1).await?,
        message_queue: queue(broker, topic, queue_id),
        min_time_stamp,
    })
}
