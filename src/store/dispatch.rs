//! Which consume queue units a record becomes (fact sheet: store 3.5, 4.1, 4.2). Pure: the live
//! dispatcher and recovery must agree to the byte.

use super::consume_queue::Unit;
use super::scan::Record;
use super::watermarks::{PhysicalOffset, QueueOffset};
use crate::protocol::message;
use crate::protocol::properties::name;
use crate::protocol::sys_flag::{SysFlag, TransactionType};
use crate::protocol::topic::{RETRY_PREFIX, SCHEDULE};

/// Separates names, and offsets, of a multiple dispatch.
const MULTI_SEPARATOR: char = ',';
/// A light queue has one queue, with this id.
const LIGHT_QUEUE_ID: i32 = 0;

/// `messageDelayLevel` of RocketMQ, in seconds.
const DEFAULT_DELAYS_S: [i64; 18] =
    [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];

/// What of the configuration decides over units.
#[derive(Debug, Clone)]
pub struct DispatchRules {
    /// The delay of level 1, 2, and so on, in ms.
    pub delay_levels: Vec<i64>,
    /// Whether light queues are built (`enableLmq` and `enableMultiDispatch`).
    pub light_queues: bool,
}

impl Default for DispatchRules {
    fn default() -> Self {
        let delay_levels = DEFAULT_DELAYS_S.iter().map(|seconds| seconds * 1000).collect();
        DispatchRules { delay_levels, light_queues: false }
    }
}

/// A unit, and the place where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Topic of the queue.
    pub topic: &'a str,
    /// Queue within the topic.
    pub queue_id: i32,
    /// The unit's offset.
    pub queue_offset: QueueOffset,
    /// What to append there.
    pub unit: Unit,
}

/// The unit in the record's own queue; `None` for what is not to be consumed, and for a record that holds
/// a batch, whose queues have another format.
pub fn unit_of<'a>(record: &Record<'a>, rules: &DispatchRules) -> Option<Entry<'a>> {
    let transaction = record.sys_flag.transaction();
    if matches!(transaction, TransactionType::Prepared | TransactionType::Rollback) || is_batch(record) {
        return None;
    }
    let topic = record.topic_name()?;
    let mut unit = plain_unit(record)?;
    if let Some(delay) = (topic == SCHEDULE).then(|| delay_of(record, rules)).flatten() {
        unit.tags_code = record.store_timestamp.saturating_add(delay);
    }
    Some(Entry { topic, queue_id: record.queue_id, queue_offset: record.queue_offset, unit })
}

/// The units in light queues that the record names.
pub fn light_units<'a>(record: &Record<'a>, rules: &DispatchRules) -> impl Iterator<Item = Entry<'a>> {
    let applies = rules.light_queues
        && unit_of(record, rules).is_some_and(|entry| !entry.topic.starts_with(RETRY_PREFIX));
    let text =
        |name| record.property(name).filter(|_| applies).and_then(|value| std::str::from_utf8(value).ok());
    let names = text(name::INNER_MULTI_DISPATCH).unwrap_or_default().split(MULTI_SEPARATOR);
    let offsets = text(name::INNER_MULTI_QUEUE_OFFSET).unwrap_or_default().split(MULTI_SEPARATOR);
    let unit = plain_unit(record);
    names.zip(offsets).filter_map(move |(topic, offset)| {
        let queue_offset = QueueOffset(offset.parse().ok()?);
        let is_named = !topic.is_empty() && !topic.contains('/') && queue_offset.0 >= 0;
        is_named.then_some(Entry { topic, queue_id: LIGHT_QUEUE_ID, queue_offset, unit: unit? })
    })
}

/// Whether the record holds several messages.
pub fn is_batch(record: &Record<'_>) -> bool {
    record.sys_flag.has(SysFlag::INNER_BATCH)
}

fn plain_unit(record: &Record<'_>) -> Option<Unit> {
    Some(Unit {
        physical_offset: PhysicalOffset(record.physical_offset.0),
        size: i32::try_from(record.size).ok()?,
        tags_code: message::tags_code(record.property(name::TAGS)),
    })
}

fn delay_of(record: &Record<'_>, rules: &DispatchRules) -> Option<i64> {
    let level: usize = std::str::from_utf8(record.property(name::DELAY)?).ok()?.parse().ok()?;
    rules.delay_levels.get(level.checked_sub(1)?).or(rules.delay_levels.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scan::tests::Draft;
    use crate::store::scan::{Found, Verify, examine};

    fn entry(draft: &Draft) -> Option<(i64, Vec<(String, i64)>)> {
        let bytes = draft.encode(PhysicalOffset(500));
        let Found::Record(record) = examine(&bytes, PhysicalOffset(500), Verify::Checksum) else { panic!() };
        let rules = DispatchRules { light_queues: true, ..DispatchRules::default() };
        let light = light_units(&record, &rules).map(|e| (e.topic.to_owned(), e.queue_offset.0)).collect();
        Some((unit_of(&record, &rules)?.unit.tags_code, light))
    }

    fn draft(topic: &str, sys_flag: i32, properties: &str) -> Draft {
        let properties = properties.replace('=', "\u{1}").replace(';', "\u{2}");
        Draft { sys_flag, properties, store_timestamp: 1000, ..Draft::new(topic, 3, 9, b"x") }
    }

    #[test]
    fn tags_are_hashed_as_java_does() {
        let tags_code = |tags: &str| entry(&draft("T", 0, tags)).unwrap().0;
        assert_eq!(tags_code("TAGS=AaAa;"), 2_031_744);
        assert_eq!(tags_code("TAGS=BBBB;"), 2_031_744);
        assert_eq!(tags_code("TAGS=TagLZ4;"), -1_797_392_724);
        assert_eq!(tags_code("KEYS=k;"), 0);
    }

    #[test]
    fn a_delayed_message_is_due_at_its_level_and_at_the_last_one_beyond() {
        let due = |level: &str| entry(&draft(SCHEDULE, 0, &format!("DELAY={level};TAGS=a;"))).unwrap().0;
        assert_eq!((due("1"), due("18"), due("99")), (2_000, 7_201_000, 7_201_000));
        assert_eq!((due("0"), due("x")), (97, 97));
        assert_eq!(entry(&draft("T", 0, "DELAY=1;TAGS=a;")).unwrap().0, 97);
    }

    #[test]
    fn what_is_not_to_be_consumed_has_no_unit() {
        for sys_flag in [0x4, 0xC, 0x80] {
            assert_eq!(entry(&draft("T", sys_flag, "")), None);
        }
        assert!(entry(&draft("T", 0x8, "")).is_some());
    }

    #[test]
    fn light_queues_take_the_offsets_that_were_written_with_them() {
        let named = "INNER_MULTI_DISPATCH=%LMQ%a,%LMQ%b,%LMQ%/x;INNER_MULTI_QUEUE_OFFSET=4,0,7;";
        let expected = vec![("%LMQ%a".to_owned(), 4), ("%LMQ%b".to_owned(), 0)];
        assert_eq!(entry(&draft("T", 0, named)).unwrap().1, expected);
        assert!(entry(&draft("%RETRY%g", 0, named)).unwrap().1.is_empty());
    }
}
