//! Memory in which messages wait to be written to the log's files (`transientStorePoolEnable`; fact sheet: store 2.8).
//!
//! The log's writer fills a [`WriteBuffer`] that stands for its file; a commit writes what is new in it to the file,
//! and only then do readers see it. A buffer is there from when its file begins until the file is committed to its
//! end, whatever becomes of the writer; its pages take memory only while they wait. A kill loses what waits.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::disk::Disk;
use super::error::StoreError;
use super::mapped_file::{FileWriter, MappedFile};
use super::watermarks::{PhysicalOffset, Watermark};

/// What is tried at a commit.
const COMMIT: &str = "write messages to";

/// How many buffers there are, and what to do when all are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// `transientStorePoolSize`: files that may have something uncommitted at a time.
    pub size: usize,
    /// `fastFailIfNoBufferInStorePool`: refuse messages then, instead of committing before more are taken.
    pub fails_fast: bool,
}

/// The buffers of the log's newest files.
#[derive(Debug)]
pub(super) struct TransientStorePool {
    options: PoolOptions,
    disk: Arc<dyn Disk>,
    /// Oldest first; the last one may be the writer's.
    taken: Mutex<VecDeque<Arc<WriteBuffer>>>,
    /// The end of what is in buffers or files. Writer: the appender.
    pub(super) written: Watermark,
    /// Store time of the newest record there, ms; written after `written`, so never ahead of it.
    pub(super) written_timestamp: AtomicI64,
    committing: Mutex<()>,
    /// The last commit found no room on the device.
    lacks_room: AtomicBool,
}

/// What waits for one file.
#[derive(Debug)]
struct WriteBuffer {
    memory: Arc<MappedFile>,
    handle: File,
    target: Mutex<FileWriter>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WriteBuffer {
    fn over(file: &Arc<MappedFile>, disk: &dyn Disk) -> Result<Self, StoreError> {
        let handle = disk.open(file.path()).map_err(StoreError::io("open", file.path()))?;
        let target = Mutex::new(file.writer().ok_or_else(|| in_use(file))?);
        Ok(WriteBuffer { memory: Arc::new(file.stand_in()?), handle, target })
    }

    /// Writes what is new to the file; gives where the file ends then, and whether it can take no more.
    fn commit(&self, disk: &dyn Disk) -> Result<(PhysicalOffset, bool), StoreError> {
        let mut target = lock(&self.target);
        let (from, to) = (target.file().published(), self.memory.published());
        if let Some(bytes) = self.memory.slice(from..to).filter(|bytes| !bytes.is_empty()) {
            let path = target.file().path();
            let written = disk.write_at(path, &self.handle, &bytes, from as u64);
            written.map_err(StoreError::io(COMMIT, path))?;
            target.publish(bytes.len());
            drop(bytes);
            self.memory.give_back(from..to);
        }
        Ok((target.offset(), target.remaining() == 0))
    }
}

fn in_use(file: &MappedFile) -> StoreError {
    StoreError::InUse { what: format!("the writing of {}", file.path().display()) }
}

impl TransientStorePool {
    /// All buffers are free, and the log is committed up to `end`.
    pub(super) fn new(
        options: PoolOptions,
        disk: Arc<dyn Disk>,
        end: PhysicalOffset,
        timestamp: i64,
    ) -> Self {
        TransientStorePool {
            options,
            disk,
            taken: Mutex::default(),
            written: Watermark::at(end),
            written_timestamp: AtomicI64::new(timestamp),
            committing: Mutex::new(()),
            lacks_room: AtomicBool::new(false),
        }
    }

    /// Buffers that are free.
    pub(super) fn free(&self) -> usize {
        self.options.size.saturating_sub(lock(&self.taken).len())
    }

    /// Whether a message is refused rather than that it waits for a buffer.
    pub(super) fn fails_fast(&self) -> bool {
        self.options.fails_fast
    }

    /// Fails while what waits finds no room on the device: more is not taken.
    pub(super) fn check_room(&self) -> Result<(), StoreError> {
        if !self.lacks_room.load(Ordering::Relaxed) {
            return Ok(());
        }
        match lock(&self.taken).front() {
            Some(buffer) => Err(StoreError::io(COMMIT, buffer.memory.path())(Errno::NOSPC.into())),
            None => Ok(()),
        }
    }

    /// The right to write to the log's newest file, by way of its buffer.
    pub(super) fn writer(&self, newest: &Arc<MappedFile>) -> Result<FileWriter, StoreError> {
        let mut taken = lock(&self.taken);
        let buffer = match taken.back().filter(|buffer| buffer.memory.base() == newest.base()) {
            Some(buffer) => buffer.clone(),
            None => {
                let buffer = Arc::new(WriteBuffer::over(newest, self.disk.as_ref())?);
                taken.push_back(buffer.clone());
                buffer
            }
        };
        buffer.memory.writer().ok_or_else(|| in_use(newest))
    }

