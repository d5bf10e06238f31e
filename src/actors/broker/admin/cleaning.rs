//! What operators have deleted before its time.

use std::sync::Arc;

use crate::actors::{broker::Broker, remoting::Request};

/// DELETE_EXPIRED_COMMITLOG 329: at once, not only in the hour for it. Answered when the cleaner knows.
pub(super) fn delete_expired_log(broker: &Arc<Broker>, request: Request) {
    broker.stored.cleaner.delete_expired_log();
    request.reply.ok();
}

/// CLEAN_EXPIRED_CONSUMEQUEUE 306 and CLEAN_UNUSED_TOPIC 316: the queues of topics that are no more. Answered when they are gone.
pub(super) fn remove_expired_queues(broker: &Arc<Broker>, request: Request) {
    let topics = broker.topics.clone();
    let is_known = move |topic: &str| topics.get(topic).is_some();
    broker.stored.cleaner.remove_expired_queues(is_known, move |_removed| request.reply.ok());
}
