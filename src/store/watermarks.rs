//! Offsets, and how far the log has come.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

/// A byte position in the commit log, counted from the first byte ever written; 0 or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysicalOffset(pub i64);

/// The number of a message within its queue; 0 or more, dense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueOffset(pub i64);

impl PhysicalOffset {
    /// The position `bytes` further on.
    pub fn plus(self, bytes: usize) -> Self {
        PhysicalOffset(self.0.saturating_add_unsigned(bytes as u64))
    }

    /// How many bytes this lies behind `earlier`; 0 when it does not.
    pub fn since(self, earlier: PhysicalOffset) -> usize {
        usize::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl QueueOffset {
    /// The offset `count` messages further on.
    pub fn plus(self, count: usize) -> Self {
        QueueOffset(self.0.saturating_add_unsigned(count as u64))
    }

    /// How many messages this lies behind `earlier`; 0 when it does not.
    pub fn since(self, earlier: QueueOffset) -> usize {
        usize::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl fmt::Display for PhysicalOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for QueueOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One mark with one writer: it only rises, and a reader that sees it sees all that was written before.
#[derive(Debug, Default)]
pub struct Watermark(AtomicI64);

impl Watermark {
    /// The mark at `offset`.
    pub fn at(offset: PhysicalOffset) -> Self {
        Watermark(AtomicI64::new(offset.0))
    }

    /// Where the mark stands.
    pub fn get(&self) -> PhysicalOffset {
        PhysicalOffset(self.0.load(Ordering::Acquire))
    }

    /// Raises the mark; a lower offset changes nothing. To be called by the mark's one writer.
    pub fn advance(&self, to: PhysicalOffset) {
        if to.0 > self.0.load(Ordering::Relaxed) {
            self.0.store(to.0, Ordering::Release);
        }
    }
}

/// How far each stage of a message's road has come, as the offset of the first byte not yet reached.
/// Readers of the log see bytes below `appended`; an acknowledgement waits for the marks of its policy.
#[derive(Debug, Default)]
pub struct Watermarks {
    /// Written to the mapped log. Writer: the appender, or with write buffers who commits them.
    pub appended: Watermark,
    /// Safe on the device. Writer: the flusher.
    pub flushed: Watermark,
    /// Visible in consume queues and index. Writer: the dispatcher.
    pub dispatched: Watermark,
    /// On as many replicas as the policy asks. Writer: replication.
    pub replicated: Watermark,
}

impl Watermarks {
    /// All marks at the end that recovery found, except `replicated`, which replicas must report first.
    pub fn recovered(end: PhysicalOffset) -> Self {
        Watermarks {
            appended: Watermark::at(end),
            flushed: Watermark::at(end),
            dispatched: Watermark::at(end),
            replicated: Watermark::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_never_falls() {
        let mark = Watermark::at(PhysicalOffset(10));
        mark.advance(PhysicalOffset(4));
        assert_eq!(mark.get(), PhysicalOffset(10));
        mark.advance(PhysicalOffset(11));
        assert_eq!(mark.get(), PhysicalOffset(11));
    }

    #[test]
    fn distances_do_not_wrap() {
        assert_eq!(PhysicalOffset(3).since(PhysicalOffset(9)), 0);
        assert_eq!(PhysicalOffset(i64::MAX).plus(5), PhysicalOffset(i64::MAX));
        assert_eq!(QueueOffset(9).since(QueueOffset(3)), 6);
    }
}
