//! Sending and pulling.

use std::time::{Duration, Instant};

use castmq::protocol::{
    batch::BatchBody,
    codes::{RequestCode, ResponseCode},
    fields::Fields,
    header::{Encoding, Header},
    message_id::OffsetMessageId,
    requests::send::SendMessageRequest,
};

use crate::harness::{Running, message, pull, pulled, receipt};

#[test]
fn what_is_sent_is_pulled_byte_for_byte_in_order_and_with_dense_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    for encoding in [Encoding::Json, Encoding::RocketMq] {
        let mut client = broker.connect();
        client.encoding = encoding;
        let topic = format!("T{}", encoding as u8);
        client.create_topic(&topic, 2);
        for number in 0..50i64 {
            let body = format!("body {number}");
            let receipt =
                client.send_with(&topic, 1, body.as_bytes(), "KEYS=k1 k2;TAGS=a;UNIQ_KEY=AB;").unwrap();
            assert_eq!((receipt.queue_id, receipt.queue_offset), (1, number));
            assert_eq!(receipt.transaction_id.as_deref(), Some("AB"));
            let id: OffsetMessageId = receipt.msg_id.parse().unwrap();
            assert_eq!(id.host, broker.address);
        }
        let all = client.drain(&topic, 1, 50);
        for (number, got) in all.iter().enumerate() {
            assert_eq!((got.queue_offset, &*got.body), (number as i64, format!("body {number}").as_bytes()));
            let names: Vec<_> = got.properties.iter().map(|(name, _)| &**name).collect();
            assert_eq!(names, ["KEYS", "TAGS", "UNIQ_KEY", "MSG_REGION", "TRACE_ON", "CLUSTER"]);
        }
        assert_eq!(client.pull(&topic, 0, 0).0, ResponseCode::PULL_NOT_FOUND, "the other queue is empty");
    }
}

#[test]
fn sends_of_one_connection_need_not_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    client.create_topic("T", 4);
    let asked: Vec<i32> = (0..400)
        .map(|number: i32| {
            let request = message("T", number % 4, "");
            client.tell(RequestCode::SEND_MESSAGE_V2, &request.compact(), number.to_string().as_bytes())
        })
        .collect();
    let mut answered: Vec<i32> = (0..400)
        .map(|_| {
            let answer = client.read().unwrap();
            receipt(&answer).unwrap();
            answer.header.opaque
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, asked);
    for queue in 0..4 {
        let bodies: Vec<_> = client.drain("T", queue, 100).into_iter().map(|got| got.body).collect();
        let expected: Vec<_> = (0..100).map(|n| (n * 4 + queue).to_string().into_bytes()).collect();
        assert_eq!(bodies, expected, "the order of one connection is kept in each queue");
    }
}

#[test]
fn every_form_of_send_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    client.create_topic("T", 1);

    let v1 = client.ask(RequestCode::SEND_MESSAGE, &message("T", 0, ""), b"one");
    let v1 = receipt(&v1).unwrap();
    assert_eq!(v1.transaction_id.map(|id| id.len()), Some(32), "it gets a unique key");

    let oneway = Header::request(RequestCode::SEND_MESSAGE_V2)
        .with_fields(Fields::of(&message("T", 0, "").compact()))
        .oneway();
    client.tell_frame(oneway, b"two");

    let mut batch = BatchBody::new();
    batch.push(7, b"three", b"TAGS\x01x\x02").unwrap();
    batch.push(8, b"four", b"").unwrap();
    let header = SendMessageRequest { batch: true, ..message("T", 0, "") };
    let answer = client.ask(RequestCode::SEND_BATCH_MESSAGE, &header.compact(), &batch.finish());
    let answer = receipt(&answer).unwrap();
    assert_eq!(answer.msg_id.split(',').count(), 2);
    assert_eq!(answer.queue_offset, 2, "behind the one-way message, which has no answer");

    let bodies: Vec<_> = client.drain("T", 0, 4).into_iter().map(|got| got.body).collect();
    assert_eq!(bodies, [&b"one"[..], b"two", b"three", b"four"]);
}

