//! What a start makes of the files that it finds (fact sheet: store 3.1 to 3.4).
//!
//! Every record from a safe point on is checked; the log is cut at the first that is not whole; records
//! whose consume queue units are missing are dispatched again, by the same rules as in live operation.

use super::checkpoint::{Checkpoint, Safe};
use super::commit_log::{CommitLog, Scan};
use super::consume_queue::FindEnd;
use super::error::StoreError;
use super::file_sequence::FileSequence;
use super::mapped_file::MappedFile;
use super::queue_ends::QueueEnds;
use super::queue_table::QueueTable;
use super::rebuild::{LogView, Rebuild};
use super::scan::{Found, Verify, examine};
use super::store::StoreOptions;
use super::transient_store_pool::TransientStorePool;
use super::watermarks::PhysicalOffset;

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
    /// Whether queues missed units from before `start`, or could not be trusted, so that the whole log was
    /// read for them.
    pub read_all: bool,
}

/// Progress of a recovery: bytes checked, and how many there are at most.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// What was found of a log and its queues.
type Recovered = (QueueTable, RecoveryReport, i64);

/// Makes log and queues agree, and both end with the last whole record.
pub(super) fn recover(
    options: &StoreOptions,
    checkpoint: &Checkpoint,
    was_abnormal: bool,
    progress: &mut Progress<'_>,
) -> Result<(CommitLog, QueueTable, RecoveryReport), StoreError> {
    let mut files =
        FileSequence::open(options.disk.clone(), options.log_dir(), options.commit_log_file_size)?;
    let closed = match QueueEnds::take(options)?.filter(|_| !was_abnormal) {
        Some(ends) => recover_closed(options, checkpoint, &files, &ends, progress)?,
        None => None,
    };
    let (table, report, last_timestamp) = match closed {
        Some(recovered) => recovered,
        None => recover_all(options, checkpoint, &files, was_abnormal, progress)?,
    };
    let RecoveryReport { start, end, .. } = report;
    files.truncate_after(end)?;
    // Killed or not, the process before may have left pages that are not on the device yet.
    for file in files.files().into_iter().filter(|file| was_abnormal || file.end() > start) {
        file.sync(0..file.published())?;
    }
    let pool =
        options.pool.map(|pool| TransientStorePool::new(pool, options.disk.clone(), end, last_timestamp));
    Ok((CommitLog::recovered(files, pool, start, end, last_timestamp), table, report))
}

/// The end of a log whose last owner left in good order and wrote down where all ended, if it is still so.
fn recover_closed(
    options: &StoreOptions,
    checkpoint: &Checkpoint,
    files: &FileSequence,
    ends: &QueueEnds,
    progress: &mut Progress<'_>,
) -> Result<Option<Recovered>, StoreError> {
    let Some((first, last)) = files.first().zip(files.last()) else { return Ok(None) };
    let start = start_after_close(&bases(files), |base| first_record(&*files.find(base)?), ends.dispatched());
    let mut told = Told { start, end: last.end(), reported: start, progress };
    let mut report = RecoveryReport { start, ..RecoveryReport::default() };
    let mut last_timestamp = checkpoint.log.get();
    let mut scan = Scan::over(files, start, last.end(), Verify::Checksum);
    while let Some(Ok(scanned)) = scan.next() {
        let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) else { break };
        report.records += 1;
        last_timestamp = record.store_timestamp;
        told.at(scan.position());
    }
    report.end = scan.position();
    if (first.base(), report.end) != (ends.log_min, ends.log_end) {
        return Ok(None);
    }
    let log = LogView { min: first.base(), files: Some(files) };
    Ok(ends.table(options, log, start)?.map(|table| (table, report, last_timestamp)))
}

