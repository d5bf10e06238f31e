//! What of a store is whole and what is not: the log, and everything else against the log.

use super::super::checkpoint::Marks;
use super::super::error::StoreError;
use super::super::lock::AbortMark;
use super::super::recovery::{start_after_close, start_after_crash};
use super::super::watermarks::PhysicalOffset;
use super::Progress;
use super::finding::{Finding, Findings, Limited, Severity};
use super::keys::KeyCheck;
use super::layout::StoppedStore;
use super::log_reader::{Entry, LogReader};
use super::queues::QueueChecks;
use super::small_files;

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// What there is to say, in the order of log, queues, index, small files.
    pub findings: Vec<Finding>,
    /// Whole records.
    pub records: u64,
    /// Where the log begins.
    pub log_start: PhysicalOffset,
    /// Behind the last whole record: where a start goes on.
    pub log_end: PhysicalOffset,
    /// Whether the last owner left without closing the store.
    pub was_abnormal: bool,
    /// Where the next start begins to check.
    pub recovery_start: PhysicalOffset,
    /// Consume queues.
    pub queues: usize,
    /// Entries of the key index.
    pub keys: u64,
}

impl Verdict {
    /// Whether there is damage that no start mends.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage)
    }
}

/// What a walk over the log has told.
#[derive(Debug, Default)]
struct Walked {
    records: u64,
    end: PhysicalOffset,
    /// Newest store time, ms.
    newest: i64,
}

/// Looks at everything.
///
/// # Errors
/// A directory that cannot be read. What is wrong within the files is no error but a [`Finding`].
pub fn verify(store: &StoppedStore, progress: &mut Progress<'_>) -> Result<Verdict, StoreError> {
    let options = &store.options;
    let disk = options.disk.as_ref();
    let mut findings = Findings::below(&options.root);
    let was_abnormal = AbortMark::of(&options.root).exists()?;
    let marks = small_files::checkpoint(store, &mut findings)?;
    let mut log = LogReader::open(disk, &options.log_dir(), options.commit_log_file_size, &mut findings)?;
    let mut queues = QueueChecks::open(store, &mut findings)?;
    let mut keys = KeyCheck::open(store, &mut findings)?;

    let dispatched = if was_abnormal { PhysicalOffset(0) } else { queues.max_physical()? };
    let bases = log.bases().to_vec();
    let first_records = std::cell::RefCell::new(&mut log);
    let first_record = |base| first_records.borrow_mut().first_record(base);
    let start = match was_abnormal {
        true => start_after_crash(&bases, first_record, marks.safe(), options.recover_max_files),
        false => start_after_close(&bases, first_record, dispatched),
    };

    let walked = walk(&mut log, start, &mut queues, &mut keys, &mut findings, progress)?;
    let is_told = judge_tail(&mut log, &walked, &marks, was_abnormal, &mut queues, &mut findings)?;
    let mended_from = if was_abnormal { start } else { dispatched };
    let behind = queues.finish(&mut log, walked.end, was_abnormal.then_some(mended_from), &mut findings)?;
    if behind > 0 && !was_abnormal && !is_told {
        let (path, place) = log.place(walked.end);
        let what = format!(
            "the log ends at offset {}, but queues have {behind} messages behind: they are lost",
            walked.end
        );
        findings.damage(&path, place, what);
    }
    keys.finish(walked.end, was_abnormal, &mut findings)?;
    small_files::judge_marks(store, &marks, walked.newest, walked.records, was_abnormal, &mut findings);
    small_files::json(store, &mut findings)?;
    Ok(Verdict {
        findings: findings.into_vec(),
        records: walked.records,
        log_start: log.min(),
        log_end: walked.end,
        was_abnormal,
        recovery_start: start,
        queues: queues.len(),
        keys: keys.len(),
    })
}

