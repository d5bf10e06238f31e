//! Messages that are delivered together: each target queue is told once.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{
    actors::store::{
        Acknowledgement, Queues, Refusal,
        queue::{Payload, QueueMessage, SendJob},
    },
    protocol::{codes::ResponseCode, record::RecordFields},
};

/// Tells each target queue what is for it, in the order of the messages.
pub(super) fn tell(queues: &Queues, messages: impl IntoIterator<Item = (RecordFields, Acknowledgement)>) {
    let mut targets: HashMap<(Bytes, i32), Vec<SendJob>> = HashMap::new();
    let mut order = Vec::new();
    for (fields, ack) in messages {
        let target = (fields.topic.clone(), fields.queue_id);
        let jobs = targets.entry(target.clone()).or_default();
        if jobs.is_empty() {
            order.push(target);
        }
        jobs.push(SendJob { payload: Payload::One(Box::new(fields)), waits: true, ack });
    }
    for target in order {
        let Some(jobs) = targets.remove(&target) else { continue };
        let (topic, queue_id) = target;
        let address = std::str::from_utf8(&topic).ok().and_then(|topic| queues.address(topic, queue_id).ok());
        match address {
            // Not taken, they say so.
            Some(queue) => drop(queue.send(QueueMessage::Send(jobs))),
            None => jobs.into_iter().for_each(|job| job.ack.refused(&no_such_queue())),
        }
    }
}

fn no_such_queue() -> Refusal {
    Refusal { code: ResponseCode::MESSAGE_ILLEGAL, remark: "no such queue".to_owned() }
}

/// Whether a message that was told is done with: stored, or never to be. `what` is said of one that is dropped.
pub(super) fn is_done<T>(outcome: &Result<T, Refusal>, what: impl std::fmt::Display) -> bool {
    match outcome {
        Ok(_) => true,
        Err(Refusal { code: ResponseCode::MESSAGE_ILLEGAL, remark }) => {
            tracing::error!(%what, remark, "cannot be stored: dropped");
            true
        }
        Err(_) => false,
    }
}
