//! Messages with a time of their own.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use castmq::{
    config::{BrokerConfig, Millis, Seconds},
    protocol::{
        codes::{RequestCode, ResponseCode},
        requests::send::{RecallMessageRequest, RecallMessageResponse, SendMessageResponse},
    },
};

use crate::harness::{Client, Running, copied, pull, pulled, runtime};

/// What is late by more than this was not woken in time, even on a busy machine.
const TOO_LATE: i64 = 700;
const WHEEL: &str = "rmq_sys_wheel_timer";

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn started(dir: &std::path::Path, change: impl FnOnce(&mut BrokerConfig)) -> (Running, Client) {
    let broker = Running::start_with(dir, |config| {
        config.recall_message_enable = true;
        change(config);
    });
    let mut client = broker.connect();
    client.create_topic("T", 4);
    (broker, client)
}

fn bodies(client: &mut Client, queue: i32, expected: usize) -> Vec<String> {
    let got = client.drain("T", queue, expected);
    got.into_iter().map(|got| String::from_utf8(got.body).unwrap()).collect()
}

fn recall(client: &mut Client, handle: &str) -> Result<String, (ResponseCode, String)> {
    let request = RecallMessageRequest {
        producer_group: Some("p".into()),
        topic: "T".into(),
        recall_handle: handle.into(),
    };
    let answer = client.ask(RequestCode::RECALL_MESSAGE, &request, b"");
    match answer.header.response_code() {
        ResponseCode::SUCCESS => {
            Ok(RecallMessageResponse::from_fields(&answer.header.fields).unwrap().msg_id.as_str().to_owned())
        }
        code => Err((code, answer.header.remark.unwrap_or_default().to_string())),
    }
}

#[test]
fn a_message_comes_at_its_time_whichever_way_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |_| {});
    let mut asked = Vec::new();
    for (queue, (time, ahead)) in
        (0..).zip([("TIMER_DELAY_MS=1337", 1337), ("TIMER_DELAY_SEC=1", 1000), ("TIMER_DELIVER_MS=", 777)])
    {
        let at = now() + ahead;
        let time = if time.ends_with('=') { format!("{time}{at}") } else { time.to_owned() };
        let receipt = client.send_with("T", queue, b"x", &format!("{time};TAGS=a;UNIQ_KEY=U;")).unwrap();
        assert_eq!((receipt.queue_id, receipt.queue_offset), (queue, i64::from(queue)));
        assert!(receipt.recall_handle.is_some());
        asked.push((queue, at));
    }
    asked.sort_by_key(|(_, at)| *at);
    for (queue, at) in asked {
        client.tell(RequestCode::PULL_MESSAGE, &pull("T", queue, 0, "a", 5_000), b"");
        let (code, _, got) = pulled(&client.read().unwrap());
        let late = now() - at;
        println!("late by {late} ms");
        assert_eq!(code, ResponseCode::SUCCESS);
        assert!((0..TOO_LATE).contains(&late), "late by {late} ms");
        let number = |name| got[0].property(name).unwrap().parse::<i64>().unwrap();
        assert_eq!([got[0].property("REAL_TOPIC"), got[0].property("UNIQ_KEY")], [Some("T"), Some("U")]);
        let out = number("TIMER_OUT_MS");
        assert!(out % 1000 == 0 && out < at && at - out <= 1010, "{out} for {at}");
        assert!(number("TIMER_ENQUEUE_MS") % 1000 == 0 && number("TIMER_DEQUEUE_MS") >= at);
    }
}

#[test]
fn what_is_due_at_once_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |_| {});
    for time in ["TIMER_DELAY_MS=0;", "TIMER_DELIVER_MS=5;", "TIMER_DELAY_SEC=-3;"] {
        assert!(client.send_with("T", 0, time.as_bytes(), time).unwrap().recall_handle.is_none());
    }
    assert_eq!(bodies(&mut client, 0, 3).len(), 3);
    assert!(client.drain(WHEEL, 0, 0).is_empty());
}

#[test]
fn a_level_wins_over_a_time_and_one_that_was_in_the_wheel_goes_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) =
        started(dir.path(), |config| config.message_delay_level = "0s".parse().unwrap());
    client.send_with("T", 0, b"level", "DELAY=1;TIMER_DELAY_SEC=60;").unwrap();
    client.send_with("T", 0, b"again", "TIMER_OUT_MS=1000;TIMER_DELAY_SEC=60;").unwrap();
    assert_eq!(bodies(&mut client, 0, 2).len(), 2);
}

