//! Rules and round trips of the record layout.

use super::*;
use crate::protocol::batch::BatchBody;
use crate::protocol::sys_flag::{SysFlag, TransactionType};
use bytes::Bytes;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

fn fields() -> RecordFields {
    RecordFields {
        topic: Bytes::from_static(b"T"),
        queue_id: 3,
        flag: 7,
        sys_flag: SysFlag(0),
        born_timestamp: 11,
        born_host: "10.0.0.1:4660".parse().unwrap(),
        store_host: "127.0.0.1:10911".parse().unwrap(),
        reconsume_times: 2,
        prepared_transaction_offset: 9,
        body: Bytes::from_static(b"hello"),
        properties: Bytes::from_static(b"TAGS\x01TagA\x02").into(),
    }
}

fn encode(draft: &RecordDraft) -> Vec<u8> {
    let mut out = vec![0xEE; draft.total_size()];
    draft.encode_into(&mut out, 5, 0x123, 0x456).unwrap();
    out
}

#[test]
fn the_fields_stand_where_the_format_says() {
    let draft = RecordDraft::new(fields()).unwrap();
    let bytes = encode(&draft);
    assert_eq!(bytes.len(), FIXED_V1 + 1 + 5 + 10);
    assert_eq!(bytes[..4], (bytes.len() as u32).to_be_bytes());
    assert_eq!(bytes[4..8], MAGIC_V1.to_be_bytes());
    assert_eq!(bytes[8..12], body_crc(b"hello").to_be_bytes());
    assert_eq!(bytes[12..16], 3i32.to_be_bytes());
    assert_eq!(bytes[20..28], 5i64.to_be_bytes());
    assert_eq!(bytes[28..36], 0x123i64.to_be_bytes());
    assert_eq!(bytes[48..56], [10, 0, 0, 1, 0, 0, 0x12, 0x34]);
    assert_eq!(bytes[56..64], 0x456i64.to_be_bytes());
    assert_eq!(bytes[72..76], 2i32.to_be_bytes());
    assert_eq!(bytes[84..88], 5i32.to_be_bytes());
    assert_eq!(bytes[93..95], *b"\x01T");
    assert_eq!(draft.tags_code(), 2_598_919);
}

#[test]
fn only_long_topics_take_the_second_version() {
    let with_topic = |len| RecordFields { topic: vec![b't'; len].into(), ..fields() };
    for (len, magic) in [(127, MAGIC_V1), (128, MAGIC_V2), (255, MAGIC_V2)] {
        let bytes = encode(&RecordDraft::new(with_topic(len)).unwrap());
        assert_eq!(bytes[4..8], magic.to_be_bytes());
        assert_eq!(RecordView::parse(&bytes).unwrap().topic.len(), len);
    }
    let too_long = usize::from(u16::MAX);
    assert_eq!(RecordDraft::new(with_topic(too_long)).unwrap_err(), RecordError::TooLong { len: too_long });
}

#[test]
fn half_and_rolled_back_messages_have_no_queue_offset() {
    for (transaction, expected) in [
        (TransactionType::None, 5),
        (TransactionType::Prepared, 0),
        (TransactionType::Commit, 5),
        (TransactionType::Rollback, 0),
    ] {
        let sys_flag = SysFlag(0).with_transaction(transaction);
        let bytes = encode(&RecordDraft::new(RecordFields { sys_flag, ..fields() }).unwrap());
        assert_eq!(RecordView::parse(&bytes).unwrap().queue_offset, expected);
    }
}

#[test]
fn a_batch_becomes_the_records_that_its_messages_would_become_alone() {
    let messages = [(1, &b"one"[..], &b"a\x011\x02"[..]), (2, b"", b""), (3, b"three", b"b\x012")];
    let mut batch = BatchBody::new();
    messages.iter().for_each(|(flag, body, text)| batch.push(*flag, body, text).unwrap());
    let draft = BatchDraft::new(RecordFields { body: batch.finish(), ..fields() }).unwrap();
    let mut together = vec![0xEE; draft.sizes().sum()];
    draft.encode_into(&mut together, 5, 1000, 0x456).unwrap();

    let mut alone = Vec::new();
    for (nth, (flag, body, text)) in (5..).zip(messages) {
        let (body, properties) = (Bytes::from_static(body), Bytes::from_static(text).into());
        let record = RecordDraft::new(RecordFields { flag, body, properties, ..fields() }).unwrap();
        let start = alone.len();
        alone.resize(start + record.total_size(), 0);
        record.encode_into(&mut alone[start..], nth, 1000 + start as i64, 0x456).unwrap();
    }
    assert_eq!(together, alone);
    let empty = BatchDraft::new(RecordFields { body: Bytes::new(), ..fields() });
    assert_eq!(empty.unwrap_err(), BatchDraftError::Empty);
}

