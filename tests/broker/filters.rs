//! Pulls that want some of the messages.

use castmq::protocol::{
    codes::{RequestCode, ResponseCode},
    fields::Fields,
    heartbeat::{ConsumerData, HeartbeatData},
    json,
    requests::pull::{PullFlags, PullMessageRequest},
    subscription::SubscriptionData,
};

use crate::harness::{Client, Running, pull, pulled};

fn broker(store: &std::path::Path, property_filters: bool) -> Running {
    Running::start_with(store, |config| config.enable_property_filter = property_filters)
}

/// Ten messages with the property `n` from 0 on; those that are even have the tag `even`.
fn ten(client: &mut Client) {
    for n in 0..10 {
        let tags = if n % 2 == 0 { "TAGS=even;" } else { "" };
        client.send_with("T", 0, n.to_string().as_bytes(), &format!("{tags}n={n};")).unwrap();
    }
    assert_eq!(client.drain("T", 0, 10).len(), 10);
}

fn by_sql(offset: i64, expression: &str, suspend: i64) -> PullMessageRequest {
    PullMessageRequest { expression_type: Some("SQL92".into()), ..pull("T", 0, offset, expression, suspend) }
}

fn bodies(client: &mut Client, request: &PullMessageRequest) -> (ResponseCode, i64, String) {
    let answer = client.ask(RequestCode::PULL_MESSAGE, request, b"");
    let (code, header, got) = pulled(&answer);
    let bodies: Vec<_> = got.iter().map(|got| String::from_utf8_lossy(&got.body)).collect();
    (code, header.next_begin_offset, bodies.join(""))
}

/// Code and remark of a refusal.
fn refusal(client: &mut Client, request: &PullMessageRequest) -> (ResponseCode, String) {
    let answer = client.ask(RequestCode::PULL_MESSAGE, request, b"");
    (answer.header.response_code(), answer.header.remark.as_deref().unwrap_or_default().to_string())
}

/// A pull by what its group has registered.
fn registered(offset: i64, version: i64) -> PullMessageRequest {
    PullMessageRequest {
        sys_flag: PullFlags(0),
        subscription: None,
        sub_version: version,
        ..by_sql(offset, "", 0)
    }
}

/// Registers a subscription of the group.
fn beat(member: &mut Client, expression: &str, version: i64) {
    let subscription = SubscriptionData {
        topic: "T".into(),
        sub_string: expression.into(),
        expression_type: "SQL92".into(),
        sub_version: version,
        ..SubscriptionData::default()
    };
    let consumer = ConsumerData {
        group_name: "g".into(),
        subscription_data_set: [subscription].into_iter().collect(),
        ..ConsumerData::default()
    };
    let beat = HeartbeatData {
        client_id: "c".into(),
        consumer_data_set: [consumer].into_iter().collect(),
        ..HeartbeatData::default()
    };
    let told = member.tell(RequestCode::HEART_BEAT, &Fields::default(), &json::to_vec(&beat).unwrap());
    // Beside the answer it is told that the group has changed.
    while member.read().expect("an answer").header.opaque != told {}
}

#[test]
fn sql_picks_messages_by_their_properties() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), true);
    let mut client = broker.connect();
    ten(&mut client);
    let found = |bodies: &str| (ResponseCode::SUCCESS, 10, bodies.to_owned());
    assert_eq!(bodies(&mut client, &by_sql(0, "n > 6", 0)), found("789"));
    assert_eq!(bodies(&mut client, &by_sql(0, "TAGS = 'even' AND n BETWEEN 2 AND 6", 0)), found("246"));
    assert_eq!(bodies(&mut client, &by_sql(3, "TAGS IS NULL OR n IN ('4')", 0)), found("34579"));
    let few = PullMessageRequest { max_msg_nums: 2, ..by_sql(0, "n >= 1", 0) };
    assert_eq!(bodies(&mut client, &few), (ResponseCode::SUCCESS, 3, "12".to_owned()), "goes on behind them");
    let none = bodies(&mut client, &by_sql(0, "x = 1 OR n = 'ten'", 0));
    assert_eq!(none, (ResponseCode::PULL_RETRY_IMMEDIATELY, 10, String::new()), "it need not look again");
}

