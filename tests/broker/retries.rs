//! Messages that consumers hand back.

use castmq::{
    config::BrokerConfig,
    protocol::{
        codes::{RequestCode, ResponseCode},
        header::{Header, VERSION},
        message_id::OffsetMessageId,
        requests::{message::SendBackRequest, send::SendMessageRequest},
    },
};

use crate::harness::{Client, Got, Running, message};

fn quick(config: &mut BrokerConfig) {
    config.message_delay_level = "0s 0s 0s 0s 0s 1s".parse().unwrap();
}

fn send_back(client: &mut Client, got: &Got, level: i32, most: Option<i32>) -> ResponseCode {
    let request = SendBackRequest {
        offset: got.physical_offset,
        group: "g".into(),
        delay_level: level,
        origin_msg_id: None,
        origin_topic: Some("T".into()),
        unit_mode: false,
        max_reconsume_times: most,
    };
    let mut header = Header::request(RequestCode::CONSUMER_SEND_MSG_BACK).with_fields(request);
    header.version = VERSION;
    client.tell_frame(header, b"");
    client.read().unwrap().header.response_code()
}

#[test]
fn a_message_that_is_sent_back_comes_again_until_it_is_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), quick);
    let mut client = broker.connect();
    client.create_topic("T", 1);
    client.send_with("T", 0, b"x", "KEYS=k;TAGS=a;UNIQ_KEY=U;").unwrap();
    let first = client.wait_for("T", 0, 0).remove(0);
    let origin = OffsetMessageId { host: broker.address, offset: first.physical_offset }.to_string();

    let mut last = first;
    for times in 0..3 {
        assert_eq!(send_back(&mut client, &last, 0, Some(3)), ResponseCode::SUCCESS);
        last = client.wait_for("%RETRY%g", 0, times).remove(0);
        assert_eq!((&*last.body, last.reconsume_times), (&b"x"[..], times as i32 + 1));
        let kept = ["RETRY_TOPIC", "ORIGIN_MESSAGE_ID", "UNIQ_KEY", "KEYS"].map(|name| last.property(name));
        assert_eq!(kept, [Some("T"), Some(&*origin), Some("U"), Some("k")]);
        assert_eq!(last.property("DELAY"), Some(&*(3 + times).to_string()), "the next level each time");
        assert_eq!(last.properties.iter().filter(|(name, _)| name == "REAL_TOPIC").count(), 1);
    }
    assert_eq!(send_back(&mut client, &last, 0, Some(3)), ResponseCode::SUCCESS);
    let dead = client.wait_for("%DLQ%g", 0, 0).remove(0);
    assert_eq!((&*dead.body, dead.reconsume_times), (&b"x"[..], 4));
    let origins = ["RETRY_TOPIC", "DLQ_ORIGIN_TOPIC", "ORIGIN_MESSAGE_ID", "DLQ_ORIGIN_MESSAGE_ID"];
    assert_eq!(
        origins.map(|name| dead.property(name)),
        [Some("T"), Some("T"), Some(&*origin), Some(&*origin)]
    );
    assert_eq!(client.pull("%RETRY%g", 0, 3).0, ResponseCode::PULL_NOT_FOUND);
}

#[test]
fn the_client_chooses_the_level_or_gives_up_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), quick);
    let mut client = broker.connect();
    client.create_topic("T", 1);
    client.send("T", 0, b"x").unwrap();
    let got = client.wait_for("T", 0, 0).remove(0);
    let began = std::time::Instant::now();
    assert_eq!(send_back(&mut client, &got, 6, None), ResponseCode::SUCCESS);
    assert_eq!(client.wait_for("%RETRY%g", 0, 0)[0].property("DELAY"), Some("6"));
    assert!(began.elapsed() >= std::time::Duration::from_secs(1));
    assert_eq!(send_back(&mut client, &got, -1, None), ResponseCode::SUCCESS);
    assert_eq!(client.wait_for("%DLQ%g", 0, 0)[0].reconsume_times, 1);
}

#[test]
fn a_message_that_cannot_be_sent_back_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), |config| config.auto_create_subscription_group = false);
    let mut client = broker.connect();
    client.create_topic("T", 1);
    let receipt = client.send("T", 0, b"x").unwrap();
    let id: OffsetMessageId = receipt.msg_id.parse().unwrap();
    let got = |physical_offset| Got {
        queue_offset: 0,
        physical_offset,
        sys_flag: 0,
        reconsume_times: 0,
        prepared_offset: 0,
        body: vec![],
        properties: vec![],
    };
    let refused = send_back(&mut client, &got(id.offset), 0, None);
    assert_eq!(refused, ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
    drop(broker);
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    client.heartbeat("c", "p", "g");
    assert_eq!(send_back(&mut client, &got(id.offset + 1), 0, None), ResponseCode::SYSTEM_ERROR);
    assert_eq!(send_back(&mut client, &got(1 << 40), 0, None), ResponseCode::SYSTEM_ERROR);
    assert_eq!(send_back(&mut client, &got(id.offset), 0, None), ResponseCode::SUCCESS);
}

#[test]
fn a_retry_that_the_client_sends_itself_ends_among_the_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), quick);
    let mut client = broker.connect();
    client.heartbeat("c", "p", "g");
    let mut retry = |times, properties: &str| {
        let request = SendMessageRequest {
            reconsume_times: Some(times),
            max_reconsume_times: Some(2),
            ..message("%RETRY%g", 0, properties)
        };
        let mut header = Header::request(RequestCode::SEND_MESSAGE_V2)
            .with_fields(castmq::protocol::fields::Fields::of(&request.compact()));
        header.version = VERSION;
        client.tell_frame(header, b"x");
        assert_eq!(client.read().unwrap().header.response_code(), ResponseCode::SUCCESS);
    };
    // As it came from a delivered retry, with what the broker put there.
    retry(2, "DELAY=5;RETRY_TOPIC=T;REAL_TOPIC=T;REAL_QID=7;TRAN_MSG=true;");
    retry(3, "DELAY=6;RETRY_TOPIC=T;");
    let again = client.wait_for("%RETRY%g", 0, 0).remove(0);
    assert_eq!((again.reconsume_times, again.property("REAL_TOPIC")), (2, Some("%RETRY%g")));
    let dead = client.wait_for("%DLQ%g", 0, 0).remove(0);
    assert_eq!((dead.reconsume_times, dead.property("DELAY")), (3, Some("0")));
}