#[test]
fn times_that_cannot_be_waited_for_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |config| config.timer_max_delay_sec = Seconds(259_200));
    for time in [
        "TIMER_DELAY_SEC=259201;",
        "TIMER_DELAY_SEC=x;",
        "TIMER_DELAY_SEC=9223372036854775807;",
        "TIMER_DELIVER_MS=9223372036854775807;",
        "TIMER_DELIVER_MS=5;TIMER_DEL_UNIQKEY=U;",
        "TRAN_MSG=true;TIMER_DELAY_SEC=259201;",
    ] {
        assert_eq!(
            client.send_with("T", 0, b"x", time).unwrap_err(),
            ResponseCode::MESSAGE_ILLEGAL,
            "{time}"
        );
    }
    assert!(client.send_with("T", 0, b"x", "TIMER_DELAY_SEC=259200;").is_ok());
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |config| config.timer_wheel_enable = false);
    assert_eq!(client.send_with("T", 0, b"x", "TIMER_DELAY_SEC=1;").unwrap_err(), ResponseCode::SYSTEM_ERROR);
}

#[test]
fn a_slot_takes_no_more_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |config| config.timer_congest_num_each_slot = 5);
    let time = format!("TIMER_DELIVER_MS={};", now() + 100_000);
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.send_with("T", 0, b"x", &time) != Err(ResponseCode::SYSTEM_ERROR) {
        assert!(Instant::now() < deadline, "nothing is refused");
    }
}

#[test]
fn what_was_not_meant_for_the_wheel_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |_| {});
    for odd in ["", "TIMER_OUT_MS=x;REAL_TOPIC=T;REAL_QID=0;", "TIMER_OUT_MS=1000;REAL_TOPIC=T;REAL_QID=-1;"]
    {
        client.send_with(WHEEL, 0, b"odd", odd).unwrap();
    }
    client.send_with("T", 0, b"x", "TIMER_DELAY_MS=300;").unwrap();
    assert_eq!(bodies(&mut client, 0, 1), ["x"]);
}

#[test]
fn a_message_that_was_taken_back_does_not_come() {
    let dir = tempfile::tempdir().unwrap();
    let handles: Vec<SendMessageResponse> = {
        let (_broker, mut client) = started(dir.path(), |_| {});
        let send = |number: i32| {
            let properties = format!("TIMER_DELAY_MS={};UNIQ_KEY=U{number};", 2_500 + number % 2);
            client.send_with("T", 0, number.to_string().as_bytes(), &properties).unwrap()
        };
        let handles: Vec<_> = (0..6).map(send).collect();
        let handle = |number: usize| handles[number].recall_handle.as_ref().unwrap().as_str();
        assert_eq!(recall(&mut client, handle(1)), Ok("U1".into()));
        assert_eq!(recall(&mut client, handle(2)), Ok("U2".into()));
        assert_eq!(recall(&mut client, handle(2)), Ok("U2".into()), "once more");
        handles
    };
    let (broker, mut client) = started(dir.path(), |_| {});
    let handle = |number: usize| handles[number].recall_handle.as_ref().unwrap().as_str();
    assert_eq!(recall(&mut client, handle(3)), Ok("U3".into()), "also after a restart");
    let mut left = bodies(&mut client, 0, 3);
    left.sort();
    assert_eq!(left, ["0", "4", "5"]);
    let (code, _) = recall(&mut client, handle(4)).unwrap_err();
    assert_eq!(code, ResponseCode::ILLEGAL_OPERATION, "its time is over");
    for odd in ["", "!", "djEgVCBicm9rZXItYSAxNyBJRA=="] {
        assert_eq!(recall(&mut client, odd).unwrap_err().0, ResponseCode::ILLEGAL_OPERATION);
    }
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(bodies(&mut client, 0, 3).len(), 3);
    let metrics = client.ask(RequestCode::GET_TIMER_METRICS, &(), b"");
    assert!(String::from_utf8_lossy(&metrics.body).contains(r#""T":{"count":0,"#), "{:?}", metrics.body);
    drop(broker);
    let (_broker, mut client) = started(dir.path(), |config| config.recall_message_enable = false);
    assert_eq!(recall(&mut client, handle(0)).unwrap_err().0, ResponseCode::NO_PERMISSION);
}

#[test]
fn what_waits_survives_a_restart_and_a_kill_and_comes_once() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let total = 400;
    {
        let (_broker, mut client) = started(dir.path(), |_| {});
        for number in 0..total {
            let time = format!("TIMER_DELAY_MS={};", 10 * number);
            client.send_with("T", 0, number.to_string().as_bytes(), &time).unwrap();
        }
    }
    // Of those that came until the stop none comes again, of the others all.
    let copy = {
        let (_broker, mut client) = started(dir.path(), |_| {});
        let seen = bodies(&mut client, 0, 150).len();
        assert!(seen < total);
        copied(dir.path(), killed.path());
        bodies(&mut client, 0, total).len()
    };
    assert_eq!(copy, total);
    let (_broker, mut client) = started(killed.path(), |_| {});
    bodies(&mut client, 0, total);
    std::thread::sleep(Duration::from_millis(500));
    let mut numbers: Vec<usize> =
        bodies(&mut client, 0, total).iter().map(|body| body.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..total).collect::<Vec<_>>(), "each one once");
}

