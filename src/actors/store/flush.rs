//! The actor that forces the log to the device, on a thread of its own: each sync serves all who wait. With write
//! buffers it is also who commits them.

use std::{sync::Arc, time::Duration};

use super::signal::Signal;
use crate::{
    actors::supervision::{Behaviour, Cx, Millis, Readiness},
    store::{PhysicalOffset, Store, StoreError},
};

crate::messages! {
    /// What the flusher is told.
    pub(super) enum FlushMessage {
        /// With synchronous flush, or write buffers: something was appended.
        Appended,
        /// The interval of this step has passed.
        Interval(Step),
    }
}

/// What is done at intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Commit,
    Flush,
}

/// How the log is flushed, or committed, when nobody waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlushPolicy {
    /// `flushIntervalCommitLog`, `commitIntervalCommitLog`.
    pub(super) interval: Duration,
    /// `flushCommitLogLeastPages`, `commitCommitLogLeastPages`, in bytes.
    pub(super) least: usize,
    /// `flushCommitLogThoroughInterval`, `commitCommitLogThoroughInterval`: after this, any number of bytes.
    pub(super) thorough: Duration,
}

impl FlushPolicy {
    /// Whether so many bytes are due, so long after the last time; a clock that was set back tells nothing.
    fn is_due(&self, dirty: usize, since_last: Millis) -> bool {
        let is_late = u128::try_from(since_last).map_or(true, |since| since >= self.thorough.as_millis());
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

/// How write buffers are committed.
pub(super) struct Commit {
    pub(super) policy: FlushPolicy,
    /// Raised by the writer.
    pub(super) appended: Signal,
    /// Raised when more is committed, for those who may read only that.
    pub(super) committed: Signal,
    pub(super) last: Millis,
    /// The last one failed: the next is tried when the interval has passed.
    pub(super) failed: bool,
}

pub(super) struct Flusher {
    pub(super) store: Arc<Store>,
    pub(super) policy: FlushPolicy,
    pub(super) sync: Option<SyncFlush>,
    pub(super) commit: Option<Commit>,
    pub(super) last: Millis,
}

impl Flusher {
    /// A failure poisons the log, which its writer and those who wait see; or the device is full for now.
    fn note(&self, outcome: Result<PhysicalOffset, StoreError>) {
        match outcome {
            Err(StoreError::Poisoned { .. }) | Ok(_) => {}
            Err(error) if error.is_disk_full() => {
                tracing::warn!(%error, "messages wait in memory: no more are taken");
            }
            Err(error) => {
                tracing::error!(%error, "the log is not flushed any more: no send will be acknowledged");
            }
        }
    }

    fn flush(&mut self) {
        self.note(self.store.flush_log(self.store.log().written()));
        for signal in self.sync.iter().flat_map(|sync| &sync.flushed) {
            signal.raise();
        }
    }

    fn commit_if_due(&mut self, now: Millis) {
        let Some(commit) = &mut self.commit else { return };
        let (log, marks) = (self.store.log(), self.store.watermarks());
        let waiting = log.written().since(log.max_offset());
        let is_due = commit.failed || commit.policy.is_due(waiting, now - commit.last);
        let outcome = is_due.then(|| log.commit());
        // Who asks for a message by its offset commits too, and so does the writer when it lacks a buffer.
        if marks.dispatched.get() < marks.appended.get() {
            commit.committed.raise();
        }
        if let Some(outcome) = outcome {
            commit.last = now;
            commit.failed = outcome.is_err();
            self.note(outcome);
        }
    }

    fn flush_if_due(&mut self, now: Millis) {
        let log = self.store.log();
        let dirty = log.written().since(log.watermarks().flushed.get());
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
        if let Some(commit) = &mut self.commit {
            commit.appended.lower();
            commit.last = cx.clock().now();
            cx.after(commit.policy.interval, FlushMessage::Interval(Step::Commit));
        }
        cx.after(self.policy.interval, FlushMessage::Interval(Step::Flush));
        Readiness::Ready
    }

    fn handle(&mut self, message: FlushMessage, cx: &mut Cx<'_, Self>) {
        match message {
            FlushMessage::Appended => {
                if let Some(sync) = &self.sync {
                    sync.appended.lower();
                    self.flush();
                }
                if let Some(commit) = &self.commit {
                    commit.appended.lower();
                    if !commit.failed {
                        self.commit_if_due(cx.clock().now());
                    }
                }
            }
            FlushMessage::Interval(Step::Commit) => {
                self.commit_if_due(cx.clock().now());
                if let Some(commit) = &self.commit {
                    cx.after(commit.policy.interval, FlushMessage::Interval(Step::Commit));
                }
            }
            FlushMessage::Interval(Step::Flush) => {
                self.flush_if_due(cx.clock().now());
                cx.after(self.policy.interval, FlushMessage::Interval(Step::Flush));
            }
        }
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.flush();
        Readiness::Ready
    }

    fn observe(&self) -> String {
        let marks = self.store.watermarks();
        match &self.commit {
            Some(_) => format!("committed {}, flushed {}", marks.appended.get(), marks.flushed.get()),
            None => format!("flushed {}", marks.flushed.get()),
        }
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
        assert!(policy.is_due(1, -5), "the clock was set back: who knows how long ago that was");
        assert!(FlushPolicy { least: 0, ..policy }.is_due(1, 0));
    }
}
