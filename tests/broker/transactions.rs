//! Half messages and their ends.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use castmq::{
    config::{BrokerConfig, Millis},
    protocol::{
        codes::{RequestCode, ResponseCode},
        frame::Frame,
        record::RecordView,
        requests::{
            send::SendMessageRequest,
            transaction::{CheckTransactionStateRequest, EndTransactionRequest, Outcome},
        },
    },
};

use crate::harness::{Client, Running, copied, message, receipt};

const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const OP: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";

/// Checks come soon, but not before a test that wants none has ended.
fn quick(config: &mut BrokerConfig) {
    config.transaction_check_interval = Millis(100);
    config.transaction_time_out = Millis(50);
    config.transaction_op_batch_interval = Millis(20);
}

fn calm(config: &mut BrokerConfig) {
    config.transaction_op_batch_interval = Millis(20);
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A half message that was sent: its offset in the half queue, and in the log.
#[derive(Debug, Clone, Copy)]
struct Half {
    queue_offset: i64,
    physical_offset: i64,
}

fn send_half(client: &mut Client, body: &[u8], properties: &str) -> Half {
    let properties = format!("TRAN_MSG=true;PGROUP=p;UNIQ_KEY=U;{properties}");
    let request = SendMessageRequest { born_timestamp: now(), sys_flag: 0x4, ..message("T", 1, &properties) };
    let answer = client.ask(RequestCode::SEND_MESSAGE_V2, &request.compact(), body);
    let receipt = receipt(&answer).unwrap();
    assert_eq!(receipt.queue_id, 1);
    let id: castmq::protocol::message_id::OffsetMessageId = receipt.msg_id.parse().unwrap();
    Half { queue_offset: receipt.queue_offset, physical_offset: id.offset }
}

fn ending(half: Half, outcome: Outcome) -> EndTransactionRequest {
    EndTransactionRequest {
        topic: Some("T".into()),
        producer_group: "p".into(),
        tran_state_table_offset: half.queue_offset,
        commit_log_offset: half.physical_offset,
        outcome,
        from_transaction_check: false,
        msg_id: "U".into(),
        transaction_id: Some("U".into()),
    }
}

fn end(client: &mut Client, half: Half, outcome: Outcome) -> ResponseCode {
    client.ask(RequestCode::END_TRANSACTION, &ending(half, outcome), b"").header.response_code()
}

fn asked(frame: &Frame) -> Half {
    assert_eq!(frame.header.request_code(), RequestCode::CHECK_TRANSACTION_STATE);
    assert!(frame.header.is_oneway());
    let header = CheckTransactionStateRequest::from_fields(&frame.header.fields).unwrap();
    assert_eq!(header.topic.as_deref(), Some(HALF));
    assert_eq!((header.msg_id.as_deref(), header.transaction_id.as_deref()), (Some("U"), Some("U")));
    let record = RecordView::parse(&frame.body).unwrap();
    assert_eq!((record.topic_str(), record.queue_id), (Some("T"), 1));
    Half { queue_offset: header.tran_state_table_offset, physical_offset: header.commit_log_offset }
}

fn started(dir: &Path, change: impl FnOnce(&mut BrokerConfig)) -> (Running, Client) {
    let broker = Running::start_with(dir, change);
    let mut client = broker.connect();
    client.create_topic("T", 2);
    client.heartbeat("c", "p", "unused");
    (broker, client)
}

fn visible(client: &mut Client) -> Vec<Vec<u8>> {
    client.drain("T", 1, 0).into_iter().map(|got| got.body).collect()
}

#[test]
fn a_half_is_hidden_until_it_is_committed_and_never_seen_when_it_is_rolled_back() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), calm);
    let one = send_half(&mut client, b"one", "KEYS=k;TAGS=a;");
    let two = send_half(&mut client, b"two", "");
    let stored = client.drain(HALF, 0, 2);
    assert_eq!((stored[0].sys_flag, stored[0].property("__transactionId__")), (0, Some("U")));
    assert_eq!((stored[0].property("REAL_TOPIC"), stored[0].property("REAL_QID")), (Some("T"), Some("1")));
    assert!(visible(&mut client).is_empty());
    assert_eq!(end(&mut client, one, Outcome::Unknown), ResponseCode::SUCCESS);
    assert_eq!(end(&mut client, two, Outcome::Rollback), ResponseCode::SUCCESS);
    assert_eq!(end(&mut client, one, Outcome::Commit), ResponseCode::SUCCESS);
    assert_eq!(end(&mut client, two, Outcome::Commit), ResponseCode::SUCCESS, "it has ended");
    assert_eq!(end(&mut client, one, Outcome::Rollback), ResponseCode::SUCCESS, "it has ended");
    let got = client.wait_for("T", 1, 0).remove(0);
    assert_eq!((&*got.body, got.sys_flag, got.prepared_offset), (&b"one"[..], 0x8, one.physical_offset));
    let kept = ["TRAN_MSG", "PGROUP", "KEYS", "TAGS", "REAL_TOPIC", "REAL_QID"];
    let kept = kept.map(|name| got.property(name));
    assert_eq!(kept, [Some("true"), Some("p"), Some("k"), Some("a"), None, None]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(visible(&mut client), [b"one"]);
    let ops = client.drain(OP, 0, 1);
    let named: Vec<&[u8]> = ops.iter().flat_map(|op| op.body.split(|byte| *byte == b',')).collect();
    let named: BTreeSet<&[u8]> = named.into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(named, BTreeSet::from([&b"0"[..], b"1"]));
    assert!(ops.iter().all(|op| op.property("TAGS") == Some("d")));
}

