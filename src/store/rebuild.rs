//! The consume queues while a scan of the log gives them their units: at a start what they lack, and in a
//! rebuild all of them. Where queue and log disagree the log is right.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::commit_log::Scan;
use super::consume_queue::{Appended, ConsumeQueue, FindEnd, Unit};
use super::dispatch::{Entry, light_units, unit_of};
use super::error::StoreError;
use super::file_sequence::FileSequence;
use super::queue_path::{list_batch_topics, list_queues};
use super::queue_table::QueueTable;
use super::scan::{Found, Record, Verify, examine, next_whole};
use super::store::StoreOptions;
use super::watermarks::{PhysicalOffset, QueueOffset};

/// Units that are collected for a queue before they are written.
const BATCH_UNITS: usize = 4096;

/// All queues of a store, each open, none with a descriptor.
pub(super) struct Rebuild<'a> {
    options: &'a StoreOptions,
    find_end: FindEnd,
    table: QueueTable,
    queues: HashMap<String, HashMap<i32, Pending>>,
    batch_topics: HashSet<String>,
    /// Whether the scan began with the oldest record: a queue lacks nothing before what it is given.
    pub(super) from_start: bool,
    /// A unit came whose predecessors are missing; they may be in the log before the start.
    pub(super) misses_earlier: bool,
}

/// A queue and the units that are to be put into it.
struct Pending {
    queue: ConsumeQueue,
    first: QueueOffset,
    units: Vec<Unit>,
    /// Behind the newest message that the scan has seen of this queue.
    seen: Option<QueueOffset>,
}

impl Pending {
    fn new(queue: ConsumeQueue) -> Self {
        Pending { first: queue.max_offset(), queue, units: Vec::new(), seen: None }
    }

    fn next(&self) -> QueueOffset {
        self.first.plus(self.units.len())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        if self.units.is_empty() {
            return Ok(());
        }
        let outcome = self.queue.reconcile(self.first, &self.units)?;
        if let Appended::Gap { expected } = outcome {
            return Err(StoreError::Gap { expected, found: self.first });
        }
        // What is there already need not be on the device: the process before may have been killed.
        self.queue.state().mark_unsynced(self.first);
        self.first = self.next();
        self.units.clear();
        self.queue.release();
        Ok(())
    }

    /// Goes on at `at`. False when messages before it are missing.
    fn seek(&mut self, at: QueueOffset) -> Result<bool, StoreError> {
        self.write()?;
        let reachable = at <= self.queue.max_offset();
        if reachable {
            self.first = at;
        }
        Ok(reachable)
    }

    /// Goes on at `at` though the log has no record for the messages before. Behind a queue of which the log,
    /// which begins at `log_min`, has nothing any more that is a new beginning; else a hole.
    fn skip_to(&mut self, at: QueueOffset, log_min: PhysicalOffset) -> Result<(), StoreError> {
        let end = self.queue.max_offset();
        if self.queue.max_physical()?.is_none_or(|known| known <= log_min) {
            self.queue.clear()?;
            self.first = at;
        } else {
            self.first = end;
            self.units.resize(at.since(end), Unit::FILLER);
        }
        Ok(())
    }
}

impl<'a> Rebuild<'a> {
    /// Opens all queues that have a directory.
    pub(super) fn open(options: &'a StoreOptions, find_end: FindEnd) -> Result<Self, StoreError> {
        let disk = options.disk.as_ref();
        let mut rebuild = Rebuild {
            options,
            find_end,
            table: QueueTable::default(),
            queues: HashMap::new(),
            batch_topics: list_batch_topics(disk, &options.root)?.into_iter().collect(),
            from_start: false,
            misses_earlier: false,
        };
        for (topic, queue_id) in list_queues(disk, &options.root)? {
            rebuild.pending(&topic, queue_id)?;
        }
        Ok(rebuild)
    }

    /// Topics that get no plain queues.
    pub(super) fn leave_out(&mut self, topics: impl IntoIterator<Item = String>) {
        self.batch_topics.extend(topics);
    }

