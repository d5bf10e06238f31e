//! Offsets and messages of queues (fact sheet: remoting 6.2, 6.4).

use std::sync::Arc;

use serde::Serialize;

use super::{
    answer::{Answer, Answered, refuse},
    ask::{extent, offset_by_time as by_time, record, store_time, units as units_from},
};
use crate::{
    actors::{broker::Broker, remoting::Request},
    protocol::{
        codes::ResponseCode,
        fields::Fields,
        requests::{
            message::{QueryConsumeQueueRequest, ViewMessageRequest},
            offset::{
                BoundaryType, EarliestStoreTimeRequest, EarliestStoreTimeResponse, MaxOffsetRequest,
                MinOffsetRequest, OffsetResponse, SearchOffsetRequest,
            },
        },
        subscription::SubscriptionData,
    },
    store::{PhysicalOffset, QueueOffset, offset_by_time::Boundary},
};

/// Units in one answer at most.
const MOST_UNITS: usize = 10_000;

/// GET_MAX_OFFSET 30.
pub(super) fn max_offset(broker: &Broker, request: &Request) -> Answered {
    let asked = MaxOffsetRequest::from_fields(&request.header.fields)?;
    let state = broker.store.queues().get(&asked.topic, asked.queue_id);
    let offset = state
        .map_or(0, |state| if asked.committed { state.dispatched_next().0 } else { state.next_offset().0 });
    Ok(Answer::fields(OffsetResponse { offset }))
}

/// GET_MIN_OFFSET 31.
pub(super) fn min_offset(broker: &Broker, request: &Request) -> Answered {
    let asked = MinOffsetRequest::from_fields(&request.header.fields)?;
    let (offset, _) = extent(broker, &asked.topic, asked.queue_id);
    Ok(Answer::fields(OffsetResponse { offset }).remark(""))
}

/// SEARCH_OFFSET_BY_TIMESTAMP 29.
pub(super) async fn offset_by_time(broker: Arc<Broker>, fields: Fields) -> Answered {
    let asked = SearchOffsetRequest::from_fields(&fields)?;
    let boundary = match asked.boundary_type {
        BoundaryType::Lower => Boundary::Lower,
        BoundaryType::Upper => Boundary::Upper,
    };
    let offset = by_time(&broker, &asked.topic, asked.queue_id, asked.timestamp, boundary).await?;
    Ok(Answer::fields(OffsetResponse { offset }))
}

/// GET_EARLIEST_MSG_STORETIME 32.
pub(super) async fn earliest(broker: Arc<Broker>, fields: Fields) -> Answered {
    let asked = EarliestStoreTimeRequest::from_fields(&fields)?;
    let (min, _) = extent(&broker, &asked.topic, asked.queue_id);
    let timestamp = store_time(&broker, &asked.topic, asked.queue_id, min).await?;
    Ok(Answer::fields(EarliestStoreTimeResponse { timestamp }))
}

/// Answer to QUERY_CONSUME_QUEUE.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UnitsBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_data: Option<String>,
    max_queue_index: i64,
    min_queue_index: i64,
    queue_data: Vec<UnitBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_data: Option<&'a SubscriptionData>,
}

/// A unit. What RocketMQ says of extended units is left out: nobody writes them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UnitBody {
    eval: bool,
    physic_offset: i64,
    physic_size: i32,
    tags_code: i64,
}

/// QUERY_CONSUME_QUEUE 321: units of a queue, and what a group wants of them.
pub(super) async fn units(broker: Arc<Broker>, fields: Fields) -> Answered {
    let asked = QueryConsumeQueueRequest::from_fields(&fields)?;
    let topic = asked.topic.as_deref().unwrap_or_default();
    let (queue_id, index) = (asked.queue_id, asked.index);
    if broker.store.queues().get(topic, queue_id).is_none() {
        return refuse(ResponseCode::SYSTEM_ERROR, format!("{queue_id}@{topic} is not exist!"));
    }
    let group = asked.consumer_group.as_deref();
    let subscription = group.and_then(|group| broker.groups.subscription(group, topic));
    let filter_data = group.map(|group| match &subscription {
        None => format!("{group}@{topic} is not online!"),
        Some(_) => broker.groups.filter_text(group, topic),
    });
    let most = usize::try_from(asked.count).unwrap_or(0).min(MOST_UNITS);
    let found = units_from(&broker, topic, queue_id, QueueOffset(index.max(0)), most).await?;
    let (min_queue_index, max_queue_index) = extent(&broker, topic, queue_id);
    Answer::json(&UnitsBody {
        filter_data,
        max_queue_index,
        min_queue_index,
        queue_data: found
            .iter()
            .map(|unit| UnitBody {
                eval: false,
                physic_offset: unit.physical_offset.0,
                physic_size: unit.size,
                tags_code: unit.tags_code,
            })
            .collect(),
        subscription_data: subscription.as_deref(),
    })
}

/// VIEW_MESSAGE_BY_ID 33: the message at an offset of the log.
pub(super) async fn message(broker: Arc<Broker>, fields: Fields) -> Answered {
    let offset = ViewMessageRequest::from_fields(&fields)?.offset;
    match record(&broker, PhysicalOffset(offset)).await {
        Some(record) => Ok(Answer::ok().body(record)),
        None => {
            let remark = format!("can not find message by the offset, {offset}");
            refuse(ResponseCode::SYSTEM_ERROR, remark)
        }
    }
}
