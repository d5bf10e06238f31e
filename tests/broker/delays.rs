//! Delay levels.

use std::time::{Duration, Instant};

use castmq::{
    config::Seconds,
    protocol::{
        codes::{RequestCode, ResponseCode},
        offsets::DelayOffsets,
    },
};

use crate::harness::{Running, copied, pull, pulled};

/// What is late by more than this was not woken in time, even on a busy machine.
const TOO_LATE: Duration = Duration::from_millis(700);

#[test]
fn a_delayed_message_comes_when_its_time_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    client.create_topic("T", 4);
    let began = Instant::now();
    let receipt = client.send_with("T", 3, b"later", "DELAY=1;TAGS=a;UNIQ_KEY=U;").unwrap();
    assert_eq!((receipt.queue_id, receipt.queue_offset), (3, 0), "the client's queue, the level's offset");
    assert_eq!(receipt.transaction_id.as_deref(), Some("U"));
    client.tell(RequestCode::PULL_MESSAGE, &pull("T", 3, 0, "a", 5_000), b"");
    let (code, _, got) = pulled(&client.read().unwrap());
    let late = began.elapsed().checked_sub(Duration::from_secs(1)).expect("it came early");
    println!("late by {late:?}");
    assert!(late < TOO_LATE, "late by {late:?}");
    assert_eq!((code, &*got[0].body), (ResponseCode::SUCCESS, &b"later"[..]));
    let real = ["DELAY", "REAL_TOPIC", "REAL_QID", "UNIQ_KEY"].map(|name| got[0].property(name));
    assert_eq!(real, [Some("1"), Some("T"), Some("3"), Some("U")]);
}

#[test]
fn a_level_keeps_its_order_and_one_beyond_the_last_is_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let broker =
        Running::start_with(dir.path(), |config| config.message_delay_level = "0s 1s".parse().unwrap());
    let mut client = broker.connect();
    client.create_topic("T", 1);
    for number in 0..600 {
        client.send_with("T", 0, number.to_string().as_bytes(), "DELAY=7;").unwrap();
    }
    client.send_with("T", 0, b"at once", "DELAY=1;").unwrap();
    let all = client.drain("T", 0, 601);
    let bodies: Vec<_> = all.iter().map(|got| String::from_utf8_lossy(&got.body).into_owned()).collect();
    let mut in_order = bodies.clone();
    in_order.retain(|body| body != "at once");
    assert_eq!(in_order, (0..600).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(all.iter().filter(|got| got.body != b"at once").all(|got| got.property("DELAY") == Some("2")));
}

#[test]
fn all_levels_up_to_two_hours_come_in_their_time() {
    let dir = tempfile::tempdir().unwrap();
    const FACTOR: u32 = 2_000;
    let broker = Running::start_at(dir.path(), FACTOR, |config| {
        config.server_channel_max_idle_time_seconds = Seconds(10_000_000);
    });
    let mut client = broker.connect();
    client.create_topic("T", 1);
    let began = Instant::now();
    for level in (1..=18).rev() {
        client.send_with("T", 0, level.to_string().as_bytes(), &format!("DELAY={level};")).unwrap();
    }
    let last = client.drain("T", 0, 18);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(7_200) / FACTOR, "{took:?}");
    assert!(took < Duration::from_secs(7_200) / FACTOR + TOO_LATE * 2, "{took:?}");
    // The short ones are nearer to each other than a message needs to be sent on this clock.
    let levels: Vec<u32> =
        last.iter().map(|got| String::from_utf8_lossy(&got.body).parse().unwrap()).collect();
    assert_eq!(levels[levels.len() - 4..], [15, 16, 17, 18]);
}

#[test]
fn what_waits_survives_a_restart_and_comes_once() {
    let dir = tempfile::tempdir().unwrap();
    {
        let broker = Running::start(dir.path());
        let mut client = broker.connect();
        client.create_topic("T", 1);
        client.send_with("T", 0, b"before", "DELAY=1;").unwrap();
        assert_eq!(client.wait_for("T", 0, 0)[0].body, b"before");
        client.send_with("T", 0, b"after", "DELAY=1;").unwrap();
    }
    let saved = std::fs::read(dir.path().join("config/delayOffset.json")).unwrap();
    let saved: DelayOffsets = castmq::protocol::json::from_slice(&saved).unwrap();
    assert_eq!(saved.offset_table, [(1, 1)].into(), "levels that were never used are not in it");
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    assert_eq!(client.wait_for("T", 0, 1)[0].body, b"after");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(client.drain("T", 0, 2).len(), 2);
    let answer = client.ask(RequestCode::GET_ALL_DELAY_OFFSET, &(), b"");
    let told: DelayOffsets = castmq::protocol::json::from_slice(&answer.body).unwrap();
    assert_eq!(told.offset_table[&1], 2);
}

