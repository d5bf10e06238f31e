//! The actor that forces the consume queues, and then the checkpoint, to the device every now and then.

use std::{sync::Arc, time::Duration};

use crate::{
    actors::supervision::{Behaviour, Cx, Millis, Readiness},
    store::{PhysicalOffset, Store, StoreError},
};

crate::messages! {
    /// What the queue flusher tells itself.
    pub(super) enum QueueFlushMessage {
        /// The interval has passed.
        Interval,
    }
}

/// How the queues are flushed.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueFlushPolicy {
    /// `flushIntervalConsumeQueue`.
    pub(super) interval: Duration,
    /// `flushConsumeQueueLeastPages`, in bytes of one queue.
    pub(super) least: usize,
    /// `flushConsumeQueueThoroughInterval`: so often all of them, and the checkpoint.
    pub(super) thorough: Duration,
}

pub(super) struct QueueFlusher {
    store: Arc<Store>,
    policy: QueueFlushPolicy,
    /// How far the queues had come at the last flush: an idle broker flushes nothing.
    last: PhysicalOffset,
    /// The same of the last thorough flush, and when it was.
    last_thorough: (PhysicalOffset, Millis),
}

impl QueueFlusher {
    pub(super) fn new(store: Arc<Store>, policy: QueueFlushPolicy) -> Self {
        let last = store.watermarks().dispatched.get();
        Self { store, policy, last, last_thorough: (last, 0) }
    }

    fn flush(&mut self, now: Millis) -> Result<(), StoreError> {
        let dispatched = self.store.watermarks().dispatched.get();
        let (flushed, at) = self.last_thorough;
        let is_late = u128::try_from(now - at).is_ok_and(|since| since >= self.policy.thorough.as_millis());
        if dispatched > flushed && is_late {
            self.store.flush_queues()?;
            self.last_thorough = (dispatched, now);
        } else if dispatched > self.last {
            self.store.flush_queues_from(self.policy.least)?;
        }
        self.last = dispatched;
        Ok(())
    }
}

impl Behaviour for QueueFlusher {
    type Message = QueueFlushMessage;
    const KIND: &'static str = "queue-flush";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.last_thorough.1 = cx.clock().now();
        cx.after(self.policy.interval, QueueFlushMessage::Interval);
        Readiness::Ready
    }

    fn handle(&mut self, QueueFlushMessage::Interval: QueueFlushMessage, cx: &mut Cx<'_, Self>) {
        if let Err(error) = self.flush(cx.clock().now()) {
            tracing::error!(%error, "the queues are not flushed: tried again");
        }
        cx.after(self.policy.interval, QueueFlushMessage::Interval);
    }
}
