//! The consume queues while a scan of the log gives them their units: at a start what they lack, and in a
//! rebuild all of them. Where queue and log disagree the log is right.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::commit_log::Scan;
use super::consume_queue::{Appended, ConsumeQueue, FindEnd, Unit};
use super::dispatch::{DispatchRules, Entry, light_units, unit_of};
use super::error::StoreError;
use super::file_sequence::FileSequence;
use super::queue_path::{list_batch_topics, list_queues};
use super::queue_table::QueueTable;
use super::scan::{Found, Record, Verify, examine, next_whole};
use super::store::StoreOptions;
use super::watermarks::{PhysicalOffset, QueueOffset};

/// Units that are collected for a queue before they are written.
const BATCH_UNITS: usize = 4096;

/// The smallest record: one without body, topic and properties (fact sheet: store 2.1).
const SMALLEST_RECORD: usize = 91;

/// The log behind the records that a rebuild is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogView<'f> {
    /// Where it begins.
    pub(super) min: PhysicalOffset,
    /// Its files; none when the queues are made from nothing, and so hold no unit that could be wrong.
    pub(super) files: Option<&'f FileSequence>,
}

impl LogView<'_> {
    /// Whether a stored unit points to the record of this message, which ends at `end` at most.
    pub(super) fn has(
        &self,
        unit: Unit,
        (topic, queue_id, offset): (&str, i32, QueueOffset),
        end: PhysicalOffset,
        rules: &DispatchRules,
    ) -> bool {
        let Some(files) = self.files else { return true };
        let bytes = record_bytes(files, unit).filter(|_| unit.end() <= end);
        let found = bytes.as_ref().map(|bytes| examine(bytes, unit.physical_offset, Verify::Layout));
        let Some(Found::Record(record)) = found else { return false };
        let mut entries = unit_of(&record, rules).into_iter().chain(light_units(&record, rules));
        entries.any(|entry| {
            (entry.topic, entry.queue_id, entry.queue_offset) == (topic, queue_id, offset)
                && unit.agrees_with(entry.unit)
        })
    }
}

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
    /// Behind the newest record that the queue knew when it was opened.
    known: PhysicalOffset,
}

impl Pending {
    fn new(queue: ConsumeQueue) -> Self {
        Pending { first: queue.max_offset(), queue, units: Vec::new(), seen: None, known: PhysicalOffset(0) }
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

    /// Goes on at `at`, though the log has no record for the messages before. Behind a queue of which the log
    /// has nothing any more that is a new beginning, else a hole.
    fn skip_to(&mut self, at: QueueOffset, log_min: PhysicalOffset) -> Result<(), StoreError> {
        let end = self.queue.max_offset();
        if self.queue.max_physical()?.is_none_or(|known| known <= log_min) {
            self.queue.clear()?;
            self.first = at;
        } else {
            self.first = end;
            self.units.resize(at.since(end), Unit::FILLER);
        }
        self.queue.release();
        Ok(())
    }
}

/// Where a unit goes that does not follow the one before.
enum Place {
    /// To its offset.
    Here,
    /// Behind the end, with messages missing between.
    Behind,
    /// Nowhere: its record's offset is damaged, since another message has it, or no log could hold so many
    /// messages between.
    Nowhere,
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
            pending.known = pending.queue.max_physical()?.unwrap_or_default();
            max = max.max(pending.known);
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

    /// Gives a record of the log to its queues. Records must come in log order.
    pub(super) fn dispatch(&mut self, record: &Record<'_>, log: LogView<'_>) -> Result<(), StoreError> {
        let rules = &self.options.rules;
        let mut entries = unit_of(record, rules).into_iter().chain(light_units(record, rules));
        entries.try_for_each(|entry| match self.add(entry, log) {
            // Such a name never was a queue of ours; the record stays in the log, and is in none.
            Err(StoreError::BadTopic { .. }) => Ok(()),
            outcome => outcome,
        })
    }

    /// Looks whether a queue lacks a record that all have had since they were closed: one that lost its end
    /// cannot be trusted. A topic that was deleted is not made again.
    pub(super) fn expect(&mut self, record: &Record<'_>) {
        let rules = &self.options.rules;
        for entry in unit_of(record, rules).into_iter().chain(light_units(record, rules)) {
            let queues = self.queues.get(entry.topic);
            self.misses_earlier |=
                queues.and_then(|queues| queues.get(&entry.queue_id)).is_some_and(|pending| {
                    pending.known <= record.physical_offset && pending.next() <= entry.queue_offset
                });
        }
    }