#[test]
fn what_a_level_has_delivered_does_not_come_again_after_a_kill() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let levels = |config: &mut castmq::config::BrokerConfig| {
        config.message_delay_level = "0s 1s".parse().unwrap();
    };
    let broker = Running::start_with(dir.path(), levels);
    let mut client = broker.connect();
    client.create_topic("T", 2);
    for number in 0..600 {
        client.send_with("T", number % 2, b"x", "DELAY=1;").unwrap();
    }
    client.send_with("T", 0, b"later", "DELAY=2;").unwrap();
    let delivered = [0, 1].map(|queue| client.drain("T", queue, 300).len());
    assert_eq!(delivered, [300, 300], "of which nothing is saved yet");
    copied(dir.path(), killed.path());
    let broker = Running::start_with(killed.path(), levels);
    let mut client = broker.connect();
    assert_eq!(client.wait_for("T", 0, 300)[0].body, b"later");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!([client.drain("T", 0, 301).len(), client.drain("T", 1, 300).len()], [301, 300]);
}

#[cfg(feature = "chaos")]
mod crashes {
    use castmq::{actors::supervision::chaos::Fault, config::FlushDiskType};

    use super::*;
    use crate::crashes::panics;

    /// Crashes an actor while delayed messages come and go: each one is delivered once.
    fn survives(victim: &str, faults: &[Fault], flush: FlushDiskType) {
        let dir = tempfile::tempdir().unwrap();
        let broker = Running::start_with(dir.path(), |config| config.flush_disk_type = flush);
        let mut client = broker.connect();
        client.create_topic("T", 2);
        client.send_with("T", 0, b"first", "DELAY=1;").unwrap();
        client.send("T", 1, b"so that its queue is there").unwrap();
        let mut sent = vec![b"first".to_vec()];
        for fault in faults {
            for number in 0..200 {
                let body = format!("{fault:?} {number}").into_bytes();
                match client.send_with("T", 0, &body, "DELAY=1;") {
                    Ok(_) => sent.push(body),
                    Err(code) => assert_eq!(code, ResponseCode::SYSTEM_BUSY),
                }
            }
            // It is struck while these are delivered and others come.
            std::thread::sleep(Duration::from_millis(850));
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(200) {
                let body = format!("{fault:?} {:?}", began.elapsed()).into_bytes();
                if client.send_with("T", 0, &body, "DELAY=1;").is_ok() {
                    sent.push(body);
                }
            }
            broker.strike(victim, fault);
        }
        let mut delivered: Vec<_> =
            client.drain("T", 0, sent.len()).into_iter().map(|got| got.body).collect();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(client.drain("T", 0, sent.len()).len(), delivered.len(), "nothing comes later");
        delivered.sort();
        assert!(delivered.windows(2).all(|pair| pair[0] != pair[1]), "nothing comes twice");
        assert!(sent.iter().all(|body| delivered.binary_search(body).is_ok()), "nothing is lost");
    }

    #[test]
    fn a_level_may_crash() {
        survives("delivery/level-1", &panics(), FlushDiskType::AsyncFlush);
    }

    #[test]
    fn a_level_may_crash_while_the_device_is_waited_for() {
        survives("delivery/level-1", &panics()[..2], FlushDiskType::SyncFlush);
    }

    #[test]
    fn its_queue_may_crash() {
        survives("store/queues/SCHEDULE_TOPIC_XXXX:0", &panics(), FlushDiskType::AsyncFlush);
    }

    #[test]
    fn the_queue_delivered_to_may_crash() {
        survives("store/queues/T:0", &panics(), FlushDiskType::AsyncFlush);
    }

    #[test]
    fn the_logs_writer_may_crash_under_deliveries() {
        survives("store/commit-log", &panics()[..1], FlushDiskType::AsyncFlush);
    }
}
