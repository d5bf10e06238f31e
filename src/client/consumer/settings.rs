//! What a consumer is told before it starts.

use std::time::{Duration, SystemTime};

use super::{Allocation, Limits};
use crate::protocol::heartbeat::{ConsumeFromWhere, MessageModel};

/// Where a group starts with a queue that it never read before.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use castmq::client::Start;
/// let an_hour_ago = Start::At(SystemTime::now() - Duration::from_secs(3600));
/// assert_eq!(Start::default(), Start::Last);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With what comes from now on; on young queues that the broker still holds in full, at their start.
    #[default]
    Last,
    /// At the first message that there is.
    First,
    /// At the first message stored at this time or later.
    At(SystemTime),
}

impl From<Start> for ConsumeFromWhere {
    fn from(start: Start) -> Self {
        match start {
            Start::Last => Self::LastOffset,
            Start::First => Self::FirstOffset,
            Start::At(_) => Self::Timestamp,
        }
    }
}

/// How messages reach the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Handed out as they come.
    Concurrent,
    /// Handed out one at a time in each queue, which is locked.
    Ordered,
    /// Taken at the application's pace; taken is consumed.
    Lite,
}

/// What a consumer does, unless told otherwise.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    pub(super) model: MessageModel,
    pub(super) start: Start,
    pub(super) allocation: Allocation,
    pub(super) limits: Limits,
    pub(super) batch: i32,
    pub(super) batch_bytes: i32,
    /// None: 16, or without end when ordered.
    pub(super) max_reconsume_times: Option<i32>,
    pub(super) suspend: Duration,
    pub(super) persist_interval: Duration,
    pub(super) rebalance_interval: Duration,
    pub(super) auto_commit: bool,
    /// How many messages may wait between the queues and the application.
    pub(super) buffer: usize,
    pub(super) offsets_file: Option<std::path::PathBuf>,
}

impl Settings {
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            mode,
            model: MessageModel::Clustering,
            start: Start::default(),
            allocation: Allocation::default(),
            limits: Limits::default(),
            batch: 32,
            batch_bytes: 256 << 10,
            max_reconsume_times: None,
            suspend: Duration::from_secs(1),
            persist_interval: Duration::from_secs(5),
            rebalance_interval: Duration::from_secs(20),
            auto_commit: true,
            buffer: 20,
            offsets_file: None,
        }
    }

    pub(super) fn is_broadcast(&self) -> bool {
        self.model == MessageModel::Broadcasting
    }

    /// Whether queues are locked before they are read.
    pub(super) fn locks(&self) -> bool {
        self.mode == Mode::Ordered && !self.is_broadcast()
    }

    pub(super) fn max_reconsume_times(&self) -> i32 {
        self.max_reconsume_times.unwrap_or(if self.mode == Mode::Ordered { i32::MAX } else { 16 })
    }
}
