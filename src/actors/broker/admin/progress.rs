//! Where topics stand, and how far groups are in them (fact sheet: remoting 9.3).

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;

use super::{
    answer::{Answer, Answered, refuse},
    ask::{NO_TIME, extent, store_time},
};
use crate::{
    actors::{broker::Broker, store::Refusal, supervision::Millis},
    protocol::{
        codes::ResponseCode,
        fields::Fields,
        message::MessageQueue,
        requests::{group::GroupTopicRequest, stats::ConsumeStatsRequest, topic::TopicRequest},
        stats::{ConsumeStats, OffsetWrapper, TopicOffset, TopicStatsTable},
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
    Answer::json(&table)
}

/// GET_CONSUME_STATS 208.
pub(super) async fn group(broker: Arc<Broker>, fields: Fields) -> Answered {
    let asked = ConsumeStatsRequest::from_fields(&fields)?;
    let mut stats = ConsumeStats::default();
    for topic in topics_of(&broker, &asked) {
        if let Some(config) = broker.topics.get(&topic) {
            if is_consumed(&broker, &asked.consumer_group, &topic) {
                add(&broker, &asked.consumer_group, &config, &mut stats).await?;
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
    stats: &mut ConsumeStats,
) -> Result<(), Refusal> {
    let name = &topic.topic_name;
    for queue_id in 0..topic.read_queue_nums {
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
