//! Where a topic's queues lie under the root: `consumequeue/<topic>/<queue id>`.

use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::StoreError;

pub(super) const QUEUES_DIR: &str = "consumequeue";
/// Queues of topics whose records hold several messages; another format.
const BATCH_QUEUES_DIR: &str = "batchconsumequeue";
/// The longest name that common file systems take, in bytes; also the longest topic of the protocol.
const LONGEST_NAME: usize = 255;

/// The directory of a queue, for a topic that is a plain name.
pub fn queue_dir(root: &Path, topic: &str, queue_id: i32) -> Result<PathBuf, StoreError> {
    let refuse = |reason| Err(StoreError::BadTopic { topic: topic.to_owned(), reason });
    match topic {
        "" => return refuse("it is empty"),
        "." | ".." => return refuse("it names a directory that exists"),
        _ if topic.len() > LONGEST_NAME => return refuse("it is longer than 255 bytes"),
        _ if topic.contains('/') => return refuse("it holds a path separator"),
        _ if topic.chars().any(char::is_control) => return refuse("it holds a control character"),
        _ if queue_id < 0 => return refuse("its queue id is negative"),
        _ => {}
    }
    Ok(root.join(QUEUES_DIR).join(topic).join(queue_id.to_string()))
}

/// The queues that have a directory, by topic and id.
pub fn list_queues(disk: &dyn Disk, root: &Path) -> Result<Vec<(String, i32)>, StoreError> {
    let mut queues = Vec::new();
    for topic in list_dirs(disk, &root.join(QUEUES_DIR))? {
        let ids = list_dirs(disk, &root.join(QUEUES_DIR).join(&topic))?;
        queues.extend(ids.into_iter().filter_map(|id| Some((topic.clone(), id.parse().ok()?))));
    }
    Ok(queues)
}

/// The topics that have batch queues, and so must not get plain ones: a start of Java's broker refuses both.
pub fn list_batch_topics(disk: &dyn Disk, root: &Path) -> Result<Vec<String>, StoreError> {
    list_dirs(disk, &root.join(BATCH_QUEUES_DIR))
}

fn list_dirs(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, StoreError> {
    let entries = disk.list(dir).map_err(StoreError::io("list", dir))?;
    Ok(entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_topic_never_becomes_a_path() {
        let root = Path::new("/store");
        for topic in ["", ".", "..", "a/b", "/etc", "../x", "a\u{0}b", "a\nb", &"x".repeat(256)] {
            assert!(matches!(queue_dir(root, topic, 0), Err(StoreError::BadTopic { .. })), "{topic:?}");
        }
        assert!(queue_dir(root, "T", -1).is_err());
        let expected = Path::new("/store/consumequeue/%RETRY%g..x/3");
        assert_eq!(queue_dir(root, "%RETRY%g..x", 3).unwrap(), expected);
    }
}