#[test]
fn a_stop_leaves_no_slot_half_delivered() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (_broker, mut client) = started(dir.path(), |_| {});
        // The slot before is over, so that this one's messages are the first.
        std::thread::sleep(Duration::from_millis(1_050 - now() as u64 % 1_000));
        for ahead in [100, 500] {
            client.send_with("T", 0, b"x", &format!("TIMER_DELAY_MS={ahead};")).unwrap();
        }
        client.wait_for("T", 0, 0);
    }
    let checkpoint = std::fs::read(dir.path().join("config/timercheck")).unwrap();
    let read_time = i64::from_be_bytes(checkpoint[..8].try_into().unwrap());
    let (_broker, mut client) = started(dir.path(), |_| {});
    let out: Vec<i64> = client
        .drain("T", 0, 2)
        .iter()
        .map(|got| got.property("TIMER_OUT_MS").unwrap().parse().unwrap())
        .collect();
    assert!(read_time > *out.iter().max().unwrap(), "{read_time} {out:?}");
    let told = client.ask(RequestCode::GET_TIMER_CHECK_POINT, &(), b"").body;
    assert_eq!((told.len(), &told[16..24]), (56, &2i64.to_be_bytes()[..]));
}

#[test]
fn a_committed_message_waits_for_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |_| {});
    let began = now();
    let properties = "TRAN_MSG=true;PGROUP=p;UNIQ_KEY=U;TIMER_DELAY_MS=400;";
    let receipt = client.send_with("T", 0, b"x", properties).unwrap();
    let id: castmq::protocol::message_id::OffsetMessageId = receipt.msg_id.parse().unwrap();
    let end = castmq::protocol::requests::transaction::EndTransactionRequest {
        topic: Some("T".into()),
        producer_group: "p".into(),
        tran_state_table_offset: receipt.queue_offset,
        commit_log_offset: id.offset,
        outcome: castmq::protocol::requests::transaction::Outcome::Commit,
        from_transaction_check: false,
        msg_id: "U".into(),
        transaction_id: None,
    };
    let answer = client.ask(RequestCode::END_TRANSACTION, &end, b"");
    assert_eq!(answer.header.response_code(), ResponseCode::SUCCESS);
    let got = client.wait_for("T", 0, 0).remove(0);
    assert!(now() - began >= 400);
    assert_eq!((&*got.body, got.sys_flag), (&b"x"[..], 0x8));
}

#[test]
fn messages_of_months_ahead_come_in_their_order_and_time() {
    const FACTOR: u32 = 5_000_000;
    const DAY: i64 = 86_400;
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_at(dir.path(), FACTOR, |config| {
        config.server_channel_max_idle_time_seconds = Seconds(1_000_000_000);
        config.transaction_check_interval = Millis(i32::MAX as u64);
        config.flush_delay_offset_interval = Millis(i32::MAX as u64);
        config.flush_consumer_offset_interval = Millis(i32::MAX as u64);
        config.timer_flush_interval_ms = Millis(100_000_000);
    });
    let mut client = broker.connect();
    client.create_topic("T", 1);
    let days = [400, 200, 100, 50];
    let began = broker.broker.clock.now();
    for day in days {
        let time = format!("TIMER_DELAY_SEC={};", day * DAY);
        client.send_with("T", 0, day.to_string().as_bytes(), &time).unwrap();
    }
    let got = client.drain("T", 0, days.len());
    let order: Vec<_> = got.iter().map(|got| String::from_utf8_lossy(&got.body).into_owned()).collect();
    assert_eq!(order, ["50", "100", "200", "400"]);
    for got in got {
        let day: i64 = String::from_utf8_lossy(&got.body).parse().unwrap();
        let came: i64 = got.property("TIMER_DEQUEUE_MS").unwrap().parse().unwrap();
        let late = came - began - day * DAY * 1000;
        // A day of this clock lasts 17 ms.
        assert!((0..TOO_LATE * i64::from(FACTOR)).contains(&late), "{day} days: late by {late} ms");
        let rolls: i64 = got.property("TIMER_ROLL_TIMES").unwrap().parse().unwrap();
        println!(
            "{day} days: late by {} ms of this machine, stored anew {rolls} times",
            late / i64::from(FACTOR)
        );
        assert!(rolls > 1 && rolls <= day);
    }
}

