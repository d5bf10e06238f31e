//! Consume queues and key index made again from the log alone: beside the old ones, then swapped in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::super::consume_queue::FindEnd;
use super::super::disk::{Disk, LocalDisk};
use super::super::error::StoreError;
use super::super::index::{IndexOptions, KeyIndex};
use super::super::queue_ends::QueueEnds;
use super::super::queue_flush;
use super::super::queue_path::{QUEUES_DIR, list_batch_topics};
use super::super::queue_table::QueueTable;
use super::super::rebuild::{LogView, Rebuild};
use super::super::store::StoreOptions;
use super::super::watermarks::PhysicalOffset;
use super::Progress;
use super::finding::Findings;
use super::layout::{Given, StoppedStore};
use super::log_reader::{Entry, LogReader};
use super::small_files;

/// Where the new files are built. What an interrupted rebuild leaves there nobody reads.
const BESIDE: &str = "rebuild.tmp";
const INDEX_DIR: &str = "index";
const PROGRESS_STEP: u64 = 4 << 20;

/// What was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Records of the log.
    pub records: u64,
    /// Consume queues.
    pub queues: usize,
    /// Places in the log without a whole record, which were passed over.
    pub skipped: u64,
    /// Whether the index was made too: not unless its numbers are known.
    pub index: bool,
}

/// Makes consume queues and index of the store in `root` from its log. Until they are whole the old ones stay;
/// each of the two directories is exchanged at once, and a stop in between leaves both good.
///
/// Queues of topics that `topics.json` does not name are left out, unless there is none. Batch queues stay as
/// they are.
///
/// # Errors
/// A store in use; a device that is full or fails: then nothing has changed.
pub fn rebuild(root: &Path, given: &Given, progress: &mut Progress<'_>) -> Result<Rebuilt, StoreError> {
    let store = StoppedStore::change(root, given)?;
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
    let beside = root.join(BESIDE);
    clear(disk.as_ref(), &beside)?;
    disk.create_dir(&beside).map_err(StoreError::io("make the directory", &beside))?;
    let options = StoreOptions { root: beside.clone(), ..store.options.clone() };
    let index_is_known =
        store.index_is_given || !root.join(INDEX_DIR).exists() || index_has_default_size(&store)?;
    let mut index = match index_is_known {
        true => Some(KeyIndex::open(
            IndexOptions { dir: beside.join(INDEX_DIR), ..store.index.clone() },
            false,
            0,
        )?),
        false => None,
    };
    let mut queues = Rebuild::open(&options, FindEnd::Halving)?;
    queues.from_start = true;
    queues.leave_out(list_batch_topics(disk.as_ref(), root)?);

    let mut rebuilt = Rebuilt { index: index.is_some(), ..Rebuilt::default() };
    let log_min = read_log(&store, &mut queues, index.as_mut(), &mut rebuilt, progress)?;
    queues.write_all()?;
    let table = queues.finish(log_min)?;
    rebuilt.queues = flush(&options, &table)?;
    if let Some(index) = &index {
        index.flush()?;
    }
    drop(index);

    QueueEnds::take(&store.options)?; // It speaks of the old ones.
    put_in_place(disk.as_ref(), &beside, root, QUEUES_DIR)?;
    if rebuilt.index {
        put_in_place(disk.as_ref(), &beside, root, INDEX_DIR)?;
    }
    clear(disk.as_ref(), &beside)?;
    Ok(rebuilt)
}

/// Gives the log to queues and index; returns where it begins.
fn read_log(
    store: &StoppedStore,
    queues: &mut Rebuild<'_>,
    mut index: Option<&mut KeyIndex>,
    rebuilt: &mut Rebuilt,
    progress: &mut Progress<'_>,
) -> Result<PhysicalOffset, StoreError> {
    let options = &store.options;
    let mut findings = Findings::default();
    let disk = options.disk.as_ref();
    let mut log = LogReader::open(disk, &options.log_dir(), options.commit_log_file_size, &mut findings)?;
    let topics = small_files::topic_names(store);
    let (min, extent, len) = (log.min(), log.extent(), log.len());
    // A start cuts the log at what is bad in its newest file; further back it comes by nothing.
    let newest = log.bases().to_vec().into_iter().rev().find(|base| log.first_record(*base).is_some());
    let view = LogView { min, files: None };
    let (mut at, mut told) = (min, 0);
    while at < extent {
        match log.entry(at) {
            Entry::Record(record, _) => {
                rebuilt.records += 1;
                at = at.plus(record.size);
                let is_known =
                    |topic: &str| topics.is_empty() || topics.contains(topic) || topic.starts_with('%');
                if record.topic_name().is_some_and(is_known) {
                    queues.dispatch(&record, view)?;
                }
                if let Some(index) = index.as_deref_mut() {
                    index.put(&record)?;
                }
                let done = at.since(min) as u64;
                if done - told > PROGRESS_STEP {
                    told = done;
                    progress(done, len);
                }
            }
            Entry::Padding(size) => at = at.plus(size),
            Entry::Nothing | Entry::Bad(_) if newest.is_none_or(|newest| at >= newest) => break,
            Entry::Nothing | Entry::Bad(_) => match log.next_whole(at) {
                Some(next) => {
                    rebuilt.skipped += 1;
                    at = next;
                }
                None => break,
            },
        }
    }
    progress(len, len);
    Ok(min)
}

fn index_has_default_size(store: &StoppedStore) -> Result<bool, StoreError> {
    let options = &store.index;
    let files = options.disk.list(&options.dir).map_err(StoreError::io("list", &options.dir))?;
    Ok(files.iter().all(|file| file.is_dir || file.len == 0 || file.len == options.file_size() as u64))
}

/// Forces all queues to the device; tells how many there are.
fn flush(options: &StoreOptions, table: &QueueTable) -> Result<usize, StoreError> {
    let files =
        |(topic, queue_id, state): (String, i32, _)| Ok((options.queue_files(&topic, queue_id)?, state));
    let queues = table.snapshot().into_iter().map(files).collect::<Result<Vec<_>, StoreError>>()?;
    let count = queues.len();
    queue_flush::flush(queues)?;
    Ok(count)
}

/// Exchanges the directory `name` of `root` for the one below `beside`.
fn put_in_place(disk: &dyn Disk, beside: &Path, root: &Path, name: &str) -> Result<(), StoreError> {
    let (fresh, old) = (beside.join(name), root.join(name));
    disk.create_dir(&fresh).map_err(StoreError::io("make the directory", &fresh))?;
    disk.create_dir(&old).map_err(StoreError::io("make the directory", &old))?;
    disk.sync_dir(&fresh).map_err(StoreError::io("sync the directory", &fresh))?;
    exchange(disk, &fresh, &old).map_err(StoreError::io("replace", &old))?;
    disk.sync_dir(root).map_err(StoreError::io("sync the directory", root))
}

fn exchange(disk: &dyn Disk, fresh: &Path, old: &Path) -> io::Result<()> {
    match renameat_with(CWD, fresh, CWD, old, RenameFlags::EXCHANGE) {
        // A file system that cannot exchange: a stop between the two leaves the store without its queues,
        // which the next start makes anew.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            let aside: PathBuf = fresh.with_extension("old");
            disk.rename(old, &aside)?;
            disk.rename(fresh, old)
        }
        other => Ok(other?),
    }
}

fn clear(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    match disk.remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", dir)(error)),
        _ => Ok(()),
    }
}
