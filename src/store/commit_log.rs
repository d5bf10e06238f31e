//! The commit log: one sequence of records for all topics, one writer, any number of readers.
//!
//! Records lie byte to byte and never cross a file's end; what a file cannot take any more is padding
//! (fact sheet: store 2.1, 2.2). The writer is an [`Appender`], of which there is one at a time; readers
//! share the [`CommitLog`] and see bytes below the watermark `appended`.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use super::error::StoreError;
use super::file_sequence::FileSequence;
use super::lease::{Lease, Seats};
use super::mapped_file::{FileWriter, MappedFile};
use super::scan::{Found, Verify, examine};
use super::transient_store_pool::TransientStorePool;
use super::watermarks::{PhysicalOffset, Watermark, Watermarks};
use crate::protocol::record::{BLANK_LEN, MAGIC_BLANK};

/// What was appended last is in memory: a kernel that lacks memory takes older pages first.
const HOT_TAIL: usize = 8 << 20;

/// The log as its readers, its flusher and its allocator share it.
#[derive(Debug)]
pub struct CommitLog {
    files: FileSequence,
    /// Records before this were written by another process, and not looked at by this one.
    checked: PhysicalOffset,
    watermarks: Arc<Watermarks>,
    writer: Seats,
    /// Where the writer writes first, if not into the files.
    pool: Option<TransientStorePool>,
    /// Store time of the newest record, ms; written after `appended`, so never ahead of it.
    appended_timestamp: AtomicI64,
    /// Store time of a record known to be flushed, with everything before it, ms.
    flushed_timestamp: AtomicI64,
    flushing: Mutex<()>,
    poison: OnceLock<String>,
    /// The taken percentage of a disk that is too full for messages, 0 when it is not.
    disk_full: AtomicU8,
}

impl CommitLog {
    /// The log in recovered files: they end at `end`, which is also safe on the device, and from `checked` on
    /// every record was found whole.
    pub(super) fn recovered(
        files: FileSequence,
        pool: Option<TransientStorePool>,
        checked: PhysicalOffset,
        end: PhysicalOffset,
        last_timestamp: i64,
    ) -> Self {
        CommitLog {
            files,
            checked,
            watermarks: Arc::new(Watermarks::recovered(end)),
            writer: Seats::default(),
            pool,
            appended_timestamp: AtomicI64::new(last_timestamp),
            flushed_timestamp: AtomicI64::new(last_timestamp),
            flushing: Mutex::new(()),
            poison: OnceLock::new(),
            disk_full: AtomicU8::new(0),
        }
    }

    /// An empty log, whatever the directory held.
    #[cfg(test)]
    pub(super) fn create(
        disk: Arc<dyn super::disk::Disk>,
        dir: std::path::PathBuf,
        file_size: usize,
    ) -> Result<Self, StoreError> {
        let mut files = FileSequence::open(disk, dir, file_size)?;
        let start = files.first().map_or(PhysicalOffset(0), |first| first.base());
        files.truncate_after(start)?;
        Ok(CommitLog::recovered(files, None, start, start, 0))
    }

    /// The files: for the allocator ([`FileSequence::prepare_next`]) and the cleaner
    /// ([`FileSequence::delete_first_before`]).
    pub fn files(&self) -> &FileSequence {
        &self.files
    }

    /// How far each stage has come.
    pub fn watermarks(&self) -> &Arc<Watermarks> {
        &self.watermarks
    }

    /// The offset of the oldest byte that is still there.
    pub fn min_offset(&self) -> PhysicalOffset {
        self.files.first().map_or(self.max_offset(), |first| first.base())
    }

    /// The offset behind the newest readable byte.
    pub fn max_offset(&self) -> PhysicalOffset {
        self.watermarks.appended.get()
    }

    /// The offset behind the newest byte of all, which readers see once it is [committed](CommitLog::commit).
    pub fn written(&self) -> PhysicalOffset {
        self.writers_marks().0.get()
    }

    /// What the writer says how far it is with: the end, and the store time of the newest record.
    fn writers_marks(&self) -> (&Watermark, &AtomicI64) {
        match &self.pool {
            Some(pool) => (&pool.written, &pool.written_timestamp),
            None => (&self.watermarks.appended, &self.appended_timestamp),
        }
    }

