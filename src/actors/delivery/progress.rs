//! How far each delay level has come. It outlives the actors: a message that is on its way when its level's
//! actor crashes is neither forgotten nor delivered again.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::keeper::Saved;
use crate::{
    actors::supervision::Millis,
    protocol::{data_version::DataVersion, json, offsets::DelayOffsets, record::RecordView, topic},
    store::{PhysicalOffset, QueueOffset, Store, StoreError, config_file},
};

const FILE: &str = "config/delayOffset.json";
/// So many steps make a new version (`delayOffsetUpdateVersionStep`).
const STEPS_PER_VERSION: u64 = 200;

/// The progress of all levels.
#[derive(Debug)]
pub(super) struct Progress {
    levels: Vec<Arc<Level>>,
    delivered_from: Option<PhysicalOffset>,
    version: Mutex<DataVersion>,
    /// Steps that the version counts.
    counted: AtomicU64,
    store: Arc<Store>,
}

/// The progress of one level.
#[derive(Debug, Default)]
pub(super) struct Level(Mutex<Position>);

#[derive(Debug, Default)]
struct Position {
    /// Everything before was delivered.
    next: i64,
    /// What was told to queues from there on.
    flights: BTreeMap<i64, Flight>,
    /// How many of them are not stored yet.
    under_way: usize,
    /// Where the log ended when the first of these was told.
    told_from: PhysicalOffset,
    /// Whether one was not stored since this was last asked.
    failed: bool,
    steps: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flight {
    Told,
    Stored,
}

impl Level {
    fn position(&self) -> MutexGuard<'_, Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first message that is not delivered.
    pub(super) fn next(&self) -> QueueOffset {
        QueueOffset(self.position().next)
    }

    /// Goes on at `offset`: what lies before is deleted.
    pub(super) fn skip_to(&self, offset: QueueOffset) {
        let mut position = self.position();
        position.next = position.next.max(offset.0);
        position.flights = position.flights.split_off(&offset.0);
        position.under_way = position.flights.values().filter(|flight| **flight == Flight::Told).count();
    }

    /// Messages are about to be told to their queues; the log ends at `log_end` now.
    pub(super) fn begin(&self, log_end: PhysicalOffset) {
        let mut position = self.position();
        if position.flights.is_empty() {
            position.told_from = log_end;
        }
    }

    /// The log tells that a message was delivered.
    fn was_delivered(&self, offset: i64) {
        let mut position = self.position();
        if offset >= position.next {
            position.flights.insert(offset, Flight::Stored);
            position.advance();
        }
    }

    /// The first message that is not delivered; from where on the log tells of deliveries of it and of those behind
    /// it, when the log ends at `log_end`.
    fn saved(&self, log_end: PhysicalOffset) -> (i64, PhysicalOffset) {
        let position = self.position();
        let from = if position.flights.is_empty() { log_end } else { position.told_from };
        (position.next, from)
    }

    /// Notes that a message was told to its queue; false when it is stored already.
    pub(super) fn told(&self, offset: QueueOffset) -> bool {
        let mut position = self.position();
        if offset.0 < position.next || position.flights.contains_key(&offset.0) {
            return false;
        }
        position.flights.insert(offset.0, Flight::Told);
        position.under_way += 1;
        true
    }

    /// Notes what became of it; one that is not stored is told again. Says whether it was the last on its way.
    pub(super) fn settled(&self, offset: QueueOffset, is_stored: bool) -> bool {
        let mut position = self.position();
        if position.flights.get(&offset.0) == Some(&Flight::Told) {
            position.under_way -= 1;
            position.failed |= !is_stored;
            if is_stored {
                position.flights.insert(offset.0, Flight::Stored);
                position.advance();
            } else {
                position.flights.remove(&offset.0);
            }
        }
        position.under_way == 0
    }

    /// Whether any message is on its way.
    pub(super) fn is_under_way(&self) -> bool {
        self.position().under_way > 0
    }

    /// Whether a message was not stored since this was last asked.
    pub(super) fn take_failed(&self) -> bool {
        std::mem::take(&mut self.position().failed)
    }
}

impl Position {
    fn advance(&mut self) {
        while self.flights.get(&self.next) == Some(&Flight::Stored) {
            self.flights.remove(&self.next);
            self.next += 1;
            self.steps += 1;
        }
    }
}

impl Progress {
    /// Reads the file; what it says is brought into the bounds of each level's queue.
    pub(super) fn load(store: &Arc<Store>, levels: usize, now: Millis) -> Result<Self, StoreError> {
        let read = |text: &str| json::from_slice::<DelayOffsets>(text.as_bytes()).ok();
        let file = config_file::read_parsed(&path(store), read)?;
        let file =
            file.unwrap_or(DelayOffsets { data_version: DataVersion::new(now), ..DelayOffsets::default() });
        let level = |queue_id| {
            let saved = file.offset_table.get(&(queue_id + 1)).copied().unwrap_or(0);
            let bounds = store.queues().get(topic::SCHEDULE, queue_id);
            let (min, max) = bounds.map_or((0, 0), |queue| (queue.min_offset().0, queue.next_offset().0));
            let next = saved.min(max).max(min);
            if saved != next {
                tracing::warn!(
                    level = queue_id + 1,
                    saved,
                    next,
                    "the queue of the level has no such offset"
                );
            }
            let told_from = PhysicalOffset(file.delivered_from.unwrap_or(0));
            Arc::new(Level(Mutex::new(Position { next, told_from, ..Position::default() })))
        };
        let progress = Self {
            levels: (0..).take(levels).map(level).collect(),
            delivered_from: file.delivered_from.map(PhysicalOffset),
            version: Mutex::new(file.data_version),
            counted: AtomicU64::new(0),
            store: store.clone(),
        };
        if progress.delivered_from.is_none() {
            // From here on a crash leaves something to go on from.
            progress.save(now)?;
        }
        Ok(progress)
    }