    fn add(&mut self, entry: Entry<'_>, log: LogView<'_>) -> Result<(), StoreError> {
        if self.batch_topics.contains(entry.topic) {
            return Ok(());
        }
        let (from_start, rules) = (self.from_start, &self.options.rules);
        let pending = self.pending(entry.topic, entry.queue_id)?;
        if entry.queue_offset != pending.next() {
            pending.write()?;
            let place = place(&mut pending.queue, &entry, log, rules)?;
            // All queues may come by before one is written.
            pending.queue.release();
            match place {
                Place::Here => pending.first = entry.queue_offset,
                Place::Behind if from_start => pending.skip_to(entry.queue_offset, log.min)?,
                Place::Behind => self.misses_earlier = true,
                Place::Nowhere => return Ok(()),
            }
            if self.misses_earlier {
                return Ok(());
            }
        }
        let pending = self.pending(entry.topic, entry.queue_id)?;
        pending.units.push(entry.unit);
        pending.seen = Some(pending.next());
        if pending.units.len() >= BATCH_UNITS { pending.write() } else { Ok(()) }
    }

    /// Gives the whole log up to `end` to the queues, and says where it is. A bad record in an old file is passed
    /// over: it is no reason to cut there what was served before.
    pub(super) fn read_all(
        &mut self,
        files: &FileSequence,
        end: PhysicalOffset,
        mut seen: impl FnMut(PhysicalOffset),
    ) -> Result<(), StoreError> {
        self.from_start = true;
        let log = LogView { min: files.first().map_or(end, |first| first.base()), files: Some(files) };
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
                    self.dispatch(&record, log)?;
                    seen(scan.position());
                }
            }
        }
        self.write_all()
    }

    /// Cuts each queue behind the last message that the log, which now ends at `end`, has for it. False when
    /// a queue's last unit does not belong to it, so that its units cannot be trusted.
    pub(super) fn cut(&mut self, files: &FileSequence, end: PhysicalOffset) -> Result<bool, StoreError> {
        let log = LogView { min: files.first().map_or(end, |first| first.base()), files: Some(files) };
        let extent = files.last().map_or(end, |last| last.end());
        let (from_start, rules) = (self.from_start, &self.options.rules);
        let mut is_trusted = true;
        self.each(|topic, queue_id, pending| {
            let queue = &mut pending.queue;
            let belongs = |offset, unit| log.has(unit, (topic, queue_id, offset), end, rules);
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
            let unit = queue.unit(last)?.filter(|unit| !unit.is_filler() && unit.physical_offset >= log.min);
            if unit.is_none_or(|unit| belongs(last, unit)) {
                return Ok(());
            }
            if from_start && pending.seen.is_none() {
                // All of the log has gone by without a message for it: what it says is from before a cut.
                return queue.truncate_to_log(log.min);
            }
            is_trusted = false;
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

/// Where the unit of a record goes in a queue that goes on elsewhere.
fn place(
    queue: &mut ConsumeQueue,
    entry: &Entry<'_>,
    log: LogView<'_>,
    rules: &DispatchRules,
) -> Result<Place, StoreError> {
    let (at, end) = (entry.queue_offset, queue.max_offset());
    if at > end {
        let known = queue.max_physical()?.unwrap_or_default().max(log.min);
        let room = entry.unit.physical_offset.since(known) / SMALLEST_RECORD;
        let may_begin = known == log.min;
        return Ok(if may_begin || at.since(end) <= room { Place::Behind } else { Place::Nowhere });
    }
    // The offsets of a topic that was deleted and made again begin anew.
    let is_beginning = at.0 == 0;
    let stored = queue.unit(at)?.filter(|stored| !is_beginning && !stored.agrees_with(entry.unit));
    let message = (entry.topic, entry.queue_id, at);
    let is_taken = stored.is_some_and(|stored| log.has(stored, message, entry.unit.physical_offset, rules));
    Ok(if is_taken { Place::Nowhere } else { Place::Here })
}

/// What the log has at the place that a unit names.
fn record_bytes(files: &FileSequence, unit: Unit) -> Option<Bytes> {
    let file = files.find(unit.physical_offset)?;
    let at = unit.physical_offset.since(file.base());
    file.slice(at..at.checked_add(usize::try_from(unit.size).ok()?)?)
}
