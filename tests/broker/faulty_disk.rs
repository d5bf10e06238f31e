//! A disk that can be full, slow or broken, over a real directory.

use std::{
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use castmq::store::disk::{Disk, Entry, LocalDisk, Usage};
use memmap2::MmapRaw;

/// How the log's syncs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Syncs {
    #[default]
    Well,
    /// The next one fails, those after it succeed.
    FailOnce,
    /// They do not return.
    Block,
}

#[derive(Debug, Default)]
pub(crate) struct FaultyDisk {
    /// No space for files whose path contains this.
    full_for: Mutex<Option<&'static str>>,
    /// How often space was refused.
    pub(crate) refusals: AtomicUsize,
    /// The taken share of the disk, percent.
    pub(crate) used: AtomicU8,
    /// Whether files look as if they were last written to long ago.
    pub(crate) is_old: AtomicBool,
    syncs: Mutex<Syncs>,
    unblocked: Condvar,
    /// Syncs of the log.
    pub(crate) synced: AtomicUsize,
}

impl FaultyDisk {
    pub(crate) fn fill_for(&self, part: &'static str) {
        *self.full_for.lock().unwrap() = Some(part);
    }

    pub(crate) fn free(&self) {
        *self.full_for.lock().unwrap() = None;
    }

    pub(crate) fn set_syncs(&self, syncs: Syncs) {
        *self.syncs.lock().unwrap() = syncs;
        self.unblocked.notify_all();
    }

    fn space(&self, path: &Path) -> io::Result<()> {
        let is_full = self.full_for.lock().unwrap().is_some_and(|part| path.to_string_lossy().contains(part));
        if is_full {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::from_raw_os_error(28)); // ENOSPC
        }
        Ok(())
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        LocalDisk.list(dir)
    }
    fn create_reserved(&self, path: &Path, len: u64) -> io::Result<File> {
        self.space(path)?;
        LocalDisk.create_reserved(path, len)
    }
    fn create_sparse(&self, path: &Path, len: u64) -> io::Result<File> {
        self.space(path)?;
        LocalDisk.create_sparse(path, len)
    }
    fn open(&self, path: &Path) -> io::Result<File> {
        LocalDisk.open(path)
    }
    fn write_at(&self, path: &Path, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        self.space(path)?;
        LocalDisk.write_at(path, file, bytes, at)
    }
    fn usage(&self, _path: &Path) -> io::Result<Usage> {
        let used = u64::from(self.used.load(Ordering::Relaxed));
        Ok(Usage { used, available: 100 - used })
    }
    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        match self.is_old.load(Ordering::Relaxed) {
            true => Ok(SystemTime::UNIX_EPOCH),
            false => LocalDisk.modified(path),
        }
    }
    fn reserve(&self, path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        self.space(path)?;
        LocalDisk.reserve(path, file, range)
    }
    fn zero(&self, path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        LocalDisk.zero(path, file, range)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.remove_dir(dir)
    }
    fn sync_file(&self, path: &Path, file: &File) -> io::Result<()> {
        LocalDisk.sync_file(path, file)
    }
    fn sync_mapped(&self, path: &Path, map: &MmapRaw, range: Range<usize>) -> io::Result<()> {
        let mut syncs = self.syncs.lock().unwrap();
        while *syncs == Syncs::Block {
            syncs = self.unblocked.wait(syncs).unwrap();
        }
        if *syncs == Syncs::FailOnce {
            *syncs = Syncs::Well;
            return Err(io::Error::from_raw_os_error(5)); // EIO
        }
        drop(syncs);
        self.synced.fetch_add(1, Ordering::Relaxed);
        LocalDisk.sync_mapped(path, map, range)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.sync_dir(dir)
    }
}

/// The names of the files in a directory, in order; none when it does not exist.
pub(crate) fn files(dir: PathBuf) -> Vec<String> {
    LocalDisk.list(&dir).unwrap().into_iter().map(|entry| entry.name).collect()
}