    /// Level 1 first.
    pub(super) fn levels(&self) -> &[Arc<Level>] {
        &self.levels
    }

    /// From where on the log may tell of deliveries that the file does not.
    pub(super) fn delivered_from(&self) -> Option<PhysicalOffset> {
        self.delivered_from
    }

    /// The log tells that the message of this record was delivered.
    pub(super) fn was_delivered(&self, record: &RecordView<'_>) {
        let level = usize::try_from(record.queue_id).ok().and_then(|level| self.levels.get(level));
        if let Some(level) = level.filter(|_| record.topic == topic::SCHEDULE.as_bytes()) {
            level.was_delivered(record.queue_offset);
        }
    }

    /// As the file and code 45 have it.
    pub(super) fn to_file(&self, now: Millis) -> DelayOffsets {
        // Read first: what is delivered from now on lies behind.
        let log_end = self.store.log().max_offset();
        let steps = self.changes();
        let counted = self.counted.load(Ordering::Relaxed);
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if steps / STEPS_PER_VERSION > counted / STEPS_PER_VERSION {
            *version = version.next(now, 0);
            self.counted.store(steps, Ordering::Relaxed);
        }
        // As in RocketMQ, only levels that have ever had a message.
        let has_had = |number: i32| {
            let queue = self.store.queues().get(topic::SCHEDULE, number - 1);
            queue.is_some_and(|queue| queue.next_offset().0 > 0)
        };
        let saved: Vec<_> = self.levels.iter().map(|level| level.saved(log_end)).collect();
        let delivered_from = saved.iter().map(|(_, from)| from.0).min();
        let offsets = (1..).zip(saved.iter().map(|(next, _)| *next));
        let offset_table = offsets.filter(|(number, next)| *next > 0 || has_had(*number)).collect();
        DelayOffsets { data_version: *version, offset_table, delivered_from }
    }
}

impl Saved for Progress {
    const KIND: &'static str = "delay-offsets";

    /// Messages delivered since the start.
    fn changes(&self) -> u64 {
        self.levels.iter().map(|level| level.position().steps).sum()
    }

    fn save(&self, now: Millis) -> Result<(), StoreError> {
        let file = self.to_file(now);
        self.store.flush_log(self.store.log().written())?;
        // The table has integers for keys and nothing else that JSON could not say.
        let text = json::to_config(&file).ok().and_then(|text| String::from_utf8(text).ok());
        config_file::write_text(
            self.store.options().disk.as_ref(),
            &path(&self.store),
            &text.unwrap_or_default(),
        )
    }
}

fn path(store: &Store) -> PathBuf {
    store.options().root.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(level: &Level, offset: i64) {
        level.settled(QueueOffset(offset), true);
    }

    #[test]
    fn progress_waits_for_the_first_that_is_not_stored() {
        let level = Level::default();
        assert!((0..3).all(|offset| level.told(QueueOffset(offset))));
        stored(&level, 2);
        stored(&level, 0);
        assert_eq!(level.next(), QueueOffset(1));
        level.settled(QueueOffset(1), false);
        assert!(!level.is_under_way());
        assert!(!level.told(QueueOffset(0)) && !level.told(QueueOffset(2)), "these are stored");
        assert!(level.told(QueueOffset(1)), "this one is to be told again");
        stored(&level, 1);
        assert_eq!(level.next(), QueueOffset(3));
    }

    #[test]
    fn deliveries_that_nothing_else_tells_of_lie_behind_where_the_first_was_told() {
        let (level, end) = (Level::default(), PhysicalOffset);
        level.begin(end(100));
        assert!((0..2).all(|offset| level.told(QueueOffset(offset))));
        stored(&level, 1);
        level.begin(end(200));
        assert_eq!(level.saved(end(300)), (0, end(100)), "the second is delivered, and the first is not");
        stored(&level, 0);
        assert_eq!(level.saved(end(300)), (2, end(300)));
        [0, 3, 2].iter().for_each(|offset| level.was_delivered(*offset));
        assert_eq!(level.saved(end(300)), (4, end(300)));
    }

    #[test]
    fn what_is_deleted_is_passed_over() {
        let level = Level::default();
        level.told(QueueOffset(0));
        level.skip_to(QueueOffset(5));
        assert!(!level.is_under_way());
        stored(&level, 0);
        assert_eq!(level.next(), QueueOffset(5));
    }

    #[test]
    fn progress_is_saved_and_clamped_to_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(crate::store::StoreOptions::at(dir.path())).unwrap());
        store.queues().get_or_create(topic::SCHEDULE, 0).set_next_offset(QueueOffset(9));
        let progress = Progress::load(&store, 2, 1).unwrap();
        for level in progress.levels() {
            (0..7).for_each(|offset| assert!(level.told(QueueOffset(offset))));
            (0..7).for_each(|offset| stored(level, offset));
        }
        progress.save(2).unwrap();
        let again = Progress::load(&store, 3, 3).unwrap();
        let next: Vec<_> = again.levels().iter().map(|level| level.next().0).collect();
        assert_eq!(next, [7, 0, 0], "the second level's queue has no message any more");
        assert_eq!(again.to_file(4).data_version, progress.to_file(4).data_version);
    }
}
