//! The actor that forces the log to the device, on a thread of its own: each sync serves all who wait.

use std::{sync::Arc, time::Duration};

use super::{
    ack::{Acknowledgement, Placed, Refusal},
    signal::Signal,
};
use crate::{
    actors::supervision::{Behaviour, Cx, Millis, Readiness},
    protocol::codes::ResponseCode,
    store::{PhysicalOffset, Store},
};

crate::messages! {
    /// What the flusher is told.
    pub(super) enum FlushMessage {
        /// These wait for the device.
        Await(Vec<Waiting>),
        /// The interval of asynchronous flushing has passed.
        Interval,
    }
}

/// A stored message whose acknowledgement waits.
pub(super) struct Waiting {
    /// It is safe when the log is flushed up to here.
    pub(super) end: PhysicalOffset,
    pub(super) placed: Placed,
    pub(super) ack: Acknowledgement,
}

/// How the log is flushed when nobody waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlushPolicy {
    /// `flushIntervalCommitLog`.
    pub(super) interval: Duration,
    /// `flushCommitLogLeastPages`, in bytes.
    pub(super) least: usize,
    /// `flushCommitLogThoroughInterval`: after this, any number of bytes.
    pub(super) thorough: Duration,
}

pub(super) struct Flusher {
    pub(super) store: Arc<Store>,
    pub(super) policy: FlushPolicy,
    /// Raised after each flush, for those who may read only what is flushed.
    pub(super) flushed: Option<Signal>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) last: Millis,
}

impl Flusher {
    fn flush(&mut self) -> Result<PhysicalOffset, Refusal> {
        let store = &self.store;
        let flushed = store.flush_log(store.log().max_offset()).map_err(|error| {
            tracing::error!(%error, "the log is not flushed any more: no send will be acknowledged");
            Refusal { code: ResponseCode::SERVICE_NOT_AVAILABLE, remark: error.to_string() }
        });
        if let Some(signal) = &self.flushed {
            signal.raise();
        }
        flushed
    }

    fn flush_if_due(&mut self, now: Millis) {
        let marks = self.store.watermarks();
        let dirty = marks.appended.get().since(marks.flushed.get());
        let thorough = now - self.last >= i64::try_from(self.policy.thorough.as_millis()).unwrap_or(i64::MAX);
        if dirty > 0 && (dirty >= self.policy.least || thorough) {
            self.last = now;
            // A failure poisons the log, which its writer and its watchers see.
            let _ = self.flush();
        }
    }
}

impl Behaviour for Flusher {
    type Message = FlushMessage;
    const KIND: &'static str = "flush";
    const DRAINS: bool = true;

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(self.policy.interval, FlushMessage::Interval);
        Readiness::Ready
    }

    fn handle(&mut self, message: FlushMessage, cx: &mut Cx<'_, Self>) {
        match message {
            FlushMessage::Await(waiting) => self.waiting.extend(waiting),
            FlushMessage::Interval => {
                self.flush_if_due(cx.clock().now());
                cx.after(self.policy.interval, FlushMessage::Interval);
            }
        }
    }

    fn drained(&mut self, _cx: &mut Cx<'_, Self>) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        match self.flush() {
            Ok(flushed) => {
                for Waiting { end, placed, ack } in waiting {
                    // The log only grows while it is flushed, so all who waited are below.
                    let code =
                        if end <= flushed { ResponseCode::SUCCESS } else { ResponseCode::FLUSH_DISK_TIMEOUT };
                    ack.settled(code, placed);
                }
            }
            Err(refusal) => waiting.into_iter().for_each(|waiting| waiting.ack.refused(&refusal)),
        }
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        let _ = self.flush();
        Readiness::Ready
    }

    fn observe(&self) -> String {
        format!("flushed {}", self.store.watermarks().flushed.get())
    }
}
