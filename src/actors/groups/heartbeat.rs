//! The answer to a heartbeat, which waits for every group that the heartbeat names.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{actors::remoting::Responder, protocol::requests::client::HeartbeatResponse};

/// The answer, sent when the last [`Part`] is gone: whoever reads it can pull at once.
#[derive(Debug)]
pub(super) struct Answer {
    reply: Option<Responder>,
    /// Version 1 always says that the subscriptions changed.
    is_v1: bool,
    differs: AtomicBool,
    failed: AtomicBool,
}

/// One group's part of the answer. Dropped before it is done (its actor died, or has no room), the answer
/// becomes one on which the client tries again.
#[derive(Debug)]
pub(super) struct Part(Option<Arc<Answer>>);

impl Answer {
    pub(super) fn new(reply: Responder, is_v1: bool) -> Arc<Self> {
        Arc::new(Self {
            reply: Some(reply),
            is_v1,
            differs: AtomicBool::new(is_v1),
            failed: AtomicBool::new(false),
        })
    }

    pub(super) fn part(self: &Arc<Self>) -> Part {
        Part(Some(self.clone()))
    }
}

impl Part {
    /// The group has noted the heartbeat, whose subscriptions differ from those it knew, or do not.
    pub(super) fn done(mut self, differs: bool) {
        if let Some(answer) = self.0.take() {
            answer.differs.fetch_or(differs, Ordering::Relaxed);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer.failed.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Dropped with the answer, the responder says by itself that the client is to try again.
        if let Some(reply) = self.reply.take_if(|_| !*self.failed.get_mut()) {
            let subscription_changed = self.is_v1 || *self.differs.get_mut();
            reply.fields(HeartbeatResponse { supports_v2: true, subscription_changed });
        }
    }
}
