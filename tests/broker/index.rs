//! Messages by key.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use castmq::protocol::{
    codes::{RequestCode, ResponseCode},
    record::records,
    requests::message::{QueryMessageRequest, QueryMessageResponse},
};

use crate::harness::{Client, Running};

fn query(key: &str, max: i32) -> QueryMessageRequest {
    QueryMessageRequest {
        topic: "T".into(),
        key: key.into(),
        max_num: max,
        begin_timestamp: 0,
        end_timestamp: i64::MAX,
        index_type: None,
        last_key: None,
        unique_key_query: None,
    }
}

/// The bodies found, in the order of the answer.
fn ask(client: &mut Client, query: &QueryMessageRequest) -> Result<Vec<String>, ResponseCode> {
    let answer = client.ask(RequestCode::QUERY_MESSAGE, query, b"");
    match answer.header.response_code() {
        ResponseCode::SUCCESS => {
            let header = QueryMessageResponse::from_fields(&answer.header.fields).unwrap();
            assert!(header.index_last_update_timestamp > 0);
            let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
            Ok(records(&answer.body).map(|record| text(record.unwrap().body)).collect())
        }
        code => Err(code),
    }
}

fn found(client: &mut Client, key: &str, max: i32) -> Vec<String> {
    ask(client, &query(key, max)).unwrap()
}

/// What became visible can be found.
fn send_all(client: &mut Client, topic: &str, messages: &[(&str, &str)]) {
    for (number, (body, properties)) in messages.iter().enumerate() {
        client.send_with(topic, 0, body.as_bytes(), properties).unwrap();
        client.drain(topic, 0, number + 1);
    }
}

#[test]
fn messages_are_found_by_key_unique_key_and_tags_in_the_order_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    let messages = [
        ("1", "KEYS=a b;UNIQ_KEY=U1;TAGS=x;"),
        ("2", "KEYS=b U1;UNIQ_KEY=U2;TAGS=y;"),
        ("3", "KEYS=a;UNIQ_KEY=U3;TAGS=x;"),
    ];
    send_all(&mut client, "T", &messages);
    client.send_with("other", 0, b"4", "KEYS=a;").unwrap();
    assert_eq!(found(&mut client, "a", 10), ["1", "3"]);
    assert_eq!(found(&mut client, "b", 10), ["1", "2"]);
    assert_eq!(found(&mut client, "U1", 10), ["1", "2"], "of any kind");
    assert_eq!(found(&mut client, "a", 1), ["3"], "the newest");
    let of_kind = |kind: &str, key| QueryMessageRequest { index_type: Some(kind.into()), ..query(key, 10) };
    assert_eq!(ask(&mut client, &of_kind("U", "U1")).unwrap(), ["1"]);
    assert_eq!(ask(&mut client, &of_kind("K", "U1")).unwrap(), ["2"]);
    assert_eq!(ask(&mut client, &of_kind("T", "x")).unwrap(), ["1", "3"]);
    let unique = QueryMessageRequest { unique_key_query: Some(true), ..query("U2", 0) };
    assert_eq!(ask(&mut client, &unique).unwrap(), ["2"], "the header's number does not count");
}

#[test]
fn what_is_not_there_or_not_of_that_time_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    assert_eq!(ask(&mut client, &query("a", 10)), Err(ResponseCode::QUERY_NOT_FOUND));
    send_all(&mut client, "T", &[("1", "KEYS=AaAa;")]);
    assert_eq!(found(&mut client, "AaAa", 10), ["1"]);
    assert_eq!(ask(&mut client, &query("BBBB", 10)), Err(ResponseCode::QUERY_NOT_FOUND), "of the same hash");
    assert_eq!(ask(&mut client, &query("AaAa", 0)), Err(ResponseCode::QUERY_NOT_FOUND));
    let before = QueryMessageRequest { end_timestamp: 1_000, ..query("AaAa", 10) };
    let answer = client.ask(RequestCode::QUERY_MESSAGE, &before, b"");
    assert_eq!(answer.header.response_code(), ResponseCode::QUERY_NOT_FOUND);
    let remark = "can not find message, maybe time range not correct";
    assert_eq!(answer.header.remark.as_deref(), Some(remark));
}

#[test]
fn an_index_that_was_off_catches_up_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), |config| config.message_index_enable = false);
    let mut client = broker.connect();
    send_all(&mut client, "T", &[("1", "KEYS=a;"), ("2", "KEYS=a;")]);
    assert_eq!(ask(&mut client, &query("a", 10)), Err(ResponseCode::QUERY_NOT_FOUND));
    drop((client, broker));
    assert!(!dir.path().join("index").exists());
    let broker = Running::start(dir.path());
    assert_eq!(found(&mut broker.connect(), "a", 10), ["1", "2"]);
}

#[test]
fn a_broker_without_messages_takes_no_space_for_keys() {
    let dir = tempfile::tempdir().unwrap();
    drop(Running::start(dir.path()));
    assert!(!dir.path().join("index").exists());
}

fn index_files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(root.join("index")).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn is_rebuilt_the_same(root: &Path) {
    let live = index_files(root);
    assert!(live.len() > 2, "{} files", live.len());
    std::fs::remove_dir_all(root.join("index")).unwrap();
    drop(Running::start(root));
    assert!(index_files(root) == live, "byte for byte");
}

#[test]
fn the_index_equals_one_that_is_built_from_the_log_after_its_actor_crashed() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    for number in 0..1_200 {
        let properties = format!("KEYS=k{} all;TAGS=t;", number % 7);
        client.send_with("T", number % 4, b"x", &properties).unwrap();
        #[cfg(feature = "chaos")]
        if number % 300 == 150 {
            use castmq::actors::supervision::chaos::{Fault, inject};
            for fault in [Fault::PanicBefore(None), Fault::PanicAfter(None)] {
                inject(&broker.tree, "broker/store/index", fault).unwrap();
                std::thread::sleep(Duration::from_millis(60));
            }
        }
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    // A fault that has not struck yet makes the client ask again.
    while ask(&mut client, &query("all", 64)).is_err() {
        assert!(Instant::now() < deadline);
    }
    drop((client, broker));
    is_rebuilt_the_same(dir.path());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn the_index_equals_one_that_is_built_from_the_log_after_the_process_was_killed() {
    let (dir, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    for number in 0..1_200 {
        client.send_with("T", number % 4, b"x", &format!("KEYS=k{} all;", number % 7)).unwrap();
    }
    for queue in 0..4 {
        client.drain("T", queue, 300);
    }
    // What a kill leaves: files that nobody has closed, the index perhaps between two keys.
    copy(dir.path(), left.path());
    assert!(left.path().join("abort").exists());
    let broker = Running::start(left.path());
    assert_eq!(found(&mut broker.connect(), "all", 64).len(), 64);
    drop(broker);
    is_rebuilt_the_same(left.path());
}
