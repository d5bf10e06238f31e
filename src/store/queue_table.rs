//! What is known of each topic queue while no actor is there to know it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use dashmap::DashMap;

use super::lease::Seats;
use super::tally::{Counted, Tally};
use super::watermarks::QueueOffset;
use crate::protocol::topic::is_system_topic;

/// Nothing of the queue waits for a sync.
const CLEAN: i64 = i64::MAX;

/// The numbers of one queue that outlive its owner.
#[derive(Debug)]
pub struct QueueState {
    next: AtomicI64,
    dispatched: AtomicI64,
    min: AtomicI64,
    /// The lowest offset of the consume queue that may not be on the device yet.
    dirty_from: AtomicI64,
    /// Its directory is new, and perhaps not yet on the device.
    new_dir: AtomicBool,
    is_system: bool,
    is_closed: AtomicBool,
    stored: Tally,
    pub(super) owner: Seats,
    /// For queues that keep a file open.
    pub(super) descriptors: Seats,
}

impl Default for QueueState {
    fn default() -> Self {
        QueueState {
            next: AtomicI64::new(0),
            dispatched: AtomicI64::new(0),
            min: AtomicI64::new(0),
            dirty_from: AtomicI64::new(CLEAN),
            new_dir: AtomicBool::new(false),
            is_system: false,
            is_closed: AtomicBool::new(false),
            stored: Tally::default(),
            owner: Seats::default(),
            descriptors: Seats::default(),
        }
    }
}

impl QueueState {
    fn of(topic: &str, descriptors: Seats) -> Arc<Self> {
        Arc::new(QueueState { is_system: is_system_topic(topic), descriptors, ..QueueState::default() })
    }

    /// Whether its topic is one of the system's.
    pub fn is_system(&self) -> bool {
        self.is_system
    }

    /// Lets it take messages, or not: its topic is being deleted.
    pub fn set_closed(&self, is_closed: bool) {
        self.is_closed.store(is_closed, Ordering::Release);
    }

    /// Whether it takes no messages.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// What was stored in it since the process began. Writer: who appends to the log.
    pub fn stored(&self) -> &Tally {
        &self.stored
    }

    /// The offset that the next message appended to the log gets. Writer: who appends to the log.
    pub fn next_offset(&self) -> QueueOffset {
        QueueOffset(self.next.load(Ordering::Acquire))
    }

    /// Sets the offset of the next message: only after the one before has been appended.
    pub fn set_next_offset(&self, next: QueueOffset) {
        self.next.store(next.0, Ordering::Release);
    }

    /// The end of the consume queue: messages below are visible. Writer: its owner.
    pub fn dispatched_next(&self) -> QueueOffset {
        QueueOffset(self.dispatched.load(Ordering::Acquire))
    }

    /// The oldest message that the log still has. Writer: the consume queue's owner.
    pub fn min_offset(&self) -> QueueOffset {
        QueueOffset(self.min.load(Ordering::Acquire))
    }

    pub(super) fn publish(&self, min: QueueOffset, end: QueueOffset) {
        self.min.store(min.0, Ordering::Release);
        self.dispatched.store(end.0, Ordering::Release);
    }

    /// Notes that units from `from` on were written; called after the write, so that a flush which takes
    /// the note away comes after it too.
    pub(super) fn mark_dirty(&self, from: QueueOffset) {
        self.dirty_from.fetch_min(from.0, Ordering::AcqRel);
    }

    pub(super) fn mark_new_dir(&self) {
        self.new_dir.store(true, Ordering::Release);
    }

    /// Notes that units from `from` on, and the directory, may have been written by a process before.
    pub(super) fn mark_unsynced(&self, from: QueueOffset) {
        self.mark_new_dir();
        self.mark_dirty(from);
    }

    pub(super) fn take_new_dir(&self) -> bool {
        self.new_dir.swap(false, Ordering::AcqRel)
    }

