//! Consume queues against the log: each unit points to its record, each record has its unit.

use std::collections::HashMap;
use std::path::Path;

use super::super::consume_queue::Unit;
use super::super::dispatch::{Entry as Placed, light_units, unit_of};
use super::super::error::StoreError;
use super::super::queue_path::{list_batch_topics, queue_dir};
use super::super::scan::Record;
use super::super::watermarks::{PhysicalOffset, QueueOffset};
use super::finding::{Findings, Limited, Severity};
use super::layout::StoppedStore;
use super::log_reader::{Entry, LogReader};
use super::queue_reader::QueueReader;
use super::small_files::topic_names;

/// All queues of a store while the log goes by.
pub(super) struct QueueChecks<'a> {
    store: &'a StoppedStore,
    queues: HashMap<String, HashMap<i32, Check>>,
    batch_topics: Vec<String>,
}

/// What is known of one queue.
struct Check {
    /// `None` when it has no directory.
    reader: Option<QueueReader>,
    /// Records whose unit says what it should.
    matched: u64,
    /// The first record without a unit, and how many there are.
    missing: Option<(QueueOffset, PhysicalOffset)>,
    missing_count: u64,
    /// The queue's newest record.
    newest: PhysicalOffset,
    wrong: Limited,
}

impl Check {
    fn new(reader: Option<QueueReader>) -> Self {
        Check {
            reader,
            matched: 0,
            missing: None,
            missing_count: 0,
            newest: PhysicalOffset(0),
            wrong: Limited::default(),
        }
    }
}

impl<'a> QueueChecks<'a> {
    pub(super) fn open(store: &'a StoppedStore, findings: &mut Findings) -> Result<Self, StoreError> {
        let options = &store.options;
        let disk = options.disk.as_ref();
        let mut queues: HashMap<String, HashMap<i32, Check>> = HashMap::new();
        for (topic, queue_id) in &store.queues {
            let Ok(dir) = queue_dir(&options.root, topic, *queue_id) else {
                findings.damage(&store.queues_dir().join(topic), None, "no topic has such a name");
                continue;
            };
            let reader = QueueReader::open(disk, &dir, options.consume_queue_file_size, findings)?;
            queues.entry(topic.clone()).or_default().insert(*queue_id, Check::new(Some(reader)));
        }
        let batch_topics = list_batch_topics(disk, &options.root)?;
        if !batch_topics.is_empty() {
            let what = format!("the queues of {} batch topics are not checked", batch_topics.len());
            findings.note(Path::new("batchconsumequeue"), None, what);
        }
        Ok(QueueChecks { store, queues, batch_topics })
    }

    pub(super) fn len(&self) -> usize {
        self.readers().count()
    }

    fn readers(&self) -> impl Iterator<Item = &QueueReader> {
        self.queues.values().flat_map(HashMap::values).filter_map(|check| check.reader.as_ref())
    }

    /// Behind the last record that a queue knows.
    pub(super) fn max_physical(&mut self) -> Result<PhysicalOffset, StoreError> {
        let mut max = PhysicalOffset(0);
        for check in self.queues.values_mut().flat_map(HashMap::values_mut) {
            let Some(reader) = check.reader.as_mut() else { continue };
            let last = QueueOffset(reader.end()?.0 - 1);
            max = max.max(reader.unit(last)?.filter(|unit| !unit.is_filler()).map_or(max, Unit::end));
        }
        Ok(max)
    }

