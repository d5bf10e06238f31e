//! A device without room: sends are refused with the reason, reads go on, and no actor fails.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use castmq::{
    actors::supervision::Node,
    config::Bytes,
    protocol::codes::{RequestCode, ResponseCode},
};

use crate::{
    faulty_disk::FaultyDisk,
    harness::{Client, Running, message},
};

const WITHIN: Duration = Duration::from_millis(1_000);
const BODY: [u8; 3_000] = [7; 3_000];

fn assert_no_restarts(node: &Node) {
    assert_eq!((node.restarts, &node.last_reason), (0, &None), "{}", node.path);
    node.children.iter().for_each(assert_no_restarts);
}

fn try_send(client: &mut Client) -> (ResponseCode, String) {
    let answer = client.ask(RequestCode::SEND_MESSAGE_V2, &message("T", 0, "").compact(), &BODY);
    (answer.header.response_code(), answer.header.remark.unwrap_or_default().into())
}

#[test]
fn without_room_for_the_log_sends_are_refused_and_resume_within_a_second() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), |config| {
        config.mapped_file_size_commit_log = Bytes(64 << 10);
    });
    let mut client = broker.connect();
    client.send("T", 0, &BODY).unwrap();
    let mut stored = 1;
    for _round in 0..3 {
        disk.fill_for("commitlog");
        let remark = loop {
            match try_send(&mut client) {
                (ResponseCode::SUCCESS, _) => stored += 1,
                (code, remark) => {
                    assert_eq!(code, ResponseCode::SERVICE_NOT_AVAILABLE);
                    break remark;
                }
            }
            assert!(stored < 200, "the disk is full");
        };
        assert!(remark.contains("commitlog") && remark.contains("No space left on device"), "{remark}");
        let (refused, tried) = (Instant::now(), disk.refusals.load(Ordering::Relaxed));
        while refused.elapsed() < Duration::from_millis(600) {
            assert_eq!(try_send(&mut client).0, ResponseCode::SERVICE_NOT_AVAILABLE);
        }
        let tries = disk.refusals.load(Ordering::Relaxed) - tried;
        assert!(tries <= 10, "the device is asked {tries} times in 0.6 s");
        assert_eq!(client.drain("T", 0, stored).len(), stored, "reads go on");
        disk.free();
        let freed = Instant::now();
        while try_send(&mut client).0 != ResponseCode::SUCCESS {
            assert!(freed.elapsed() < WITHIN, "writes do not resume");
            std::thread::sleep(Duration::from_millis(5));
        }
        stored += 1;
    }
    let all = client.drain("T", 0, stored);
    let offsets: Vec<i64> = all.iter().map(|got| got.queue_offset).collect();
    assert_eq!(offsets, (0..stored as i64).collect::<Vec<_>>(), "dense");
    assert_no_restarts(&broker.snapshot());
}

#[test]
fn without_room_for_queues_messages_become_visible_once_there_is_some() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), |_| {});
    let mut client = broker.connect();
    for queue in 0..2 {
        client.send("T", queue, b"before").unwrap();
        assert_eq!(client.drain("T", queue, 1).len(), 1);
    }
    disk.fill_for("consumequeue");
    for queue in [0, 1, 2, 0, 3] {
        client.send("T", queue, b"meanwhile").unwrap();
    }
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(client.drain("T", 0, 1).len(), 1, "what was there is read");
    assert_no_restarts(&broker.snapshot());
    disk.free();
    let freed = Instant::now();
    for (queue, count) in [(0, 3), (1, 2), (2, 1), (3, 1)] {
        assert_eq!(client.drain("T", queue, count).len(), count);
    }
    assert!(freed.elapsed() < WITHIN, "{:?}", freed.elapsed());
    assert_no_restarts(&broker.snapshot());
}

#[cfg(feature = "chaos")]
#[test]
fn a_queue_that_crashes_while_the_disk_is_full_misses_nothing() {
    use castmq::actors::supervision::chaos::{Fault, inject};
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), |_| {});
    let mut client = broker.connect();
    client.send("T", 0, b"0").unwrap();
    client.drain("T", 0, 1);
    disk.fill_for("consumequeue");
    for number in 1..=3 {
        client.send("T", 0, number.to_string().as_bytes()).unwrap();
        // Of a queue that is new in a topic, not even the file is there.
        client.send("T", 1, number.to_string().as_bytes()).unwrap();
        for queue in 0..2 {
            let path = format!("broker/store/queues/T:{queue}");
            inject(&broker.tree, &path, Fault::PanicBefore(None)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    disk.free();
    for (queue, count) in [(0, 4), (1, 3)] {
        let all = client.drain("T", queue, count);
        let bodies: Vec<_> = all.iter().map(|got| String::from_utf8_lossy(&got.body).into_owned()).collect();
        let expected: Vec<_> = (4 - count as i32..4).map(|number| number.to_string()).collect();
        assert_eq!(bodies, expected, "queue {queue}");
    }
}

#[test]
fn without_room_for_small_files_or_the_key_index_messages_flow() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), |_| {});
    let mut client = broker.connect();
    for part in ["/index/", "/config/", "checkpoint"] {
        disk.fill_for(part);
        let topic = format!("T{}", part.len());
        for number in 0..600 {
            client.send_with(&topic, number % 4, b"x", "KEYS=a b c;").unwrap();
        }
        for queue in 0..4 {
            assert_eq!(client.drain(&topic, queue, 150).len(), 150);
        }
        disk.free();
    }
    assert_no_restarts(&broker.snapshot());
}
