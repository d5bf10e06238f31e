//! The actor that forces the consume queues, and then the checkpoint, to the device every now and then.

use std::{sync::Arc, time::Duration};

use crate::{
    actors::supervision::{Behaviour, Cx, Readiness},
    store::{PhysicalOffset, Store},
};

crate::messages! {
    /// What the queue flusher tells itself.
    pub(super) enum QueueFlushMessage {
        /// The interval has passed.
        Interval,
    }
}

pub(super) struct QueueFlusher {
    store: Arc<Store>,
    interval: Duration,
    /// How far the queues had come at the last flush: an idle broker flushes nothing.
    last: PhysicalOffset,
}

impl QueueFlusher {
    pub(super) fn new(store: Arc<Store>, interval: Duration) -> Self {
        let last = store.watermarks().dispatched.get();
        Self { store, interval, last }
    }
}

impl Behaviour for QueueFlusher {
    type Message = QueueFlushMessage;
    const KIND: &'static str = "queue-flush";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(self.interval, QueueFlushMessage::Interval);
        Readiness::Ready
    }

    fn handle(&mut self, QueueFlushMessage::Interval: QueueFlushMessage, cx: &mut Cx<'_, Self>) {
        let dispatched = self.store.watermarks().dispatched.get();
        if dispatched > self.last {
            match self.store.flush_queues() {
                Ok(()) => self.last = dispatched,
                Err(error) => tracing::error!(%error, "the queues are not flushed: tried again"),
            }
        }
        cx.after(self.interval, QueueFlushMessage::Interval);
    }
}