    /// Free write buffers, if there are any at all.
    pub fn free_buffers(&self) -> Option<usize> {
        self.pool.as_ref().map(TransientStorePool::free)
    }

    /// The largest record that a file takes, in bytes.
    pub fn record_limit(&self) -> usize {
        self.files.file_size() - BLANK_LEN
    }

    /// Becomes the writer. It starts at `appended`; bytes behind, of an append that its predecessor did
    /// not finish, are overwritten.
    pub fn appender(self: &Arc<Self>) -> Result<Appender, StoreError> {
        let lease = self.writer.take().ok_or_else(in_use)?;
        let is_open = |last: &Arc<MappedFile>| last.published() < last.len();
        let file = self.files.last().filter(is_open).map(|last| self.file_writer(&last)).transpose()?;
        // A predecessor may have left between the two publications, the file's and the log's. The bytes
        // are whole, so the log's is made up for.
        let published = match (&file, self.files.last()) {
            (Some(writer), _) => writer.offset(),
            (None, Some(last)) => last.end(),
            (None, None) => PhysicalOffset(0),
        };
        self.writers_marks().0.advance(published);
        Ok(Appender { log: self.clone(), file, _lease: lease })
    }

    fn file_writer(&self, newest: &Arc<MappedFile>) -> Result<FileWriter, StoreError> {
        match &self.pool {
            Some(pool) => pool.writer(newest),
            None => newest.writer().ok_or_else(in_use),
        }
    }

    /// Writes what waits in write buffers to the files, for readers to see; gives the new `appended`. Without room on
    /// the device nothing is lost, and no more is taken until a later commit succeeds; after any other failure the
    /// log is poisoned.
    pub fn commit(&self) -> Result<PhysicalOffset, StoreError> {
        if let Some(pool) = &self.pool {
            self.check_poison()?;
            match pool.commit(|end| self.watermarks.appended.advance(end)) {
                Ok(timestamp) => self.appended_timestamp.store(timestamp, Ordering::Release),
                Err(error) => {
                    if !error.is_disk_full() {
                        let _ = self.poison.set(error.to_string()); // The first reason is the one to keep.
                    }
                    return Err(error);
                }
            }
        }
        Ok(self.max_offset())
    }

    /// Sees that the next file can have a write buffer.
    fn ready_buffer(&self) -> Result<(), StoreError> {
        match &self.pool {
            Some(pool) if pool.free() == 0 && pool.fails_fast() => Err(StoreError::NoBuffer),
            Some(pool) if pool.free() == 0 => self.commit().map(drop),
            _ => Ok(()),
        }
    }

    /// The `len` bytes at `offset`, without a copy: a consume queue unit names both. `None` when they are
    /// deleted, not yet appended, or would cross a file's end.
    pub fn slice(&self, offset: PhysicalOffset, len: usize) -> Option<Bytes> {
        let file = self.files.find(offset)?;
        let start = offset.since(file.base());
        file.slice(start..start.checked_add(len)?)
    }

    /// How many bytes from `offset` on, up to `max`, are in memory. Of what this process has written or read just
    /// now the system is not asked. What is not there counts: whoever reads it finds out.
    pub fn resident(&self, offset: PhysicalOffset, max: usize) -> usize {
        let end = self.max_offset();
        if offset >= self.checked && end.since(offset) <= HOT_TAIL {
            return max;
        }
        let Some(file) = self.files.find(offset) else { return max };
        let start = offset.since(file.base());
        file.resident(start..start.saturating_add(max))
    }

    /// Reads bytes only to have them in memory ([`MappedFile::load`]).
    pub fn load(&self, offset: PhysicalOffset, len: usize) {
        if let Some(file) = self.files.find(offset) {
            let start = offset.since(file.base());
            file.load(start..start.saturating_add(len));
        }
    }

    /// Whether the record of a consume queue unit may be served: no bit of it flipped since it was written, as
    /// far as its checksums tell. Costs nothing for what this process has written, or checked at its start.
    /// What is gone counts as whole: who slices it sees that.
    pub fn is_whole(&self, offset: PhysicalOffset, size: usize) -> bool {
        if offset >= self.checked {
            return true;
        }
        self.slice(offset, size).is_none_or(|bytes| {
            matches!(examine(&bytes, offset, Verify::Checksum), Found::Record(record) if record.size == size)
        })
    }