    fn placed<'r>(&self, record: &Record<'r>) -> Vec<Placed<'r>> {
        let rules = &self.store.options.rules;
        let all = unit_of(record, rules).into_iter().chain(light_units(record, rules));
        all.filter(|placed| !self.batch_topics.iter().any(|batch| batch == placed.topic)).collect()
    }

    /// Whether a queue has the unit of this record.
    pub(super) fn knows(&mut self, record: &Record<'_>) -> Result<bool, StoreError> {
        for placed in self.placed(record) {
            let check = self.queues.get_mut(placed.topic).and_then(|queues| queues.get_mut(&placed.queue_id));
            if let Some(reader) = check.and_then(|check| check.reader.as_mut())
                && reader.unit(placed.queue_offset)?.is_some_and(|unit| unit.agrees_with(placed.unit))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the next record of the log.
    pub(super) fn record(&mut self, record: &Record<'_>) -> Result<(), StoreError> {
        for Placed { topic, queue_id, queue_offset, unit } in self.placed(record) {
            if queue_dir(&self.store.options.root, topic, queue_id).is_err() {
                continue;
            }
            if !self.queues.contains_key(topic) {
                self.queues.insert(topic.to_owned(), HashMap::new());
            }
            let Some(queues) = self.queues.get_mut(topic) else { continue };
            let check = queues.entry(queue_id).or_insert_with(|| Check::new(None));
            check.newest = unit.physical_offset;
            let stored = match check.reader.as_mut() {
                Some(reader) => reader.unit(queue_offset)?,
                None => None,
            };
            match stored {
                Some(stored) if stored.agrees_with(unit) => check.matched += 1,
                // A wrong unit, or that of a newer message with this offset, after its topic was deleted and
                // made anew: told apart when all records have gone by.
                Some(_) => {}
                None => {
                    check.missing.get_or_insert((queue_offset, unit.physical_offset));
                    check.missing_count += 1;
                }
            }
        }
        Ok(())
    }

    /// Says what is wrong, now that the log, which ends at `end`, has gone by. A start after a crash mends
    /// what queues lack if it comes by a later record of theirs, at `mends_from` or behind. Gives how many
    /// messages the queues have behind the log.
    pub(super) fn finish(
        &mut self,
        log: &mut LogReader,
        end: PhysicalOffset,
        mends_from: Option<PhysicalOffset>,
        findings: &mut Findings,
    ) -> Result<u64, StoreError> {
        let mut behind = 0;
        let known_topics = topic_names(self.store);
        let rules = self.store.options.rules.clone();
        let mut sorted: Vec<(&String, &i32, &mut Check)> = self
            .queues
            .iter_mut()
            .flat_map(|(topic, queues)| queues.iter_mut().map(move |(id, check)| (topic, id, check)))
            .collect();
        sorted.sort_by_key(|(topic, id, _)| (*topic, **id));
        for (topic, queue_id, check) in sorted {
            let is_mended = mends_from.is_some_and(|from| check.newest >= from);
            let severity = if is_mended { Severity::Note } else { Severity::Damage };
            let Some(mut reader) = check.reader.take() else {
                let Ok(dir) = queue_dir(&self.store.options.root, topic, *queue_id) else { continue };
                if known_topics.contains(topic) {
                    let what = format!("the queue is missing: {} messages", check.missing_count);
                    findings.add(severity, &dir, None, what);
                } else {
                    let what = format!("{} messages of a topic that was deleted", check.missing_count);
                    findings.note(&dir, None, what);
                }
                continue;
            };
            let unit_for = |record: &Record<'_>, at: QueueOffset| {
                let mut all = unit_of(record, &rules).into_iter().chain(light_units(record, &rules));
                let of_queue = |placed: &Placed<'_>| {
                    (placed.topic, placed.queue_id, placed.queue_offset) == (topic, *queue_id, at)
                };
                all.find(of_queue).map(|placed| placed.unit)
            };
            if let Some((first, record)) = check.missing {
                let (path, place) = reader.place(first);
                let what = format!(
                    "no unit for queue offset {first}, whose record is at offset {record}, and {} more",
                    check.missing_count - 1
                );
                findings.add(severity, &path, place, what + mended(is_mended));
            }
            let found = walk_units(&mut reader, log.min(), end)?;
            if let Some((first, count)) = found.behind {
                behind += count;
                let (path, place) = reader.place(first);
                let what =
                    format!("{count} units, from queue offset {first} on, point behind the end of the log");
                match mends_from {
                    Some(_) => findings.note(&path, place, what + mended(true)),
                    None => findings.damage(&path, place, what),
                }
            }
            if let Some(hole) = found.hole {
                let (path, place) = reader.place(hole);
                let what = format!("no unit for queue offset {hole}, though units follow");
                findings.add(severity, &path, place, what + mended(is_mended));
            }
            if found.present != check.matched {
                let mut at = reader.first();
                while at < reader.room() {
                    let unit = reader.unit(at)?;
                    let in_log = |unit: &Unit| {
                        !unit.is_filler() && unit.physical_offset >= log.min() && unit.physical_offset < end
                    };
                    if let Some(unit) = unit.filter(in_log) {
                        let wrong = match log.entry(unit.physical_offset) {
                            Entry::Record(record, _) => match unit_for(&record, at) {
                                Some(rebuilt) if unit.agrees_with(rebuilt) => None,
                                Some(_) => Some("says another size or other tags than its record"),
                                None => Some("points to the record of another message"),
                            },
                            _ => Some("points to no whole record"),
                        };
                        if let Some(wrong) = wrong.filter(|_| check.wrong.admits()) {
                            let (path, place) = reader.place(at);
                            let what = format!("the unit of queue offset {at} {wrong}");
                            findings.add(severity, &path, place, what + mended(is_mended));
                        }
                    }
                    at = at.plus(1);
                }
            }
            if check.wrong.left_out() > 0 {
                let what = format!("{} more wrong units", check.wrong.left_out());
                findings.add(severity, reader.dir(), None, what);
            }
            check.reader = Some(reader);
        }
        Ok(behind)
    }
}

fn mended(is_mended: bool) -> &'static str {
    if is_mended { "; the next start mends it" } else { "; `castmq store rebuild` mends it" }
}

/// What the units of a queue say without the log.
#[derive(Default)]
struct Units {
    /// Units of records between the log's ends.
    present: u64,
    /// The first unit of a record behind the log, and how many there are.
    behind: Option<(QueueOffset, u64)>,
    /// The first place without a unit before one with.
    hole: Option<QueueOffset>,
}

fn walk_units(
    reader: &mut QueueReader,
    log_min: PhysicalOffset,
    log_end: PhysicalOffset,
) -> Result<Units, StoreError> {
    let (mut units, mut empty) = (Units::default(), None);
    let mut at = reader.first();
    while at < reader.room() {
        match reader.unit(at)? {
            None => {
                empty.get_or_insert(at);
            }
            Some(unit) => {
                if empty.is_some() && units.hole.is_none() {
                    units.hole = empty;
                }
                if unit.is_filler() {
                } else if unit.physical_offset >= log_end {
                    units.behind.get_or_insert((at, 0)).1 += 1;
                } else if unit.physical_offset >= log_min {
                    units.present += 1;
                }
            }
        }
        at = at.plus(1);
    }
    Ok(units)
}
