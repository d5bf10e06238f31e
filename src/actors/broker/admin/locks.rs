//! Queues locked for consumption in order (fact sheet: remoting 6.3).

use std::sync::Arc;

use super::answer::{error, respond};
use crate::{
    actors::{broker::Broker, remoting::Request},
    protocol::json,
};

/// LOCK_BATCH_MQ 41.
pub(super) fn lock(broker: &Arc<Broker>, request: Request) {
    match json::from_slice(&request.body) {
        Ok(queues) => broker.groups.lock(queues, request.reply),
        Err(cause) => respond(request.reply, Err(error(cause))),
    }
}

/// UNLOCK_BATCH_MQ 42.
pub(super) fn unlock(broker: &Arc<Broker>, request: Request) {
    match json::from_slice(&request.body) {
        Ok(queues) => broker.groups.unlock(queues, request.reply),
        Err(cause) => respond(request.reply, Err(error(cause))),
    }
}