#[test]
fn an_end_that_does_not_fit_its_half_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), calm);
    let half = send_half(&mut client, b"x", "");
    let plain: castmq::protocol::message_id::OffsetMessageId =
        client.send("T", 0, b"plain").unwrap().msg_id.parse().unwrap();
    let fits = ending(half, Outcome::Commit);
    for wrong in [
        EndTransactionRequest { producer_group: "q".into(), ..fits.clone() },
        EndTransactionRequest { tran_state_table_offset: 1, ..fits.clone() },
        EndTransactionRequest { commit_log_offset: half.physical_offset + 1, ..fits.clone() },
        EndTransactionRequest { commit_log_offset: plain.offset, ..fits.clone() },
        EndTransactionRequest { commit_log_offset: -1, ..fits.clone() },
    ] {
        let answer = client.ask(RequestCode::END_TRANSACTION, &wrong, b"");
        assert_eq!(answer.header.response_code(), ResponseCode::SYSTEM_ERROR, "{wrong:?}");
    }
    let late = send_half(&mut client, b"late", "CHECK_IMMUNITY_TIME_IN_SECONDS=0;");
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(end(&mut client, late, Outcome::Commit), ResponseCode::ILLEGAL_OPERATION);
    assert!(visible(&mut client).is_empty());
}

#[test]
fn transactions_may_be_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |config| config.reject_transaction_message = true);
    let refused = client.send_with("T", 1, b"x", "TRAN_MSG=true;PGROUP=p;").unwrap_err();
    assert_eq!(refused, ResponseCode::NO_PERMISSION);
}

#[test]
fn a_producer_is_asked_and_may_answer_about_any_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), quick);
    let first = send_half(&mut client, b"x", "");
    let (second, third) = (asked(&client.read().unwrap()), asked(&client.read().unwrap()));
    assert!(first.queue_offset < second.queue_offset && second.queue_offset < third.queue_offset);
    let copies = client.drain(HALF, 0, 3);
    let times: Vec<_> = copies.iter().map(|copy| copy.property("TRANSACTION_CHECK_TIMES")).collect();
    assert_eq!(times[..3], [None, Some("1"), Some("2")]);
    for half in [first, third, second, first] {
        // One-way, as producers do it.
        let answer = EndTransactionRequest { from_transaction_check: true, ..ending(half, Outcome::Commit) };
        let header = castmq::protocol::header::Header::request(RequestCode::END_TRANSACTION);
        client.tell_frame(header.with_fields(answer).oneway(), b"");
    }
    // A question may be on its way.
    std::thread::sleep(Duration::from_millis(400));
    let mut other = _broker.connect();
    assert_eq!(visible(&mut other), [b"x"]);
    let ops = other.drain(OP, 0, 1).len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(other.drain(OP, 0, 1).len(), ops, "nothing more is said of it");
}

#[test]
fn who_never_knows_is_asked_so_often_and_then_the_message_is_put_away() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |config| {
        quick(config);
        config.transaction_check_max = 3;
    });
    let half = send_half(&mut client, b"x", "");
    for _ in 0..3 {
        asked(&client.read().unwrap());
    }
    let mut other = _broker.connect();
    std::thread::sleep(Duration::from_millis(300));
    let away = other.drain("TRANS_CHECK_MAX_TIME_TOPIC", 0, 1);
    assert_eq!((away.len(), away[0].property("TRANSACTION_CHECK_TIMES")), (1, Some("3")));
    assert_eq!(end(&mut other, half, Outcome::Commit), ResponseCode::SUCCESS);
    assert!(visible(&mut other).is_empty(), "it is too late");
    assert_eq!(other.drain(HALF, 0, 4).len(), 4);
}

