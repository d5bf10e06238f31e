//! What the broker promises for later: delayed messages, timer messages and transactions, over kills between any of
//! their stages. Nothing acknowledged is lost, nothing comes before its time, and nothing comes twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use castmq::protocol::codes::{RequestCode, ResponseCode};
use castmq::protocol::fields::Fields;
use castmq::protocol::header::Header;
use castmq::protocol::message_id::OffsetMessageId;
use castmq::protocol::record::{RecordView, records};
use castmq::protocol::requests::pull::PullMessageResponse;
use castmq::protocol::requests::send::{RecallMessageRequest, SendMessageRequest, SendMessageResponse};
use castmq::protocol::requests::transaction::{CheckTransactionStateRequest, EndTransactionRequest, Outcome};
use castmq::testing::{Connection, message, pull};

use crate::{Broker, QUEUES, TOPIC, rounds, seed};

/// Level 1, and the most that a timer message waits.
const LEVEL: i64 = 1_000;
const LONGEST: i64 = 2_500;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// What is known of the messages, by their bodies.
#[derive(Default)]
struct Promises {
    /// Those that were acknowledged, and before which time they must not come.
    due: BTreeMap<String, i64>,
    /// Those that must not come: taken back, or rolled back.
    never: BTreeSet<String>,
    sent: usize,
}

/// How a transaction ends whose message has this body.
fn outcome_of(body: &str) -> Outcome {
    if body.starts_with("commit") { Outcome::Commit } else { Outcome::Rollback }
}

fn end(half: (i64, i64), body: &str, is_check: bool) -> EndTransactionRequest {
    EndTransactionRequest {
        topic: Some(TOPIC.into()),
        producer_group: "p".into(),
        tran_state_table_offset: half.0,
        commit_log_offset: half.1,
        outcome: outcome_of(body),
        from_transaction_check: is_check,
        msg_id: body.into(),
        transaction_id: None,
    }
}

/// Sends a message; nothing when it is not acknowledged.
fn send(client: &mut Connection, queue: i32, body: &str, properties: &str) -> Option<SendMessageResponse> {
    let request = SendMessageRequest {
        born_timestamp: now(),
        ..message(TOPIC, queue, &format!("UNIQ_KEY={body};{properties}"))
    };
    let answer =
        client.try_ask(RequestCode::SEND_MESSAGE_V2, Fields::of(&request.compact()), body.as_bytes()).ok()?;
    castmq::testing::receipt(&answer).ok()
}

