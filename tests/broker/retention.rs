//! Old files go, and consumers are told where the queues begin.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use castmq::{
    config::{BrokerConfig, Bytes, Hours, HoursOfDay, Millis, Percent},
    protocol::codes::{RequestCode, ResponseCode},
};

use crate::{
    faulty_disk::{FaultyDisk, files},
    harness::{Client, Running, message},
};

const BODY: [u8; 1_000] = [7; 1_000];

fn small(config: &mut BrokerConfig) {
    config.mapped_file_size_commit_log = Bytes(16 << 10);
    config.mapped_file_size_consume_queue = Bytes(200);
    config.clean_resource_interval = Millis(20);
    config.delete_commit_log_files_interval = Millis(1);
    config.max_hash_slot_num = 10;
    config.max_index_num = 40;
    config.file_reserved_time = Hours(1);
    // Never by the hour, unless a test says so.
    config.delete_when = HoursOfDay(Vec::new());
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn log_files(root: &Path) -> usize {
    files(root.join("commitlog")).len()
}

fn fill(client: &mut Client, queue: i32, count: usize) {
    for _ in 0..count {
        client.send("T", queue, &BODY).unwrap();
    }
    client.drain("T", queue, count);
}

/// Where the queue begins, as a consumer that is too far behind is told.
fn told_begin(client: &mut Client, queue: i32) -> i64 {
    let (code, header, _) = client.pull("T", queue, 0);
    assert_eq!(code, ResponseCode::PULL_OFFSET_MOVED);
    assert_eq!(header.next_begin_offset, header.min_offset);
    header.min_offset
}

#[test]
fn expired_files_of_log_queues_and_index_go_and_consumers_behind_are_told_the_new_begin() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), |config| {
        small(config);
        config.delete_when = HoursOfDay((0..24).collect());
    });
    let mut client = broker.connect();
    fill(&mut client, 0, 100);
    fill(&mut client, 1, 100);
    std::thread::sleep(Duration::from_millis(100));
    let (index_before, units_before) =
        (files(dir.path().join("index")).len(), files(dir.path().join("consumequeue/T/0")).len());
    assert!(log_files(dir.path()) >= 14 && index_before > 2 && units_before > 5, "nothing is old yet");
    disk.is_old.store(true, Ordering::Relaxed);
    eventually("all but the last file go", || log_files(dir.path()) <= 2);
    eventually("so do the queues'", || files(dir.path().join("consumequeue/T/0")).len() == 1);
    eventually("so do the index's", || files(dir.path().join("index")).len() < index_before);
    // Files go in rounds, and the queues hear of each a moment later.
    eventually("all of queue 0 was in the files that are gone", || told_begin(&mut client, 0) == 100);
    eventually("and most of queue 1", || told_begin(&mut client, 1) > 80);
    let begin = told_begin(&mut client, 1);
    assert!(begin > 80 && begin < 100, "{begin}");
    let (code, _, got) = client.pull("T", 1, begin);
    assert_eq!((code, got[0].queue_offset), (ResponseCode::SUCCESS, begin));
    assert_eq!(client.send("T", 0, b"on").unwrap().queue_offset, 100, "offsets go on");
    let (code, _, got) = client.pull("T", 0, 100);
    assert!(code == ResponseCode::SUCCESS && got[0].body == b"on" || code == ResponseCode::PULL_NOT_FOUND);
    drop((client, broker));
    let broker = Running::start_on(dir.path(), disk, small);
    let mut client = broker.connect();
    assert_eq!(client.pull("T", 0, 100).2[0].body, b"on");
    assert!(told_begin(&mut client, 1) >= begin);
}

#[test]
fn queues_that_nobody_has_opened_follow_the_log_too() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), small);
    fill(&mut broker.connect(), 0, 100);
    drop(broker);
    disk.is_old.store(true, Ordering::Relaxed);
    let broker = Running::start_on(dir.path(), disk, |config| {
        small(config);
        config.delete_when = HoursOfDay((0..24).collect());
    });
    eventually("files go", || log_files(dir.path()) <= 2);
    eventually("the queue's too", || files(dir.path().join("consumequeue/T/0")).len() <= 2);
    assert!(told_begin(&mut broker.connect(), 0) > 80);
}