#[test]
fn pieces_of_properties_are_joined_with_what_a_client_left_out() {
    let mut text = PropertyText::from(Bytes::from_static(b"a\x011"));
    for part in [&b""[..], b"b\x012\x02", b"c\x013", b"d\x014\x02", b"e\x015", b"f\x016"] {
        text.push(Bytes::copy_from_slice(part));
    }
    assert_eq!(text.get("e"), Some(&b"5"[..]));
    let bytes = encode(&RecordDraft::new(RecordFields { properties: text, ..fields() }).unwrap());
    let expected = b"a\x011\x02b\x012\x02c\x013\x02d\x014\x02e\x015\x02f\x016";
    assert_eq!(RecordView::parse(&bytes).unwrap().properties, expected);
}

#[test]
fn properties_beyond_the_limit_are_refused() {
    let with_len = |len| RecordFields { properties: Bytes::from(vec![b'x'; len]).into(), ..fields() };
    assert!(RecordDraft::new(with_len(MAX_PROPERTIES)).is_ok());
    let len = MAX_PROPERTIES + 1;
    assert_eq!(RecordDraft::new(with_len(len)).unwrap_err(), RecordError::PropertiesTooLong { len });
}

#[test]
fn a_slice_too_short_is_left_untouched() {
    let draft = RecordDraft::new(fields()).unwrap();
    let mut out = vec![0xEE; draft.total_size() - 1];
    assert!(matches!(draft.encode_into(&mut out, 0, 0, 0), Err(RecordError::NoRoom { .. })));
    assert!(out.iter().all(|&byte| byte == 0xEE));
}

#[test]
fn the_blank_tells_how_much_is_left() {
    let mut room = vec![0xEE; 30];
    write_blank(&mut room).unwrap();
    assert_eq!(room[..9], [0, 0, 0, 30, 0xCB, 0xD4, 0x31, 0x94, 0xEE]);
    assert_eq!(LogEntry::parse(&room), Ok(LogEntry::Blank { len: 30 }));
    assert_eq!(RecordView::parse(&room), Err(RecordError::Blank { len: 30 }));
    assert!(write_blank(&mut [0; 7]).is_err());
}

#[test]
fn every_kind_of_damage_is_told_apart() {
    let bytes = encode(&RecordDraft::new(fields()).unwrap());
    let size = bytes.len();
    let damaged = |at: usize, byte: u8| {
        let mut copy = bytes.clone();
        copy[at] = byte;
        copy
    };
    assert_eq!(RecordView::parse(&[0; 100]), Err(RecordError::Magic { magic: 0 }));
    assert_eq!(RecordView::parse(&bytes[..4]), Err(RecordError::Truncated { size: 8, given: 4 }));
    let given = size - 1;
    assert_eq!(RecordView::parse(&bytes[..given]), Err(RecordError::Truncated { size, given }));
    // A shorter size, a longer body, a negative body length, a negative topic length.
    for copy in [damaged(3, size as u8 - 1), damaged(87, 6), damaged(84, 0x80), damaged(93, 0xFF)] {
        assert!(matches!(RecordView::parse(&copy), Err(RecordError::Size { .. })));
    }
    let copy = damaged(88, b'H');
    let view = RecordView::parse(&copy).unwrap();
    assert!(matches!(view.check_crc(), Err(RecordError::Crc { .. })));
    assert!(RecordView::parse(&bytes).unwrap().check_crc().is_ok());
}

#[test]
fn a_check_sum_over_the_record_is_appended_and_checked() {
    let unended = RecordFields { properties: Bytes::from_static(b"a\x011").into(), ..fields() };
    for fields in [fields(), unended] {
        let bytes = encode(&RecordDraft::with_crc_property(fields).unwrap());
        let view = RecordView::parse(&bytes).unwrap();
        view.check_crc_property().unwrap();
        assert_eq!(view.iter_properties().count(), 2);
        let mut copy = bytes.clone();
        copy[20] ^= 1;
        assert!(matches!(
            RecordView::parse(&copy).unwrap().check_crc_property(),
            Err(RecordError::Crc { .. })
        ));
    }
    let bytes = encode(&RecordDraft::new(fields()).unwrap());
    assert_eq!(RecordView::parse(&bytes).unwrap().check_crc_property(), Err(RecordError::NoCrc));
}

#[test]
fn a_pull_body_is_read_record_by_record() {
    let mut body = encode(&RecordDraft::new(fields()).unwrap());
    body.extend(body.clone());
    assert_eq!(records(&body).filter(Result::is_ok).count(), 2);
    body.push(0);
    assert_eq!(records(&body).map(|record| record.is_ok()).collect::<Vec<_>>(), [true, true, false]);
}

