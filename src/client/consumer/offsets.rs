//! How far a consumer is: kept in memory, stored at the brokers or, when everybody gets everything, in a file
//! (fact sheet: client 4.6).

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::{debug, warn};

use crate::{
    client::{Error, Result, core::Core},
    protocol::{json, message::MessageQueue, offsets::ResetOffsetBody},
};

#[derive(Clone, Copy, Debug)]
struct Progress {
    reached: i64,
    stored: Option<i64>,
}

/// The offsets of one consumer.
#[derive(Debug)]
pub(super) struct Offsets {
    table: Mutex<HashMap<MessageQueue, Progress>>,
    /// Held while something is stored: an old offset must not arrive after a new one.
    storing: tokio::sync::Mutex<()>,
    /// None: the brokers keep them.
    file: Option<PathBuf>,
}

impl Offsets {
    pub(super) fn at_brokers() -> Self {
        Self { table: Mutex::default(), storing: Default::default(), file: None }
    }

    pub(super) fn in_file(file: PathBuf) -> Self {
        Self { table: Mutex::default(), storing: Default::default(), file: Some(file) }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<MessageQueue, Progress>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is stored; none when there was never anything.
    pub(super) async fn load(&self, core: &Core, group: &str, queue: &MessageQueue) -> Result<Option<i64>> {
        match &self.file {
            None => core.committed(group, queue).await,
            Some(file) => Ok(read(file).get(queue).copied()),
        }
    }

    /// Notes progress; an offset never goes back by itself.
    pub(super) fn raise(&self, queue: &MessageQueue, offset: i64) {
        let mut table = self.table();
        match table.get_mut(queue) {
            Some(progress) => progress.reached = progress.reached.max(offset),
            None => {
                table.insert(queue.clone(), Progress { reached: offset, stored: None });
            }
        }
    }

    /// Sets progress, also backwards.
    pub(super) fn set(&self, queue: &MessageQueue, offset: i64) {
        self.table().insert(queue.clone(), Progress { reached: offset, stored: None });
    }

    /// Sets progress unless it is there already.
    pub(super) fn set_if_changed(&self, queue: &MessageQueue, offset: i64) {
        if self.get(queue) != Some(offset) {
            self.set(queue, offset);
        }
    }

    pub(super) fn get(&self, queue: &MessageQueue) -> Option<i64> {
        self.table().get(queue).map(|progress| progress.reached)
    }

    /// Forgets a queue that is not read any more.
    pub(super) fn remove(&self, queue: &MessageQueue) {
        self.table().remove(queue);
    }

    /// Stores what has changed.
    ///
    /// # Errors
    /// The first failure; the others are stored all the same, and what failed is tried again next time.
    pub(super) async fn persist(&self, core: &Core, group: &str, only: Option<&MessageQueue>) -> Result<()> {
        let _storing = self.storing.lock().await;
        let changed: Vec<(MessageQueue, i64)> = self
            .table()
            .iter()
            .filter(|(queue, progress)| {
                only.is_none_or(|only| only == *queue) && progress.stored != Some(progress.reached)
            })
            .map(|(queue, progress)| (queue.clone(), progress.reached))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let mut outcome = Ok(());
        if let Some(file) = &self.file {
            let all =
                self.table().iter().map(|(queue, progress)| (queue.clone(), progress.reached)).collect();
            write(file, all).map_err(|error| {
                Error::config(format!("cannot write the offsets to {}: {error}", file.display()))
            })?;
            changed.iter().for_each(|(queue, offset)| self.stored(queue, *offset));
            return Ok(());
        }
        for (queue, _) in &changed {
            // What it is by now, if it is still ours.
            let Some(offset) = self.get(queue) else { continue };
            match core.commit(group, queue, offset).await {
                Ok(()) => self.stored(queue, offset),
                Err(error) => {
                    debug!(group, ?queue, %error, "an offset was not stored");
                    outcome = outcome.and(Err(error));
                }
            }
        }
        outcome
    }

    fn stored(&self, queue: &MessageQueue, offset: i64) {
        if let Some(progress) = self.table().get_mut(queue) {
            progress.stored = Some(offset);
        }
    }
}

/// Where Java's client looks too: `<home>/.rocketmq_offsets/<client id>/<group>/offsets.json`.
pub(super) fn default_file(client: &str, group: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    home.join(".rocketmq_offsets").join(client).join(group).join("offsets.json")
}

fn backup(file: &Path) -> PathBuf {
    file.with_extension("json.bak")
}

/// The file's offsets, else those of its last version, else none.
fn read(file: &Path) -> BTreeMap<MessageQueue, i64> {
    let read_one = |file: &Path| {
        let text = std::fs::read(file).ok()?;
        match json::from_slice::<ResetOffsetBody>(&text) {
            Ok(body) => Some(body.offset_table),
            Err(error) => {
                warn!(file = %file.display(), %error, "a file of offsets cannot be read");
                None
            }
        }
    };
    read_one(file).or_else(|| read_one(&backup(file))).unwrap_or_default()
}

fn write(file: &Path, offset_table: BTreeMap<MessageQueue, i64>) -> io::Result<()> {
    let mut known = read(file);
    known.extend(offset_table);
    let text = json::to_vec(&ResetOffsetBody { offset_table: known }).map_err(io::Error::other)?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = file.with_extension("json.tmp");
    std::fs::write(&fresh, text)?;
    if file.exists() {
        std::fs::rename(file, backup(file))?;
    }
    std::fs::rename(fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(queue_id: i32) -> MessageQueue {
        MessageQueue { broker_name: "b".into(), queue_id, topic: "T".into() }
    }

    #[test]
    fn an_offset_never_goes_back_by_itself() {
        let offsets = Offsets::at_brokers();
        offsets.raise(&queue(0), 5);
        offsets.raise(&queue(0), 3);
        assert_eq!(offsets.get(&queue(0)), Some(5));
        offsets.set(&queue(0), 3);
        assert_eq!(offsets.get(&queue(0)), Some(3));
    }

    #[test]
    fn a_file_reads_back_and_a_broken_one_gives_way_to_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b/offsets.json");
        write(&file, [(queue(0), 5)].into()).unwrap();
        write(&file, [(queue(1), 7)].into()).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with(r#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:5,"#),
            "{text}"
        );
        assert_eq!(read(&file), [(queue(0), 5), (queue(1), 7)].into());
        std::fs::write(&file, "{").unwrap();
        assert_eq!(read(&file), [(queue(0), 5)].into());
    }
}