#[test]
fn a_send_that_may_not_be_is_refused_with_rocketmqs_code() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    client.create_topic("T", 2);
    let mut refused = |topic: &str, queue: i32, body: &[u8]| client.send(topic, queue, body).unwrap_err();
    assert_eq!(refused("a/../b", 0, b"x"), ResponseCode::INVALID_PARAMETER);
    assert_eq!(refused(&"t".repeat(128), 0, b"x"), ResponseCode::INVALID_PARAMETER);
    assert_eq!(refused("SCHEDULE_TOPIC_XXXX", 0, b"x"), ResponseCode::NO_PERMISSION);
    assert_eq!(refused("T", 2, b"x"), ResponseCode::INVALID_PARAMETER);
    assert_eq!(refused("T", 0, b""), ResponseCode::SYSTEM_ERROR);
    assert_eq!(refused("T", 0, &vec![0; (4 << 20) + 1]), ResponseCode::MESSAGE_ILLEGAL);
    let no_default = SendMessageRequest { default_topic: "nothing".into(), ..message("new", 0, "") };
    let answer = client.ask(RequestCode::SEND_MESSAGE_V2, &no_default.compact(), b"x");
    assert_eq!(answer.header.response_code(), ResponseCode::TOPIC_NOT_EXIST);
    assert!(client.send("new", 0, b"x").is_ok(), "TBW102 is a model for new topics");
}

#[test]
fn transaction_bits_that_a_client_sets_itself_leave_no_hole_in_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    client.create_topic("T", 1);
    let mut send = |sys_flag: i32, body: &[u8]| {
        let request = SendMessageRequest { sys_flag, ..message("T", 0, "") };
        receipt(&client.ask(RequestCode::SEND_MESSAGE_V2, &request.compact(), body))
    };
    assert_eq!(send(0, b"one").unwrap().queue_offset, 0);
    send(4, b"prepared").unwrap();
    send(12, b"rolled back").unwrap();
    assert_eq!(send(0x80, b"inner batch").unwrap_err(), ResponseCode::MESSAGE_ILLEGAL);
    assert_eq!(send(-1, b"everything").unwrap_err(), ResponseCode::MESSAGE_ILLEGAL);
    assert_eq!(send(0, b"two").unwrap().queue_offset, 1);
    let bodies: Vec<_> = client.drain("T", 0, 2).into_iter().map(|got| got.body).collect();
    assert_eq!(bodies, [&b"one"[..], b"two"]);
    assert!(broker.snapshot().is_whole());
}

#[test]
fn a_pull_outside_of_the_queue_says_where_to_go() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    client.create_topic("T", 1);
    for _ in 0..3 {
        client.send("T", 0, b"x").unwrap();
    }
    client.drain("T", 0, 3);
    let mut at = |offset| {
        let (code, header, _) = client.pull("T", 0, offset);
        (code, header.next_begin_offset)
    };
    assert_eq!(at(3), (ResponseCode::PULL_NOT_FOUND, 3));
    assert_eq!(at(9), (ResponseCode::PULL_OFFSET_MOVED, 3));
    assert_eq!(at(-1), (ResponseCode::PULL_OFFSET_MOVED, 0));
}

#[test]
fn a_held_pull_is_woken_by_a_message_that_its_filter_wants_and_ends_in_time_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let (mut reader, mut writer) = (broker.connect(), broker.connect());
    writer.create_topic("T", 1);

    reader.tell(RequestCode::PULL_MESSAGE, &pull("T", 0, 0, "wanted", 8_000), b"");
    std::thread::sleep(Duration::from_millis(50));
    writer.send_with("T", 0, b"no", "TAGS=other;").unwrap();
    writer.send_with("T", 0, b"yes", "TAGS=wanted;").unwrap();
    let began = Instant::now();
    let (code, header, got) = pulled(&reader.read().unwrap());
    assert_eq!(code, ResponseCode::SUCCESS);
    assert_eq!((got.len(), &*got[0].body, header.next_begin_offset), (1, &b"yes"[..], 2));
    assert!(began.elapsed() < Duration::from_secs(2), "woken, not timed out");

    let began = Instant::now();
    reader.tell(RequestCode::PULL_MESSAGE, &pull("T", 0, 2, "*", 300), b"");
    let (code, _, _) = pulled(&reader.read().unwrap());
    assert_eq!(code, ResponseCode::PULL_NOT_FOUND);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(290) && waited < Duration::from_secs(3), "{waited:?}");
}

#[test]
fn messages_go_on_over_many_files_and_large_ones_too() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    client.create_topic("T", 1);
    let body = |number: usize| vec![number as u8; 1_000 * (number % 100) + 1];
    for number in 0..200 {
        client.send("T", 0, &body(number)).unwrap();
    }
    assert_eq!(
        client.send("T", 0, &vec![0; 1 << 20]).unwrap_err(),
        ResponseCode::MESSAGE_ILLEGAL,
        "no file takes it"
    );
    let all = client.drain("T", 0, 200);
    assert_eq!(all.len(), 200);
    for (number, got) in all.iter().enumerate() {
        assert_eq!(got.body, body(number));
    }
    let files = std::fs::read_dir(dir.path().join("commitlog")).unwrap().count();
    assert!(files > 5, "{files} files");
}
