//! The actor that forces the log to the device, on a thread of its own: each sync serves all who wait.

use std::{sync::Arc, time::Duration};

use super::signal::Signal;
use crate::{
    actors::supervision::{Behaviour, Cx, Millis, Readiness},
    store::Store,
};

crate::messages! {
    /// What the flusher is told.
    pub(super) enum FlushMessage {
        /// With synchronous flush: something was appended.
        Appended,
        /// The interval has passed.
        Interval,
    }
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

impl FlushPolicy {
    /// Whether so many bytes are to be flushed, so long after the last flush.
    fn is_due(&self, dirty: usize, since_last: Millis) -> bool {
        let is_late = u128::try_from(since_last).is_ok_and(|since| since >= self.thorough.as_millis());
        dirty > 0 && (dirty >= self.least || is_late)
    }
}

/// Who hears of flushes when they are synchronous.
pub(super) struct SyncFlush {
    /// Raised by the writer.
    pub(super) appended: Signal,
    /// Raised after each flush: for those who wait, and those who may read only what is flushed.
    pub(super) flushed: [Signal; 2],
}

pub(super) struct Flusher {
    pub(super) store: Arc<Store>,
    pub(super) policy: FlushPolicy,
    pub(super) sync: Option<SyncFlush>,
    pub(super) last: Millis,
}

impl Flusher {
    /// A failure poisons the log, which its writer and those who wait see.
    fn flush(&mut self) {
        let was_poisoned = self.store.log().poisoned().is_some();
        if let Err(error) = self.store.flush_log(self.store.log().max_offset())
            && !was_poisoned
        {
            tracing::error!(%error, "the log is not flushed any more: no send will be acknowledged");
        }
        for signal in self.sync.iter().flat_map(|sync| &sync.flushed) {
            signal.raise();
        }
    }

    fn flush_if_due(&mut self, now: Millis) {
        let marks = self.store.watermarks();
        let dirty = marks.appended.get().since(marks.flushed.get());
        if self.policy.is_due(dirty, now - self.last) {
            self.last = now;
            self.flush();
        }
    }
}

impl Behaviour for Flusher {
    type Message = FlushMessage;
    const KIND: &'static str = "flush";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        if let Some(sync) = &self.sync {
            // The word may have been lost with the behaviour before.
            sync.appended.lower();
            self.flush();
        }
        cx.after(self.policy.interval, FlushMessage::Interval);
        Readiness::Ready
    }

    fn handle(&mut self, message: FlushMessage, cx: &mut Cx<'_, Self>) {
        match message {
            FlushMessage::Appended => {
                if let Some(sync) = &self.sync {
                    sync.appended.lower();
                }
                self.flush();
            }
            FlushMessage::Interval => {
                self.flush_if_due(cx.clock().now());
                cx.after(self.policy.interval, FlushMessage::Interval);
            }
        }
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.flush();
        Readiness::Ready
    }

    fn observe(&self) -> String {
        format!("flushed {}", self.store.watermarks().flushed.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_wait_for_the_thorough_flush() {
        let policy = FlushPolicy {
            interval: Duration::from_millis(500),
            least: 4 * 4096,
            thorough: Duration::from_secs(10),
        };
        assert!(!policy.is_due(0, 60_000), "nothing is new");
        assert!(!policy.is_due(4 * 4096 - 1, 9_999));
        assert!(policy.is_due(4 * 4096, 0));
        assert!(policy.is_due(1, 10_000));
        assert!(!policy.is_due(1, -5), "the clock was set back");
        assert!(FlushPolicy { least: 0, ..policy }.is_due(1, 0));
    }
}
