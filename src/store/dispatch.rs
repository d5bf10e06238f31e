//! Which consume queue units a record becomes (fact sheet: store 3.5, 4.1, 4.2). Pure: the live
//! dispatcher and recovery must agree to the byte.

use super::consume_queue::Unit;
use super::scan::Record;
use super::watermarks::{PhysicalOffset, QueueOffset};

/// `sysFlag`: the two bits of the transaction type.
const TRANSACTION_TYPE: i32 = 0xC;
/// Transaction type: a half message, of the kind that was never to be consumed.
const TRANSACTION_PREPARED: i32 = 0x4;
/// Transaction type: rolled back.
const TRANSACTION_ROLLBACK: i32 = 0xC;
/// `sysFlag`: one record with several messages, which belongs into a batch consume queue.
const INNER_BATCH: i32 = 0x80;

/// The topic in which messages with a delay level wait.
const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Topics with this prefix go nowhere but into their own queue.
const RETRY_PREFIX: &str = "%RETRY%";

const PROPERTY_TAGS: &str = "TAGS";
const PROPERTY_DELAY: &str = "DELAY";
const PROPERTY_MULTI_DISPATCH: &str = "INNER_MULTI_DISPATCH";
const PROPERTY_MULTI_OFFSETS: &str = "INNER_MULTI_QUEUE_OFFSET";
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
    let transaction = record.sys_flag & TRANSACTION_TYPE;
    if matches!(transaction, TRANSACTION_PREPARED | TRANSACTION_ROLLBACK) || is_batch(record) {
        return None;
    }
    let topic = record.topic_name()?;
    let delay = (topic == SCHEDULE_TOPIC).then(|| delay_of(record, rules)).flatten();
    let tags_code = match delay {
        Some(delay) => record.store_timestamp.saturating_add(delay),
        None => tags_code(record),
    };
    let unit = Unit { tags_code, ..plain_unit(record)? };
    Some(Entry { topic, queue_id: record.queue_id, queue_offset: record.queue_offset, unit })
}

/// The units in light queues that the record names.
pub fn light_units<'a>(record: &Record<'a>, rules: &DispatchRules) -> impl Iterator<Item = Entry<'a>> {
    let applies = rules.light_queues
        && unit_of(record, rules).is_some_and(|entry| !entry.topic.starts_with(RETRY_PREFIX));
    let text =
        |name| record.property(name).filter(|_| applies).and_then(|value| std::str::from_utf8(value).ok());
    let names = text(PROPERTY_MULTI_DISPATCH).unwrap_or_default().split(MULTI_SEPARATOR);
    let offsets = text(PROPERTY_MULTI_OFFSETS).unwrap_or_default().split(MULTI_SEPARATOR);
    let unit = plain_unit(record);
    names.zip(offsets).filter_map(move |(topic, offset)| {
        let queue_offset = QueueOffset(offset.parse().ok()?);
        let is_named = !topic.is_empty() && !topic.contains('/') && queue_offset.0 >= 0;
        is_named.then_some(Entry { topic, queue_id: LIGHT_QUEUE_ID, queue_offset, unit: unit? })
    })
}

/// Whether the record holds several messages.
pub fn is_batch(record: &Record<'_>) -> bool {
    record.sys_flag & INNER_BATCH != 0
}

fn plain_unit(record: &Record<'_>) -> Option<Unit> {
    Some(Unit {
        physical_offset: PhysicalOffset(record.physical_offset.0),
        size: i32::try_from(record.size).ok()?,
        tags_code: tags_code(record),
    })
}

fn tags_code(record: &Record<'_>) -> i64 {
    record.property(PROPERTY_TAGS).map_or(0, |tags| i64::from(java_hash(&String::from_utf8_lossy(tags))))
}

/// Java's `String.hashCode`.
fn java_hash(text: &str) -> i32 {
    hash_on(0, text)
}

/// The hash of a text that goes on with `more`, from the hash of what comes before.
pub(super) fn hash_on(before: i32, more: &str) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    if more.is_ascii() {
        more.bytes().map(u16::from).fold(before, step)
    } else {
        more.encode_utf16().fold(before, step)
    }
}

fn delay_of(record: &Record<'_>, rules: &DispatchRules) -> Option<i64> {
    let level: usize = std::str::from_utf8(record.property(PROPERTY_DELAY)?).ok()?.parse().ok()?;
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
        let due =
            |level: &str| entry(&draft(SCHEDULE_TOPIC, 0, &format!("DELAY={level};TAGS=a;"))).unwrap().0;
        assert_eq!((due("1"), due("18"), due("99")), (2_000, 7_201_000, 7_201_000));
        assert_eq!((due("0"), due("x")), (97, 97));
        assert_eq!(entry(&draft("T", 0, "DELAY=1;TAGS=a;")).unwrap().0, 97);
    }

    #[test]
    fn what_is_not_to_be_consumed_has_no_unit() {
        for sys_flag in [TRANSACTION_PREPARED, TRANSACTION_ROLLBACK, INNER_BATCH] {
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