#[test]
fn the_broker_says_how_many_messages_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |_| {});
    for _ in 0..3 {
        client.send_with("T", 0, b"x", "TIMER_DELAY_SEC=600;").unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let table = runtime(&mut client);
        let told = ["timerReadBehind", "timerOffsetBehind", "timerCongestNum"].map(|key| table[key].clone());
        if told == ["0", "0", "3"] {
            return;
        }
        assert!(Instant::now() < deadline, "{told:?}");
    }
}

#[test]
fn the_broker_says_how_fast_messages_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |_| {});
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        client.send_with("T", 0, b"x", "TIMER_DELAY_SEC=1;").unwrap();
        let table = runtime(&mut client);
        let told = ["timerEnqueueTps", "timerDequeueTps"].map(|key| table[key].clone());
        if told.iter().all(|rate| (0.1..11.0).contains(&rate.parse::<f64>().unwrap())) {
            return;
        }
        assert!(Instant::now() < deadline, "{told:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(feature = "chaos")]
mod crashes {
    use std::{
        collections::BTreeMap,
        sync::atomic::{AtomicBool, Ordering},
    };

    use castmq::{actors::supervision::chaos::Fault, config::FlushDiskType};

    use super::*;
    use crate::crashes::panics;

    /// Crashes an actor while messages come, are taken back and are due: each one that was not is delivered once, and
    /// none before its time.
    fn survives(victim: &str, faults: &[Fault], flush: FlushDiskType) {
        let dir = tempfile::tempdir().unwrap();
        let (broker, mut client) = started(dir.path(), |config| config.flush_disk_type = flush);
        client.send("T", 0, b"first").unwrap();
        client.send_with("T", 0, b"second", "TIMER_DELAY_MS=1;").unwrap();
        bodies(&mut client, 0, 2);
        let (mut sent, mut recalled) = (BTreeMap::new(), 0);
        for fault in faults {
            let began = Instant::now();
            for number in 0.. {
                if began.elapsed() > Duration::from_millis(700) {
                    break;
                }
                let (body, ahead) = (format!("{fault:?} {number}"), 100 + 7 * (number % 100));
                let (at, properties) =
                    (now() + ahead, format!("TIMER_DELAY_MS={ahead};UNIQ_KEY={number}.{recalled};"));
                match client.send_with("T", 0, body.as_bytes(), &properties) {
                    Ok(receipt) if number % 10 == 0 && ahead > 500 => {
                        let handle = receipt.recall_handle.unwrap();
                        match recall(&mut client, &handle) {
                            Ok(_) => recalled += 1,
                            Err(_) => drop(sent.insert(body, at)),
                        }
                    }
                    Ok(_) => drop(sent.insert(body, at)),
                    Err(code) => assert_eq!(code, ResponseCode::SYSTEM_BUSY),
                }
            }
            let struck = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let (mut other, struck) = (broker.connect(), &struck);
                scope.spawn(move || {
                    while !struck.load(Ordering::Relaxed) {
                        let _ =
                            other.send_with("T", 1, b"so that there is something to do", "TIMER_DELAY_MS=5;");
                        std::thread::sleep(Duration::from_millis(2));
                    }
                });
                broker.strike(victim, fault);
                struck.store(true, Ordering::Relaxed);
            });
        }
        client.drain("T", 0, sent.len() + 2);
        std::thread::sleep(Duration::from_millis(1_200));
        let mut delivered = BTreeMap::new();
        for got in client.drain("T", 0, sent.len() + 2).into_iter().skip(2) {
            let came: i64 = got.property("TIMER_DEQUEUE_MS").unwrap().parse().unwrap();
            let body = String::from_utf8(got.body).unwrap();
            if let Some(at) = sent.get(&body) {
                assert!(came >= *at, "{body} came {} ms early", at - came);
            }
            assert!(delivered.insert(body, came).is_none(), "nothing comes twice");
        }
        assert!(sent.keys().all(|body| delivered.contains_key(body)), "nothing is lost");
        // A send or recall that was not answered may have been stored.
        println!("{} sent, {recalled} taken back, {} delivered", sent.len(), delivered.len());
        assert!(delivered.len() < sent.len() + recalled.max(20));
    }

    #[test]
    fn the_timer_may_crash() {
        survives("delivery/timer", &panics(), FlushDiskType::AsyncFlush);
    }

    #[test]
    fn the_timer_may_crash_while_the_device_is_waited_for() {
        survives("delivery/timer", &panics()[..2], FlushDiskType::SyncFlush);
    }

    #[test]
    fn who_saves_it_may_crash() {
        survives("delivery/timer-checkpoint", &panics()[..2], FlushDiskType::AsyncFlush);
    }

    #[test]
    fn its_queue_may_crash() {
        survives("store/queues/rmq_sys_wheel_timer:0", &panics(), FlushDiskType::AsyncFlush);
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