    /// Up to `max` bytes from `offset` on, as far as they lie in one file and are appended: what a replica
    /// is sent. `None` when there is nothing at `offset`.
    pub fn contiguous(&self, offset: PhysicalOffset, max: usize) -> Option<Bytes> {
        let file = self.files.find(offset)?;
        contiguous_in(&file, offset, max).filter(|bytes| !bytes.is_empty())
    }

    /// The store time, in ms, of the record at `offset`, or `None` when none is there.
    pub fn store_timestamp(&self, offset: PhysicalOffset) -> Option<i64> {
        let bytes = self.contiguous(offset, usize::MAX)?;
        match examine(&bytes, offset, Verify::Layout) {
            Found::Record(record) => Some(record.store_timestamp),
            Found::Blank(_) | Found::Bad(_) => None,
        }
    }

    /// The records from `from`, the start of one, up to `limit` or to what is appended now.
    pub fn scan(self: &Arc<Self>, from: PhysicalOffset, limit: PhysicalOffset) -> Scan<'_> {
        Scan::over(&self.files, from, limit.min(self.max_offset()), Verify::Layout)
    }

    /// Forces the log to the device up to `up_to`, or to what is appended; returns the new `flushed`.
    /// After a failure nobody knows what is on the device, so the log is poisoned and stays so.
    pub fn flush(&self, up_to: PhysicalOffset) -> Result<PhysicalOffset, StoreError> {
        let _one_at_a_time = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_poison()?;
        // In this order: a record of that time, and all before it, lie below the `appended` read after.
        let timestamp = self.appended_timestamp.load(Ordering::Acquire);
        let appended = self.max_offset();
        let target = up_to.min(appended);
        let mut flushed = self.watermarks.flushed.get();
        while flushed < target {
            let Some(file) = self.files.find(flushed).or_else(|| self.files.first()) else { break };
            let start = flushed.since(file.base());
            let end = target.since(file.base()).min(file.len());
            if let Err(error) = file.sync(start..end) {
                let _ = self.poison.set(error.to_string()); // The first reason is the one to keep.
                return Err(error);
            }
            flushed = file.base().plus(end);
            self.watermarks.flushed.advance(flushed);
        }
        if target == appended {
            self.flushed_timestamp.fetch_max(timestamp, Ordering::AcqRel);
        }
        Ok(self.watermarks.flushed.get())
    }

    /// Forces pages of a file to the device that hold no record yet, as those of a warmed file. A failure poisons
    /// the log too: the system tells of it only once, and may mean another page.
    pub fn sync_warmed(&self, file: &MappedFile, range: std::ops::Range<usize>) {
        if let Err(error) = file.sync(range) {
            let _ = self.poison.set(error.to_string()); // The first reason is the one to keep.
        }
    }

    /// Says that so many percent of the disk are taken, too many for messages; or, with `None`, that there is
    /// room. Reading goes on either way.
    pub fn set_disk_full(&self, used: Option<u8>) {
        self.disk_full.store(used.map_or(0, |used| used.max(1)), Ordering::Relaxed);
    }

    /// Fails while the disk is too full for messages.
    pub fn check_room(&self) -> Result<(), StoreError> {
        match self.disk_full.load(Ordering::Relaxed) {
            0 => self.pool.as_ref().map_or(Ok(()), TransientStorePool::check_room),
            used => Err(StoreError::DiskFull { path: self.files.dir().to_owned(), used }),
        }
    }

    /// Why the log does not flush any more, if so.
    pub fn poisoned(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }

    /// Fails when the log is poisoned.
    pub fn check_poison(&self) -> Result<(), StoreError> {
        match self.poisoned() {
            Some(reason) => Err(StoreError::Poisoned { reason: reason.to_owned() }),
            None => Ok(()),
        }
    }

    /// The store time up to which the log is flushed, ms; for the checkpoint.
    pub fn flushed_timestamp(&self) -> i64 {
        self.flushed_timestamp.load(Ordering::Acquire)
    }
}

