//! Offsets and messages of queues (fact sheet: remoting 6.2, 6.4).

use std::sync::Arc;

use super::{
    answer::{Answer, Answered, refuse},
    ask::{extent, offset_by_time as by_time, store_time},
};
use crate::{
    actors::{broker::Broker, remoting::Request},
    protocol::{
        codes::ResponseCode,
        fields::Fields,
        requests::{
            message::ViewMessageRequest,
            offset::{
                BoundaryType, EarliestStoreTimeRequest, EarliestStoreTimeResponse, MaxOffsetRequest,
                MinOffsetRequest, OffsetResponse, SearchOffsetRequest,
            },
        },
    },
    store::{PhysicalOffset, offset_by_time::Boundary},
};

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

/// VIEW_MESSAGE_BY_ID 33: the message at an offset of the log.
pub(super) fn message(broker: &Broker, request: &Request) -> Answered {
    let offset = ViewMessageRequest::from_fields(&request.header.fields)?.offset;
    match broker.store.record_at(PhysicalOffset(offset)) {
        Some(record) => Ok(Answer::ok().body(record)),
        None => {
            let remark = format!("can not find message by the offset, {offset}");
            refuse(ResponseCode::SYSTEM_ERROR, remark)
        }
    }
}
