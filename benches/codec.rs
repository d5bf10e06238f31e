//! What a frame costs on its way in and out, in both encodings.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A bench that cannot run is to say so.

use bytes::{Bytes, BytesMut};
use castmq::protocol::{
    codes::{RequestCode, ResponseCode},
    fields::Fields,
    frame::Frame,
    header::{Encoding, Header},
    record::{RecordDraft, RecordFields},
    requests::send::{SendMessageRequest, SendMessageResponse},
};
use castmq::testing::message;
use divan::{Bencher, black_box, counter::ItemsCount};

fn main() {
    divan::main();
}

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::RocketMq];
/// Frames that arrive with one read.
const TOGETHER: usize = 64;

fn send_frame(encoding: Encoding, body: usize) -> Frame {
    let properties = "UNIQ_KEY=7F0000012345AABBCCDD05265C010000;WAIT=true;TAGS=a;";
    let request = message("orders", 3, properties);
    let header = Header {
        encoding,
        ..Header::request(RequestCode::SEND_MESSAGE_V2).with_fields(Fields::of(&request.compact()))
    };
    Frame { header, body: Bytes::from(vec![b'x'; body]) }
}

#[divan::bench(args = ENCODINGS)]
fn decode_send_of_256_bytes(bencher: Bencher<'_, '_>, encoding: Encoding) {
    let mut bytes = BytesMut::new();
    (0..TOGETHER).for_each(|_| send_frame(encoding, 256).encode(&mut bytes).unwrap());
    bencher.counter(ItemsCount::new(TOGETHER)).with_inputs(|| BytesMut::from(&bytes[..])).bench_values(
        |mut arrived| {
            while let Some(frame) = Frame::decode(&mut arrived).unwrap() {
                let request =
                    SendMessageRequest::of(RequestCode::SEND_MESSAGE_V2, &frame.header.fields).unwrap();
                black_box((request, frame.body));
            }
        },
    );
}

#[divan::bench(args = ENCODINGS)]
fn encode_answer_to_send(bencher: Bencher<'_, '_>, encoding: Encoding) {
    let to = send_frame(encoding, 0).header.reply_to();
    let fields = SendMessageResponse {
        msg_id: "7F0000010000559700000000000000F5".into(),
        queue_id: 3,
        queue_offset: 123_456,
        transaction_id: Some("7F0000012345AABBCCDD05265C010000".into()),
        batch_uniq_id: None,
        recall_handle: None,
        region: Some("DefaultRegion".into()),
        trace_on: Some(true),
    };
    let mut out = BytesMut::new();
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        out.clear();
        to.answer(ResponseCode::SUCCESS).fields(&fields).encode(b"", &mut out).unwrap();
        black_box(&out);
    });
}

#[divan::bench(args = [256, 1024])]
fn lay_out_and_write_a_record(bencher: Bencher<'_, '_>, body: usize) {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 10911));
    let fields = RecordFields {
        topic: Bytes::from_static(b"orders"),
        queue_id: 3,
        flag: 0,
        sys_flag: Default::default(),
        born_timestamp: 1_795_217_600_000,
        born_host: address,
        store_host: address,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from(vec![b'x'; body]),
        properties: Bytes::from_static(b"UNIQ_KEY\x017F0000012345AABBCCDD05265C010000\x02").into(),
    };
    let mut file = vec![0; 4096];
    bencher.counter(ItemsCount::new(1usize)).with_inputs(|| fields.clone()).bench_local_values(|fields| {
        RecordDraft::new(fields).unwrap().encode_into(&mut file, 1, 2, 3).unwrap();
    });
}