    /// Writes all that waits to its files, in order, and tells how far each step comes. Gives the store time of
    /// the newest record, ms.
    pub(super) fn commit(&self, mut reached: impl FnMut(PhysicalOffset)) -> Result<i64, StoreError> {
        let _one_at_a_time = lock(&self.committing);
        // Read first: a record of that time, and all before it, are in the buffers then.
        let timestamp = self.written_timestamp.load(Ordering::Acquire);
        loop {
            let Some(oldest) = lock(&self.taken).front().cloned() else { break };
            let committed = oldest.commit(self.disk.as_ref());
            self.lacks_room.store(committed.as_ref().is_err_and(StoreError::is_disk_full), Ordering::Relaxed);
            let (end, is_complete) = committed?;
            reached(end);
            if !is_complete {
                break;
            }
            lock(&self.taken).pop_front();
        }
        Ok(timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::commit_log::CommitLog;
    use crate::store::disk::LocalDisk;
    use crate::store::file_sequence::FileSequence;

    const SIZE: usize = 8192;
    const START: PhysicalOffset = PhysicalOffset(0);

    fn log(size: usize, fails_fast: bool) -> (tempfile::TempDir, Arc<CommitLog>) {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
        let files = FileSequence::open(disk.clone(), dir.path().to_owned(), SIZE).unwrap();
        let pool = TransientStorePool::new(PoolOptions { size, fails_fast }, disk, START, 0);
        (dir, Arc::new(CommitLog::recovered(files, Some(pool), START, START, 0)))
    }

    fn fill(byte: u8) -> impl FnOnce(&mut [u8], PhysicalOffset) {
        move |out, _| out.fill(byte)
    }

    #[test]
    fn readers_and_syncs_see_what_is_committed_and_no_more() {
        let (_dir, log) = log(2, false);
        let mut appender = log.appender().unwrap();
        appender.append(100, 7, fill(1)).unwrap();
        assert_eq!((log.written(), log.max_offset()), (PhysicalOffset(100), START));
        assert!(log.slice(START, 1).is_none());
        assert_eq!((log.flush(log.written()).unwrap(), log.flushed_timestamp()), (START, 0));
        assert_eq!(log.commit().unwrap(), PhysicalOffset(100));
        assert_eq!(log.slice(START, 100).unwrap(), [1; 100][..]);
        assert_eq!((log.flush(log.written()).unwrap().0, log.flushed_timestamp()), (100, 7));
        // A page that is partly committed keeps its rest.
        appender.append(5000, 8, fill(2)).unwrap();
        log.commit().unwrap();
        appender.append(2000, 9, fill(3)).unwrap();
        log.commit().unwrap();
        let all = log.slice(START, 7100).unwrap();
        assert!(all[100..5100].iter().all(|b| *b == 2) && all[5100..].iter().all(|b| *b == 3));
    }

    #[test]
    fn a_successor_of_the_writer_goes_on_behind_what_waits() {
        let (_dir, log) = log(2, false);
        let mut appender = log.appender().unwrap();
        appender.append(10, 1, fill(1)).unwrap();
        let unfinished = std::panic::AssertUnwindSafe(|| {
            appender.append(10, 1, |out, _| {
                out.fill(9);
                panic!("half-way");
            })
        });
        assert!(std::panic::catch_unwind(unfinished).is_err());
        drop(appender);
        let mut appender = log.appender().unwrap();
        assert_eq!(appender.append(10, 1, fill(2)).unwrap(), PhysicalOffset(10));
        log.commit().unwrap();
        assert_eq!(log.slice(START, 20).unwrap(), [[1; 10], [2; 10]].concat());
    }

    #[test]
    fn without_a_free_buffer_the_writer_commits_by_itself_or_refuses_until_somebody_has() {
        for fails_fast in [false, true] {
            let (_dir, log) = log(2, fails_fast);
            let mut appender = log.appender().unwrap();
            for number in 0..2 {
                appender.append(8000, 1, fill(number)).unwrap();
            }
            assert_eq!((log.free_buffers(), log.max_offset()), (Some(0), START));
            let third = appender.append(8000, 1, fill(2));
            if fails_fast {
                assert!(matches!(third, Err(StoreError::NoBuffer)));
                assert!(matches!(appender.append(10, 1, fill(2)), Err(StoreError::NoBuffer)));
                assert_eq!((log.commit().unwrap().0, log.free_buffers()), (2 * SIZE as i64, Some(2)));
                appender.append(8000, 1, fill(2)).unwrap();
            }
            assert_eq!(log.max_offset().0, 2 * SIZE as i64);
            assert_eq!((log.written().0, log.free_buffers()), (2 * SIZE as i64 + 8000, Some(1)));
            log.commit().unwrap();
            for number in 0..3u8 {
                let bytes = log.slice(PhysicalOffset(i64::from(number) * SIZE as i64), 8000).unwrap();
                assert!(bytes.iter().all(|byte| *byte == number));
            }
        }
    }
}
