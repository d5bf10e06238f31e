//! The messages that are soon due, in their order to the millisecond, and how far delivery is: no files.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::store::watermarks::PhysicalOffset;

/// A message whose time is near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When, ms.
    pub at: i64,
    /// Its record in the log.
    pub physical_offset: PhysicalOffset,
    /// Bytes of the record.
    pub size: i32,
    /// The slot in which it waits, ms.
    pub slot: i64,
    /// When it came into the wheel, ms.
    pub enqueued: i64,
    /// It is to be stored anew: its own time is further away.
    pub rolls: bool,
}

/// Slot by slot: no message leaves before all of the slots before its own are delivered. So what is saved of the
/// slots, and where in the log the deliveries of the present one begin, tell what was delivered.
#[derive(Debug)]
pub(super) struct Horizon {
    precision: i64,
    /// The first slot that is not wholly delivered.
    read_time: i64,
    /// Slots before this one were taken out of the wheel.
    loaded: i64,
    waiting: BinaryHeap<Reverse<Due>>,
    /// Keys of messages that are taken back, by slot.
    deleted: HashMap<i64, HashSet<Box<[u8]>>>,
    /// A message of this slot was let go.
    has_begun: bool,
    /// Deliveries of this slot lie behind this in the log.
    delivered_from: PhysicalOffset,
    /// What was delivered before the start though no checkpoint tells: the places of their records.
    delivered: HashSet<PhysicalOffset>,
}

impl Horizon {
    pub(super) fn new(precision: i64, read_time: i64, delivered_from: PhysicalOffset) -> Self {
        Self {
            precision,
            read_time,
            loaded: read_time,
            waiting: BinaryHeap::new(),
            deleted: HashMap::new(),
            has_begun: true,
            delivered_from,
            delivered: HashSet::new(),
        }
    }

    pub(super) fn read_time(&self) -> i64 {
        self.read_time
    }

    pub(super) fn loaded(&self) -> i64 {
        self.loaded
    }

    pub(super) fn delivered_from(&self) -> PhysicalOffset {
        self.delivered_from
    }

    /// The slot of a time that the wheel's queue names: one that is over waits in the present slot.
    pub(super) fn slot_of(&self, out: i64) -> i64 {
        (out - out.rem_euclid(self.precision)).max(self.read_time)
    }

    pub(super) fn was_delivered(&mut self, record: PhysicalOffset) {
        self.delivered.insert(record);
    }

    /// Adds a message of a slot that was taken out of the wheel.
    pub(super) fn add(&mut self, due: Due) {
        if !self.delivered.remove(&due.physical_offset) {
            self.waiting.push(Reverse(due));
        }
    }

    /// Adds one that was not stored after all.
    pub(super) fn give_back(&mut self, due: Due) {
        self.waiting.push(Reverse(due));
    }

    /// Takes a message of a slot back.
    pub(super) fn delete(&mut self, slot: i64, key: &[u8]) {
        self.deleted.entry(slot).or_default().insert(key.into());
    }

    /// Whether a message of a slot was taken back.
    pub(super) fn is_deleted(&self, slot: i64, keys: impl Iterator<Item = impl AsRef<[u8]>>) -> bool {
        let mut keys = keys;
        self.deleted.get(&slot).is_some_and(|deleted| keys.any(|key| deleted.contains(key.as_ref())))
    }

    /// Slots before `until` were taken out of the wheel.
    pub(super) fn taken_until(&mut self, until: i64) {
        self.loaded = self.loaded.max(until);
    }

    /// Moves on to the slot of the present, or of the first message that waits. To be called when nothing is under
    /// way; the log ends at `log_end` then.
    pub(super) fn advance(&mut self, now: i64, log_end: PhysicalOffset) {
        let present = (now - now.rem_euclid(self.precision)).min(self.loaded);
        let first = self.waiting.peek().map_or(present, |Reverse(first)| first.slot.min(present));
        if first > self.read_time {
            self.read_time = first;
            self.has_begun = false;
            self.deleted.retain(|slot, _| *slot >= first);
        }
        if !self.has_begun {
            self.delivered_from = log_end;
        }
    }