#[test]
fn a_full_disk_refuses_messages_deletes_the_oldest_and_returns_to_service() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), |config| {
        small(config);
        config.clean_file_forcibly_enable = false;
    });
    let mut client = broker.connect();
    fill(&mut client, 0, 100);
    let count = log_files(dir.path());
    disk.used.store(90, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(100));
    client.send("T", 0, &BODY).unwrap();
    disk.used.store(91, Ordering::Relaxed);
    let mut refused = None;
    let deadline = Instant::now() + Duration::from_secs(5);
    while refused.is_none() {
        assert!(Instant::now() < deadline, "nothing is refused");
        let answer = client.ask(RequestCode::SEND_MESSAGE_V2, &message("T", 0, "").compact(), b"x");
        refused = Some(answer.header).filter(|header| header.response_code() != ResponseCode::SUCCESS);
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = refused.unwrap();
    assert_eq!(refused.response_code(), ResponseCode::SERVICE_NOT_AVAILABLE);
    let remark = refused.remark.unwrap();
    assert!(remark.contains("91 % full") && remark.contains("commitlog"), "{remark}");
    assert!(client.drain("T", 0, 100).len() >= 100, "reads go on");
    assert!(log_files(dir.path()) >= count, "nothing is deleted before its time");
    disk.used.store(50, Ordering::Relaxed);
    let freed = Instant::now();
    while client.send("T", 0, b"x").is_err() {
        assert!(freed.elapsed() < Duration::from_secs(5), "it does not return to service");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_pressing_disk_costs_the_oldest_files_before_their_time_a_batch_at_a_round() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), |config| {
        small(config);
        config.disk_space_clean_forcibly_ratio = Percent(40);
        config.delete_file_batch_max = 2;
        config.clean_resource_interval = Millis(400);
    });
    let mut client = broker.connect();
    fill(&mut client, 0, 200);
    let before = files(dir.path().join("commitlog"));
    disk.used.store(41, Ordering::Relaxed);
    eventually("files go", || log_files(dir.path()) < before.len());
    std::thread::sleep(Duration::from_millis(60));
    let after = files(dir.path().join("commitlog"));
    assert!(after.len() + 2 >= before.len() && before.ends_with(&after), "{before:?} {after:?}");
    disk.used.store(40, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(900));
    let kept = log_files(dir.path());
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(log_files(dir.path()), kept, "no more than needed");
    assert!(client.send("T", 0, b"x").is_ok());
}

#[test]
fn an_operator_may_ask_for_expired_files_and_queues_to_go() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), small);
    let mut client = broker.connect();
    fill(&mut client, 0, 60);
    let (topic, count) = ("Gone", 3);
    for _ in 0..count {
        client.send(topic, 0, &BODY).unwrap();
    }
    client.drain(topic, 0, count);
    fill(&mut client, 1, 60);
    drop((client, broker));

    let broker = Running::start_on(dir.path(), disk.clone(), small);
    let cleaner = broker.broker.stored.cleaner.clone();
    let removed = || {
        let (tell, told) = std::sync::mpsc::channel();
        cleaner.remove_expired_queues(|topic| topic != "Gone", move |count| tell.send(count).unwrap());
        told.recv().unwrap()
    };
    assert_eq!(removed(), 0, "the log still has its messages");
    let before = log_files(dir.path());
    disk.is_old.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(200));
    assert!(log_files(dir.path()) >= before, "it is not the hour");
    cleaner.delete_expired_log();
    eventually("files go on request", || log_files(dir.path()) <= 2);
    assert_eq!(removed(), 1);
    assert!(!dir.path().join("consumequeue/Gone/0").exists());
    assert!(dir.path().join("consumequeue/T/0").exists(), "its topic is known");
}

#[test]
fn what_changes_at_run_time_counts_from_then_on() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), small);
    let mut client = broker.connect();
    fill(&mut client, 0, 100);
    disk.is_old.store(true, Ordering::Relaxed);
    let before = log_files(dir.path());
    std::thread::sleep(Duration::from_millis(200));
    assert!(log_files(dir.path()) >= before);
    let mut config = BrokerConfig::clone(&broker.broker.config.get());
    config.delete_when = HoursOfDay((0..24).collect());
    broker.broker.stored.configure(&config);
    eventually("files go", || log_files(dir.path()) <= 2);
}
