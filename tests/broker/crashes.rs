//! Any actor may crash while messages flow: nothing acknowledged is lost, offsets stay dense, connections stay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use castmq::{
    actors::supervision::{
        Phase,
        chaos::{Fault, inject},
    },
    config::FlushDiskType,
    protocol::codes::ResponseCode,
};

use crate::harness::{Client, Running};

const QUEUES: i32 = 4;

/// Sends until told to end; gives what was acknowledged, by queue: offset and body.
fn produce(mut client: Client, end: &AtomicBool, name: usize) -> Vec<(i32, i64, Vec<u8>)> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if end.load(Ordering::Relaxed) {
            break;
        }
        let (queue, body) = (number % QUEUES, format!("{name}:{number}").into_bytes());
        match client.send("T", queue, &body) {
            Ok(receipt) => acknowledged.push((queue, receipt.queue_offset, body)),
            Err(ResponseCode::SYSTEM_BUSY) => {}
            Err(code) => panic!("a client sees a code on which it does not try again: {code}"),
        }
    }
    acknowledged
}

/// Makes an actor fail, and waits until it is back.
pub(crate) fn strike(broker: &Running, victim: &str, fault: &Fault) {
    let path = format!("broker/{victim}");
    let before = broker.snapshot().find(&path).unwrap_or_else(|| panic!("no {path}")).restarts;
    inject(&broker.tree, &path, fault.clone()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !broker
        .snapshot()
        .find(&path)
        .is_some_and(|node| node.restarts > before && node.phase == Phase::Running)
    {
        assert!(
            Instant::now() < deadline,
            "{fault:?} at {path} did not strike, or it did not come back:\n{}",
            broker.snapshot()
        );
        thread::sleep(Duration::from_millis(2));
    }
    // Not so fast that a budget is spent.
    thread::sleep(Duration::from_millis(20));
}

/// Crashes `victims` in turn under load, with each kind of fault.
fn survives(victims: &[&str], faults: &[Fault], flush: FlushDiskType) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), |config| config.flush_disk_type = flush);
    let mut reader = broker.connect();
    reader.create_topic("T", QUEUES);
    for queue in 0..QUEUES {
        reader.send("T", queue, b"first").unwrap();
    }
    let end = Arc::new(AtomicBool::new(false));
    let producers: Vec<_> = (0..3)
        .map(|name| {
            let (client, end) = (broker.connect(), end.clone());
            thread::spawn(move || produce(client, &end, name))
        })
        .collect();
    for victim in victims {
        for fault in faults {
            strike(&broker, victim, fault);
        }
    }
    end.store(true, Ordering::Relaxed);
    let acknowledged: Vec<_> = producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect();
    assert!(acknowledged.len() > 20, "{} messages are no load", acknowledged.len());
    for queue in 0..QUEUES {
        let expected = acknowledged.iter().filter(|(q, ..)| *q == queue);
        let stored = reader.drain("T", queue, 1);
        for (number, got) in stored.iter().enumerate() {
            assert_eq!(got.queue_offset, number as i64, "offsets are dense");
        }
        for (_, offset, body) in expected {
            let got =
                stored.get(*offset as usize).unwrap_or_else(|| panic!("offset {offset} of {queue} is lost"));
            assert_eq!(&got.body, body);
        }
    }
    assert!(broker.snapshot().is_whole(), "{}", broker.snapshot());
}

pub(crate) fn panics() -> Vec<Fault> {
    vec![Fault::PanicBefore(None), Fault::PanicAfter(None), Fault::FailStart]
}

#[test]
fn the_logs_writer_may_crash() {
    survives(&["store/commit-log"], &panics()[..2], FlushDiskType::AsyncFlush);
}

#[test]
fn the_flusher_and_who_holds_the_waiters_may_crash() {
    survives(&["store/flush", "store/waiters"], &panics()[..2], FlushDiskType::SyncFlush);
}

#[test]
fn the_dispatcher_may_crash() {
    survives(&["store/dispatcher"], &panics(), FlushDiskType::AsyncFlush);
}

#[test]
fn queues_may_crash() {
    survives(&["store/queues/T:0", "store/queues/T:3"], &panics(), FlushDiskType::AsyncFlush);
}

#[test]
fn those_that_work_in_the_background_may_crash() {
    let starts = [Fault::FailStart];
    survives(
        &[
            "store/allocator",
            "store/queue-flush",
            "store/index",
            "store/cleaner",
            "topics",
            "remoting/listener",
        ],
        &starts,
        FlushDiskType::AsyncFlush,
    );
}

#[test]
fn a_connection_that_crashes_takes_no_other_along() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let (mut culprit, mut other) = (broker.connect(), broker.connect());
    culprit.create_topic("T", 1);
    other.send("T", 0, b"x").unwrap();
    let path = format!("broker/remoting/connections/{}", culprit.stream.local_addr().unwrap());
    inject(&broker.tree, &path, Fault::PanicInFuture).unwrap();
    culprit.tell(castmq::protocol::codes::RequestCode::from(31_999), &(), b"");
    assert!(culprit.read().is_none(), "its connection is closed");
    other.send("T", 0, b"y").unwrap();
    assert_eq!(other.drain("T", 0, 2).len(), 2);
}
