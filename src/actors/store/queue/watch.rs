//! Parts of the broker that follow a queue: they are told of its units as soon as there are any.

use tokio::sync::oneshot;

use super::TopicQueue;
use crate::store::{QueueOffset, consume_queue::Unit};

/// Somebody who waits for units. Dropped unanswered, as when the queue's actor crashes, it is to ask again.
pub(crate) struct Watch {
    /// The first unit wanted.
    pub(crate) from: QueueOffset,
    /// Units wanted at most.
    pub(crate) max: usize,
    /// Who waits.
    pub(crate) reply: oneshot::Sender<Found>,
}

/// Units of a queue.
#[derive(Debug)]
pub(crate) struct Found {
    /// The offset of the first: the one that was asked for, or a later one when that is deleted.
    pub(crate) at: QueueOffset,
    /// At least one.
    pub(crate) units: Vec<Unit>,
}

impl TopicQueue {
    pub(super) fn watch(&mut self, watch: Watch) {
        self.watches.push(watch);
        self.serve_watches();
    }

    /// Tells those whose units are there.
    pub(super) fn serve_watches(&mut self) {
        for Watch { from, max, reply } in std::mem::take(&mut self.watches) {
            let at = from.max(self.queue.min_offset());
            let units = self.units(at, max);
            if !units.is_empty() {
                // Whoever asked may have ended since.
                let _ = reply.send(Found { at, units });
            } else if !reply.is_closed() {
                self.watches.push(Watch { from, max, reply });
            }
        }
    }
}