/// Reads the log from its first byte to the one at which a start would cut it.
fn walk(
    log: &mut LogReader,
    start: PhysicalOffset,
    queues: &mut QueueChecks<'_>,
    keys: &mut KeyCheck<'_>,
    findings: &mut Findings,
    progress: &mut Progress<'_>,
) -> Result<Walked, StoreError> {
    let (first, extent, len) = (log.min(), log.extent(), log.len());
    let mut walked = Walked { end: first, ..Walked::default() };
    let (mut at, mut bad, mut told) = (first, Limited::default(), 0);
    while at < extent {
        let reason = match log.entry(at) {
            Entry::Record(record, _) => {
                walked.records += 1;
                walked.newest = walked.newest.max(record.store_timestamp);
                queues.record(&record)?;
                keys.record(&record)?;
                at = at.plus(record.size);
                walked.end = at;
                let done = at.since(first) as u64;
                if done - told > PROGRESS_STEP {
                    told = done;
                    progress(done, len);
                }
                continue;
            }
            Entry::Padding(size) => {
                at = at.plus(size);
                walked.end = at;
                continue;
            }
            Entry::Nothing => "nothing is written here",
            Entry::Bad(reason) => reason,
        };
        if at >= start {
            break;
        }
        // No start comes by here: what is bad stays, and what is behind it is still served.
        let next = log.next_whole(at);
        if bad.admits() {
            let (path, place) = log.place(at);
            let until = next.map_or("the end".to_owned(), |next| format!("offset {next}"));
            findings.damage(&path, place, format!("no whole record at offset {at}, up to {until}: {reason}"));
        }
        let Some(next) = next else { break };
        at = next;
    }
    if bad.left_out() > 0 {
        let (path, _) = log.place(first);
        findings.damage(&path, None, format!("{} more such places in the log", bad.left_out()));
    }
    walked.end = walked.end.max(at.min(extent));
    progress(len, len);
    Ok(walked)
}

const PROGRESS_STEP: u64 = 4 << 20;

/// What lies behind the end of the log: nothing, a torn write that the next start cuts off, or messages
/// that had been safe and are not any more. Tells whether it is such damage.
fn judge_tail(
    log: &mut LogReader,
    walked: &Walked,
    marks: &Marks,
    was_abnormal: bool,
    queues: &mut QueueChecks<'_>,
    findings: &mut Findings,
) -> Result<bool, StoreError> {
    let (end, extent) = (walked.end, log.extent());
    if end >= extent {
        return Ok(false);
    }
    let reason = match log.entry(end) {
        Entry::Bad(reason) => Some(reason),
        _ => None,
    };
    let (mut whole, mut known, mut safe) = (0u64, 0u64, 0u64);
    let mut next = log.next_whole(end);
    while let Some(at) = next {
        if let Entry::Record(record, _) = log.entry(at) {
            whole += 1;
            if queues.knows(&record)? {
                known += 1;
                safe += u64::from(record.store_timestamp <= marks.log);
            }
            let behind = at.plus(record.size);
            next = match log.entry(behind) {
                Entry::Record(..) => Some(behind),
                _ => log.next_whole(behind),
            };
        }
    }
    let (path, place) = log.place(end);
    // An orderly end leaves nothing torn; a crash only what had not been flushed.
    let lost = if was_abnormal { safe } else { known };
    let unknown = if !was_abnormal && queues.len() == 0 { whole } else { 0 };
    if lost + unknown > 0 {
        let reason = reason.unwrap_or("nothing is written here");
        let what = format!(
            "no whole record at offset {end}: {reason}; a start cuts the log here and loses {} whole records \
             behind it that were safe",
            lost + unknown
        );
        findings.damage(&path, place, what);
    } else if let Some(reason) = reason {
        let behind =
            if whole > 0 { format!(", with {whole} whole records behind it") } else { String::new() };
        let what = format!("the log ends at offset {end}{behind}: {reason}; the next start cuts it here");
        findings.note(&path, place, what);
    } else if whole > 0 {
        let what =
            format!("the log ends at offset {end}; {whole} whole records behind it are not of it any more");
        findings.note(&path, place, what);
    }
    Ok(lost + unknown > 0)
}
