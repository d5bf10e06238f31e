use proptest::prelude::*;

use super::*;
use crate::protocol::codes::RequestCode;
use crate::protocol::fields::{Fields, Text, Value};
use crate::protocol::header::ReplyTo;
use crate::protocol::language::Language;

/// Text that is hard on a codec: controls, quotes, backslashes, planes beyond the first.
fn text() -> impl Strategy<Value = String> {
    let chars = prop_oneof![
        4 => any::<char>(),
        2 => prop::char::range('\0', '\u{7f}'),
        1 => prop::sample::select(vec!['"', '\\', '\u{1}', '\u{2}', '/', '\u{2028}', '😀']),
    ];
    prop::collection::vec(chars, 0..40).prop_map(String::from_iter)
}

prop_compose! {
    fn frame(encoding: Encoding)(
        code in any::<i16>(),
        language in prop::sample::select(Language::ALL.to_vec()),
        version in any::<i16>(),
        opaque in any::<i32>(),
        flag in any::<i32>(),
        remark in prop::option::of(text()),
        pairs in prop::collection::vec((text(), text()), 0..20),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) -> Frame {
        // In binary what is empty is null, and truncated pop codes of requests are undone.
        let keeps = |text: &str| encoding == Encoding::Json || !text.is_empty();
        let code = if flag & 1 == 0 { RequestCode::from_binary16(code).as_i32() } else { code.into() };
        let mut fields = Fields::new();
        for (key, value) in pairs.iter().filter(|(key, value)| keeps(key) && keeps(value)) {
            fields.push(key, value.as_str());
        }
        let remark = remark.filter(|remark| keeps(remark)).map(Text::from);
        let version = version.into();
        Frame { header: Header { code, language, version, opaque, flag, remark, fields, encoding }, body: body.into() }
    }
}

fn any_frame() -> impl Strategy<Value = Frame> {
    prop_oneof![frame(Encoding::Json), frame(Encoding::RocketMq)]
}

proptest! {
    #[test]
    fn a_frame_survives_the_wire(frame in any_frame()) {
        let mut wire = BytesMut::new();
        frame.encode(&mut wire)?;
        prop_assert_eq!(Frame::decode(&mut wire)?, Some(frame));
        prop_assert!(wire.is_empty());
    }

    #[test]
    fn frames_do_not_depend_on_how_their_bytes_arrive(frames in prop::collection::vec(any_frame(), 1..4)) {
        let mut wire = BytesMut::new();
        for frame in &frames {
            frame.encode(&mut wire)?;
        }
        let step = 1 + wire.len() / 300;
        for cut in (0..=wire.len()).step_by(step) {
            let mut buffer = BytesMut::from(&wire[..cut]);
            let mut decoded = Vec::new();
            while let Some(frame) = Frame::decode(&mut buffer)? {
                decoded.push(frame);
            }
            buffer.extend_from_slice(&wire[cut..]);
            while let Some(frame) = Frame::decode(&mut buffer)? {
                decoded.push(frame);
            }
            prop_assert_eq!(&decoded, &frames);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = Frame::decode(&mut buffer) {}
    }

    #[test]
    fn no_header_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), binary in any::<bool>()) {
        let encoding = if binary { Encoding::RocketMq } else { Encoding::Json };
        let _ = Header::decode(encoding, BytesMut::from(&bytes[..]));
    }

    /// Damage to a good frame finds deeper places than noise does.
    #[test]
    fn no_damage_panics(frame in any_frame(), hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut wire = BytesMut::new();
        frame.encode(&mut wire)?;
        for (place, byte) in hits {
            let at = place.index(wire.len());
            wire[at] = byte;
        }
        while let Ok(Some(frame)) = Frame::decode(&mut wire) {
            frame.encode(&mut BytesMut::new()).ok();
        }
    }
}

fn decode(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    Frame::decode(&mut BytesMut::from(bytes))
}

