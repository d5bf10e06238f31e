//! Frames that Apache RocketMQ's own programs exchanged (tests/golden/): each is read, understood by its
//! typed header, and written again byte for byte.

#![allow(clippy::expect_used, reason = "what the helpers of a test expect, the test expects")]

use std::collections::BTreeMap;

use bytes::BytesMut;
use castmq::protocol::codes::{RequestCode, ResponseCode};
use castmq::protocol::fields::Fields;
use castmq::protocol::frame::Frame;
use castmq::protocol::header::Encoding;
use castmq::protocol::language::Language;
use castmq::protocol::requests::{FieldError, RpcContext};
use castmq::protocol::requests::{
    client, group, kv, message, offset, pull, registration, route, send, stats, topic,
};

/// One line of a golden file.
struct Recorded {
    is_response: bool,
    /// The request's code, also of a response.
    code: i32,
    /// The flag of a request, the code of a response.
    detail: i32,
    bytes: Vec<u8>,
}

fn recorded(file: &str) -> Vec<Recorded> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [kind, code, detail, hex] => Recorded {
                is_response: kind == "response",
                code: code.parse().expect("a code"),
                detail: detail.parse().expect("a number"),
                bytes: unhex(hex),
            },
            _ => panic!("four words expected: {line}"),
        })
        .collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).expect("a digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn json() -> Vec<Recorded> {
    recorded(include_str!("golden/json.txt"))
}

fn rocketmq() -> Vec<Recorded> {
    recorded(include_str!("golden/rocketmq.txt"))
}

fn decode(bytes: &[u8]) -> Frame {
    let mut buffer = BytesMut::from(bytes);
    let frame = Frame::decode(&mut buffer).expect("valid").expect("complete");
    assert!(buffer.is_empty());
    frame
}

fn encode(frame: &Frame) -> BytesMut {
    let mut out = BytesMut::new();
    frame.encode(&mut out).expect("short enough");
    out
}

#[test]
fn headers_say_what_was_recorded() {
    for (frames, encoding) in [(json(), Encoding::Json), (rocketmq(), Encoding::RocketMq)] {
        for golden in frames {
            let header = decode(&golden.bytes).header;
            assert_eq!(header.encoding, encoding);
            assert_eq!(header.is_response(), golden.is_response);
            if golden.is_response {
                assert_eq!(header.response_code(), ResponseCode::from(golden.detail));
            } else {
                assert_eq!(header.request_code(), RequestCode::from(golden.code));
                assert_eq!(header.is_oneway(), golden.detail & 2 != 0);
            }
        }
    }
}

/// The one difference: RocketMQ writes the empty `attributes` of a new topic, and reads them as null.
#[test]
fn binary_frames_are_written_byte_for_byte() {
    for golden in rocketmq().into_iter().filter(|golden| golden.is_response || golden.code != 17) {
        assert_eq!(encode(&decode(&golden.bytes))[..], golden.bytes, "code {}", golden.code);
    }
}

/// The one difference: where RocketMQ leaves `extFields` out, ours are an empty object. Go orders its members
/// otherwise.
#[test]
fn json_frames_are_written_byte_for_byte() {
    for golden in json() {
        let frame = decode(&golden.bytes);
        let ours = encode(&frame);
        assert_eq!(decode(&ours), frame);
        let has_fields = golden.bytes.windows(11).any(|window| window == b"\"extFields\"");
        if has_fields && frame.header.language == Language::Java {
            assert_eq!(ours[..], golden.bytes, "{}", String::from_utf8_lossy(&golden.bytes));
        }
    }
}

#[test]
fn frames_in_one_stream_come_apart_again() {
    let frames: Vec<Recorded> = json().into_iter().chain(rocketmq()).collect();
    let stream: Vec<u8> = frames.iter().flat_map(|golden| golden.bytes.clone()).collect();
    let (mut buffer, mut decoded) = (BytesMut::new(), Vec::new());
    for arrived in stream.chunks(97) {
        buffer.extend_from_slice(arrived);
        while let Some(frame) = Frame::decode(&mut buffer).expect("valid") {
            decoded.push(frame);
        }
    }
    assert_eq!(decoded, frames.iter().map(|golden| decode(&golden.bytes)).collect::<Vec<_>>());
}

