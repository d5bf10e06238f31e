//! A directory of mapped files of one size, each named by the offset of its first byte.
//!
//! Names and size rules are part of the format (fact sheet: store 1).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use super::disk::{Disk, Entry};
use super::error::StoreError;
use super::mapped_file::MappedFile;
use super::watermarks::PhysicalOffset;

/// Digits of a file name.
const NAME_DIGITS: usize = 20;

/// So long after a failure to make a file the writer does not try by itself. Whoever prepares files tries
/// more often: on a full device an attempt takes long.
const TRUST_IN_FAILURE: Duration = Duration::from_millis(900);

/// The name of the file that begins at `offset`.
pub fn file_name(offset: i64) -> String {
    format!("{offset:020}")
}

/// The bases of the files of `dir`, in order, after the checks of a start: every file has `file_size`
/// bytes and follows the one before; an empty last file, left by a crash, is removed; directories are
/// skipped.
pub(super) fn list_bases(disk: &dyn Disk, dir: &Path, file_size: u64) -> Result<Vec<i64>, StoreError> {
    let mut files: Vec<Entry> = disk.list(dir).map_err(StoreError::io("list", dir))?;
    files.retain(|entry| !entry.is_dir);
    if let Some(last) = files.pop_if(|entry| entry.len == 0) {
        let path = dir.join(last.name);
        disk.remove(&path).map_err(StoreError::io("remove the empty file", &path))?;
    }
    let mut bases: Vec<i64> = Vec::with_capacity(files.len());
    for entry in files {
        let path = dir.join(&entry.name);
        let broken = |reason| StoreError::BrokenSequence { path: path.clone(), reason };
        if entry.len != file_size {
            return Err(StoreError::WrongLength { path, expected: file_size, found: entry.len });
        }
        if entry.name.len() != NAME_DIGITS {
            return Err(broken("its name is not an offset of 20 digits"));
        }
        let base: i64 = entry.name.parse().map_err(|_| broken("its name is not an offset of 20 digits"))?;
        let follows = bases.last().is_none_or(|previous| base - previous == file_size as i64);
        if !follows || base < 0 {
            return Err(broken("its offset is not that of the file before it plus the file size"));
        }
        bases.push(base);
    }
    Ok(bases)
}

/// The files of the log: readers look up, one writer rolls, an allocator prepares, a cleaner removes.
#[derive(Debug)]
pub struct FileSequence {
    dir: PathBuf,
    file_size: usize,
    disk: Arc<dyn Disk>,
    files: RwLock<VecDeque<Arc<MappedFile>>>,
    /// The file behind the last one, made ahead of need. The lock is held while a file is made, so that
    /// a writer in need of it waits for the allocator's instead of making the same file twice.
    prepared: Mutex<Option<Arc<MappedFile>>>,
    /// Why the last attempt to make a file failed, if so.
    failed: Mutex<Option<Failure>>,
}

/// An attempt to make a file that failed.
#[derive(Debug)]
struct Failure {
    at: Instant,
    path: PathBuf,
    code: Option<i32>,
    kind: io::ErrorKind,
}

impl Failure {
    fn of(path: &Path, error: &io::Error) -> Self {
        Failure { at: Instant::now(), path: path.to_owned(), code: error.raw_os_error(), kind: error.kind() }
    }

    fn to_error(&self) -> StoreError {
        let source = self.code.map_or_else(|| self.kind.into(), io::Error::from_raw_os_error);
        StoreError::io(RESERVE, &self.path)(source)
    }
}

/// What is tried when a file is made.
const RESERVE: &str = "reserve space for";