fn in_use() -> StoreError {
    StoreError::InUse { what: "the commit log's appender".to_owned() }
}

fn contiguous_in(file: &MappedFile, offset: PhysicalOffset, max: usize) -> Option<Bytes> {
    let start = offset.since(file.base());
    file.slice(start..file.published().min(start.saturating_add(max)))
}

/// The single writer of the log; dropping it, also in a panic, lets a successor follow.
#[derive(Debug)]
pub struct Appender {
    log: Arc<CommitLog>,
    file: Option<FileWriter>,
    _lease: Lease,
}

impl Appender {
    /// The offset of the next byte; the next record begins here or at the next file.
    pub fn offset(&self) -> PhysicalOffset {
        self.log.written()
    }

    /// Where the writer is, for warming the pages ahead of it: its file, or what stands for it, and the position within.
    pub fn position(&self) -> Option<(&Arc<MappedFile>, usize)> {
        self.file.as_ref().map(|writer| (writer.file(), writer.offset().since(writer.file().base())))
    }

    /// Appends `size` bytes that `encode` fills in completely: one record, or the records of a batch that
    /// are to stay together. `encode` is told where they begin. Readers see them when this returns, or with write
    /// buffers when they are committed; if `encode` panics they never existed. `store_timestamp` is that of the last record, in ms.
    ///
    /// # Errors
    /// [`StoreError::RecordTooLarge`]; [`StoreError::Poisoned`]; [`StoreError::DiskFull`]; a new file that cannot be made, or has
    /// [no buffer](StoreError::NoBuffer), in which case the append may be tried again.
    pub fn append(
        &mut self,
        size: usize,
        store_timestamp: i64,
        encode: impl FnOnce(&mut [u8], PhysicalOffset),
    ) -> Result<PhysicalOffset, StoreError> {
        self.log.check_poison()?;
        self.log.check_room()?;
        if size > self.log.record_limit() {
            return Err(StoreError::RecordTooLarge { size, limit: self.log.record_limit() });
        }
        // At least the padding's header stays free at the end of every file.
        if self.file.as_ref().is_none_or(|writer| size + BLANK_LEN > writer.remaining()) {
            self.roll()?;
        }
        let too_large = StoreError::RecordTooLarge { size, limit: self.log.record_limit() };
        let Some(writer) = self.file.as_mut() else { return Err(too_large) };
        let at = writer.offset();
        let Some(window) = writer.reserve(size) else { return Err(too_large) };
        encode(window, at);
        writer.publish(size);
        let (end, timestamp) = self.log.writers_marks();
        end.advance(at.plus(size));
        timestamp.store(store_timestamp, Ordering::Release);
        Ok(at)
    }

    /// Appends bytes of another log's copy exactly as they are, padding included: what a replica receives.
    pub fn append_copy(&mut self, mut bytes: &[u8]) -> Result<PhysicalOffset, StoreError> {
        self.log.check_poison()?;
        let at = self.offset();
        while !bytes.is_empty() {
            if self.file.as_ref().is_none_or(|writer| writer.remaining() == 0) {
                self.next_file()?;
            }
            let Some(writer) = self.file.as_mut() else { break };
            let (now, later) = bytes.split_at(bytes.len().min(writer.remaining()));
            let offset = writer.offset();
            let Some(window) = writer.reserve(now.len()) else { break };
            window.copy_from_slice(now);
            writer.publish(now.len());
            self.log.writers_marks().0.advance(offset.plus(now.len()));
            bytes = later;
        }
        Ok(at)
    }

    /// Pads the current file, if there is one, and goes on in the next. The next file is made first: when
    /// that fails nothing has changed.
    fn roll(&mut self) -> Result<(), StoreError> {
        if let Some(writer) = self.file.as_mut() {
            self.log.files.ready_next()?;
            let blank = writer.remaining();
            if let Some(header) = writer.reserve(BLANK_LEN.min(blank)) {
                let fields = (blank as i32).to_be_bytes().into_iter().chain(MAGIC_BLANK.to_be_bytes());
                header.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
            }
            writer.publish(blank);
            self.log.writers_marks().0.advance(writer.offset());
        }
        self.next_file()
    }

