//! What a message becomes on its way through a system topic, and back (fact sheet: store 8, 10.1).

use bytes::Bytes;

use super::named;
use crate::protocol::{
    properties::{NAME_END, VALUE_END, name},
    record::{PropertyText, RecordFields},
    sys_flag::TransactionType,
    topic,
};

/// A level wins over a time: what asks for one is dropped.
pub(super) const TIMES: [&str; 3] = [name::TIMER_DELAY_SEC, name::TIMER_DELAY_MS, name::TIMER_DELIVER_MS];

/// One property as text.
pub(crate) fn property(name: &str, value: impl AsRef<[u8]>) -> Bytes {
    [name.as_bytes(), &[NAME_END], value.as_ref(), &[VALUE_END]].concat().into()
}

/// The delay level that the properties ask for; 0 is none.
pub(crate) fn delay_level(properties: &PropertyText) -> i32 {
    number(properties, name::DELAY).unwrap_or(0)
}

/// Whether this value of `DELAY` is a level.
pub(crate) fn is_level(value: &[u8]) -> bool {
    std::str::from_utf8(value).ok().and_then(|text| text.parse::<i32>().ok()).is_some_and(|level| level > 0)
}

/// A property that is a number.
pub(crate) fn number<N: std::str::FromStr>(properties: &PropertyText, name: &str) -> Option<N> {
    std::str::from_utf8(properties.get(name)?).ok()?.parse().ok()
}

/// Sends a message with a delay level to the queue of its level, or of the last one; others, and halves and
/// ends of transactions that are not to be seen, stay as they are.
pub(crate) fn by_delay_level(fields: RecordFields, levels: usize) -> RecordFields {
    let asked = delay_level(&fields.properties);
    let is_seen = matches!(fields.sys_flag.transaction(), TransactionType::None | TransactionType::Commit);
    if asked <= 0 || !is_seen {
        return fields;
    }
    let level = asked.min(i32::try_from(levels).unwrap_or(i32::MAX));
    let mut properties = aside(&fields, topic::SCHEDULE).without(&TIMES);
    if level != asked {
        properties = properties.without(&[name::DELAY]).with(property(name::DELAY, level.to_string()));
    }
    RecordFields {
        topic: Bytes::from_static(topic::SCHEDULE.as_bytes()),
        queue_id: level - 1,
        properties,
        ..fields
    }
}

/// The same without a delay.
pub(crate) fn undelayed(fields: RecordFields) -> RecordFields {
    let properties = fields.properties.without(&[name::DELAY]).with(property(name::DELAY, "0"));
    RecordFields { properties, ..fields }
}

/// The properties with the place that the message is really for, unless it is on its way to `system` already.
pub(super) fn aside(fields: &RecordFields, system: &str) -> PropertyText {
    if fields.topic == system.as_bytes() {
        return fields.properties.clone();
    }
    let mut place = Vec::with_capacity(48);
    place.extend_from_slice(&property(name::REAL_TOPIC, &fields.topic));
    place.extend_from_slice(&property(name::REAL_QUEUE_ID, fields.queue_id.to_string()));
    fields.properties.without(&[name::REAL_TOPIC, name::REAL_QUEUE_ID]).with(place.into())
}

/// The half of a transaction, as an ordinary message of the half topic.
pub(crate) fn as_half(fields: RecordFields, producer_group: &str) -> RecordFields {
    // What only copies of it may say.
    let names = [name::TRAN_PREPARED_QUEUE_OFFSET, name::TRANSACTION_CHECK_TIMES];
    let mut properties = aside(&fields, topic::TRANS_HALF).without(&names);
    if let Some(key) = properties.get(name::UNIQ_KEY).map(Bytes::copy_from_slice) {
        properties = properties.without(&[name::TRANSACTION_ID]).with(property(name::TRANSACTION_ID, key));
    }
    if properties.get(name::PGROUP).is_none() {
        properties.push(property(name::PGROUP, producer_group));
    }
    RecordFields {
        topic: Bytes::from_static(topic::TRANS_HALF.as_bytes()),
        queue_id: 0,
        sys_flag: fields.sys_flag.with_transaction(TransactionType::None),
        properties,
        ..fields
    }
}

/// Where the message is really for.
pub(crate) fn real_place(properties: &PropertyText) -> Option<(Bytes, i32)> {
    let topic = properties.get(name::REAL_TOPIC).filter(|topic| !topic.is_empty())?;
    Some((Bytes::copy_from_slice(topic), number(properties, name::REAL_QUEUE_ID)?))
}

/// A delayed message whose time has come: the same, at its real place; it was stored at `source`. `None` when it
/// names no place, or belongs to a transaction that has not ended.
pub(super) fn delivered(fields: RecordFields, source: i64) -> Option<RecordFields> {
    let (topic, queue_id) = real_place(&fields.properties)?;
    let prepared_transaction_offset = named::name(source);
    let fields = RecordFields { topic, queue_id, prepared_transaction_offset, ..fields };
    (fields.topic != topic::TRANS_HALF.as_bytes()).then_some(fields)
}