    /// How many units may not be on the device yet.
    pub(super) fn dirty_units(&self) -> usize {
        match self.dirty_from.load(Ordering::Acquire) {
            CLEAN => 0,
            from => self.dispatched_next().since(QueueOffset(from)),
        }
    }

    /// Takes the note away: the caller syncs from the returned offset, and puts it back on failure.
    pub(super) fn take_dirty(&self) -> Option<QueueOffset> {
        let from = self.dirty_from.swap(CLEAN, Ordering::AcqRel);
        (from != CLEAN).then_some(QueueOffset(from))
    }
}

/// How many queues keep a file open between uses. The limits of a process are often 1,024 or 20,000 descriptors,
/// which connections need too.
const OPEN_QUEUES: usize = 512;

/// All queues of the store by topic and queue id.
#[derive(Debug)]
pub struct QueueTable {
    topics: DashMap<String, BTreeMap<i32, Arc<QueueState>>>,
    descriptors: Seats,
}

impl Default for QueueTable {
    fn default() -> Self {
        QueueTable { topics: DashMap::new(), descriptors: Seats::new(OPEN_QUEUES) }
    }
}

impl QueueTable {
    /// The queue's state, if there is such a queue.
    pub fn get(&self, topic: &str, queue_id: i32) -> Option<Arc<QueueState>> {
        self.topics.get(topic)?.get(&queue_id).cloned()
    }

    /// The queue's state, made if need be.
    pub fn get_or_create(&self, topic: &str, queue_id: i32) -> Arc<QueueState> {
        if let Some(state) = self.get(topic, queue_id) {
            return state;
        }
        self.topics
            .entry(topic.to_owned())
            .or_default()
            .entry(queue_id)
            .or_insert_with(|| QueueState::of(topic, self.descriptors.clone()))
            .clone()
    }

    /// What was stored in the queues of a topic since the process began.
    pub fn stored(&self, topic: &str) -> Counted {
        let mut sum = Counted::default();
        if let Some(queues) = self.topics.get(topic) {
            queues.values().for_each(|queue| sum += queue.stored().get());
        }
        sum
    }

    /// The queues of a topic.
    pub fn of_topic(&self, topic: &str) -> Vec<(i32, Arc<QueueState>)> {
        let queues = self.topics.get(topic);
        queues
            .map(|queues| queues.iter().map(|(id, state)| (*id, state.clone())).collect())
            .unwrap_or_default()
    }

    /// Names of all topics that have queues.
    pub fn topics(&self) -> Vec<String> {
        self.topics.iter().map(|topic| topic.key().clone()).collect()
    }

    /// Forgets a queue.
    pub fn remove(&self, topic: &str, queue_id: i32) {
        if let Some(mut queues) = self.topics.get_mut(topic) {
            queues.remove(&queue_id);
        }
        self.topics.remove_if(topic, |_, queues| queues.is_empty());
    }

    /// All queues at this moment, in no order.
    pub fn snapshot(&self) -> Vec<(String, i32, Arc<QueueState>)> {
        let mut all = Vec::new();
        for topic in &self.topics {
            all.extend(topic.value().iter().map(|(id, state)| (topic.key().clone(), *id, state.clone())));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_has_one_state_until_it_is_removed() {
        let table = QueueTable::default();
        table.get_or_create("T", 1).set_next_offset(QueueOffset(5));
        assert_eq!(table.get_or_create("T", 1).next_offset(), QueueOffset(5));
        assert!(table.get("T", 2).is_none());
        assert_eq!(table.snapshot().len(), 1);
        table.remove("T", 1);
        assert!(table.get("T", 1).is_none() && table.topics.is_empty());
    }

    #[test]
    fn the_lowest_unsynced_offset_is_kept() {
        let state = QueueState::default();
        assert_eq!(state.take_dirty(), None);
        state.mark_dirty(QueueOffset(9));
        state.mark_dirty(QueueOffset(4));
        assert_eq!(state.take_dirty(), Some(QueueOffset(4)));
        assert_eq!(state.take_dirty(), None);
    }
}