    fn next_file(&mut self) -> Result<(), StoreError> {
        self.file = None;
        self.log.ready_buffer()?;
        let at = self.offset();
        let file = match self.log.files.last() {
            // It was made before, and its buffer could not be.
            Some(last) if last.end() > at => last,
            _ => self.log.files.roll(at)?,
        };
        self.file = Some(self.log.file_writer(&file)?);
        Ok(())
    }
}

/// A record of a scan: where it begins, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Where it begins.
    pub offset: PhysicalOffset,
    /// All of it; keeps its file mapped.
    pub bytes: Bytes,
}

/// Records in log order; see [`CommitLog::scan`]. Padding is skipped. What is no record is an error and
/// ends the scan, with [`Scan::position`] at its first byte.
#[derive(Debug)]
pub struct Scan<'a> {
    files: &'a FileSequence,
    file: Option<Arc<MappedFile>>,
    position: PhysicalOffset,
    limit: PhysicalOffset,
    verify: Verify,
    failed: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn over(
        files: &'a FileSequence,
        from: PhysicalOffset,
        limit: PhysicalOffset,
        verify: Verify,
    ) -> Self {
        Scan { files, file: None, position: from, limit, verify, failed: false }
    }

    /// Where the next record would begin: all before it has been seen.
    pub fn position(&self) -> PhysicalOffset {
        self.position
    }

    /// Bytes from `position` to the limit or the end of its file.
    fn window(&mut self) -> Option<Bytes> {
        let position = self.position;
        if self.file.as_ref().is_none_or(|file| position < file.base() || position >= file.end()) {
            self.file = Some(self.files.find(position)?);
        }
        contiguous_in(self.file.as_ref()?, position, self.limit.since(position))
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Scanned, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed && self.position < self.limit {
            let offset = self.position;
            let bytes = self.window();
            let found = match &bytes {
                Some(bytes) => examine(bytes, offset, self.verify),
                None => Found::Bad("its file is gone"),
            };
            match found {
                Found::Blank(len) => {
                    let file_end = self.file.as_ref().map(|file| file.end());
                    if file_end == Some(offset.plus(len)) {
                        self.position = offset.plus(len);
                        continue;
                    }
                    self.failed = true;
                    let reason = "padding that does not reach the end of its file";
                    return Some(Err(StoreError::BadRecord { offset, reason }));
                }
                Found::Record(record) => {
                    self.position = offset.plus(record.size);
                    let record = bytes.as_ref().map(|bytes| bytes.slice(..record.size));
                    return record.map(|bytes| Ok(Scanned { offset, bytes }));
                }
                Found::Bad(reason) => {
                    self.failed = true;
                    return Some(Err(StoreError::BadRecord { offset, reason }));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::LocalDisk;
    use crate::store::scan::tests::Draft;
    use proptest::prelude::*;

    const SIZE: usize = 4096;
    const EVERYTHING: PhysicalOffset = PhysicalOffset(i64::MAX);

    fn log() -> (tempfile::TempDir, Arc<CommitLog>) {
        let dir = tempfile::tempdir().unwrap();
        let log = CommitLog::create(Arc::new(LocalDisk), dir.path().to_owned(), SIZE).unwrap();
        (dir, Arc::new(log))
    }

    fn append(appender: &mut Appender, draft: &Draft) -> PhysicalOffset {
        let encode = |out: &mut [u8], at| out.copy_from_slice(&draft.encode(at));
        appender.append(draft.size(), draft.store_timestamp, encode).unwrap()
    }

    fn body_for(size: usize) -> Draft {
        let empty = Draft::new("T", 0, 0, b"").size();
        Draft::new("T", 0, 0, &vec![1; size - empty])
    }

    #[test]
    fn a_record_that_leaves_fewer_than_eight_bytes_goes_to_the_next_file() {
        let (_dir, log) = log();
        let mut appender = log.appender().unwrap();
        append(&mut appender, &body_for(SIZE - 108));
        assert_eq!(append(&mut appender, &body_for(100)), PhysicalOffset(SIZE as i64 - 108));
        assert_eq!(append(&mut appender, &body_for(SIZE - 107)), PhysicalOffset(SIZE as i64));
        assert_eq!(append(&mut appender, &body_for(100)), PhysicalOffset(2 * SIZE as i64));
        let blank = log.slice(PhysicalOffset(2 * SIZE as i64 - 107), 8).unwrap();
        assert_eq!(blank[..], [0, 0, 0, 107, 0xCB, 0xD4, 0x31, 0x94]);
        assert_eq!(log.scan(PhysicalOffset(0), EVERYTHING).map(Result::unwrap).count(), 4);
    }

    #[test]
    fn a_record_larger_than_a_file_is_refused_and_nothing_changes() {
        let (_dir, log) = log();
        let mut appender = log.appender().unwrap();
        let refused = appender.append(SIZE - 7, 0, |_, _| unreachable!());
        assert!(matches!(refused, Err(StoreError::RecordTooLarge { .. })));
        assert_eq!(log.max_offset(), PhysicalOffset(0));
        append(&mut appender, &body_for(SIZE - 8));
    }

    #[test]
    fn a_panic_within_an_append_leaves_no_trace() {
        let (_dir, log) = log();
        let mut appender = log.appender().unwrap();
        append(&mut appender, &body_for(100));
        assert!(log.appender().is_err());
        let crashed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            appender.append(200, 0, |out, _| {
                out.fill(1);
                panic!("while encoding")
            })
        }));
        assert!(crashed.is_err());
        assert_eq!(log.max_offset(), PhysicalOffset(100));
        let mut successor = log.appender().unwrap();
        assert_eq!(append(&mut successor, &body_for(100)), PhysicalOffset(100));
        assert_eq!(log.scan(PhysicalOffset(0), EVERYTHING).map(Result::unwrap).count(), 2);
    }

    #[test]
    fn flushing_moves_the_mark_over_files_and_never_past_appended() {
        let (_dir, log) = log();
        let mut appender = log.appender().unwrap();
        for _ in 0..3 {
            append(&mut appender, &body_for(3000));
        }
        assert_eq!(log.flush(PhysicalOffset(50)).unwrap(), PhysicalOffset(50));
        assert_eq!(log.flushed_timestamp(), 0);
        assert_eq!(log.flush(EVERYTHING).unwrap(), PhysicalOffset(2 * SIZE as i64 + 3000));
        assert_eq!(log.flushed_timestamp(), 1_700_000_000_000);
    }

    #[test]
    fn a_copy_of_another_log_has_its_bytes() {
        let (_dir, master) = log();
        let (_dir, slave) = log();
        let mut appender = master.appender().unwrap();
        for _ in 0..5 {
            append(&mut appender, &body_for(1500));
        }
        let mut copier = slave.appender().unwrap();
        while let Some(chunk) = master.contiguous(slave.max_offset(), 1000) {
            copier.append_copy(&chunk).unwrap();
        }
        let records = |log: &Arc<CommitLog>| -> Vec<_> {
            log.scan(PhysicalOffset(0), EVERYTHING).map(Result::unwrap).collect()
        };
        assert_eq!(records(&master), records(&slave));
        assert_eq!(master.max_offset(), slave.max_offset());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_appended_is_read_back(bodies in proptest::collection::vec(0usize..3000, 1..40)) {
            let (_dir, log) = log();
            let mut appender = log.appender().unwrap();
            let mut written = Vec::new();
            for (i, len) in bodies.iter().enumerate() {
                if i % 7 == 3 {
                    drop(appender);
                    appender = log.appender().unwrap();
                }
                let draft = Draft::new("T", 0, i as i64, &vec![i as u8; *len]);
                let offset = append(&mut appender, &draft);
                written.push((offset, draft.encode(offset)));
            }
            for (offset, bytes) in &written {
                prop_assert_eq!(&log.slice(*offset, bytes.len()).unwrap()[..], &bytes[..]);
                prop_assert!(log.slice(*offset, SIZE + 1).is_none());
            }
            let scanned: Vec<_> = log
                .scan(PhysicalOffset(0), EVERYTHING)
                .map(Result::unwrap)
                .map(|record| (record.offset, record.bytes.to_vec()))
                .collect();
            prop_assert_eq!(scanned, written);
        }
    }
}