/// What a committed half becomes.
pub(crate) fn committed(half: RecordFields, half_offset: i64) -> Option<RecordFields> {
    let (topic, queue_id) = real_place(&half.properties)?;
    Some(RecordFields {
        topic,
        queue_id,
        sys_flag: half.sys_flag.with_transaction(TransactionType::Commit),
        prepared_transaction_offset: half_offset,
        properties: half.properties.without(&[name::REAL_TOPIC, name::REAL_QUEUE_ID]),
        ..half
    })
}

/// Whether the message is half of a transaction. One that is on its way back from a consumer is not, though it
/// still says so.
pub(crate) fn is_half(fields: &RecordFields) -> bool {
    let says_so =
        fields.properties.get(name::TRAN_MSG).is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
    says_so && !(fields.reconsume_times > 0 && delay_level(&fields.properties) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sys_flag::SysFlag;

    fn fields(topic: &'static str, text: &str) -> RecordFields {
        let host = ([127, 0, 0, 1], 9).into();
        RecordFields {
            topic: Bytes::from_static(topic.as_bytes()),
            queue_id: 3,
            flag: 0,
            sys_flag: SysFlag(0x4),
            born_timestamp: 0,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: Bytes::from_static(b"x"),
            properties: Bytes::from(text.replace('=', "\u{1}").replace(';', "\u{2}")).into(),
        }
    }

    fn seen(topic: &'static str, text: &str) -> RecordFields {
        RecordFields { sys_flag: SysFlag(0), ..fields(topic, text) }
    }

    fn text(fields: &RecordFields) -> String {
        let items = fields.properties.iter();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        items.map(|(name, value)| format!("{}={};", text(name), text(value))).collect()
    }

    #[test]
    fn a_level_sends_to_its_queue_and_one_beyond_the_last_to_the_last() {
        let level = by_delay_level(seen("T", "DELAY=2;TIMER_DELAY_MS=5;"), 18);
        assert_eq!((&*level.topic, level.queue_id), (topic::SCHEDULE.as_bytes(), 1));
        assert_eq!(text(&level), "DELAY=2;REAL_TOPIC=T;REAL_QID=3;");
        let cut = by_delay_level(seen("T", "DELAY=99;"), 18);
        assert_eq!((cut.queue_id, &*text(&cut)), (17, "REAL_TOPIC=T;REAL_QID=3;DELAY=18;"));
        for none in ["", "DELAY=0;", "DELAY=-1;", "DELAY=x;"] {
            assert_eq!(&*by_delay_level(seen("T", none), 18).topic, b"T");
        }
        assert_eq!(&*by_delay_level(fields("T", "DELAY=2;"), 18).topic, b"T", "a half waits for its end");
    }

    #[test]
    fn the_last_redirection_counts() {
        let again = by_delay_level(seen("%RETRY%g", "REAL_TOPIC=T;REAL_QID=3;DELAY=4;"), 18);
        assert_eq!(text(&again), "DELAY=4;REAL_TOPIC=%RETRY%g;REAL_QID=3;");
        let back = delivered(again.clone(), 0).unwrap();
        let place = (&*back.topic, back.queue_id, back.prepared_transaction_offset);
        assert_eq!(place, (&b"%RETRY%g"[..], 3, -1), "it names its source");
        assert_eq!(text(&back), text(&again), "the properties stay as they are");
    }

    #[test]
    fn what_has_no_place_to_go_is_not_delivered() {
        for text in ["", "REAL_TOPIC=T;", "REAL_QID=1;", "REAL_TOPIC=RMQ_SYS_TRANS_HALF_TOPIC;REAL_QID=0;"] {
            assert!(delivered(seen(topic::SCHEDULE, text), 0).is_none(), "{text}");
        }
    }

    #[test]
    fn a_half_becomes_an_ordinary_message_and_its_commit_a_committed_one() {
        let half = as_half(fields("T", "TRAN_MSG=true;PGROUP=p;UNIQ_KEY=U;"), "other");
        assert_eq!(
            (&*half.topic, half.queue_id, half.sys_flag),
            (topic::TRANS_HALF.as_bytes(), 0, SysFlag(0))
        );
        assert_eq!(
            text(&half),
            "TRAN_MSG=true;PGROUP=p;UNIQ_KEY=U;REAL_TOPIC=T;REAL_QID=3;__transactionId__=U;"
        );
        let end = committed(half, 77).unwrap();
        assert_eq!((&*end.topic, end.queue_id, end.sys_flag), (&b"T"[..], 3, SysFlag(0x8)));
        assert_eq!(end.prepared_transaction_offset, 77);
        assert_eq!(text(&end), "TRAN_MSG=true;PGROUP=p;UNIQ_KEY=U;__transactionId__=U;");
    }

    #[test]
    fn a_committed_message_that_comes_back_for_a_retry_is_no_half() {
        assert!(is_half(&seen("T", "TRAN_MSG=true;")) && !is_half(&seen("T", "TRAN_MSG=false;")));
        let back = RecordFields { reconsume_times: 1, ..seen("%RETRY%g", "TRAN_MSG=true;DELAY=4;") };
        assert!(!is_half(&back));
    }
}
