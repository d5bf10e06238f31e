//! Messages that wait in memory of the broker before they are written to the log's files.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use castmq::{
    config::{BrokerConfig, Bytes, Millis, Pages},
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Fields,
    },
};

use crate::{
    faulty_disk::FaultyDisk,
    harness::{Client, Running, message, runtime},
};

const BODY: [u8; 3_000] = [7; 3_000];
const HOUR: Millis = Millis(3_600_000);

fn buffered(config: &mut BrokerConfig) {
    config.transient_store_pool_enable = true;
    config.mapped_file_size_commit_log = Bytes(64 << 10);
}

/// Nothing is committed but for those who ask for it.
fn rarely(config: &mut BrokerConfig) {
    buffered(config);
    config.commit_interval_commit_log = Millis(50);
    config.commit_commit_log_thorough_interval = HOUR;
    config.commit_commit_log_least_pages = Pages(1_000_000);
    config.flush_interval_commit_log = HOUR;
}

/// Asks for the message at an offset of the log.
fn view(client: &mut Client, id: &str) -> ResponseCode {
    let id: castmq::protocol::message_id::OffsetMessageId = id.parse().unwrap();
    let fields = Fields::new().with("offset", id.offset);
    client.ask(RequestCode::VIEW_MESSAGE_BY_ID, &fields, b"").header.response_code()
}

fn free_buffers(client: &mut Client) -> String {
    runtime(client)["remainTransientStoreBufferNumbs"].clone()
}

fn try_send(client: &mut Client) -> ResponseCode {
    let answer = client.ask(RequestCode::SEND_MESSAGE_V2, &message("T", 0, "").compact(), &BODY);
    answer.header.response_code()
}

/// All messages of the queue, of which there are so many, with dense offsets.
fn read_all(client: &mut Client, count: usize) {
    let offsets: Vec<i64> = client.drain("T", 0, count).iter().map(|got| got.queue_offset).collect();
    assert_eq!(offsets, (0..count as i64).collect::<Vec<_>>());
}

#[test]
fn messages_are_acknowledged_before_they_are_committed_and_read_after() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), rarely);
    let mut client = broker.connect();
    let receipts: Vec<_> = (0..3).map(|_| client.send("T", 0, b"x").unwrap()).collect();
    assert_eq!(receipts.iter().map(|receipt| receipt.queue_offset).collect::<Vec<_>>(), [0, 1, 2]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.pull("T", 0, 0).0, ResponseCode::PULL_NOT_FOUND);
    assert_eq!(view(&mut client, &receipts[1].msg_id), ResponseCode::SUCCESS, "who was told of it has it");
    read_all(&mut client, 3);
    client.send("T", 0, b"waits until the broker stops").unwrap();
    drop((client, broker));
    assert!(!dir.path().join("abort").exists(), "an orderly exit leaves no mark");
    let broker =
        Running::start_with(dir.path(), |config| config.mapped_file_size_commit_log = Bytes(64 << 10));
    read_all(&mut broker.connect(), 4);
}

#[test]
fn what_waits_is_committed_after_the_interval_or_when_there_is_enough_of_it() {
    for (interval, pages) in [(Millis(50), Pages(1_000_000)), (HOUR, Pages(4))] {
        let dir = tempfile::tempdir().unwrap();
        let broker = Running::start_with(dir.path(), |config| {
            rarely(config);
            config.commit_interval_commit_log = interval;
            config.commit_commit_log_thorough_interval = interval;
            config.commit_commit_log_least_pages = pages;
        });
        let mut client = broker.connect();
        (0..6).for_each(|_| assert_eq!(try_send(&mut client), ResponseCode::SUCCESS));
        read_all(&mut client, 6);
    }
}

#[test]
fn what_an_actor_had_in_memory_when_it_was_killed_with_its_process_is_not_there_and_its_offset_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), rarely);
    let mut client = broker.connect();
    let first = client.send("T", 0, b"0").unwrap();
    view(&mut client, &first.msg_id);
    read_all(&mut client, 1);
    assert_eq!(client.send("T", 0, b"lost").unwrap().queue_offset, 1);
    drop(client);
    broker.kill();
    let broker = Running::start_with(dir.path(), buffered);
    let mut client = broker.connect();
    assert_eq!(client.send("T", 0, b"1").unwrap().queue_offset, 1);
    let bodies: Vec<_> = client.drain("T", 0, 2).into_iter().map(|got| got.body).collect();
    assert_eq!(bodies, [b"0", b"1"]);
}

#[test]
fn without_a_free_buffer_the_writer_commits_or_messages_are_refused() {
    for fails_fast in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let broker = Running::start_with(dir.path(), |config| {
            rarely(config);
            config.transient_store_pool_size = 1;
            config.fast_fail_if_no_buffer_in_store_pool = fails_fast;
        });
        let mut client = broker.connect();
        assert_eq!(free_buffers(&mut client), "1");
        let first = client.send("T", 0, &BODY).unwrap();
        assert_eq!(free_buffers(&mut client), "0");
        let stored = 1 + (0..60).take_while(|_| try_send(&mut client) == ResponseCode::SUCCESS).count();
        assert_eq!(stored < 22, fails_fast, "{stored} are stored");
        if fails_fast {
            assert_eq!(try_send(&mut client), ResponseCode::SYSTEM_BUSY);
            assert_eq!(client.pull("T", 0, 0).0, ResponseCode::PULL_NOT_FOUND);
            assert_eq!(view(&mut client, &first.msg_id), ResponseCode::SUCCESS);
            assert_eq!(try_send(&mut client), ResponseCode::SUCCESS);
            read_all(&mut client, stored);
        } else {
            assert_ne!(client.pull("T", 0, 0).0, ResponseCode::PULL_NOT_FOUND);
        }
    }
}

fn served_in(dir: &Path, disk: &Arc<FaultyDisk>) -> (Running, Client) {
    let broker = Running::start_on(dir, disk.clone(), |config| {
        buffered(config);
        config.commit_interval_commit_log = Millis(50);
    });
    let client = broker.connect();
    (broker, client)
}

#[test]
fn without_room_for_what_waits_sends_are_refused_and_resume_within_a_second() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let (broker, mut client) = served_in(dir.path(), &disk);
    for _ in 0..5 {
        assert_eq!(try_send(&mut client), ResponseCode::SUCCESS);
    }
    read_all(&mut client, 5);
    disk.fill_for("commitlog");
    let mut stored = 5;
    while try_send(&mut client) == ResponseCode::SUCCESS {
        stored += 1;
        assert!(stored < 1_000, "the disk is full");
    }
    let tried = disk.refusals.load(std::sync::atomic::Ordering::Relaxed);
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        assert_eq!(try_send(&mut client), ResponseCode::SERVICE_NOT_AVAILABLE);
    }
    let tries = disk.refusals.load(std::sync::atomic::Ordering::Relaxed) - tried;
    assert!(tries <= 30, "the device is asked {tries} times in 0.5 s");
    read_all(&mut client, 5);
    disk.free();
    let freed = Instant::now();
    while try_send(&mut client) != ResponseCode::SUCCESS {
        assert!(freed.elapsed() < Duration::from_secs(1), "writes do not resume");
        std::thread::sleep(Duration::from_millis(5));
    }
    read_all(&mut client, stored + 1);
    assert_eq!(broker.snapshot().restarts, 0);
}
