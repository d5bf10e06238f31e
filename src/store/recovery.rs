//! What a start makes of the files that it finds (fact sheet: store 3.1 to 3.4).
//!
//! Every record from a safe point on is checked; the log is cut at the first that is not whole; records
//! whose consume queue units are missing are dispatched again, by the same rules as in live operation.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::commit_log::{CommitLog, Scan};
use super::consume_queue::{Appended, ConsumeQueue, FindEnd, Unit};
use super::dispatch::{Entry, light_units, unit_of};
use super::error::StoreError;
use super::file_sequence::FileSequence;
use super::mapped_file::MappedFile;
use super::queue_path::{list_batch_topics, list_queues};
use super::queue_table::QueueTable;
use super::scan::{Found, Record, Verify, examine};
use super::store::StoreOptions;
use super::watermarks::{PhysicalOffset, QueueOffset};

/// Units that are collected for a queue before they are written.
const BATCH_UNITS: usize = 4096;
/// Bytes between two reports of progress.
const PROGRESS_STEP: usize = 16 << 20;

/// What a start found and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Whether the last owner left without closing the store.
    pub was_abnormal: bool,
    /// Where checking began.
    pub start: PhysicalOffset,
    /// Behind the last whole record: where the log goes on.
    pub end: PhysicalOffset,
    /// Whole records that were checked.
    pub records: u64,
    /// Whether queues missed units from before `start`, so that the whole log was read for them.
    pub read_all: bool,
}

/// Progress of a recovery: bytes checked, and how many there are at most.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// Makes log and queues agree, and both end with the last whole record.
pub(super) fn recover(
    options: &StoreOptions,
    checkpoint: &Checkpoint,
    was_abnormal: bool,
    progress: &mut Progress<'_>,
) -> Result<(CommitLog, QueueTable, RecoveryReport), StoreError> {
    let find_end = if was_abnormal { FindEnd::Reading } else { FindEnd::Halving };
    let mut files =
        FileSequence::open(options.disk.clone(), options.log_dir(), options.commit_log_file_size)?;
    let mut queues = Rebuild::open(options, find_end)?;
    let Some((first, last)) = files.first().zip(files.last()) else {
        queues.clear()?;
        let log = CommitLog::recovered(files, PhysicalOffset(0), 0);
        return Ok((
            log,
            queues.finish(PhysicalOffset(0), PhysicalOffset(0))?,
            RecoveryReport { was_abnormal, ..RecoveryReport::default() },
        ));
    };

    let dispatched = queues.max_physical()?;
    let start = match was_abnormal {
        true => start_after_crash(&files, checkpoint.safe_until(), options.recover_max_files),
        false => start_after_close(&files, dispatched),
    };
    // After an orderly end only what no queue knows is new: units of deleted topics must not come back.
    let dispatch_from = if was_abnormal { start } else { dispatched };
    let mut report = RecoveryReport { was_abnormal, start, ..RecoveryReport::default() };
    queues.may_begin_late = start == first.base();

    let mut last_timestamp = checkpoint.log.get();
    let mut reported = start;
    let mut scan = Scan::over(&files, start, last.end(), Verify::Checksum);
    // What is no whole record ends the log; the scan then stands at its first byte.
    while let Some(Ok(scanned)) = scan.next() {
        let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) else { break };
        report.records += 1;
        last_timestamp = record.store_timestamp;
        if scanned.offset >= dispatch_from {
            queues.dispatch(&record)?;
        }
        if scan.position().since(reported) >= PROGRESS_STEP {
            reported = scan.position();
            progress(reported.since(start) as u64, last.end().since(start) as u64);
        }
    }
    let end = scan.position();
    report.end = end;
    queues.write_all()?;

    if std::mem::take(&mut queues.misses_earlier) {
        report.read_all = true;
        queues.read_all(&files, end)?;
    }
    progress(last.end().since(start) as u64, last.end().since(start) as u64);
    let min = first.base();
    drop((first, last));

    files.truncate_after(end)?;
    // Killed or not, the process before may have left pages that are not on the device yet.
    for file in files.files().into_iter().filter(|file| was_abnormal || file.end() > start) {
        file.sync(0..file.published())?;
    }
    let table = queues.finish(min, end)?;
    Ok((CommitLog::recovered(files, end, last_timestamp), table, report))
}

fn first_record(file: &MappedFile) -> Option<i64> {
    let bytes = file.slice(0..file.len())?;
    match examine(&bytes, file.base(), Verify::Layout) {
        Found::Record(record) => Some(record.store_timestamp),
        Found::Blank(_) | Found::Bad(_) => None,
    }
}

/// The newest file with a first record that the queues have seen, or the oldest file.
fn start_after_close(files: &FileSequence, dispatched: PhysicalOffset) -> PhysicalOffset {
    let files = files.files();
    let is_known = |file: &&Arc<MappedFile>| file.base() <= dispatched && first_record(file).is_some();
    files.iter().rev().find(is_known).or(files.first()).map_or(PhysicalOffset(0), |file| file.base())
}

