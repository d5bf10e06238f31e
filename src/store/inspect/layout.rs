//! Whose store it is, that nobody uses it, and how its files are cut.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::disk::{Disk, LocalDisk};
use super::super::dispatch::DispatchRules;
use super::super::error::StoreError;
use super::super::index::IndexOptions;
use super::super::lock::StoreLock;
use super::super::queue_path::{QUEUES_DIR, list_queues, queue_dir};
use super::super::store::StoreOptions;

/// What queues of several topics' messages are called by (fact sheet: store 4.2).
const LIGHT_PREFIX: &str = "%LMQ%";

/// What is known of a store beside its files. What is not given is taken from the files themselves.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `storePathCommitLog`.
    pub commit_log_dir: Option<PathBuf>,
    /// `mappedFileSizeConsumeQueue`, in bytes, for a store that has no queue any more.
    pub consume_queue_file_size: Option<usize>,
    /// `maxHashSlotNum` and `maxIndexNum`.
    pub index: Option<(usize, usize)>,
    /// `messageDelayLevel`, in ms, level 1 first.
    pub delay_levels: Option<Vec<i64>>,
}

/// A stopped store that is this process's to read.
#[derive(Debug)]
pub struct StoppedStore {
    pub(super) options: StoreOptions,
    pub(super) index: IndexOptions,
    /// Whether the numbers of the index were given: else a file of another size is of other numbers.
    pub(super) index_is_given: bool,
    pub(super) queues: Vec<(String, i32)>,
    _lock: Option<StoreLock>,
}

impl StoppedStore {
    /// Looks at the store in `root`, to read it. Nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Locked`] or [`StoreError::AlreadyOpen`] while a broker uses it, or when `root` holds no
    /// store.
    pub fn read(root: &Path, given: &Given) -> Result<Self, StoreError> {
        let lock = StoreLock::take_to_read(root)?;
        Self::look(root, given, lock)
    }

    /// As [`StoppedStore::read`], to change it.
    ///
    /// # Errors
    /// As [`StoppedStore::read`].
    pub(super) fn change(root: &Path, given: &Given) -> Result<Self, StoreError> {
        // Not a lock file in a directory that is no store.
        Self::look(root, given, None)?;
        let lock = StoreLock::take(root)?;
        Self::look(root, given, Some(lock))
    }

    fn look(root: &Path, given: &Given, lock: Option<StoreLock>) -> Result<Self, StoreError> {
        let defaults = StoreOptions::at(root);
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
        let mut options = StoreOptions { commit_log_dir: given.commit_log_dir.clone(), ..defaults };
        let log_dir = options.log_dir();
        if !log_dir.is_dir() {
            return Err(StoreError::NoStore { path: log_dir });
        }
        if let Some(size) = file_size(disk.as_ref(), &log_dir)? {
            options.commit_log_file_size = size;
        }
        if let Some(size) = given.consume_queue_file_size {
            options.consume_queue_file_size = size;
        }
        let queues = list_queues(disk.as_ref(), root)?;
        for (topic, queue_id) in &queues {
            let Ok(dir) = queue_dir(root, topic, *queue_id) else { continue };
            if let Some(size) = file_size(disk.as_ref(), &dir)? {
                options.consume_queue_file_size = size;
                break;
            }
        }
        options.rules = DispatchRules {
            light_queues: queues.iter().any(|(topic, _)| topic.starts_with(LIGHT_PREFIX)),
            delay_levels: given.delay_levels.clone().unwrap_or(DispatchRules::default().delay_levels),
        };
        let mut index = IndexOptions::at(disk.clone(), root);
        if let Some((slots, entries)) = given.index {
            (index.slots, index.entries) = (slots, entries);
        }
        options.disk = disk;
        Ok(StoppedStore { options, index, index_is_given: given.index.is_some(), queues, _lock: lock })
    }

    /// `storePathRootDir`.
    pub fn root(&self) -> &Path {
        &self.options.root
    }

    pub(super) fn queues_dir(&self) -> PathBuf {
        self.options.root.join(QUEUES_DIR)
    }
}

/// The size of the files of a directory: that of the first one that is not empty.
fn file_size(disk: &dyn Disk, dir: &Path) -> Result<Option<usize>, StoreError> {
    let entries = disk.list(dir).map_err(StoreError::io("list", dir))?;
    let is_file = |entry: &&super::super::disk::Entry| !entry.is_dir && entry.len > 0;
    Ok(entries.iter().find(is_file).and_then(|entry| usize::try_from(entry.len).ok()))
}

/// Opens a file only to read it.
pub(super) fn open_to_read(path: &Path) -> Result<File, StoreError> {
    File::open(path).map_err(StoreError::io("open", path))
}
