//! Who has the store open, and how its last owner left (fact sheet: store 6).

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;

use super::disk::Disk;
use super::error::StoreError;

const LOCK_FILE: &str = "lock";
const LOCK_TEXT: &[u8] = b"lock";
const ABORT_FILE: &str = "abort";

/// The stores of this process. A process does not exclude itself by a POSIX lock, and would even lose it
/// when any descriptor of the lock file is closed.
static OPEN_STORES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn open_stores() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    OPEN_STORES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right of this process to the files under a root, until it is dropped or the process ends.
#[derive(Debug)]
pub struct StoreLock {
    root: PathBuf,
    /// Always there until the drop.
    file: Option<File>,
}

impl StoreLock {
    /// Locks `root`, an existing directory. The lock covers the byte that Java's broker locks too.
    pub fn take(root: &Path) -> Result<Self, StoreError> {
        let root = root.canonicalize().map_err(StoreError::io("find", root))?;
        let mut stores = open_stores();
        if stores.contains(&root) {
            return Err(StoreError::AlreadyOpen { path: root });
        }
        let path = root.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                return Err(StoreError::Locked { path });
            }
            Err(errno) => return Err(StoreError::io("lock", &path)(errno.into())),
        }
        file.write_all_at(LOCK_TEXT, 0).map_err(StoreError::io("write", &path))?;
        stores.insert(root.clone());
        Ok(StoreLock { root, file: Some(file) })
    }
}

impl StoreLock {
    /// Keeps every owner away from `root` while it is read, and writes nothing. `None` when nobody can own it
    /// meanwhile but by making the lock file, as in a copy that has none.
    pub fn take_to_read(root: &Path) -> Result<Option<Self>, StoreError> {
        let root = root.canonicalize().map_err(StoreError::io("find", root))?;
        let mut stores = open_stores();
        if stores.contains(&root) {
            return Err(StoreError::AlreadyOpen { path: root });
        }
        let path = root.join(LOCK_FILE);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(StoreError::io("open", &path))?,
        };
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                return Err(StoreError::Locked { path });
            }
            Err(errno) => return Err(StoreError::io("lock", &path)(errno.into())),
        }
        stores.insert(root.clone());
        Ok(Some(StoreLock { root, file: Some(file) }))
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // Closing the descriptor gives up the process's lock, so nobody may open the root in between.
        let mut stores = open_stores();
        drop(self.file.take());
        stores.remove(&self.root);
    }
}

/// The file that exists while the store is in use: who finds it at a start follows a crash.
#[derive(Debug)]
pub struct AbortMark {
    path: PathBuf,
}

impl AbortMark {
    /// Where the mark of a store lies.
    pub fn of(root: &Path) -> Self {
        AbortMark { path: root.join(ABORT_FILE) }
    }

    /// Whether the last owner left without removing it.
    pub fn exists(&self) -> Result<bool, StoreError> {
        self.path.try_exists().map_err(StoreError::io("look for", &self.path))
    }

    /// Writes it, with this process's id.
    pub fn set(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let written = std::fs::write(&self.path, std::process::id().to_string());
        written
            .and_then(|()| disk.sync_dir(&super::disk::parent(&self.path)))
            .map_err(StoreError::io("write", &self.path))
    }

    /// Removes it: the store is whole.
    pub fn clear(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        match disk.remove(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.and_then(|()| disk.sync_dir(&super::disk::parent(&self.path))),
        }
        .map_err(StoreError::io("remove", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_opens_once_per_process_and_again_after_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(dir.path()).unwrap();
        let other_name = dir.path().join(".").join("..").join(dir.path().file_name().unwrap());
        assert!(matches!(StoreLock::take(&other_name), Err(StoreError::AlreadyOpen { .. })));
        drop(lock);
        StoreLock::take(dir.path()).unwrap();
        assert_eq!(std::fs::read(dir.path().join("lock")).unwrap(), b"lock");
    }
}