/// The newest file with a first record that is as old as the checkpoint, but at most `max_back` files
/// back, or the oldest file.
fn start_after_crash(files: &FileSequence, safe_until: i64, max_back: usize) -> PhysicalOffset {
    let files = files.files();
    let is_safe = |file: &&Arc<MappedFile>| {
        first_record(file).is_some_and(|timestamp| timestamp != 0 && timestamp <= safe_until)
    };
    let oldest_allowed = files.get(files.len().saturating_sub(max_back.saturating_add(1)));
    let start = files.iter().rev().take(max_back).find(is_safe).or(oldest_allowed);
    start.map_or(PhysicalOffset(0), |file| file.base())
}

/// The consume queues while units are added to them.
struct Rebuild<'a> {
    options: &'a StoreOptions,
    find_end: FindEnd,
    table: QueueTable,
    queues: HashMap<String, HashMap<i32, Pending>>,
    batch_topics: HashSet<String>,
    /// A queue without units may begin with any offset: there is nothing before in the log.
    may_begin_late: bool,
    /// A unit came whose predecessors are missing; they may be in the log before the start.
    misses_earlier: bool,
}

/// A queue and the units that are to be appended to it.
struct Pending {
    queue: ConsumeQueue,
    first: QueueOffset,
    units: Vec<Unit>,
}

impl Pending {
    fn new(queue: ConsumeQueue) -> Self {
        Pending { first: queue.max_offset(), queue, units: Vec::new() }
    }

    fn next(&self) -> QueueOffset {
        self.first.plus(self.units.len())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let outcome = self.queue.append(self.first, &self.units)?;
        if let Appended::Gap { expected } = outcome {
            return Err(StoreError::Gap { expected, found: self.first });
        }
        self.units.clear();
        self.first = self.queue.max_offset();
        self.queue.release();
        Ok(())
    }
}

impl<'a> Rebuild<'a> {
    fn open(options: &'a StoreOptions, find_end: FindEnd) -> Result<Self, StoreError> {
        let disk = options.disk.as_ref();
        let mut rebuild = Rebuild {
            options,
            find_end,
            table: QueueTable::default(),
            queues: HashMap::new(),
            batch_topics: list_batch_topics(disk, &options.root)?.into_iter().collect(),
            may_begin_late: false,
            misses_earlier: false,
        };
        for (topic, queue_id) in list_queues(disk, &options.root)? {
            rebuild.pending(&topic, queue_id)?;
        }
        Ok(rebuild)
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
        mut act: impl FnMut(&mut Pending) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.queues.values_mut().flat_map(HashMap::values_mut).try_for_each(|pending| {
            act(pending)?;
            pending.queue.release();
            Ok(())
        })
    }

    /// Behind the last record that any queue knows; 0 when none knows one.
    fn max_physical(&mut self) -> Result<PhysicalOffset, StoreError> {
        let mut max = PhysicalOffset(0);
        self.each(|pending| {
            max = max.max(pending.queue.max_physical()?.unwrap_or_default());
            Ok(())
        })?;
        Ok(max)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.each(|pending| pending.queue.clear())
    }

    fn write_all(&mut self) -> Result<(), StoreError> {
        self.each(Pending::write)
    }

    fn dispatch(&mut self, record: &Record<'_>) -> Result<(), StoreError> {
        let rules = &self.options.rules;
        let entries = unit_of(record, rules).into_iter().chain(light_units(record, rules));
        entries.into_iter().try_for_each(|entry| match self.add(entry) {
            // Such a name never was a queue of ours; the record stays in the log, and is in none.
            Err(StoreError::BadTopic { .. }) => Ok(()),
            outcome => outcome,
        })
    }

    fn add(&mut self, entry: Entry<'_>) -> Result<(), StoreError> {
        if self.batch_topics.contains(entry.topic) {
            return Ok(());
        }
        let may_begin_late = self.may_begin_late;
        let pending = self.pending(entry.topic, entry.queue_id)?;
        if entry.queue_offset > pending.next() {
            if !may_begin_late {
                self.misses_earlier = true;
                return Ok(());
            }
            // Messages between were deleted from the log, and so were their units' reasons to be.
            pending.write()?;
            pending.queue.clear()?;
            pending.first = entry.queue_offset;
        }
        if entry.queue_offset == pending.next() {
            pending.units.push(entry.unit);
        }
        if pending.units.len() >= BATCH_UNITS { pending.write() } else { Ok(()) }
    }

    /// Dispatches the whole log up to `end`. A bad record in an old file hides the rest of that file, but
    /// is no reason to cut there what was served before.
    fn read_all(&mut self, files: &FileSequence, end: PhysicalOffset) -> Result<(), StoreError> {
        self.may_begin_late = true;
        for file in files.files() {
            let scan = Scan::over(files, file.base(), end.min(file.end()), Verify::Layout);
            for scanned in scan.map_while(Result::ok) {
                if let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) {
                    self.dispatch(&record)?;
                }
            }
        }
        self.write_all()
    }

    /// Cuts the queues to the log's bounds and notes their next offsets.
    fn finish(mut self, min: PhysicalOffset, end: PhysicalOffset) -> Result<QueueTable, StoreError> {
        self.each(|pending| {
            if pending.queue.max_physical()?.is_some_and(|known| known > end) {
                pending.queue.truncate_to_log(end)?;
            }
            pending.queue.correct_min(min)?;
            pending.queue.state().set_next_offset(pending.queue.max_offset());
            Ok(())
        })?;
        drop(self.queues);
        Ok(self.table)
    }
}
