//! What was stored and read since the process began: counters without a lock. Whoever does the work adds to
//! them, whoever wants to know reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use super::times::Times;

/// Counts work of one kind.
#[derive(Debug, Default)]
pub struct Tally {
    times: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// What a [`Tally`] has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests; of a batch, one.
    pub times: u64,
    /// Messages.
    pub messages: u64,
    /// Their bytes in the log.
    pub bytes: u64,
}

impl Tally {
    /// Counts one request.
    pub fn add(&self, messages: usize, bytes: usize) {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.messages.fetch_add(messages as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What was counted until now.
    pub fn get(&self) -> Counted {
        let [times, messages, bytes] =
            [&self.times, &self.messages, &self.bytes].map(|count| count.load(Ordering::Relaxed));
        Counted { times, messages, bytes }
    }
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.times += other.times;
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// Topic and group.
type Reader = (String, String);

/// What went into a store and out of it. What was stored in each queue its state counts.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Stored in whatever topic.
    pub stored: Tally,
    /// Stored in topics that are not the system's.
    pub stored_by_users: Tally,
    /// How long the log's writer took over them, from when a queue handed them over; the wait for the device apart.
    pub store_times: Times,
    /// How long reads took that the device had to be waited for; all others take less than a millisecond.
    pub cold_times: Times,
    /// Requests to store that failed.
    pub failed: Tally,
    /// Reads that found messages.
    pub found: Tally,
    /// Those of topics that are not the system's.
    pub found_by_users: Tally,
    /// Reads that found none.
    pub missed: Tally,
    /// Went into the timer wheel.
    pub timed: Tally,
    /// Came out of it when they were due.
    pub due: Tally,
    read: DashMap<Reader, Arc<Tally>>,
    sent_back: DashMap<Reader, Arc<Tally>>,
}

impl Traffic {
    /// What a group reads of a topic.
    pub fn read(&self, topic: &str, group: &str) -> Arc<Tally> {
        self.read.entry((topic.to_owned(), group.to_owned())).or_default().clone()
    }

    /// A group sends back a message of a topic.
    pub fn sent_back(&self, topic: &str, group: &str) {
        self.sent_back.entry((topic.to_owned(), group.to_owned())).or_default().add(1, 0);
    }

    /// What groups have read: topic, group and how much.
    pub fn all_read(&self) -> Vec<(Reader, Counted)> {
        self.read.iter().map(|one| (one.key().clone(), one.get())).collect()
    }

    /// What groups have sent back.
    pub fn all_sent_back(&self) -> Vec<(Reader, Counted)> {
        self.sent_back.iter().map(|one| (one.key().clone(), one.get())).collect()
    }

    /// Forgets a topic or a group that was deleted.
    pub fn forget(&self, is_gone: impl Fn(&str, &str) -> bool) {
        for table in [&self.read, &self.sent_back] {
            table.retain(|(topic, group), _| !is_gone(topic, group));
        }
    }
}