/// Sends all kinds of messages until the connection ends.
fn produce(address: SocketAddr, name: &str, seed: u64, promises: &Mutex<Promises>) {
    let mut random = fastrand::Rng::with_seed(seed);
    // It may be killed before anybody has connected.
    let Ok(mut client) = Connection::open(address) else { return };
    for number in 0.. {
        let (queue, began) = (random.i32(0..QUEUES), now());
        let kind = ["level", "timer", "recall", "commit", "rollback"][random.usize(0..5)];
        let body = format!("{kind}.{name}.{number}");
        promises.lock().unwrap().sent += 1;
        match kind {
            "level" => {
                let Some(_) = send(&mut client, queue, &body, "DELAY=1;") else { return };
                promises.lock().unwrap().due.insert(body, began + LEVEL);
            }
            "timer" | "recall" => {
                let ahead = random.i64(0..LONGEST);
                let Some(sent) = send(&mut client, queue, &body, &format!("TIMER_DELAY_MS={ahead};")) else {
                    return;
                };
                let handle = sent.recall_handle.filter(|_| kind == "recall" && ahead > 1_500);
                let Some(handle) = handle else {
                    promises.lock().unwrap().due.insert(body, began + ahead);
                    continue;
                };
                let request = RecallMessageRequest {
                    producer_group: Some("p".into()),
                    topic: TOPIC.into(),
                    recall_handle: handle,
                };
                let Ok(answer) = client.try_ask(RequestCode::RECALL_MESSAGE, Fields::of(&request), b"")
                else {
                    return;
                };
                if answer.header.response_code() == ResponseCode::SUCCESS {
                    promises.lock().unwrap().never.insert(body);
                }
            }
            _ => {
                let Some(half) = send(&mut client, queue, &body, "TRAN_MSG=true;PGROUP=p;") else { return };
                // From now on the broker has to find out how it ends.
                match outcome_of(&body) {
                    Outcome::Commit => drop(promises.lock().unwrap().due.insert(body.clone(), began)),
                    _ => drop(promises.lock().unwrap().never.insert(body.clone())),
                }
                if random.bool() {
                    let id: OffsetMessageId = half.msg_id.parse().unwrap();
                    let end = end((half.queue_offset, id.offset), &body, false);
                    if client.try_ask(RequestCode::END_TRANSACTION, end, b"").is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// A producer that is asked how transactions ended.
struct Checked(TcpStream);

impl Checked {
    /// Connects, and answers on a thread of its own until it is dropped or the connection ends.
    fn start(address: SocketAddr) -> Self {
        let mut client = Connection::open(address).unwrap();
        client.heartbeat("checked", "p", "unused");
        client.stream.set_read_timeout(None).unwrap();
        let stream = client.stream.try_clone().unwrap();
        std::thread::spawn(move || {
            while let Some(frame) = client.read() {
                if frame.header.is_response()
                    || frame.header.request_code() != RequestCode::CHECK_TRANSACTION_STATE
                {
                    continue;
                }
                let asked = CheckTransactionStateRequest::from_fields(&frame.header.fields).unwrap();
                let body = RecordView::parse(&frame.body).unwrap().body;
                let half = (asked.tran_state_table_offset, asked.commit_log_offset);
                let end = Fields::of(&end(half, &String::from_utf8_lossy(body), true));
                let header = Header::request(RequestCode::END_TRANSACTION).with_fields(end).oneway();
                if client.try_tell(header, b"").is_err() {
                    return;
                }
            }
        });
        Self(stream)
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

#[test]
fn promises_are_kept_once_over_kill_9() {
    let (mut left, seed) = (rounds().div_ceil(4), seed());
    println!("{left} rounds, CASTMQ_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    // A store lives for some rounds, so that it can be read back.
    while left > 0 {
        let rounds = left.min(20);
        live(rounds, &mut random);
        left -= rounds;
    }
}

/// One store, killed so often, and what became of its promises.
fn live(rounds: usize, random: &mut fastrand::Rng) {
    let dir = tempfile::tempdir().unwrap();
    // What is saved of the progress lags far behind what is delivered.
    let config = "mappedFileSizeCommitLog=1048576\nmaxHashSlotNum=1000\nmaxIndexNum=4000\nmessageDelayLevel=1s\n\
                  timerFlushIntervalMs=700\nmappedFileSizeTimerLog=65536\nrecallMessageEnable=true\n\
                  transactionTimeOut=200\ntransactionCheckInterval=300\ntransactionCheckMax=1000\n";
    let promises = Mutex::new(Promises::default());
    let mut broker = Broker::start(dir.path(), config);
    Connection::open(broker.address).unwrap().create_topic(TOPIC, QUEUES);
    for round in 0..rounds {
        let _checked = Checked::start(broker.address);
        std::thread::scope(|scope| {
            for producer in 0..3 {
                let (name, seed) = (format!("{round}.{producer}"), random.u64(..));
                let (address, promises) = (broker.address, &promises);
                scope.spawn(move || produce(address, &name, seed, promises));
            }
            std::thread::sleep(Duration::from_millis(random.u64(50..2_500)));
            broker.kill();
        });
        broker = Broker::start(dir.path(), config);
    }
    let _checked = Checked::start(broker.address);
    let promises = promises.into_inner().unwrap();
    let came = settled(broker.address, &promises);
    check(&came, &promises);
}

/// All messages that came and when, once all that must have come have, and a while longer.
fn settled(address: SocketAddr, promises: &Promises) -> Vec<(String, i64)> {
    let mut client = Connection::open(address).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut came, mut offsets, mut quiet_since) = (Vec::new(), [0; QUEUES as usize], Instant::now());
    loop {
        let known = came.len();
        (0..).zip(&mut offsets).for_each(|(queue, offset)| read(&mut client, queue, offset, &mut came));
        if came.len() > known {
            quiet_since = Instant::now();
        }
        let is_quiet = quiet_since.elapsed() > Duration::from_millis(LONGEST as u64 + 1_500);
        if (is_quiet && came.len() >= promises.due.len()) || Instant::now() > deadline {
            return came;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Reads a queue on to its end: bodies, and when they were stored.
fn read(client: &mut Connection, queue: i32, offset: &mut i64, came: &mut Vec<(String, i64)>) {
    loop {
        let request = castmq::protocol::requests::pull::PullMessageRequest {
            max_msg_nums: 1024,
            ..pull(TOPIC, queue, *offset, "*", 0)
        };
        let answer = client.ask(RequestCode::PULL_MESSAGE, &request, b"");
        *offset = PullMessageResponse::from_fields(&answer.header.fields).unwrap().next_begin_offset;
        let all = records(&answer.body).map(Result::unwrap);
        came.extend(all.map(|one| (String::from_utf8_lossy(one.body).into_owned(), one.store_timestamp)));
        if answer.header.response_code() == ResponseCode::PULL_NOT_FOUND {
            return;
        }
    }
}

fn check(came: &[(String, i64)], promises: &Promises) {
    let mut seen = BTreeSet::new();
    for (body, stored) in came {
        assert!(seen.insert(body), "{body} came twice");
        assert!(!promises.never.contains(body), "{body} was taken back");
        if let Some(due) = promises.due.get(body) {
            assert!(stored >= due, "{body} came {} ms early", due - stored);
        }
    }
    let lost: Vec<_> = promises.due.keys().filter(|body| !seen.contains(body)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let Promises { due, never, sent } = promises;
    println!("{sent} sent, {} promised, {} not to come, {} came", due.len(), never.len(), came.len());
    assert!(due.len() > 100, "that is no load");
}