#[test]
fn limits_are_those_of_the_java_server_and_are_seen_at_once() {
    assert_eq!(decode(b"\0\0\0\x03"), Err(FrameError::TooShort { length: 3 }));
    assert_eq!(decode(&16_777_213_u32.to_be_bytes()), Err(FrameError::TooLong { length: 16_777_213 }));
    assert_eq!(decode(&16_777_212_u32.to_be_bytes()), Ok(None));
    assert_eq!(decode(b"\xff\xff\xff\xff"), Err(FrameError::TooLong { length: u32::MAX as usize }));
    assert_eq!(decode(b"\0\0\0\x10\x02\0\0\x04"), Err(FrameError::UnknownEncoding(2)));
    assert_eq!(decode(b"\0\0\0\x10\0\0\0\x0d"), Err(FrameError::HeaderTooLong { header: 13, length: 16 }));
    assert!(matches!(decode(b"\0\0\0\x04\0\0\0\0"), Err(FrameError::Header(_))));
    assert!(matches!(decode(b"\0\0\0\x04\x01\0\0\0"), Err(FrameError::Header(_))));
}

#[test]
fn a_frame_that_is_only_announced_reserves_little() {
    let mut buffer = BytesMut::from(&b"\0\xff\xff\xfc\0\0\0\x10{\"code\""[..]);
    assert_eq!(Frame::decode(&mut buffer), Ok(None));
    assert!(buffer.capacity() <= buffer.len() + READ_AHEAD, "{}", buffer.capacity());
}

#[test]
fn header_and_body_are_slices_of_what_arrived() {
    let mut wire = BytesMut::new();
    let header = Header::request(RequestCode::SEND_MESSAGE_V2).with_fields(Fields::new().with("b", "Topic"));
    Frame { header, body: Bytes::from_static(b"body") }.encode(&mut wire).expect("fits");
    let arrived = wire.as_ptr_range();
    let frame = Frame::decode(&mut wire).expect("valid").expect("complete");
    assert!(arrived.contains(&frame.body.as_ptr()));
    assert!(arrived.contains(&frame.header.fields.bytes("b").expect("field").as_ptr()));
}

#[test]
fn an_answer_comes_in_the_encoding_of_its_request() {
    for encoding in [Encoding::Json, Encoding::RocketMq] {
        let fields = (("queueId", Value::Number(3)), ("TRACE_ON", Value::Flag(true)));
        let answer =
            ReplyTo { opaque: 9, encoding }.answer(ResponseCode::SYSTEM_BUSY).remark("later").fields(fields);
        let mut wire = BytesMut::new();
        answer.encode_head(3, &mut wire).expect("fits");
        wire.extend_from_slice(b"abc");
        let frame = Frame::decode(&mut wire).expect("valid").expect("complete");
        assert_eq!(frame.header.reply_to(), ReplyTo { opaque: 9, encoding });
        assert!(frame.header.is_response());
        assert_eq!(frame.header.response_code(), ResponseCode::SYSTEM_BUSY);
        assert_eq!(frame.header.remark.as_deref(), Some("later"));
        assert_eq!(frame.header.fields, Fields::new().with("queueId", "3").with("TRACE_ON", "true"));
        assert_eq!(&frame.body[..], b"abc");
    }
}

#[test]
fn what_is_too_long_is_not_written() {
    let mut out = BytesMut::from(&b"before"[..]);
    let frame = Frame::from(Header::request(RequestCode::PULL_MESSAGE));
    assert!(matches!(frame.encode_head(MAX_LENGTH, &mut out), Err(FrameError::TooLong { .. })));
    let fields = Fields::new().with(&"k".repeat(40_000), "v");
    let binary = Header { encoding: Encoding::RocketMq, fields, ..Header::default() };
    assert_eq!(Frame::from(binary).encode(&mut out), Err(FrameError::KeyTooLong));
    assert_eq!(&out[..], b"before");
}