#[test]
fn a_pull_held_by_sql_wakes_for_a_message_that_it_wants() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), true);
    let (mut consumer, mut producer) = (broker.connect(), broker.connect());
    ten(&mut producer);
    consumer.tell(RequestCode::PULL_MESSAGE, &by_sql(0, "n > 10", 20_000), b"");
    producer.send_with("T", 0, b"small", "n=10;").unwrap();
    producer.send_with("T", 0, b"great", "n=11;").unwrap();
    let (code, _, got) = pulled(&consumer.read().unwrap());
    assert_eq!((code, &*got[0].body), (ResponseCode::SUCCESS, &b"great"[..]));
}

#[test]
fn one_pull_looks_at_so_many_messages_and_says_where_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), true);
    let mut client = broker.connect();
    let wide = format!("n=1;pad={};", "x".repeat(10_000));
    for _ in 0..60 {
        client.send_with("T", 0, b"x", &wide).unwrap();
    }
    client.drain("T", 0, 60);
    let costly = vec!["missing = 'x'"; 50].join(" OR ");
    let (code, next, _) = bodies(&mut client, &by_sql(0, &costly, 0));
    assert_eq!(code, ResponseCode::PULL_RETRY_IMMEDIATELY);
    assert!((1..60).contains(&next), "{next}");
}

#[test]
fn a_bad_expression_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), true);
    let mut client = broker.connect();
    ten(&mut client);
    let (code, remark) = refusal(&mut client, &by_sql(0, "n > 'x'", 0));
    assert_eq!(code, ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    assert!(remark.contains("at character 5"), "{remark}");
}

#[test]
fn a_registered_expression_is_used_or_named_as_missing() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), true);
    let (mut client, mut member) = (broker.connect(), broker.connect());
    ten(&mut client);
    for (version, expression, expected) in
        [(1, "n < 3", Ok("012")), (2, "n <", Err(ResponseCode::FILTER_DATA_NOT_EXIST))]
    {
        beat(&mut member, expression, version);
        let request = registered(0, 0);
        match expected {
            Ok(found) => assert_eq!(bodies(&mut client, &request).2, found),
            Err(code) => assert_eq!(refusal(&mut client, &request).0, code),
        }
    }
}

#[test]
fn a_newer_expression_outlives_a_restart_and_pulls_name_their_version() {
    let dir = tempfile::tempdir().unwrap();
    {
        let broker = broker(dir.path(), true);
        let (mut client, mut member) = (broker.connect(), broker.connect());
        ten(&mut client);
        assert_eq!(refusal(&mut client, &registered(0, 5)).0, ResponseCode::SUBSCRIPTION_NOT_EXIST);
        beat(&mut member, "n > 6", 5);
        assert_eq!(bodies(&mut client, &registered(0, 5)).2, "789");
        assert_eq!(refusal(&mut client, &registered(0, 6)).0, ResponseCode::SUBSCRIPTION_NOT_LATEST);
    }
    let file = std::fs::read_to_string(dir.path().join("config/consumerFilter.json")).unwrap();
    assert!(file.contains("\"expression\": \"n > 6\"") && file.contains("\"clientVersion\": 5"), "{file}");
    let broker = broker(dir.path(), true);
    let (mut client, mut old, mut new) = (broker.connect(), broker.connect(), broker.connect());
    beat(&mut old, "n < 3", 4);
    assert_eq!(bodies(&mut client, &registered(0, 4)).2, "789", "an older one does not count");
    beat(&mut new, "n >", 6);
    assert_eq!(refusal(&mut client, &registered(0, 6)).0, ResponseCode::FILTER_DATA_NOT_EXIST);
    beat(&mut new, "n > 8", 7);
    assert_eq!(bodies(&mut client, &registered(0, 7)).2, "9");
}

#[test]
fn sql_is_refused_where_property_filters_are_off() {
    let dir = tempfile::tempdir().unwrap();
    let broker = broker(dir.path(), false);
    let mut client = broker.connect();
    ten(&mut client);
    let remark = "The broker does not support consumer to filter message by SQL92";
    let refused = (ResponseCode::SYSTEM_ERROR, remark.to_owned());
    assert_eq!(refusal(&mut client, &by_sql(0, "n > 1", 0)), refused);
    assert_eq!(refusal(&mut client, &by_sql(0, "n > 'x'", 0)), refused, "whatever the expression");
}
