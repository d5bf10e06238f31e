//! Asking queue actors, and answering when they have told.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::answer::{Answered, respond};
use crate::{
    actors::{
        broker::Broker,
        remoting::Request,
        store::{Refusal, queue::QueueMessage},
        supervision::Millis,
    },
    protocol::{codes::ResponseCode, fields::Fields},
    store::{PhysicalOffset, QueueOffset, consume_queue::Unit, offset_by_time::Boundary},
};

/// Where so much is in memory, the record is taken to be.
const AT_HAND: usize = 64 << 10;

/// Says of a store time that there is none.
pub(super) const NO_TIME: Millis = -1;

/// Answers a request with what becomes of `find`, given the request's fields; its connection does not wait.
pub(super) fn answer<F: Future<Output = Answered> + 'static>(
    broker: &Arc<Broker>,
    request: Request,
    find: impl FnOnce(Arc<Broker>, Fields) -> F,
) {
    let found = find(broker.clone(), request.header.fields);
    let reply = request.reply;
    actix_rt::spawn(async move { respond(reply, found.await) });
}

/// The extent of a queue: the offset of its first message and the one behind its last.
pub(super) fn extent(broker: &Broker, topic: &str, queue_id: i32) -> (i64, i64) {
    let state = broker.store.queues().get(topic, queue_id);
    state.map_or((0, 0), |state| (state.min_offset().0, state.dispatched_next().0))
}

/// The offset that belongs to a store time.
pub(super) async fn offset_by_time(
    broker: &Broker,
    topic: &str,
    queue_id: i32,
    timestamp: Millis,
    boundary: Boundary,
) -> Result<i64, Refusal> {
    if broker.store.queues().get(topic, queue_id).is_none() {
        return Ok(0);
    }
    let (reply, answer) = oneshot::channel();
    tell(broker, topic, queue_id, QueueMessage::OffsetByTime { timestamp, boundary, reply })?;
    answer.await.map(|offset| offset.0).map_err(|_| busy())
}

/// When the message at an offset was stored, or [`NO_TIME`].
pub(super) async fn store_time(
    broker: &Broker,
    topic: &str,
    queue_id: i32,
    offset: i64,
) -> Result<Millis, Refusal> {
    let (min, max) = extent(broker, topic, queue_id);
    if !(min..max).contains(&offset) {
        return Ok(NO_TIME);
    }
    let units = units(broker, topic, queue_id, QueueOffset(offset), 1).await?;
    let time = units.first().and_then(|unit| broker.store.log().store_timestamp(unit.physical_offset));
    Ok(time.unwrap_or(NO_TIME))
}

/// The record at an offset of the log, read where it may have to wait for the device.
pub(super) async fn record(broker: &Broker, offset: PhysicalOffset) -> Option<Bytes> {
    if broker.store.log().resident(offset, AT_HAND) >= AT_HAND {
        return broker.store.record_at(offset);
    }
    let store = broker.store.clone();
    let read = tokio::task::spawn_blocking(move || {
        let record = store.record_at(offset)?;
        store.log().load(offset, record.len());
        Some(record)
    });
    read.await.ok().flatten()
}

/// Units of a queue from an offset on.
pub(super) async fn units(
    broker: &Broker,
    topic: &str,
    queue_id: i32,
    from: QueueOffset,
    max: usize,
) -> Result<Vec<Unit>, Refusal> {
    let (reply, answer) = oneshot::channel();
    tell(broker, topic, queue_id, QueueMessage::Units { from, max, reply })?;
    answer.await.map_err(|_| busy())
}

fn tell(broker: &Broker, topic: &str, queue_id: i32, message: QueueMessage) -> Result<(), Refusal> {
    let queue = broker.queues.address(topic, queue_id).map_err(|error| Refusal::from(&error))?;
    queue.send(message).map_err(|_| busy())
}

fn busy() -> Refusal {
    let remark = "[CASTMQ]the queue is busy or restarting, try again".to_owned();
    Refusal { code: ResponseCode::SYSTEM_BUSY, remark }
}