#[test]
fn fifteen_questions_half_a_minute_apart_and_then_the_message_is_put_away() {
    const FACTOR: u32 = 200;
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_at(dir.path(), FACTOR, |config| {
        config.server_channel_max_idle_time_seconds = castmq::config::Seconds(10_000_000);
    });
    let mut client = broker.connect();
    client.create_topic("T", 2);
    client.heartbeat("c", "p", "unused");
    let properties = "TRAN_MSG=true;PGROUP=p;UNIQ_KEY=U;";
    let born = broker.broker.clock.now();
    let request = SendMessageRequest { born_timestamp: born, ..message("T", 1, properties) };
    receipt(&client.ask(RequestCode::SEND_MESSAGE_V2, &request.compact(), b"x")).unwrap();
    let mut times = Vec::new();
    for _ in 0..15 {
        asked(&client.read().unwrap());
        times.push(broker.broker.clock.now() - born);
        // Who is not heard of for two minutes is given up.
        client.heartbeat("c", "p", "unused");
    }
    assert!(times[0] >= 6_000, "not before it is six seconds old");
    let apart: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // What one question is late by, the next one may seem early.
    assert!(times[14] - times[0] >= 14 * 30_000 - 5_000, "{apart:?}");
    let mut other = broker.connect();
    // The round that gives it up comes half a minute after the last question.
    std::thread::sleep(Duration::from_millis(600));
    let away = other.drain("TRANS_CHECK_MAX_TIME_TOPIC", 0, 1);
    assert_eq!((away.len(), away[0].property("TRANSACTION_CHECK_TIMES")), (1, Some("15")));
    assert_eq!(away[0].property("REAL_TOPIC"), Some("T"));
    assert!(other.drain("T", 1, 0).is_empty());
}

#[test]
fn what_was_put_away_is_not_put_away_again_after_a_kill() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let once = |config: &mut BrokerConfig| {
        quick(config);
        config.transaction_check_max = 1;
    };
    let (_broker, mut client) = started(dir.path(), once);
    send_half(&mut client, b"x", "");
    asked(&client.read().unwrap());
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(client.drain("TRANS_CHECK_MAX_TIME_TOPIC", 0, 1).len(), 1);
    copied(dir.path(), killed.path());
    let (_broker, mut client) = started(killed.path(), once);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(client.drain("TRANS_CHECK_MAX_TIME_TOPIC", 0, 1).len(), 1);
}

#[test]
fn an_immune_half_is_left_alone_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), quick);
    send_half(&mut client, b"immune", "CHECK_IMMUNITY_TIME_IN_SECONDS=3600;");
    send_half(&mut client, b"asked", "");
    for _ in 0..3 {
        let frame = client.read().unwrap();
        assert_eq!(RecordView::parse(&frame.body).unwrap().body, b"asked");
    }
}

#[test]
fn open_and_ended_transactions_are_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (open, ended) = {
        let (_broker, mut client) = started(dir.path(), calm);
        let (open, ended) = (send_half(&mut client, b"open", ""), send_half(&mut client, b"ended", ""));
        assert_eq!(end(&mut client, ended, Outcome::Commit), ResponseCode::SUCCESS);
        (open, ended)
    };
    {
        let (_broker, mut client) = started(dir.path(), calm);
        assert_eq!(end(&mut client, ended, Outcome::Commit), ResponseCode::SUCCESS);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(visible(&mut client), [b"ended"]);
    }
    let (_broker, mut client) = started(dir.path(), quick);
    let copy = asked(&client.read().unwrap());
    assert_eq!(end(&mut _broker.connect(), copy, Outcome::Commit), ResponseCode::SUCCESS);
    assert_eq!(end(&mut _broker.connect(), open, Outcome::Commit), ResponseCode::SUCCESS);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(visible(&mut _broker.connect()), [&b"ended"[..], b"open"]);
}