    /// Lets the next message of the present slot go, when its time has come.
    pub(super) fn take(&mut self, now: i64) -> Option<Due> {
        let Reverse(first) = self.waiting.peek()?;
        if first.at > now || first.slot > self.read_time {
            return None;
        }
        self.has_begun = true;
        self.waiting.pop().map(|Reverse(due)| due)
    }

    /// When the first message is due.
    pub(super) fn head(&self) -> Option<i64> {
        self.waiting.peek().map(|Reverse(first)| first.at)
    }

    /// When the present slot is over, if it was begun: RocketMQ knows no half one.
    pub(super) fn unfinished(&self) -> Option<i64> {
        self.has_begun.then_some(self.read_time + self.precision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(at: i64, slot: i64) -> Due {
        Due { at, physical_offset: PhysicalOffset(at), size: 1, slot, enqueued: 0, rolls: false }
    }

    fn horizon(dues: &[(i64, i64)]) -> Horizon {
        let mut horizon = Horizon::new(1000, 5_000, PhysicalOffset(7));
        dues.iter().for_each(|(at, slot)| horizon.add(due(*at, *slot)));
        horizon.taken_until(9_000);
        horizon
    }

    fn taken(horizon: &mut Horizon, now: i64) -> Vec<i64> {
        std::iter::from_fn(|| horizon.take(now)).map(|due| due.at).collect()
    }

    #[test]
    fn messages_leave_in_order_and_never_early() {
        let mut horizon = horizon(&[(5_900, 5_000), (5_300, 5_000), (5_301, 5_000)]);
        assert_eq!(horizon.head(), Some(5_300));
        assert!(taken(&mut horizon, 5_299).is_empty());
        assert_eq!(taken(&mut horizon, 5_301), [5_300, 5_301]);
        assert_eq!(taken(&mut horizon, 6_000), [5_900]);
    }

    #[test]
    fn a_slot_is_delivered_before_the_next_begins() {
        let mut horizon = horizon(&[(5_900, 5_000), (6_001, 6_000)]);
        assert_eq!(taken(&mut horizon, 7_500), [5_900]);
        horizon.give_back(due(5_900, 5_000));
        horizon.advance(7_500, PhysicalOffset(100));
        assert_eq!((horizon.read_time(), horizon.delivered_from()), (5_000, PhysicalOffset(7)));
        assert_eq!(horizon.unfinished(), Some(6_000));
        assert_eq!(taken(&mut horizon, 7_500), [5_900]);
        horizon.advance(7_500, PhysicalOffset(100));
        assert_eq!((horizon.read_time(), horizon.delivered_from()), (6_000, PhysicalOffset(100)));
        assert_eq!(horizon.unfinished(), None);
        assert_eq!(taken(&mut horizon, 7_500), [6_001]);
        horizon.advance(7_500, PhysicalOffset(200));
        assert_eq!(horizon.read_time(), 7_000);
    }

    #[test]
    fn delivery_never_runs_ahead_of_what_was_taken_out() {
        let mut horizon = horizon(&[]);
        horizon.advance(20_000, PhysicalOffset(1));
        assert_eq!(horizon.read_time(), 9_000);
        assert_eq!(horizon.slot_of(3_210), 9_000, "what comes late waits in the present slot");
        horizon.advance(8_000, PhysicalOffset(2));
        assert_eq!(
            (horizon.read_time(), horizon.delivered_from()),
            (9_000, PhysicalOffset(2)),
            "time was set back"
        );
    }

    #[test]
    fn what_was_delivered_or_taken_back_does_not_wait() {
        let mut horizon = Horizon::new(1000, 5_000, PhysicalOffset(0));
        horizon.was_delivered(PhysicalOffset(5_300));
        horizon.add(due(5_300, 5_000));
        assert_eq!(horizon.head(), None);
        horizon.delete(5_000, b"key");
        assert!(horizon.is_deleted(5_000, [&b"other"[..], b"key"].iter()));
        assert!(!horizon.is_deleted(6_000, [b"key"].iter()));
    }
}
