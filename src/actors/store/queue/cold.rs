//! Reads that would wait for the device: they leave the thread of the queues, which serves senders too. A thread of
//! its own reads what is wanted, so that it is in memory, and the pull comes back and is served then.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{PullJob, QueueMessage, TopicQueue, pull::Run};
use crate::{
    actors::supervision::Cx,
    store::{PhysicalOffset, commit_log::CommitLog, consume_queue::Unit},
};

/// Reads from the device at once, of all queues together: more would only wait for each other.
pub(crate) const AT_ONCE: usize = 4;
/// Bytes of the log that one question after what is in memory covers.
const WINDOW: usize = 128 << 10;
/// Bytes between two records that are rather read with them.
const AT_A_TIME: usize = 128 << 10;
/// Niceness of the threads that read: whoever serves goes first.
const BEHIND: i32 = 10;
/// How often one pull is sent to the device before it is answered with what it has come to.
const MOST_LOADS: u8 = 32;

/// What a read needs first.
pub(super) enum Cold {
    /// These records, in the order of the log.
    Records(Vec<Run>),
    /// Units of the consume queue: a file, a place in it, and bytes from there on.
    Units { path: PathBuf, at: u64, len: usize },
}

impl Cold {
    /// Reads it. What cannot be read is met again, and told, when it is served.
    fn load(&self, log: &CommitLog) {
        match self {
            Self::Records(runs) => {
                // Close together they are read at once, with what lies between: other queues' consumers want that.
                let near = |one: &Run, next: &Run| next.from.since(one.from) <= AT_A_TIME;
                for part in runs.chunk_by(near) {
                    if let [first, ..] = part
                        && let [.., last] = part
                    {
                        log.load(first.from, last.from.plus(last.len).since(first.from));
                    }
                }
            }
            Self::Units { path, at, len } => {
                let _ = File::open(path).and_then(|file| file.read_at(&mut vec![0; *len], *at));
            }
        }
    }
}

/// How often a pull was at the device, and what was read there last.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    count: u8,
    /// When it was sent there first.
    since: Option<Instant>,
    /// From the first record to the end of the last: of this queue there are no others between them.
    loaded: Option<(PhysicalOffset, PhysicalOffset)>,
}

impl Loads {
    pub(super) fn is_begun(&self) -> bool {
        self.count > 0
    }

    pub(super) fn is_spent(&self) -> bool {
        self.count >= MOST_LOADS
    }

    /// How long it is since it was sent to the device first; none when it never was.
    pub(super) fn took(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }

    fn note(&mut self, cold: &Cold) {
        self.count += 1;
        self.since.get_or_insert_with(Instant::now);
        if let Cold::Records(runs) = cold
            && let (Some(first), Some(last)) = (runs.first(), runs.last())
        {
            self.loaded = Some((first.from, last.from.plus(last.len)));
        }
    }
}

/// Knows for one read which records are in memory, and asks seldom.
pub(super) struct Warmth<'a> {
    log: &'a CommitLog,
    /// Was read for this pull: were it gone again already, to wait here would be the lesser evil.
    loaded: Option<(PhysicalOffset, PhysicalOffset)>,
    asked: (PhysicalOffset, PhysicalOffset),
}

impl<'a> Warmth<'a> {
    pub(super) fn of(log: &'a CommitLog, loads: &Loads) -> Self {
        Self { log, loaded: loads.loaded, asked: (PhysicalOffset(0), PhysicalOffset(0)) }
    }

    /// Whether a record can be read without waiting.
    pub(super) fn has(&mut self, unit: &Unit, size: usize) -> bool {
        let (from, to) = (unit.physical_offset, unit.physical_offset.plus(size));
        let covers = |(first, last): (PhysicalOffset, PhysicalOffset)| first <= from && to <= last;
        if self.loaded.is_some_and(covers) || covers(self.asked) {
            return true;
        }
        self.asked = (from, from.plus(self.log.resident(from, WINDOW.max(size))));
        covers(self.asked)
    }
}

impl TopicQueue {
    /// Sends a pull to the device first.
    pub(super) fn load(&mut self, mut job: PullJob, cold: Cold, cx: &mut Cx<'_, Self>) {
        job.loads.note(&cold);
        self.loads += 1;
        let (log, places): (Arc<CommitLog>, _) = (self.log.clone(), self.places.clone());
        cx.spawn(async move {
            // Never closed; and a thread that cannot be had leaves the read to the queue.
            let _place = places.acquire().await;
            let read = move || {
                // Of the calling thread alone; without the right to, it only competes more.
                let _ = rustix::process::setpriority_process(None, BEHIND);
                cold.load(&log);
            };
            let _ = tokio::task::spawn_blocking(read).await;
            QueueMessage::Pull(job)
        });
    }
}
