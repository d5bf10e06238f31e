//! A broker process that is killed at random moments under load, and what it acknowledged: kept in this process,
//! where no crash of the broker can reach it.
//!
//! `CASTMQ_KILL9_ROUNDS` says how often (20); `CASTMQ_SEED` repeats the moments and sizes of a run.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // These are tests, helpers included.

mod delivery;
mod measure;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use castmq::protocol::codes::{RequestCode, ResponseCode};
use castmq::protocol::fields::Fields;
use castmq::protocol::header::Header;
use castmq::protocol::requests::send::SendMessageResponse;
use castmq::testing::{Connection, message};

const TOPIC: &str = "Ledger";
const QUEUES: i32 = 4;
const PRODUCERS: usize = 4;
/// Sends of a producer that are under way at a time.
const WINDOW: usize = 8;

/// A broker process; killed when dropped.
struct Broker {
    process: Child,
    address: SocketAddr,
    /// From the start of the process until it served.
    came_up: Duration,
}

impl Broker {
    fn start(dir: &Path, config: &str) -> Self {
        let began = Instant::now();
        let file = dir.join("broker.conf");
        let store = dir.join("store");
        let common = format!(
            "listenPort=0\nbindAddress=127.0.0.1\nbrokerIP1=127.0.0.1\nstorePathRootDir={}\n",
            store.display()
        );
        std::fs::write(&file, common + config).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_mqbroker"))
            .arg("-c")
            .arg(&file)
            .env_remove("NAMESRV_ADDR")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (mut address, mut log) = (None, Vec::new());
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some((_, known)) = line.split_once("known as ") {
                address = known.trim().parse().ok();
            }
            let is_up = line.contains("broker is up");
            log.push(line);
            if is_up {
                break;
            }
        }
        let Some(address) = address else { panic!("the broker does not start:\n{}", log.join("\n")) };
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Broker { process, address, came_up: began.elapsed() }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap(); // SIGKILL
        self.process.wait().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All messages of a queue from an offset on: offset and body.
fn drain(client: &mut Connection, queue: i32, from: i64) -> Vec<(i64, Vec<u8>)> {
    let (mut all, mut offset) = (Vec::new(), from);
    loop {
        let (code, header, got) = client.pull(TOPIC, queue, offset);
        all.extend(got.into_iter().map(|got| (got.queue_offset, got.body)));
        offset = header.next_begin_offset;
        match code {
            ResponseCode::SUCCESS | ResponseCode::PULL_RETRY_IMMEDIATELY => {}
            ResponseCode::PULL_NOT_FOUND => return all,
            code => panic!("pull of queue {queue} at {offset}: {code}"),
        }
    }
}

/// An acknowledged message: queue, offset, body.
type Entry = (i32, i64, Vec<u8>);

/// Sends with several under way until the connection ends or it is told to; gives what was acknowledged.
fn produce(address: SocketAddr, name: &str, seed: u64, end: &AtomicBool) -> Vec<Entry> {
    let mut random = fastrand::Rng::with_seed(seed);
    // It may be killed before anybody has connected.
    let Ok(mut client) = Connection::open(address) else { return Vec::new() };
    let mut under_way: BTreeMap<i32, (i32, Vec<u8>)> = BTreeMap::new();
    let mut ledger = Vec::new();
    for number in 0.. {
        if !end.load(Ordering::Relaxed) {
            let queue = random.i32(0..QUEUES);
            let mut body = format!("{name}.{number}:").into_bytes();
            body.resize(body.len() + random.usize(0..600), b'.');
            let fields = Fields::of(&message(TOPIC, queue, "").compact());
            let header = Header::request(RequestCode::SEND_MESSAGE_V2).with_fields(fields);
            let Ok(opaque) = client.try_tell(header, &body) else { break };
            under_way.insert(opaque, (queue, body));
            if under_way.len() < WINDOW {
                continue;
            }
        }
        if under_way.is_empty() {
            break;
        }
        let Some(answer) = client.read() else { break };
        let (queue, body) = under_way.remove(&answer.header.opaque).unwrap();
        match answer.header.response_code() {
            ResponseCode::SUCCESS => {
                let receipt = SendMessageResponse::from_fields(&answer.header.fields).unwrap();
                ledger.push((queue, receipt.queue_offset, body));
            }
            ResponseCode::SYSTEM_BUSY => {}
            code => panic!("a send was answered {code}"),
        }
    }
    ledger
}

/// What was read of a store, and what it has acknowledged and must show.
#[derive(Default)]
struct Ledger {
    /// By queue; the place is the offset. What was once read stays.
    stored: BTreeMap<i32, Vec<Vec<u8>>>,
    acknowledged: usize,
    /// Of these so many were not there any more, each behind the end of its queue: allowed where they may have waited
    /// in memory to be committed.
    lost: usize,
    may_lose_the_end: bool,
}

impl Ledger {
    /// Reads what is new, and finds in it all that was acknowledged since the last time.
    fn check(&mut self, address: SocketAddr, acknowledged: &[Entry]) {
        let mut client = Connection::open(address).unwrap();
        for queue in 0..QUEUES {
            let stored = self.stored.entry(queue).or_default();
            // The newest one again: it must still be what it was.
            let from = stored.len().saturating_sub(1);
            for (offset, body) in drain(&mut client, queue, from as i64) {
                match stored.get(offset as usize) {
                    Some(known) => {
                        assert_eq!(known, &body, "offset {offset} of queue {queue} was given twice")
                    }
                    None => {
                        assert_eq!(offset, stored.len() as i64, "offsets of queue {queue} are dense");
                        stored.push(body);
                    }
                }
            }
        }
        for (queue, offset, body) in acknowledged {
            match self.stored[queue].get(*offset as usize) {
                None if self.may_lose_the_end => self.lost += 1,
                stored => assert_eq!(
                    stored.map(|stored| String::from_utf8_lossy(stored)),
                    Some(String::from_utf8_lossy(body)),
                    "the acknowledged message at offset {offset} of queue {queue} is lost"
                ),
            }
        }
        self.acknowledged += acknowledged.len();
    }