/// Physical offset and bytes of records that Apache RocketMQ wrote.
fn observed_records() -> Vec<(i64, Vec<u8>)> {
    let lines = include_str!("../../../tests/data/records.hex").lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (offset, hex) = line.split_once(' ')?;
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
        Some((offset.parse().ok()?, bytes.collect::<Result<_, _>>().ok()?))
    };
    lines.map(|line| read(line).unwrap()).collect()
}

#[test]
fn records_of_apache_rocketmq_are_read_and_written_alike() {
    let records = observed_records();
    assert_eq!(records.len(), 6);
    for (offset, bytes) in &records {
        let view = RecordView::parse(bytes).unwrap();
        view.check_crc().unwrap();
        assert_eq!(view.physical_offset, *offset);
        let draft = RecordDraft::new(view.to_fields()).unwrap();
        let mut copy = vec![0; draft.total_size()];
        draft.encode_into(&mut copy, view.queue_offset, view.physical_offset, view.store_timestamp).unwrap();
        assert_eq!(&copy, bytes);
    }
    let flags: Vec<i32> =
        records.iter().map(|(_, bytes)| RecordView::parse(bytes).unwrap().sys_flag.0).collect();
    assert_eq!(flags, [0, 0x301, 0xC0, 0, 0x8, 0x10]);
    let (_, delayed) = &records[3];
    let delayed = RecordView::parse(delayed).unwrap();
    assert_eq!(delayed.topic_str(), Some("SCHEDULE_TOPIC_XXXX"));
    assert_eq!(delayed.property_str("REAL_TOPIC"), Some("FxDelay"));
    let (_, v6) = &records[5];
    assert!(RecordView::parse(v6).unwrap().born_host.is_ipv6());
}

fn any_host() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    (ip, any::<u16>()).prop_map(SocketAddr::from)
}

prop_compose! {
    fn any_fields()(
        topic in prop::collection::vec(any::<u8>(), 0..300),
        (queue_id, flag, sys_flag, reconsume_times) in any::<(i32, i32, i32, i32)>(),
        (born_timestamp, prepared_transaction_offset) in any::<(i64, i64)>(),
        (born_host, store_host) in (any_host(), any_host()),
        body: Vec<u8>,
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..7),
    ) -> RecordFields {
        let properties = parts.into_iter().fold(PropertyText::new(), |text, part| text.with(part.into()));
        RecordFields {
            topic: topic.into(), queue_id, flag, sys_flag: SysFlag(sys_flag), born_timestamp, born_host,
            store_host, reconsume_times, prepared_transaction_offset, body: body.into(), properties,
        }
    }
}

proptest! {
    #[test]
    fn records_read_back(fields in any_fields(), behind: Vec<u8>, offset: i64, time: i64) {
        let draft = RecordDraft::new(fields).unwrap();
        let mut bytes = vec![0; draft.total_size()];
        draft.encode_into(&mut bytes, offset, offset, time).unwrap();
        bytes.extend(behind);
        let view = RecordView::parse(&bytes).unwrap();
        let fields = draft.fields();
        view.check_crc().unwrap();
        prop_assert_eq!(view.total_size(), draft.total_size());
        prop_assert_eq!((view.physical_offset, view.store_timestamp), (offset, time));
        prop_assert_eq!((view.topic, view.body), (&fields.topic[..], &fields.body[..]));
        prop_assert_eq!((view.born_host, view.store_host), (fields.born_host, fields.store_host));
        prop_assert_eq!((view.queue_id, view.flag, view.sys_flag), (fields.queue_id, fields.flag, fields.sys_flag));
        prop_assert_eq!(view.reconsume_times, fields.reconsume_times);
        prop_assert_eq!(view.born_timestamp, fields.born_timestamp);
        prop_assert_eq!(view.prepared_transaction_offset, fields.prepared_transaction_offset);
        prop_assert!(view.iter_properties().eq(fields.properties.iter()));

        let again = RecordDraft::new(view.to_fields()).unwrap();
        let mut copy = vec![0; again.total_size()];
        again.encode_into(&mut copy, offset, offset, time).unwrap();
        prop_assert_eq!(&copy[..], view.bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, fields in any_fields(), at: usize, byte: u8) {
        let _ = LogEntry::parse(&bytes);
        let mut damaged = encode(&RecordDraft::new(fields).unwrap());
        let at = at % damaged.len();
        damaged[at] = byte;
        for record in records(&damaged).flatten() {
            let _ = (record.check_crc(), record.check_crc_property(), record.tags_code(), record.topic_str());
        }
    }
}