#[test]
fn a_commit_that_no_op_message_tells_of_is_not_repeated_after_a_kill() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_broker, mut client) = started(dir.path(), |_| {});
    let (open, ended) = (send_half(&mut client, b"open", ""), send_half(&mut client, b"ended", ""));
    assert_eq!(end(&mut client, ended, Outcome::Commit), ResponseCode::SUCCESS);
    client.wait_for("T", 1, 0);
    copied(dir.path(), killed.path());
    let (_broker, mut client) = started(killed.path(), calm);
    assert!(client.drain(OP, 0, 0).is_empty());
    assert_eq!(end(&mut client, ended, Outcome::Commit), ResponseCode::SUCCESS);
    assert_eq!(end(&mut client, open, Outcome::Commit), ResponseCode::SUCCESS);
    client.wait_for("T", 1, 1);
    assert_eq!(visible(&mut client), [&b"ended"[..], b"open"]);
    let ops: Vec<_> = client.drain(OP, 0, 1).into_iter().flat_map(|op| op.body).collect();
    assert!(String::from_utf8(ops).unwrap().contains("1,"), "it is said now");
}

#[test]
fn a_committed_message_may_be_delayed_and_retried() {
    let dir = tempfile::tempdir().unwrap();
    let (_broker, mut client) = started(dir.path(), |config| {
        calm(config);
        config.message_delay_level = "0s 1s".parse().unwrap();
    });
    let half = send_half(&mut client, b"x", "DELAY=2;");
    let began = std::time::Instant::now();
    end(&mut client, half, Outcome::Commit);
    let got = client.wait_for("T", 1, 0).remove(0);
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!((got.sys_flag, got.property("REAL_TOPIC")), (0x8, Some("T")));
}

#[cfg(feature = "chaos")]
mod crashes {
    use super::*;
    use crate::crashes::panics;

    /// Producers commit, roll back, repeat themselves and answer questions while an actor crashes.
    fn survives(victim: &str) {
        let dir = tempfile::tempdir().unwrap();
        let (broker, mut client) = started(dir.path(), quick);
        let mut checked = broker.connect();
        checked.heartbeat("d", "q", "unused");
        client.send("T", 1, b"so that its queue is there").unwrap();
        let (mut committed, mut open) = (BTreeSet::new(), Vec::new());
        for fault in panics() {
            for number in 0..60 {
                let body = format!("{fault:?} {number}").into_bytes();
                let half = send_half(&mut client, &body, "PGROUP=q;");
                match number % 3 {
                    0 => drop(committed.insert(body)),
                    1 => {}
                    _ => {
                        open.push(half);
                        committed.insert(body);
                        continue;
                    }
                }
                let outcome = if number % 3 == 0 { Outcome::Commit } else { Outcome::Rollback };
                for _ in 0..2 {
                    let end = EndTransactionRequest { producer_group: "q".into(), ..ending(half, outcome) };
                    client.ask(RequestCode::END_TRANSACTION, &end, b"");
                }
            }
            broker.strike(victim, &fault);
        }
        // The rest is ended by who is asked, and by who comes late, side by side.
        let deadline = std::time::Instant::now() + Duration::from_secs(8);
        while visible(&mut client).len() <= committed.len() && std::time::Instant::now() < deadline {
            let frame = checked.read().unwrap();
            let copy = asked(&frame);
            let body = RecordView::parse(&frame.body).unwrap().body.to_vec();
            let outcome = if committed.contains(&body) { Outcome::Commit } else { Outcome::Rollback };
            let end = EndTransactionRequest { producer_group: "q".into(), ..ending(copy, outcome) };
            client.ask(RequestCode::END_TRANSACTION, &end, b"");
            if let Some(half) = open.pop() {
                let end =
                    EndTransactionRequest { producer_group: "q".into(), ..ending(half, Outcome::Commit) };
                client.ask(RequestCode::END_TRANSACTION, &end, b"");
            }
            if visible(&mut client).len() > committed.len() {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        let seen = visible(&mut client);
        let distinct: BTreeSet<_> = seen.iter().skip(1).cloned().collect();
        assert_eq!(seen.len() - 1, distinct.len(), "each one once");
        assert!(distinct == committed, "{} of {}", distinct.len(), committed.len());
    }

    #[test]
    fn the_checker_may_crash() {
        survives("delivery/transaction-check");
    }

    #[test]
    fn the_writer_of_ops_may_crash() {
        survives("delivery/transaction-ops");
    }

    #[test]
    fn the_half_queue_may_crash() {
        survives("store/queues/RMQ_SYS_TRANS_HALF_TOPIC:0");
    }
}
