//! How far groups have consumed. The table outlives every actor.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;

use crate::{
    actors::supervision::Millis,
    protocol::{
        data_version::DataVersion,
        offsets::{ConsumerOffsets, offset_key, split_offset_key},
        topic::{is_storable, validate_group},
    },
};

/// Next offset by queue.
pub type QueueOffsets = BTreeMap<i32, i64>;

/// So many changes make a new version (`consumerOffsetUpdateVersionStep`).
const CHANGES_PER_VERSION: u64 = 500;

/// Next offset by group, topic and queue, and the marks of resets that no pull has seen yet.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    groups: DashMap<String, HashMap<String, QueueOffsets>>,
    changes: AtomicU64,
    version: Mutex<DataVersion>,
    resets: DashMap<Queue, i64>,
    /// How many marks there are, so that pulls without any pay for one load.
    reset_count: AtomicUsize,
}

/// Group, topic and queue.
type Queue = (String, String, i32);

impl Offsets {
    /// The offsets of the files; a later one counts where it names the same queue.
    pub(super) fn load(files: impl IntoIterator<Item = ConsumerOffsets>) -> Self {
        let offsets = Self::default();
        for file in files {
            let light = file.lmq_offset_table.unwrap_or_default();
            let light = light.into_iter().map(|(key, offset)| (key, QueueOffsets::from([(0, offset)])));
            for (key, queues) in file.offset_table.into_iter().chain(light) {
                let Some((topic, group)) = split_offset_key(&key) else {
                    tracing::warn!(key, "offsets of neither topic nor group: left out");
                    continue;
                };
                let mut topics = offsets.groups.entry(group.to_owned()).or_default();
                topics.entry(topic.to_owned()).or_default().extend(queues);
            }
            let mut version = offsets.version();
            if file.data_version.counter >= version.counter {
                *version = file.data_version;
            }
        }
        offsets
    }

    /// Everything, as the file has it.
    pub(super) fn to_file(&self) -> ConsumerOffsets {
        let mut file = ConsumerOffsets { data_version: *self.version(), ..ConsumerOffsets::default() };
        for entry in &self.groups {
            let (group, topics) = entry.pair();
            file.group_topic_map.insert(group.clone(), topics.keys().cloned().collect());
            let topics = topics.iter().map(|(topic, queues)| (offset_key(topic, group), queues.clone()));
            file.offset_table.extend(topics);
        }
        file
    }

