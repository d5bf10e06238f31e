//! What timer messages cost, and how late they are. Not a check: run it in a release build, alone.
//!
//! `cargo test --release --test kill9 -- --ignored --nocapture measure`

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use castmq::protocol::codes::{RequestCode, ResponseCode};
use castmq::protocol::record::records;
use castmq::protocol::requests::pull::PullMessageResponse;
use castmq::testing::{Connection, message, pull};

use crate::{Broker, QUEUES, TOPIC};

/// Sends of a connection that are under way at a time.
const WINDOW: usize = 64;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Sends so many messages over each of four connections; gives messages a second.
fn send(address: SocketAddr, each: usize, properties: impl Fn(usize) -> String + Sync) -> f64 {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for queue in 0..QUEUES {
            let properties = &properties;
            scope.spawn(move || {
                let mut client = Connection::open(address).unwrap();
                let (mut under_way, body) = (0, [b'x'; 100]);
                for number in 0..each {
                    let text = properties(number * QUEUES as usize + queue as usize);
                    client.tell(RequestCode::SEND_MESSAGE_V2, &message(TOPIC, queue, &text).compact(), &body);
                    under_way += 1;
                    while under_way >= WINDOW || (number + 1 == each && under_way > 0) {
                        let answer = client.read().unwrap();
                        assert_eq!(answer.header.response_code(), ResponseCode::SUCCESS);
                        under_way -= 1;
                    }
                }
            });
        }
    });
    (each * QUEUES as usize) as f64 / began.elapsed().as_secs_f64()
}

/// Reads a queue until so many messages came; how late each was, ms: in the log, and here.
fn lateness(address: SocketAddr, queue: i32, count: usize) -> (Vec<i64>, Vec<i64>) {
    let (mut client, mut offset) = (Connection::open(address).unwrap(), 0);
    let (mut stored, mut seen) = (Vec::new(), Vec::new());
    while seen.len() < count {
        let answer = client.ask(RequestCode::PULL_MESSAGE, &pull(TOPIC, queue, offset, "*", 8_000), b"");
        let came = now();
        for record in records(&answer.body) {
            let record = record.unwrap();
            let at = castmq::protocol::properties::get_str(record.properties, "TIMER_DELIVER_MS");
            let at: i64 = at.unwrap().parse().unwrap();
            stored.push(record.store_timestamp - at);
            seen.push(came - at);
        }
        offset = PullMessageResponse::from_fields(&answer.header.fields).unwrap().next_begin_offset;
    }
    (stored, seen)
}

fn report(what: &str, mut late: Vec<i64>) {
    late.sort_unstable();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: {} messages, late by p50 {} ms, p99 {} ms, p99.9 {} ms, at most {} ms, at least {} ms",
        late.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        at(0.0)
    );
}

fn memory(broker: &Broker) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.process.id())).unwrap();
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

/// Space that a file or directory takes on the device, MiB.
fn space(path: &Path) -> f64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = std::fs::metadata(path) else { return 0.0 };
    if metadata.is_dir() {
        return std::fs::read_dir(path).unwrap().map(|entry| space(&entry.unwrap().path())).sum();
    }
    metadata.blocks() as f64 * 512.0 / f64::from(1 << 20)
}

#[test]
#[ignore = "a measurement of some minutes"]
fn measure_lateness_of_a_hundred_thousand_over_a_minute() {
    const EACH: usize = 25_000;
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), "");
    Connection::open(broker.address).unwrap().create_topic(TOPIC, QUEUES);
    let first = now() + 20_000;
    let at = |number: usize| first + (number as i64 * 60_000) / (EACH as i64 * i64::from(QUEUES));
    let rate = send(broker.address, EACH, |number| format!("TIMER_DELIVER_MS={};", at(number)));
    println!("sent at {rate:.0} messages a second, {} ms before the first is due", first - now());
    let (mut stored, mut seen) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let address = broker.address;
        let readers: Vec<_> =
            (0..QUEUES).map(|queue| scope.spawn(move || lateness(address, queue, EACH))).collect();
        for reader in readers {
            let (log, client) = reader.join().unwrap();
            stored.extend(log);
            seen.extend(client);
        }
    });
    report("stored in their queues", stored);
    report("seen by a client", seen);
}

#[test]
#[ignore = "a measurement of some minutes"]
fn measure_a_million_that_wait() {
    const MILLION: usize = 1_000_000;
    let dir = tempfile::tempdir().unwrap();
    let config = "flushDelayOffsetInterval=1000\n";
    let mut broker = Broker::start(dir.path(), config);
    Connection::open(broker.address).unwrap().create_topic(TOPIC, QUEUES);
    let plain = |broker: &Broker| send(broker.address, 100_000, |_| String::new());
    plain(&broker);
    let without = plain(&broker);
    println!("without: {}", memory(&broker));
    let store = dir.path().join("store");
    let log_before = space(&store.join("commitlog"));
    // Over a day, from an hour ahead on.
    let ahead = |number: usize| 3_600_000 + (number as i64 * 7_919) % 86_400_000;
    let timers = send(broker.address, MILLION / 4, |number| format!("TIMER_DELAY_MS={};", ahead(number)));
    std::thread::sleep(Duration::from_secs(3));
    println!("a million that wait, sent at {timers:.0} a second: {}", memory(&broker));
    let parts =
        ["timerlog", "timerwheel", "consumequeue/rmq_sys_wheel_timer"].map(|part| space(&store.join(part)));
    println!("on the device, MiB: timer log {:.1}, wheel {:.1}, queue {:.1}", parts[0], parts[1], parts[2]);
    println!("commit log: {log_before:.0} MiB before, {:.0} MiB with them", space(&store.join("commitlog")));
    let with = plain(&broker);
    println!("plain sends: {without:.0} a second without, {with:.0} with a million that wait");
    broker.kill();
    let broker = Broker::start(dir.path(), config);
    println!("until it served after kill -9: {} ms; {}", broker.came_up.as_millis(), memory(&broker));
    let mut stopping = broker;
    let asked = std::process::Command::new("kill").arg(stopping.process.id().to_string()).status().unwrap();
    assert!(asked.success() && stopping.process.wait().unwrap().success());
    let broker = Broker::start(dir.path(), config);
    println!("until it served after an orderly stop: {} ms; {}", broker.came_up.as_millis(), memory(&broker));
}