    /// Every body once.
    fn assert_nothing_twice(&self) {
        let all: Vec<&Vec<u8>> = self.stored.values().flatten().collect();
        let once: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(once.len(), all.len(), "a message is stored twice");
    }
}

fn rounds() -> usize {
    std::env::var("CASTMQ_KILL9_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20)
}

fn seed() -> u64 {
    let given = std::env::var("CASTMQ_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| fastrand::u64(..1 << 32))
}

fn survives(what: &str, settings: &str, rounds: usize, may_lose_the_end: bool) {
    let seed = seed();
    println!("{what}: {rounds} rounds, CASTMQ_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut came_up = Vec::new();
    let (mut done, mut acknowledged, mut stored, mut lost) = (0, 0, 0, 0);
    // A store lives for some rounds: long enough to have a past, short enough to be read back.
    while done < rounds {
        let dir: PathBuf = tempfile::tempdir().unwrap().keep();
        let small = random.bool();
        let size = if small { 64 << 10 } else { 1 << 20 };
        let config = format!(
            "{settings}\nmappedFileSizeCommitLog={size}\nmappedFileSizeConsumeQueue={}\n\
             maxHashSlotNum=1000\nmaxIndexNum=4000\nmaxMessageSize=16384\nflushIntervalCommitLog=20\n\
             flushIntervalConsumeQueue=20\nflushConsumeQueueThoroughInterval=50\nwarmMapedFileEnable={}\n",
            if small { 2000 } else { 200_000 },
            random.bool()
        );
        let mut ledger = Ledger { may_lose_the_end, ..Ledger::default() };
        let mut broker = Broker::start(&dir, &config);
        Connection::open(broker.address).unwrap().create_topic(TOPIC, QUEUES);
        for round in 0..25.min(rounds - done) {
            let end = AtomicBool::new(false);
            let entries: Vec<Entry> = std::thread::scope(|scope| {
                let producers: Vec<_> = (0..PRODUCERS)
                    .map(|producer| {
                        let name = format!("{done}.{round}.{producer}");
                        let (address, seed, end) = (broker.address, random.u64(..), &end);
                        scope.spawn(move || produce(address, &name, seed, end))
                    })
                    .collect();
                std::thread::sleep(Duration::from_micros(random.u64(1_000..100_000)));
                broker.kill();
                end.store(true, Ordering::Relaxed);
                producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect()
            });
            // Now and then a start is killed too.
            while random.u32(..5) == 0 {
                let mut command = Command::new(env!("CARGO_BIN_EXE_mqbroker"));
                command.arg("-c").arg(dir.join("broker.conf")).env_remove("NAMESRV_ADDR");
                let mut starting = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
                std::thread::sleep(Duration::from_micros(random.u64(..20_000)));
                starting.kill().unwrap();
                starting.wait().unwrap();
            }
            broker = Broker::start(&dir, &config);
            came_up.push(broker.came_up);
            ledger.check(broker.address, &entries);
        }
        done += 25.min(rounds - done);
        ledger.assert_nothing_twice();
        acknowledged += ledger.acknowledged;
        lost += ledger.lost;
        stored += ledger.stored.values().map(Vec::len).sum::<usize>();
        drop(broker);
        std::fs::remove_dir_all(dir).unwrap();
    }
    came_up.sort();
    let at = |share: usize| came_up.get((came_up.len() * share / 100).min(came_up.len() - 1)).unwrap();
    println!(
        "{what}: {acknowledged} acknowledged, {stored} stored messages, {lost} lost; {} starts after kill -9, until \
         they served: p50 {:.1} ms, max {:.1} ms",
        came_up.len(),
        at(50).as_secs_f64() * 1e3,
        at(100).as_secs_f64() * 1e3
    );
    assert!(acknowledged > rounds * 10, "{acknowledged} messages are no load");
    assert!(lost * 2 < acknowledged, "more than the end of each life is lost");
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_under_asynchronous_flush() {
    survives("asynchronous flush", "flushDiskType=ASYNC_FLUSH", rounds().div_ceil(2), false);
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_under_synchronous_flush() {
    survives("synchronous flush", "flushDiskType=SYNC_FLUSH", rounds().div_ceil(2), false);
}

#[test]
fn only_the_end_of_what_was_acknowledged_is_lost_by_kill_9_where_it_waits_in_memory() {
    let settings = "transientStorePoolEnable=true\ntransientStorePoolSize=2\ncommitIntervalCommitLog=5\n\
                    commitCommitLogThoroughInterval=5";
    survives("write buffers", settings, rounds().div_ceil(4), true);
}