    /// Counts the changes: equal counts mean that nothing is new.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn changed(&self, now: Millis) {
        let before = self.changes.fetch_add(1, Ordering::AcqRel);
        if (before + 1).is_multiple_of(CHANGES_PER_VERSION) {
            let mut version = self.version();
            *version = version.next(now, 0);
        }
    }

    fn version(&self) -> MutexGuard<'_, DataVersion> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets an offset, unless the queue was reset and no pull has seen it yet: whoever commits still
    /// consumes from where it was before. False then.
    pub(super) fn commit(&self, group: &str, topic: &str, queue_id: i32, offset: i64, now: Millis) -> bool {
        !self.is_reset(group, topic, queue_id) && self.set(group, topic, queue_id, offset, now)
    }

    /// False, and nothing, for a name that no group or topic may have: it would end up in a file.
    fn set(&self, group: &str, topic: &str, queue_id: i32, offset: i64, now: Millis) -> bool {
        let known = self.groups.get_mut(group).filter(|topics| topics.contains_key(topic));
        let mut topics = match known {
            Some(topics) => topics,
            None if validate_group(group).is_err() || !is_storable(topic) => return false,
            None => self.groups.entry(group.to_owned()).or_default(),
        };
        let before = match topics.get_mut(topic) {
            Some(queues) => queues.insert(queue_id, offset),
            None => topics.entry(topic.to_owned()).or_default().insert(queue_id, offset),
        };
        drop(topics);
        if before != Some(offset) {
            if let Some(before) = before.filter(|before| *before > offset) {
                tracing::warn!(group, topic, queue_id, before, offset, "an offset is taken back");
            }
            self.changed(now);
        }
        true
    }

    pub(super) fn get(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.groups.get(group)?.get(topic)?.get(&queue_id).copied()
    }

    /// The offsets of a group in a topic.
    pub(super) fn queues(&self, group: &str, topic: &str) -> QueueOffsets {
        self.groups.get(group).and_then(|topics| topics.get(topic).cloned()).unwrap_or_default()
    }

    /// Topics in which the group has offsets.
    pub(super) fn topics_of(&self, group: &str) -> BTreeSet<String> {
        self.groups.get(group).map(|topics| topics.keys().cloned().collect()).unwrap_or_default()
    }

    /// Groups that have offsets in the topic.
    pub(super) fn groups_of(&self, topic: &str) -> BTreeSet<String> {
        let having = self.groups.iter().filter(|entry| entry.value().contains_key(topic));
        having.map(|entry| entry.key().clone()).collect()
    }

    /// Gives `to` the offsets of `from` in a topic.
    pub(super) fn copy(&self, from: &str, to: &str, topic: &str, now: Millis) {
        for (queue_id, offset) in self.queues(from, topic) {
            self.set(to, topic, queue_id, offset, now);
        }
    }

    /// Forgets a group.
    pub(super) fn remove_group(&self, group: &str, now: Millis) {
        if self.groups.remove(group).is_some() {
            self.changed(now);
        }
        self.remove_resets(|(of, _, _)| of == group);
    }

    /// Forgets a topic.
    pub(super) fn remove_topic(&self, topic: &str, now: Millis) {
        let mut removed = false;
        for mut topics in self.groups.iter_mut() {
            removed |= topics.remove(topic).is_some();
        }
        self.groups.retain(|_, topics| !topics.is_empty());
        if removed {
            self.changed(now);
        }
        self.remove_resets(|(_, of, _)| of == topic);
    }

    /// Sets an offset from outside: the next pull is sent there, and until then nobody commits another.
    pub(super) fn reset(&self, group: &str, topic: &str, queue_id: i32, offset: i64, now: Millis) {
        let key = (group.to_owned(), topic.to_owned(), queue_id);
        if self.resets.insert(key, offset).is_none() {
            self.reset_count.fetch_add(1, Ordering::AcqRel);
        }
        self.set(group, topic, queue_id, offset, now);
    }

    /// Takes the mark of a reset away.
    pub(super) fn take_reset(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        if self.reset_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let (_, offset) = self.resets.remove(&(group.to_owned(), topic.to_owned(), queue_id))?;
        self.reset_count.fetch_sub(1, Ordering::AcqRel);
        Some(offset)
    }

    fn is_reset(&self, group: &str, topic: &str, queue_id: i32) -> bool {
        self.reset_count.load(Ordering::Acquire) > 0
            && self.resets.contains_key(&(group.to_owned(), topic.to_owned(), queue_id))
    }

    fn remove_resets(&self, gone: impl Fn(&Queue) -> bool) {
        self.resets.retain(|queue, _| {
            let stays = !gone(queue);
            if !stays {
                self.reset_count.fetch_sub(1, Ordering::AcqRel);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_as_it_was_written() {
        let offsets = Offsets::default();
        assert!(offsets.commit("g", "T", 0, 7, 1));
        offsets.commit("g", "T", 1, 9, 1);
        offsets.commit("h", "U", 0, 1, 1);
        let file = offsets.to_file();
        assert_eq!(file.offset_table["T@g"], QueueOffsets::from([(0, 7), (1, 9)]));
        assert_eq!(file.group_topic_map["g"], BTreeSet::from(["T".to_owned()]));
        let again = Offsets::load([file.clone()]);
        assert_eq!(again.to_file(), file);
        assert_eq!(again.get("g", "T", 1), Some(9));
        assert_eq!(again.groups_of("T"), BTreeSet::from(["g".to_owned()]));
    }

    #[test]
    fn names_that_nobody_may_have_are_not_kept() {
        let offsets = Offsets::default();
        for name in ["", "../x", "a/b", "a@b", "a\nb", "a\0b", &"x".repeat(256)] {
            assert!(!offsets.commit(name, "T", 0, 7, 1), "{name:?}");
            assert!(!offsets.commit("g", name, 0, 7, 1), "{name:?}");
            offsets.reset("g", name, 0, 7, 1);
        }
        offsets.commit("g", "T", 0, 7, 1);
        offsets.copy("g", "../x", "T", 1);
        let file = offsets.to_file();
        assert_eq!(file.offset_table.keys().collect::<Vec<_>>(), ["T@g"]);
    }

    #[test]
    fn light_queues_are_merged() {
        let light = ConsumerOffsets {
            lmq_offset_table: Some(BTreeMap::from([("%LMQ%x@g".to_owned(), 5)])),
            offset_table: BTreeMap::from([("T@g".to_owned(), QueueOffsets::from([(1, 3)]))]),
            ..ConsumerOffsets::default()
        };
        let main = ConsumerOffsets {
            offset_table: BTreeMap::from([
                ("T@g".to_owned(), QueueOffsets::from([(0, 2)])),
                ("nonsense".to_owned(), QueueOffsets::new()),
            ]),
            ..ConsumerOffsets::default()
        };
        let offsets = Offsets::load([main, light]);
        assert_eq!(offsets.queues("g", "T"), QueueOffsets::from([(0, 2), (1, 3)]));
        assert_eq!(offsets.get("g", "%LMQ%x", 0), Some(5));
    }

    #[test]
    fn a_reset_holds_until_a_pull_has_seen_it() {
        let offsets = Offsets::default();
        offsets.commit("g", "T", 0, 100, 1);
        offsets.reset("g", "T", 0, 10, 1);
        assert!(!offsets.commit("g", "T", 0, 101, 1), "from where the consumer was before");
        assert_eq!(offsets.get("g", "T", 0), Some(10));
        assert_eq!(offsets.take_reset("g", "T", 1), None);
        assert_eq!(offsets.take_reset("g", "T", 0), Some(10));
        assert_eq!(offsets.take_reset("g", "T", 0), None);
        assert!(offsets.commit("g", "T", 0, 11, 1));
        offsets.reset("g", "T", 0, 1, 1);
        offsets.remove_topic("T", 1);
        assert_eq!((offsets.take_reset("g", "T", 0), offsets.get("g", "T", 0)), (None, None));
    }

    #[test]
    fn only_changes_count_and_many_make_a_version() {
        let offsets = Offsets::default();
        for offset in 0..600 {
            offsets.commit("g", "T", 0, offset, 3);
        }
        offsets.commit("g", "T", 0, 599, 3);
        assert_eq!(offsets.changes(), 600);
        assert_eq!(offsets.version().counter, 1);
        offsets.remove_group("g", 3);
        assert_eq!(offsets.changes(), 601);
        assert!(offsets.topics_of("g").is_empty());
    }
}