    fn pending(&mut self, topic: &str, queue_id: i32) -> Result<&mut Pending, StoreError> {
        if !self.queues.contains_key(topic) {
            self.queues.insert(topic.to_owned(), HashMap::new());
        }
        let queues = self.queues.entry(topic.to_owned()).or_default();
        match queues.entry(queue_id) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::hash_map::Entry::Vacant(free) => {
                let files = self.options.queue_files(topic, queue_id)?;
                let state = self.table.get_or_create(topic, queue_id);
                let mut queue = ConsumeQueue::open(files, self.find_end, state)?;
                queue.release();
                Ok(free.insert(Pending::new(queue)))
            }
        }
    }

    fn each(
        &mut self,
        mut act: impl FnMut(&str, i32, &mut Pending) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (topic, queues) in &mut self.queues {
            for (queue_id, pending) in queues {
                act(topic, *queue_id, pending)?;
                pending.queue.release();
            }
        }
        Ok(())
    }

    /// Behind the last record that any queue knows; 0 when none knows one.
    pub(super) fn max_physical(&mut self) -> Result<PhysicalOffset, StoreError> {
        let mut max = PhysicalOffset(0);
        self.each(|_, _, pending| {
            max = max.max(pending.queue.max_physical()?.unwrap_or_default());
            Ok(())
        })?;
        Ok(max)
    }

    /// Removes all units.
    pub(super) fn clear(&mut self) -> Result<(), StoreError> {
        self.each(|_, _, pending| pending.queue.clear())
    }

    /// Writes what is collected.
    pub(super) fn write_all(&mut self) -> Result<(), StoreError> {
        self.each(|_, _, pending| pending.write())
    }

    /// Gives a record of a log that begins at `log_min` to its queues. Records must come in log order.
    pub(super) fn dispatch(
        &mut self,
        record: &Record<'_>,
        log_min: PhysicalOffset,
    ) -> Result<(), StoreError> {
        let rules = &self.options.rules;
        let entries = unit_of(record, rules).into_iter().chain(light_units(record, rules));
        entries.into_iter().try_for_each(|entry| match self.add(entry, log_min) {
            // Such a name never was a queue of ours; the record stays in the log, and is in none.
            Err(StoreError::BadTopic { .. }) => Ok(()),
            outcome => outcome,
        })
    }

    fn add(&mut self, entry: Entry<'_>, log_min: PhysicalOffset) -> Result<(), StoreError> {
        if self.batch_topics.contains(entry.topic) {
            return Ok(());
        }
        let from_start = self.from_start;
        let pending = self.pending(entry.topic, entry.queue_id)?;
        // An offset that comes again, after its topic was deleted, belongs to the newer message.
        if entry.queue_offset != pending.next() && !pending.seek(entry.queue_offset)? {
            if !from_start {
                self.misses_earlier = true;
                return Ok(());
            }
            pending.skip_to(entry.queue_offset, log_min)?;
        }
        pending.units.push(entry.unit);
        pending.seen = Some(pending.next());
        if pending.units.len() >= BATCH_UNITS { pending.write() } else { Ok(()) }
    }

    /// Gives the whole log up to `end` to the queues. A bad record in an old file is passed over: it is no
    /// reason to cut there what was served before.
    pub(super) fn read_all(&mut self, files: &FileSequence, end: PhysicalOffset) -> Result<(), StoreError> {
        self.from_start = true;
        let log_min = files.first().map_or(end, |first| first.base());
        for file in files.files() {
            let limit = end.min(file.end());
            let mut scan = Scan::over(files, file.base(), limit, Verify::Layout);
            while let Some(scanned) = scan.next() {
                let Ok(scanned) = scanned else {
                    let bad = scan.position();
                    let rest = file.slice(bad.since(file.base())..limit.since(file.base()));
                    let Some(skipped) = rest.and_then(|rest| next_whole(&rest, bad)) else { break };
                    scan = Scan::over(files, bad.plus(skipped), limit, Verify::Layout);
                    continue;
                };
                if let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) {
                    self.dispatch(&record, log_min)?;
                }
            }
        }
        self.write_all()
    }

    /// Cuts each queue behind the last message that the log, which now ends at `end`, has for it. False when
    /// a queue's last unit does not belong to it, so that its units cannot be trusted.
    pub(super) fn cut(&mut self, files: &FileSequence, end: PhysicalOffset) -> Result<bool, StoreError> {
        let log_min = files.first().map_or(end, |first| first.base());
        let extent = files.last().map_or(end, |last| last.end());
        let rules = &self.options.rules;
        let mut is_trusted = true;
        self.each(|topic, queue_id, pending| {
            let queue = &mut pending.queue;
            let belongs = |offset: QueueOffset, unit: Unit| {
                let bytes = record_bytes(files, unit).filter(|_| unit.end() <= end);
                let found = bytes.as_ref().map(|bytes| examine(bytes, unit.physical_offset, Verify::Layout));
                let Some(Found::Record(record)) = found else { return false };
                let mut entries = unit_of(&record, rules).into_iter().chain(light_units(&record, rules));
                entries.any(|entry| {
                    (entry.topic, entry.queue_id, entry.queue_offset) == (topic, queue_id, offset)
                })
            };
            match pending.seen {
                // Unless the record behind was hidden by a bad one.
                Some(seen) if queue.unit(seen)?.is_some_and(|unit| belongs(seen, unit)) => {}
                Some(seen) => queue.truncate(seen)?,
                None if queue.max_physical()?.is_some_and(|known| known > extent) => is_trusted = false,
                None if queue.max_physical()?.is_some_and(|known| known > end) => {
                    queue.truncate_to_log(end)?;
                }
                None => {}
            }
            let last = QueueOffset(queue.max_offset().0 - 1);
            let unit = queue.unit(last)?.filter(|unit| !unit.is_filler() && unit.physical_offset >= log_min);
            is_trusted &= unit.is_none_or(|unit| belongs(last, unit));
            Ok(())
        })?;
        Ok(is_trusted)
    }

    /// Corrects the minima and notes the next offsets.
    pub(super) fn finish(mut self, log_min: PhysicalOffset) -> Result<QueueTable, StoreError> {
        self.each(|_, _, pending| {
            pending.queue.correct_min(log_min)?;
            pending.queue.state().set_next_offset(pending.queue.max_offset());
            Ok(())
        })?;
        drop(self.queues);
        Ok(self.table)
    }
}

/// What the log has at the place that a unit names.
fn record_bytes(files: &FileSequence, unit: Unit) -> Option<Bytes> {
    let file = files.find(unit.physical_offset)?;
    let at = unit.physical_offset.since(file.base());
    file.slice(at..at.checked_add(usize::try_from(unit.size).ok()?)?)
}
