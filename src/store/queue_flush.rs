//! Consume queues on their way to the device: many at once, whoever owns them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::consume_queue::{QueueFiles, UNIT_SIZE};
use super::disk::Disk;
use super::error::StoreError;
use super::file_sequence::file_name;
use super::queue_table::QueueState;

/// Files that are open at a time.
const AT_ONCE: usize = 256;

/// Notes of unsynced units that were taken away, to be put back if the sync fails.
type Taken = Vec<(Arc<QueueState>, super::QueueOffset, bool)>;

/// Forces the unsynced units of queues to the device.
///
/// The writes of many files are begun before one is waited for: a file system commits them together then, where
/// each sync alone is a commit of its own.
pub(super) fn flush(
    queues: impl IntoIterator<Item = (QueueFiles, Arc<QueueState>)>,
) -> Result<(), StoreError> {
    let mut taken = Taken::new();
    let outcome = flush_and_note(queues, &mut taken);
    if outcome.is_err() {
        for (state, from, is_new_dir) in taken {
            if is_new_dir {
                state.mark_new_dir();
            }
            state.mark_dirty(from);
        }
    }
    outcome
}

fn flush_and_note(
    queues: impl IntoIterator<Item = (QueueFiles, Arc<QueueState>)>,
    taken: &mut Taken,
) -> Result<(), StoreError> {
    let mut dirs: BTreeSet<PathBuf> = BTreeSet::new();
    let mut begun = Begun::default();
    let mut last_disk = None;
    for (files, state) in queues {
        let Some(from) = state.take_dirty() else { continue };
        let is_new_dir = state.take_new_dir();
        taken.push((state.clone(), from, is_new_dir));
        // A new queue's directory hangs in the topic's, and that in `consumequeue`.
        dirs.extend(files.dir.ancestors().take(if is_new_dir { 3 } else { 1 }).map(Path::to_owned));
        let size = files.file_size.max(1).next_multiple_of(UNIT_SIZE);
        let file_of = |unit: i64| unit.saturating_mul(UNIT_SIZE as i64) / size as i64;
        let last = file_of(state.dispatched_next().0.saturating_sub(1));
        for index in file_of(from.0)..=last {
            begun.begin(files.disk.as_ref(), files.dir.join(file_name(index * size as i64)))?;
            if begun.0.len() >= AT_ONCE {
                begun.wait(files.disk.as_ref())?;
            }
        }
        last_disk = Some(files.disk);
    }
    let Some(disk) = last_disk else { return Ok(()) };
    begun.wait(disk.as_ref())?;
    for dir in &dirs {
        match disk.sync_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("sync the directory", dir)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Files whose writes are under way.
#[derive(Default)]
struct Begun(Vec<(PathBuf, File)>);

impl Begun {
    fn begin(&mut self, disk: &dyn Disk, path: PathBuf) -> Result<(), StoreError> {
        match disk.open(&path) {
            // Deleted by its owner meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("open", &path)(error)),
            Ok(file) => {
                disk.begin_sync(&file);
                self.0.push((path, file));
            }
        }
        Ok(())
    }

    fn wait(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        for (path, file) in self.0.drain(..) {
            disk.sync_file(&path, &file).map_err(StoreError::io("sync", &path))?;
        }
        Ok(())
    }
}