/// The same for any log and queues.
fn recover_all(
    options: &StoreOptions,
    checkpoint: &Checkpoint,
    files: &FileSequence,
    was_abnormal: bool,
    progress: &mut Progress<'_>,
) -> Result<Recovered, StoreError> {
    let find_end = if was_abnormal { FindEnd::Reading } else { FindEnd::Halving };
    let mut queues = Rebuild::open(options, find_end)?;
    let Some((first, last)) = files.first().zip(files.last()) else {
        queues.clear()?;
        let report = RecoveryReport { was_abnormal, ..RecoveryReport::default() };
        return Ok((queues.finish(PhysicalOffset(0))?, report, 0));
    };

    let dispatched = queues.max_physical()?;
    let bases = bases(files);
    let first_record = |base| first_record(&*files.find(base)?);
    let start = match was_abnormal {
        true => start_after_crash(&bases, first_record, checkpoint.safe(), options.recover_max_files),
        false => start_after_close(&bases, first_record, dispatched),
    };
    // After an orderly end only what no queue knows is new: units of deleted topics must not come back.
    let dispatch_from = if was_abnormal { start } else { dispatched };
    let mut report = RecoveryReport { was_abnormal, start, ..RecoveryReport::default() };
    let min = first.base();
    let log = LogView { min, files: Some(files) };
    queues.from_start = start == min;

    let mut last_timestamp = checkpoint.log.get();
    let mut newest = 0;
    let mut told = Told { start, end: last.end(), reported: start, progress };
    let mut scan = Scan::over(files, start, last.end(), Verify::Checksum);
    // What is no whole record ends the log; the scan then stands at its first byte.
    while let Some(Ok(scanned)) = scan.next() {
        let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) else { break };
        report.records += 1;
        last_timestamp = record.store_timestamp;
        newest = newest.max(last_timestamp);
        if scanned.offset >= dispatch_from {
            queues.dispatch(&record, log)?;
        } else {
            queues.expect(&record);
        }
        told.at(scan.position());
    }
    let end = scan.position();
    report.end = end;
    queues.write_all()?;

    // A checkpoint that is ahead of the log is wrong, and may have let the scan begin too late.
    let is_checkpoint_wrong = was_abnormal && checkpoint.safe_until() > newest;
    if std::mem::take(&mut queues.misses_earlier) || is_checkpoint_wrong {
        report.read_all = true;
        told.begin(min);
        queues.read_all(files, end, |at| told.at(at))?;
    }
    if !queues.cut(files, end)? && !report.read_all {
        report.read_all = true;
        told.begin(min);
        queues.read_all(files, end, |at| told.at(at))?;
        queues.cut(files, end)?;
    }
    told.at(last.end());
    Ok((queues.finish(min)?, report, last_timestamp))
}

fn bases(files: &FileSequence) -> Vec<PhysicalOffset> {
    files.files().iter().map(|file| file.base()).collect()
}

/// What was told of a scan's progress.
struct Told<'a, 'b> {
    start: PhysicalOffset,
    end: PhysicalOffset,
    reported: PhysicalOffset,
    progress: &'a mut Progress<'b>,
}

impl Told<'_, '_> {
    fn begin(&mut self, start: PhysicalOffset) {
        (self.start, self.reported) = (start, start);
    }

    fn at(&mut self, position: PhysicalOffset) {
        if position.since(self.reported) >= PROGRESS_STEP || position == self.end {
            self.reported = position;
            (self.progress)(position.since(self.start) as u64, self.end.since(self.start) as u64);
        }
    }
}

/// When the file's first record was stored, ms.
fn first_record(file: &MappedFile) -> Option<i64> {
    let bytes = file.slice(0..file.len())?;
    match examine(&bytes, file.base(), Verify::Layout) {
        Found::Record(record) => Some(record.store_timestamp),
        Found::Blank(_) | Found::Bad(_) => None,
    }
}

/// The newest file with a first record that the queues have seen, or the oldest file. `first_record` tells
/// when the record at a file's beginning was stored, if one is there.
pub(super) fn start_after_close(
    bases: &[PhysicalOffset],
    first_record: impl Fn(PhysicalOffset) -> Option<i64>,
    dispatched: PhysicalOffset,
) -> PhysicalOffset {
    let is_known = |base: &&PhysicalOffset| **base <= dispatched && first_record(**base).is_some();
    bases.iter().rev().find(is_known).or(bases.first()).copied().unwrap_or_default()
}

/// The newest file with a first record that is as old as the checkpoint, and with bytes before its offset where
/// that is known, but at most `max_back` files back, or the oldest file. Times alone would not do: a clock may
/// have been set back.
pub(super) fn start_after_crash(
    bases: &[PhysicalOffset],
    first_record: impl Fn(PhysicalOffset) -> Option<i64>,
    safe: Safe,
    max_back: usize,
) -> PhysicalOffset {
    let is_safe = |base: &&PhysicalOffset| {
        safe.offset.is_none_or(|offset| **base <= offset)
            && first_record(**base).is_some_and(|timestamp| timestamp != 0 && timestamp <= safe.until)
    };
    let oldest_allowed = bases.get(bases.len().saturating_sub(max_back.saturating_add(1)));
    bases.iter().rev().take(max_back).find(is_safe).or(oldest_allowed).copied().unwrap_or_default()
}
