//! Many faults at once, by a schedule that a seed gives; and a failure that does not end, which ends the process.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use castmq::{
    actors::supervision::{
        Node,
        chaos::{Strike, aim, targets},
    },
    protocol::{codes::RequestCode, fields::Fields},
    testing::{Cluster, Connection, Fault, Ledger, Load, Server},
};

use crate::{
    alone, number, percentile,
    process::Process,
    traffic::{FACTOR, Traffic, configure},
};

const FAULTS_PER_SECOND: u32 = 100;
/// A fault whose message does not come for so long is taken back, so that faults do not pile up.
const STALE: Duration = Duration::from_secs(1);

/// A fault of any sort at a message of the actor's, if it has any.
fn any_fault(random: &mut fastrand::Rng, messages: &[&str]) -> Fault {
    let name = random.choice(messages).map(|name| (*name).to_owned());
    match random.u32(..8) {
        0 | 1 => Fault::PanicBefore(name),
        2 | 3 => Fault::PanicDuring(name, random.u32(1..5)),
        4 => Fault::PanicAfter(name),
        5 => Fault::PanicInFuture,
        6 => Fault::FailStart,
        _ if random.bool() => Fault::Stall(Duration::from_micros(random.u64(100..5_000))),
        _ => Fault::FullMailbox(Duration::from_micros(random.u64(100..5_000))),
    }
}

/// Everything below the supervisors: these have budgets for their children's failures, not for a storm of their
/// own.
fn leaves(server: &Server) -> Vec<(String, Vec<&'static str>)> {
    let all = targets(&server.tree).into_iter().filter(|(_, kind, _)| *kind != "supervisor");
    all.map(|(path, _, messages)| (path, messages)).collect()
}

fn restarts(node: &Node) -> u32 {
    node.restarts + node.children.iter().map(restarts).sum::<u32>()
}

fn outages(node: &Node, into: &mut Vec<u64>) {
    into.extend(node.last_outage_us);
    node.children.iter().for_each(|child| outages(child, into));
}

#[test]
fn a_storm_of_faults_loses_nothing() {
    let _alone = alone();
    let (seconds, seed) = (number("CASTMQ_STORM_SECONDS", 10), number("CASTMQ_SEED", 8));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cluster = Cluster::start_at(FACTOR, configure);
    cluster.broker().connect().create_topic("T", 4);
    let ledger = Ledger::default();
    let load = Load::start(cluster.broker().address, "T", 4, 3, &ledger);
    let traffic = Traffic::start(&cluster);
    load.flows();
    let began = Instant::now();
    let mut under_way: Vec<(Instant, Strike)> = Vec::new();
    let (mut injected, mut struck, mut longest_gap) = (0, 0, Duration::ZERO);
    let (mut delivered, mut at) = (ledger.totals().delivered, Instant::now());
    while began.elapsed() < Duration::from_secs(seconds) {
        let server: &Server = if random.u32(..5) == 0 { cluster.nameserver() } else { cluster.broker() };
        let leaves = leaves(server);
        let (path, messages) = random.choice(&leaves).unwrap();
        // It may have gone by itself since.
        if let Ok(strike) = aim(&server.tree, path, any_fault(&mut random, messages)) {
            injected += 1;
            under_way.push((Instant::now(), strike));
        }
        under_way.retain(|(since, strike)| {
            struck += usize::from(strike.victim().is_some());
            strike.victim().is_none() && since.elapsed() < STALE
        });
        let next = began + Duration::from_secs(1) * injected / FAULTS_PER_SECOND;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        if ledger.totals().delivered > delivered {
            longest_gap = longest_gap.max(at.elapsed());
            (delivered, at) = (ledger.totals().delivered, Instant::now());
        }
    }
    drop(under_way);
    drop(traffic);
    load.flows();
    let servers: [&Server; 2] = [cluster.broker(), cluster.nameserver()];
    let deadline = Instant::now() + Duration::from_secs(10);
    while !servers.iter().all(|server| server.snapshot().is_whole()) {
        let trees = || servers.map(|server| server.snapshot().to_string()).concat();
        assert!(Instant::now() < deadline, "seed {seed}: not whole again:\n{}", trees());
        thread::sleep(Duration::from_millis(5));
    }
    let (reconnects, refused) = (load.reconnects(), load.refused());
    load.stop();
    let totals = ledger.check().unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    let all = servers.map(Server::snapshot);
    let mut downs = Vec::new();
    all.iter().for_each(|root| outages(root, &mut downs));
    downs.sort_unstable();
    println!(
        "storm: seed {seed}, {seconds} s: {injected} faults, {struck} struck, {} restarts of those that live now; \
         {totals:?}; longest time without a delivery {longest_gap:?}; {refused} times busy, {reconnects} reconnects; \
         last times down, µs: p50 {}, p99 {}, most {}",
        all.iter().map(restarts).sum::<u32>(),
        percentile(&downs, 50),
        percentile(&downs, 99),
        percentile(&downs, 100),
    );
    assert!(struck > injected as usize / 4 && totals.acknowledged > 1_000);
    // What it has is what it says after an orderly stop, too.
    cluster.stop_broker();
    cluster.restart_broker();
    let load = Load::start(cluster.broker().address, "T", 4, 2, &ledger);
    load.flows();
    load.stop();
    ledger.check().unwrap_or_else(|wrong| panic!("seed {seed}, after a restart: {wrong}"));
}

#[test]
fn a_failure_that_does_not_end_ends_the_process_with_the_reason_and_the_next_start_recovers() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path(), &[]);
    let mut client = Connection::open(process.broker).unwrap();
    client.create_topic("T", 2);
    let ledger = Ledger::default();
    let load = Load::start(process.broker, "T", 2, 2, &ledger);
    load.flows();
    let began = Instant::now();
    let path = "castmq/broker/store/commit-log";
    // Again and again, for as long as anybody answers.
    while began.elapsed() < Duration::from_secs(60) && process.child.try_wait().unwrap().is_none() {
        let fields = Fields::new().with("path", path).with("fault", "panic-before");
        let _ = client.try_ask(RequestCode::from(7002), fields, b"");
        thread::sleep(Duration::from_millis(10));
    }
    let took = began.elapsed();
    let status = process.child.try_wait().unwrap().expect("the process has ended by itself");
    assert_eq!(status.code(), Some(1), "an orderly end, with failure");
    let log = process.log();
    let last = log.lines().last().unwrap();
    assert!(last.contains("castmq ends: castmq/broker failed") && last.contains(path), "{last}");
    let restarts = log.lines().filter(|line| line.contains("restarted") && line.contains(path)).count();
    println!("gave up after {took:?} and {restarts} restarts: {last}");
    assert!(restarts >= 15, "budgets were granted first: {restarts} restarts");
    drop(load);
    // What was acknowledged is there, and it serves on.
    let process = Process::start(dir.path(), &[]);
    let load = Load::start(process.broker, "T", 2, 2, &ledger);
    load.flows();
    load.stop();
    println!("after the next start: {:?}", ledger.check().unwrap());
}

#[test]
fn the_tree_of_a_process_can_be_looked_at() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    let shown = Command::new(env!("CARGO_BIN_EXE_castmq"))
        .args(["tree", &process.broker.to_string()])
        .output()
        .unwrap();
    let tree = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success() && tree.starts_with("castmq Running"), "{tree}");
    assert!(tree.contains("│  ├─ commit-log Running: appended 0, flushed 0"), "{tree}");
    drop(process);
    let refused = Command::new(env!("CARGO_BIN_EXE_castmq")).args(["tree", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