impl FileSequence {
    /// Maps what is in `dir`, all of it readable; makes the directory if need be.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, file_size: usize) -> Result<Self, StoreError> {
        disk.create_dir(&dir).map_err(StoreError::io("make the directory", &dir))?;
        let bases = list_bases(disk.as_ref(), &dir, file_size as u64)?;
        let sequence = FileSequence {
            dir,
            file_size,
            disk,
            files: RwLock::new(VecDeque::new()),
            prepared: Mutex::new(None),
            failed: Mutex::new(None),
        };
        let files: Result<VecDeque<_>, _> =
            bases.into_iter().map(|base| sequence.map_existing(base, file_size)).collect();
        *sequence.files.write().unwrap_or_else(PoisonError::into_inner) = files?;
        Ok(sequence)
    }

    fn map_existing(&self, base: i64, published: usize) -> Result<Arc<MappedFile>, StoreError> {
        let path = self.dir.join(file_name(base));
        let file = self.disk.open(&path).map_err(StoreError::io("open", &path))?;
        let base = PhysicalOffset(base);
        Ok(Arc::new(MappedFile::map(self.disk.clone(), path, &file, base, published)?))
    }

    fn create(&self, base: PhysicalOffset) -> Result<Arc<MappedFile>, StoreError> {
        let path = self.dir.join(file_name(base.0));
        let made = self.disk.create_reserved(&path, self.file_size as u64);
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) =
            made.as_ref().err().map(|error| Failure::of(&path, error));
        let file = made.map_err(StoreError::io(RESERVE, &path))?;
        self.disk.sync_dir(&self.dir).map_err(StoreError::io("sync the directory", &self.dir))?;
        Ok(Arc::new(MappedFile::map(self.disk.clone(), path, &file, base, 0)?))
    }

    /// Where the files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The size of every file in bytes.
    pub fn file_size(&self) -> usize {
        self.file_size
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, VecDeque<Arc<MappedFile>>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepared(&self) -> MutexGuard<'_, Option<Arc<MappedFile>>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All files, oldest first, without a prepared one.
    pub fn files(&self) -> Vec<Arc<MappedFile>> {
        self.read().iter().cloned().collect()
    }

    /// The oldest file.
    pub fn first(&self) -> Option<Arc<MappedFile>> {
        self.read().front().cloned()
    }

    /// The newest file.
    pub fn last(&self) -> Option<Arc<MappedFile>> {
        self.read().back().cloned()
    }

    /// The file that holds `offset`.
    pub fn find(&self, offset: PhysicalOffset) -> Option<Arc<MappedFile>> {
        let files = self.read();
        let first = files.front()?.base();
        if offset < first {
            return None;
        }
        files.get(offset.since(first) / self.file_size).cloned()
    }

    /// Makes the file behind the last one, unless it is there already; returns it for warming. Callable
    /// from any thread at any time; with no file yet, prepares the one at offset 0.
    pub fn prepare_next(&self) -> Result<Arc<MappedFile>, StoreError> {
        let mut prepared = self.prepared();
        let base = self.last().map_or(PhysicalOffset(0), |last| last.end());
        if let Some(ready) = prepared.as_ref().filter(|file| file.base() == base) {
            return Ok(ready.clone());
        }
        let file = self.create(base)?;
        *prepared = Some(file.clone());
        Ok(file)
    }

    /// [`FileSequence::prepare_next`] for the writer, who must not be held up: shortly after an attempt that
    /// failed it gets the same error at once.
    pub fn ready_next(&self) -> Result<(), StoreError> {
        self.check_failure()?;
        self.prepare_next().map(drop)
    }

    fn check_failure(&self) -> Result<(), StoreError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match failed.as_ref().filter(|failed| failed.at.elapsed() < TRUST_IN_FAILURE) {
            Some(failed) => Err(failed.to_error()),
            None => Ok(()),
        }
    }

    /// Appends the file that begins at `base`, prepared or made now. `base` is the end of the last file,
    /// or the multiple of the file size at which an empty sequence is to begin.
    pub fn roll(&self, base: PhysicalOffset) -> Result<Arc<MappedFile>, StoreError> {
        self.check_failure()?;
        let mut prepared = self.prepared();
        let file = match prepared.take() {
            Some(ready) if ready.base() == base => ready,
            Some(unfit) => {
                self.remove_file(&unfit)?;
                self.create(base)?
            }
            None => self.create(base)?,
        };
        self.files.write().unwrap_or_else(PoisonError::into_inner).push_back(file.clone());
        Ok(file)
    }

    /// Removes a prepared file that nobody has used.
    pub fn discard_prepared(&self) -> Result<(), StoreError> {
        self.prepared().take().map_or(Ok(()), |file| self.remove_file(&file))
    }

    /// Makes `end` the end: later files are removed, the rest of its own is zeroed and reserved, so that
    /// no stale record survives behind it. A file that begins at `end` stays if it is the only one: it says where
    /// the log goes on. Exclusive: no slice behind `end` may be alive.
    pub fn truncate_after(&mut self, end: PhysicalOffset) -> Result<(), StoreError> {
        self.discard_prepared()?;
        let is_needed = |last: &MappedFile| last.base() == end && self.read().len() == 1;
        while let Some(last) = self.last().filter(|last| last.base() >= end && !is_needed(last)) {
            self.remove_file(&last)?;
            self.files.write().unwrap_or_else(PoisonError::into_inner).pop_back();
        }
        let Some(last) = self.last() else { return Ok(()) };
        let kept = end.since(last.base()).min(self.file_size);
        if kept < self.file_size {
            let file = self.disk.open(last.path()).map_err(StoreError::io("open", last.path()))?;
            self.disk
                .zero(last.path(), &file, kept as u64..self.file_size as u64)
                .and_then(|()| self.disk.sync_file(last.path(), &file))
                .map_err(StoreError::io("clear the unused end of", last.path()))?;
            let mapped = self.map_existing(last.base().0, kept)?;
            if let Some(slot) = self.files.write().unwrap_or_else(PoisonError::into_inner).back_mut() {
                *slot = mapped;
            }
        }
        Ok(())
    }

    /// When a file was last written to.
    pub fn modified(&self, file: &MappedFile) -> Result<SystemTime, StoreError> {
        self.disk.modified(file.path()).map_err(StoreError::io("look at", file.path()))
    }

    /// Removes the oldest file if it ends at or below `limit` and is not the last; tells whether it did.
    pub fn delete_first_before(&self, limit: PhysicalOffset) -> Result<bool, StoreError> {
        let deletable = {
            let files = self.read();
            files.front().filter(|first| files.len() > 1 && first.end() <= limit).cloned()
        };
        let Some(first) = deletable else { return Ok(false) };
        // A power cut may bring the file back. It must be whole then: a recovery would cut the log within it,
        // and with it what was acknowledged behind.
        first.sync(0..first.len())?;
        // Out of the readers' sight first; who holds a slice keeps the bytes.
        self.files.write().unwrap_or_else(PoisonError::into_inner).pop_front();
        self.remove_file(&first)?;
        Ok(true)
    }

    /// Removes all files that end at or below `limit`, oldest first, never the last one; tells how many.
    pub fn delete_before(&self, limit: PhysicalOffset) -> Result<usize, StoreError> {
        let mut removed = 0;
        while self.delete_first_before(limit)? {
            removed += 1;
        }
        Ok(removed)
    }

    fn remove_file(&self, file: &MappedFile) -> Result<(), StoreError> {
        self.disk.remove(file.path()).map_err(StoreError::io("remove", file.path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::LocalDisk;
    use std::fs;

    const SIZE: usize = 4096;

    fn open(dir: &Path) -> Result<FileSequence, StoreError> {
        FileSequence::open(Arc::new(LocalDisk), dir.to_owned(), SIZE)
    }

    fn with_files(count: usize) -> (tempfile::TempDir, FileSequence) {
        let dir = tempfile::tempdir().unwrap();
        let files = open(dir.path()).unwrap();
        for i in 0..count {
            files.roll(PhysicalOffset((i * SIZE) as i64)).unwrap();
        }
        (dir, files)
    }

    #[test]
    fn a_file_of_another_length_refuses_the_start() {
        let (dir, files) = with_files(1);
        drop(files);
        fs::write(dir.path().join(file_name(SIZE as i64)), b"short").unwrap();
        assert!(matches!(open(dir.path()), Err(StoreError::WrongLength { found: 5, .. })));
    }

    #[test]
    fn an_empty_last_file_is_removed_and_directories_are_skipped() {
        let (dir, files) = with_files(1);
        drop(files);
        let empty = dir.path().join(file_name(SIZE as i64));
        fs::write(&empty, b"").unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        assert_eq!(open(dir.path()).unwrap().files().len(), 1);
        assert!(!empty.exists());
    }

    #[test]
    fn a_missing_file_in_the_middle_refuses_the_start() {
        let (dir, files) = with_files(3);
        drop(files);
        fs::remove_file(dir.path().join(file_name(SIZE as i64))).unwrap();
        assert!(matches!(open(dir.path()), Err(StoreError::BrokenSequence { .. })));
    }

    #[test]
    fn a_prepared_file_is_used_by_the_next_roll() {
        let (_dir, files) = with_files(1);
        let prepared = files.prepare_next().unwrap();
        assert!(Arc::ptr_eq(&prepared, &files.prepare_next().unwrap()));
        assert!(files.find(PhysicalOffset(SIZE as i64)).is_none());
        let rolled = files.roll(prepared.base()).unwrap();
        assert!(Arc::ptr_eq(&prepared, &rolled));
        assert_eq!(files.find(PhysicalOffset(SIZE as i64 + 5)).unwrap().base(), rolled.base());
    }

    #[test]
    fn truncation_leaves_nothing_behind_the_end() {
        let (dir, mut files) = with_files(3);
        fs::write(dir.path().join(file_name(SIZE as i64)), vec![9u8; SIZE]).unwrap();
        files.prepare_next().unwrap();
        files.truncate_after(PhysicalOffset(SIZE as i64 + 10)).unwrap();
        let last = files.last().unwrap();
        assert_eq!((last.base().0, last.published()), (SIZE as i64, 10));
        let bytes = fs::read(last.path()).unwrap();
        assert!(bytes[..10].iter().all(|&b| b == 9) && bytes[10..].iter().all(|&b| b == 0));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_reader_keeps_the_bytes_of_a_file_that_is_deleted() {
        let (_dir, files) = with_files(3);
        let first = files.first().unwrap();
        let mut writer = first.writer().unwrap();
        writer.reserve(SIZE).unwrap().fill(7);
        writer.publish(SIZE);
        let held = first.slice(0..SIZE).unwrap();
        let path = first.path().to_owned();
        drop((writer, first));
        assert!(files.delete_first_before(PhysicalOffset(i64::MAX)).unwrap());
        assert!(!path.exists() && files.find(PhysicalOffset(0)).is_none());
        assert!(held.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn a_log_that_is_cut_at_its_beginning_goes_on_there() {
        let (_dir, mut files) = with_files(3);
        files.delete_before(PhysicalOffset(SIZE as i64)).unwrap();
        files.truncate_after(PhysicalOffset(SIZE as i64)).unwrap();
        let last = files.last().unwrap();
        assert_eq!((files.files().len(), last.base().0, last.published()), (1, SIZE as i64, 0));
    }

    #[test]
    fn the_last_file_is_never_deleted() {
        let (_dir, files) = with_files(3);
        assert_eq!(files.delete_before(PhysicalOffset(i64::MAX)).unwrap(), 2);
        assert_eq!(files.files().len(), 1);
        assert!(files.find(PhysicalOffset(0)).is_none());
    }
}
