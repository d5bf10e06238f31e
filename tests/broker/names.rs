//! Names that would lead out of the store, or spoil its files, are refused wherever one comes in.

use std::path::Path;

use castmq::protocol::{
    codes::{RequestCode, ResponseCode},
    fields::{Emit, Value},
    frame::Frame,
    requests::{
        group::GroupForbiddenRequest,
        offset::{CloneGroupOffsetRequest, UpdateConsumerOffsetRequest},
        pull::PullMessageRequest,
        send::SendMessageRequest,
        topic::CreateTopicRequest,
    },
};
use serde_json::json;

use crate::harness::{Client, Running, message, pull};

/// A part of each name by which a file would betray it.
const MARK: &str = "hostile";

fn hostile_names() -> Vec<String> {
    let long = format!("{MARK}{}", "x".repeat(300));
    let over = format!("{MARK}{}", "x".repeat(121));
    ["../hostile", "hostile/../../x", "/hostile", "..", ".", "", " ", "hostile\n", "hos\0tile", "hostile@g"]
        .map(str::to_owned)
        .into_iter()
        .chain([
            "%RETRY%../hostile".to_owned(),
            "%DLQ%hostile/x".to_owned(),
            "hostilé".to_owned(),
            long,
            over,
        ])
        .collect()
}

/// Asks, and passes over what the broker tells of changes in groups meanwhile.
fn ask(client: &mut Client, code: RequestCode, fields: &impl Emit, body: &[u8]) -> Frame {
    let opaque = client.tell(code, fields, body);
    loop {
        let frame = client.read().expect("an answer");
        if frame.header.is_response() && frame.header.opaque == opaque {
            return frame;
        }
    }
}

/// Comes in with `name` by every door; gives the answers that must be refusals, by door.
fn knock(client: &mut Client, name: &str) -> Vec<(&'static str, ResponseCode)> {
    let mut answers = Vec::new();
    let mut code = |door, answer: Frame| {
        answers.push((door, answer.header.response_code()));
    };
    let send = SendMessageRequest { topic: name.into(), ..message("T", 0, "") };
    code("send", ask(client, RequestCode::SEND_MESSAGE, &send, b"x"));
    code("send v2", ask(client, RequestCode::SEND_MESSAGE_V2, &send.compact(), b"x"));
    code("batch", ask(client, RequestCode::SEND_BATCH_MESSAGE, &send.compact(), b"x"));
    let topic = CreateTopicRequest {
        topic: name.into(),
        default_topic: Some("TBW102".into()),
        read_queue_nums: 1,
        write_queue_nums: 1,
        perm: 6,
        topic_filter_type: None,
        topic_sys_flag: 0,
        order: false,
        attributes: None,
        force: false,
    };
    code("topic", ask(client, RequestCode::UPDATE_AND_CREATE_TOPIC, &topic, b""));
    let group = json!({ "groupName": name }).to_string();
    code("group", ask(client, RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &(), group.as_bytes()));
    let of_group = PullMessageRequest { consumer_group: name.into(), ..pull("T", 0, 0, "*", 0) };
    code("pull of group", ask(client, RequestCode::PULL_MESSAGE, &of_group, b""));
    code("pull of topic", ask(client, RequestCode::PULL_MESSAGE, &pull(name, 0, 0, "*", 0), b""));
    for (group, topic) in [(name, "T"), ("g", name)] {
        let offset = UpdateConsumerOffsetRequest {
            consumer_group: group.into(),
            topic: topic.into(),
            queue_id: 0,
            commit_offset: 1,
        };
        code("offset", ask(client, RequestCode::UPDATE_CONSUMER_OFFSET, &offset, b""));
    }
    let lock = json!({ "consumerGroup": name, "clientId": "c", "mqSet": [] }).to_string();
    code("lock", ask(client, RequestCode::LOCK_BATCH_MQ, &(), lock.as_bytes()));

    // These have nothing to refuse: they pass the name over.
    let member = |group| json!([{ "groupName": group, "subscriptionDataSet": [{ "topic": name }] }]);
    let beat = json!({ "clientID": "c", "consumerDataSet": member(name), "producerDataSet": [{ "groupName": name }] });
    ask(client, RequestCode::HEART_BEAT, &(), beat.to_string().as_bytes());
    let beat = json!({ "clientID": "c", "consumerDataSet": member("g"), "producerDataSet": [] });
    ask(client, RequestCode::HEART_BEAT, &(), beat.to_string().as_bytes());
    let clone = CloneGroupOffsetRequest {
        src_group: "g".into(),
        dest_group: name.into(),
        topic: Some("T".into()),
        offline: true,
    };
    ask(client, RequestCode::CLONE_GROUP_OFFSET, &clone, b"");
    let forbid = GroupForbiddenRequest { group: name.into(), topic: "T".into(), readable: Some(false) };
    ask(client, RequestCode::UPDATE_AND_GET_GROUP_FORBIDDEN, &forbid, b"");
    let delete = ("topic", Value::Text(name));
    ask(client, RequestCode::DELETE_TOPIC_IN_BROKER, &delete, b"");
    answers
}

/// Every path below, and every text of a configuration file.
fn everything(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        found.push(entry.path().display().to_string());
        if entry.path().is_dir() {
            everything(&entry.path(), found);
        } else if entry.path().extension().is_some_and(|kind| kind == "json") {
            found.push(std::fs::read_to_string(entry.path()).unwrap());
        }
    }
}

#[test]
fn a_hostile_name_is_refused_at_every_door_and_reaches_no_file() {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("store");
    let broker = Running::start(&root);
    let mut client = broker.connect();
    client.create_topic("T", 1);
    client.send("T", 0, b"x").unwrap();
    client.drain("T", 0, 1);
    for name in hostile_names() {
        for (door, code) in knock(&mut client, &name) {
            assert_ne!(code, ResponseCode::SUCCESS, "{door} takes {name:?}");
        }
    }
    assert_eq!(client.drain("T", 0, 1).len(), 1);
    drop((client, broker));
    let mut found = Vec::new();
    everything(outside.path(), &mut found);
    assert!(found.iter().any(|text| text.contains("consumerOffset.json")));
    for text in found {
        assert!(
            !text.contains(MARK) && !text.contains("hos\\u0000") && !text.contains("hostil\u{e9}"),
            "{text}"
        );
    }
    let beside: Vec<_> = std::fs::read_dir(outside.path()).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
}