/// What the typed header of a frame writes, of those frames that have one.
fn typed(golden: &Recorded, fields: &Fields) -> Option<Result<Fields, FieldError>> {
    macro_rules! of {
        ($header:ty) => {
            <$header>::from_fields(fields).map(|header| header.to_fields())
        };
    }
    Some(match (golden.is_response, golden.code) {
        (false, 11 | 361) => of!(pull::PullMessageRequest),
        (true, 11 | 361) => of!(pull::PullMessageResponse),
        (false, 12) => of!(message::QueryMessageRequest),
        (true, 12) => of!(message::QueryMessageResponse),
        (false, 14) => of!(offset::QueryConsumerOffsetRequest),
        (true, 14 | 29 | 30 | 31) => of!(offset::OffsetResponse),
        (false, 15) => of!(offset::UpdateConsumerOffsetRequest),
        (false, 17) => of!(topic::CreateTopicRequest),
        (false, 29) => of!(offset::SearchOffsetRequest),
        (false, 30) => of!(offset::MaxOffsetRequest),
        (false, 31) => of!(offset::MinOffsetRequest),
        (false, 32) => of!(offset::EarliestStoreTimeRequest),
        (true, 32) => of!(offset::EarliestStoreTimeResponse),
        (false, 33) => of!(message::ViewMessageRequest),
        (true, 34) => of!(client::HeartbeatResponse),
        (false, 35) => of!(client::UnregisterClientRequest),
        (false, 38 | 40 | 203) => of!(client::ConsumerGroupRequest),
        (false, 101) => of!(kv::KvConfigRequest),
        (true, 101) => of!(kv::GetKvConfigResponse),
        (false, 103) => of!(registration::RegisterBrokerRequest),
        (true, 103) => of!(registration::RegisterBrokerResponse),
        (false, 104) => of!(registration::BrokerIdentityRequest),
        (false, 105) => of!(route::RouteInfoRequest),
        (false, 202 | 215 | 351) => of!(topic::TopicRequest),
        (false, 205 | 327) => of!(registration::BrokerNameRequest),
        (true, 205) => of!(registration::WipeWritePermResponse),
        (true, 327) => of!(registration::AddWritePermResponse),
        (false, 207) => of!(group::DeleteSubscriptionGroupRequest),
        (false, 208) => of!(stats::ConsumeStatsRequest),
        (false, 216) => of!(topic::DeleteTopicFromNamesrvRequest),
        (false, code @ (310 | 320)) => {
            send::SendMessageRequest::of(code.into(), fields).map(|request| Fields::of(&request.compact()))
        }
        (true, 310 | 320) => of!(send::SendMessageResponse),
        _ => return None,
    })
}

/// No field of a frame is unknown to its typed header, and none changes its value on the way through it.
#[test]
fn typed_headers_know_every_field() {
    /// Fields that any request may carry.
    const COMMON: [&str; 6] = ["ns", "nsd", "bname", "oway", "lo", "ReqT"];
    let mut checked = BTreeMap::new();
    for golden in json().into_iter().chain(rocketmq()) {
        let header = decode(&golden.bytes).header;
        RpcContext::from_fields(&header.fields).expect("nothing is required");
        let Some(typed) = typed(&golden, &header.fields) else { continue };
        let typed = typed.expect("all required fields");
        *checked.entry((golden.code, golden.is_response)).or_insert(0) += 1;
        for (key, value) in header.fields.iter().filter(|(key, _)| !COMMON.contains(key)) {
            assert_eq!(typed.get(key), Some(value), "{key} of {}", golden.code);
        }
    }
    assert!(checked.len() >= 40, "{checked:?}");
}
