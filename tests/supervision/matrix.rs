//! Every kind of actor and every kind of its messages, struck before, during and after its handling, and every kind
//! of actor struck in its futures, its start, its thread and its mailbox: all while messages flow.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use castmq::{
    actors::supervision::{
        Exit, Node, Strategy,
        chaos::{Strike, aim, arm, targets},
    },
    testing::{Cluster, Connection, Fault, Ledger, Load, Server},
};

use crate::{
    alone,
    faulty_disk::FaultyDisk,
    percentile,
    traffic::{FACTOR, Traffic, configure},
};

/// How long a fault may wait for its message, and the tree to be whole again.
const PATIENCE: Duration = Duration::from_secs(8);
/// Messages that only an orderly stop brings about.
const AT_THE_STOP: [(&str, &str); 2] = [("registrar", "Left"), ("supervisor", "Overdue")];
/// The supervisor whose messages are struck: the dynamic one that all others depend on.
const SUPERVISOR: &str = "broker/store/queues";
/// Kinds of actors that run no future, or none that outlasts the message.
const WITHOUT_FUTURES: [&str; 8] =
    ["allocator", "commit-log", "configuration", "dispatcher", "kv", "routes", "supervisor", "topics"];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    kind: &'static str,
    message: Option<&'static str>,
    fault: Fault,
}

struct Stand {
    cluster: Cluster,
    disk: Arc<FaultyDisk>,
    ledger: Ledger,
    load: Load,
    /// Paths of actors that were struck to bring a message about.
    collateral: BTreeSet<String>,
    _traffic: Traffic,
}

#[derive(Default)]
struct Row {
    messages: usize,
    cases: usize,
    passes: usize,
    outages: Vec<u64>,
}

#[test]
fn every_message_of_every_actor_may_be_its_last() {
    let _alone = alone();
    let mut stand = Stand::start();
    let kinds = stand.kinds();
    assert_eq!(kinds.keys().map(|kind| (*kind).to_owned()).collect::<BTreeSet<_>>(), kinds_in_the_code());
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for (kind, messages) in &kinds {
        rows.entry(*kind).or_default().messages = messages.len();
    }
    let mut failures = Vec::new();
    let began = Instant::now();
    for case in cases(&kinds) {
        let row = rows.entry(case.kind).or_default();
        row.cases += 1;
        match stand.survives(&case) {
            Ok(outage) => {
                row.passes += 1;
                row.outages.extend(outage);
            }
            Err(why) => {
                println!(
                    "{case:?}: {why}\n{}",
                    stand.servers().map(|server| server.snapshot().to_string()).concat()
                );
                failures.push(format!("{case:?}: {why}"));
            }
        }
    }
    for ((kind, message), fault) in at_the_stop() {
        let row = rows.entry(kind).or_default();
        row.cases += 1;
        row.passes += usize::from(stops(kind, message, fault));
    }
    let Stand { load, ledger, _traffic: traffic, cluster, .. } = stand;
    drop(traffic);
    load.stop();
    let totals = ledger.check();
    print(&rows);
    println!("{totals:?} in {:.0} s", began.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
    assert!(rows.values().all(|row| row.cases == row.passes));
    totals.unwrap();
    drop(cluster);
}

/// Those of one actor are not struck one right after the other: its budget is for failures, not for tests.
fn cases(kinds: &BTreeMap<&'static str, Vec<&'static str>>) -> Vec<Case> {
    let mut cases = Vec::new();
    let most = kinds.values().map(Vec::len).max().unwrap_or(0);
    for number in 0..most {
        for position in 0..3 {
            for (kind, messages) in kinds {
                let Some(message) = messages.get(number) else { continue };
                if AT_THE_STOP.contains(&(*kind, *message)) {
                    continue;
                }
                let name = Some((*message).to_owned());
                let fault = [
                    Fault::PanicBefore(name.clone()),
                    Fault::PanicDuring(name.clone(), 1),
                    Fault::PanicAfter(name),
                ][position]
                    .clone();
                cases.push(Case { kind, message: Some(message), fault });
            }
        }
    }
    let others = [
        Fault::PanicInFuture,
        Fault::FailStart,
        Fault::Stall(Duration::from_millis(30)),
        Fault::FullMailbox(Duration::from_millis(30)),
    ];
    for fault in others {
        let kinds =
            kinds.keys().filter(|kind| fault != Fault::PanicInFuture || !WITHOUT_FUTURES.contains(kind));
        cases.extend(kinds.map(|kind| Case { kind, message: None, fault: fault.clone() }));
    }
    cases
}

impl Stand {
    fn start() -> Self {
        let disk = Arc::new(FaultyDisk::default());
        let cluster = Cluster::start_in(FACTOR, disk.clone(), configure);
        let mut client = cluster.broker().connect();
        for (topic, queues) in [("T", 4), ("Later", 1), ("Halves", 1), ("Empty", 1)] {
            client.create_topic(topic, queues);
        }
        let ledger = Ledger::default();
        let load = Load::start(cluster.broker().address, "T", 4, 2, &ledger);
        let traffic = Traffic::start(&cluster);
        load.flows();
        // Until every family has come round once.
        thread::sleep(Duration::from_millis(500));
        Self { cluster, disk, ledger, load, collateral: BTreeSet::new(), _traffic: traffic }
    }

    fn servers(&self) -> [&Server; 2] {
        [self.cluster.broker(), self.cluster.nameserver()]
    }

    /// All kinds of actors that live, with the messages of each.
    fn kinds(&self) -> BTreeMap<&'static str, Vec<&'static str>> {
        let all = self.servers().into_iter().flat_map(|server| targets(&server.tree));
        all.map(|(_, kind, messages)| (kind, messages)).collect()
    }

    /// Where such actors live: the broker, unless only the nameserver has them.
    fn home(&self, kind: &str) -> &Server {
        let has = |server: &&Server| targets(&server.tree).iter().any(|(_, known, _)| *known == kind);
        self.servers().into_iter().find(has).unwrap()
    }

    /// One actor of a kind that works and does not go by itself.
    fn one(&self, kind: &str, culprit: &Connection) -> String {
        match kind {
            "supervisor" => SUPERVISOR.to_owned(),
            "connection" => {
                format!("broker/remoting/connections/{}", culprit.stream.local_addr().unwrap())
            }
            "queue" => "broker/store/queues/T:0".to_owned(),
            "group" => "broker/groups/consumers/Steady".to_owned(),
            _ => targets(&self.home(kind).tree).into_iter().find(|(_, known, _)| *known == kind).unwrap().0,
        }
    }

    /// Strikes, and finds everything as it has to be. Gives how long the actor was down, microseconds.
    fn survives(&mut self, case: &Case) -> Result<Option<u64>, String> {
        self.collateral.clear();
        let before = self.snapshot();
        let reconnects = self.load.reconnects();
        let mut culprit = self.cluster.broker().connect();
        culprit.ask(castmq::protocol::codes::RequestCode::from(31_999), &(), b"");
        let victim = self.strike(case, &culprit)?;
        let fails = !matches!(case.fault, Fault::Stall(_) | Fault::FullMailbox(_));
        let comes_back = fails && !is_passing(&victim);
        let after = self.whole_again(&victim, &before, comes_back)?;
        self.load.try_flows()?;
        if self.load.reconnects() != reconnects {
            return Err("a connection was dropped that had no part in it".to_owned());
        }
        self.ledger.problems()?;
        for (before, after) in before.iter().zip(&after) {
            compare(before, after, &victim, &self.collateral)?;
        }
        let node = after.iter().find_map(|root| root.find(&victim));
        Ok(node.filter(|_| fails).and_then(|node| node.last_outage_us))
    }

    fn snapshot(&self) -> Vec<Node> {
        self.servers().into_iter().map(Server::snapshot).collect()
    }

    /// Arms the fault, and sees to it that its message comes. Gives the path of the victim.
    fn strike(&mut self, case: &Case, culprit: &Connection) -> Result<String, String> {
        let tree = self.home(case.kind).tree.clone();
        let at_one = case.message.is_none() && !matches!(case.fault, Fault::Stall(_));
        let strike = match at_one || case.kind == "supervisor" {
            true => aim(&tree, &self.one(case.kind, culprit), case.fault.clone())
                .map_err(|error| error.to_string())?,
            false => arm(&tree, case.kind, case.fault.clone()),
        };
        let began = Instant::now();
        let mut pokes = 0;
        while strike.victim().is_none() {
            if began.elapsed() > PATIENCE {
                return Err("nothing brings this message about: it needs a family in traffic.rs".to_owned());
            }
            if began.elapsed() > Duration::from_millis(30) * (1 + pokes) {
                self.poke(case, &strike);
                pokes += 1;
            }
            thread::sleep(Duration::from_micros(300));
        }
        Ok(strike.victim().unwrap().to_owned())
    }

    /// What a message needs beside the traffic: a disk that is full or old, a connection that ends, a crash.
    fn poke(&mut self, case: &Case, strike: &Strike) {
        let until_struck = |span: u64| {
            let until = Instant::now() + Duration::from_millis(span);
            while strike.victim().is_none() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
        };
        match (case.kind, case.message) {
            ("allocator", Some("Prepare" | "Retry")) => {
                self.disk.fill_for("commitlog");
                until_struck(300);
                self.disk.free();
            }
            ("allocator", Some("Warm" | "WarmWhole") | None) => {
                // Pages are made ready every 8 MiB.
                let mut client = self.cluster.broker().connect();
                for _ in (0..100).take_while(|_| strike.victim().is_none()) {
                    let _ = client.send("Later", 0, &[7; 128 << 10]);
                }
            }
            ("queue", Some("Retry")) => {
                self.disk.fill_for("consumequeue/T");
                until_struck(300);
                self.disk.free();
            }
            ("queue" | "index", Some("LogBegins")) | ("cleaner", Some("Done")) => {
                self.disk.is_old.store(true, std::sync::atomic::Ordering::Relaxed);
                until_struck(300);
                self.disk.is_old.store(false, std::sync::atomic::Ordering::Relaxed);
            }
            ("registrar", Some("RegisterNow")) => {
                let routes = arm(
                    &self.cluster.nameserver().tree,
                    "routes",
                    Fault::PanicBefore(Some("Register".into())),
                );
                until_struck(300);
                self.collateral.extend(routes.victim().map(str::to_owned));
            }
            ("registrar", _) => {
                let tree = &self.cluster.nameserver().tree;
                let connections = targets(tree).into_iter().filter(|(_, kind, _)| *kind == "connection");
                for (path, ..) in connections {
                    let _ = aim(tree, &path, Fault::PanicInFuture).map(std::mem::forget);
                }
                until_struck(300);
            }
            ("supervisor", Some(message)) => {
                // One failure makes it hear of a failure and a start, two in a row of a back-off too.
                let path = "broker/store/queues/T:1";
                for _ in 0..if message == "Restart" { 2 } else { 1 } {
                    let crash = aim(&self.cluster.broker().tree, path, Fault::PanicBefore(None));
                    let until = Instant::now() + Duration::from_millis(200);
                    while crash.as_ref().is_ok_and(|crash| crash.victim().is_none()) && Instant::now() < until
                    {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                self.collateral.insert(path.to_owned());
                until_struck(100);
            }
            _ => {}
        }
    }

    /// Waits until everything runs, the victim too if it is one that comes back.
    fn whole_again(&self, victim: &str, before: &[Node], fails: bool) -> Result<Vec<Node>, String> {
        let restarts = before.iter().find_map(|root| root.find(victim)).map(|node| node.restarts);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.snapshot();
            let is_back = match now.iter().find_map(|root| root.find(victim)) {
                Some(node) => !fails || Some(node.restarts) > restarts || restarts.is_none(),
                None => true,
            };
            if is_back && now.iter().all(Node::is_whole) {
                return Ok(now);
            }
            if Instant::now() > deadline {
                return Err(format!("{victim}: the tree is not whole again:\n{}{}", now[0], now[1]));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether the actor comes and goes with the traffic.
fn is_passing(path: &str) -> bool {
    ["/Gone:0", "/Passing"].iter().any(|passing| path.ends_with(passing))
}

/// Everybody outside the strategy's reach of the victim kept what it had, and is still there.
fn compare(before: &Node, after: &Node, victim: &str, collateral: &BTreeSet<String>) -> Result<(), String> {
    let is_reached = |path: &str, of: &str| path == of || path.starts_with(&format!("{of}/"));
    if is_reached(&before.path, victim) || collateral.contains(&before.path) {
        return Ok(());
    }
    if (after.restarts > before.restarts || after.epoch > before.epoch) && !is_passing(&before.path) {
        return Err(format!("{} was started anew: {before:?} {after:?}", before.path));
    }
    let mut taken_along = false;
    for child in &before.children {
        if taken_along {
            continue;
        }
        match after.find(&child.path) {
            Some(now) => compare(child, now, victim, collateral)?,
            None if ["connection", "queue", "group"].contains(&child.kind) => {}
            None => return Err(format!("{} is gone", child.path)),
        }
        let is_struck = child.path == victim || collateral.contains(&child.path);
        taken_along = is_struck && before.strategy == Some(Strategy::RestForOne);
    }
    Ok(())
}

fn print(rows: &BTreeMap<&str, Row>) {
    println!(
        "{:18} {:>8} {:>6} {:>7} {:>15} {:>8} {:>8}",
        "kind of actor", "messages", "cases", "passed", "down, µs: p50", "p99", "most"
    );
    let mut all = Vec::new();
    let (mut pairs, mut cases, mut passes) = (0, 0, 0);
    for (kind, row) in rows {
        let mut outages = row.outages.clone();
        outages.sort_unstable();
        let [p50, p99, most] = [50, 99, 100].map(|share| percentile(&outages, share));
        println!(
            "{kind:18} {:>8} {:>6} {:>7} {p50:>15} {p99:>8} {most:>8}",
            row.messages, row.cases, row.passes
        );
        (pairs, cases, passes) = (pairs + row.messages, cases + row.cases, passes + row.passes);
        if *kind != "supervisor" {
            all.extend(outages);
        }
    }
    all.sort_unstable();
    let [p50, p99, most] = [50, 99, 100].map(|share| percentile(&all, share));
    println!("{:18} {pairs:>8} {cases:>6} {passes:>7} {p50:>15} {p99:>8} {most:>8}", "all, leaves' times");
}

/// The kinds of actors that the source declares: a new one that the tree above does not have fails the test.
fn kinds_in_the_code() -> BTreeSet<String> {
    fn walk(dir: &Path, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.file_name().is_some_and(|name| name != "tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let kinds = text.split("const KIND: &'static str = \"").skip(1);
                into.extend(kinds.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
    }
    let mut kinds = BTreeSet::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/actors"), &mut kinds);
    kinds
}

fn at_the_stop() -> Vec<((&'static str, &'static str), Fault)> {
    let faults = |(kind, message): (&'static str, &'static str)| {
        let name = Some(message.to_owned());
        [Fault::PanicBefore(name.clone()), Fault::PanicDuring(name.clone(), 1), Fault::PanicAfter(name)]
            .map(|fault| ((kind, message), fault))
    };
    AT_THE_STOP.into_iter().flat_map(faults).collect()
}

/// A broker that is struck while it stops ends all the same, and its next life has what it had.
fn stops(kind: &'static str, message: &str, fault: Fault) -> bool {
    let mut cluster = Cluster::start_at(FACTOR, configure);
    cluster.broker().connect().create_topic("T", 1);
    let ledger = Ledger::default();
    let load = Load::start(cluster.broker().address, "T", 1, 1, &ledger);
    load.flows();
    load.stop();
    let broker = cluster.take_broker();
    let strike = match kind {
        "supervisor" => aim(&broker.tree, "broker/store", fault.clone()).unwrap(),
        kind => arm(&broker.tree, kind, fault.clone()),
    };
    // A child that is slow to stop, for the one message that is about such.
    if message == "Overdue" {
        let cleaner =
            aim(&broker.tree, "broker/store/cleaner", Fault::Stall(Duration::from_secs(1))).unwrap();
        while cleaner.victim().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let (exit, _) = broker.stop();
    let is_struck = strike.victim().is_some();
    cluster.restart_broker();
    let load = Load::start(cluster.broker().address, "T", 1, 1, &ledger);
    load.flows();
    load.stop();
    let is_well = matches!(exit, Exit::Stopped) && is_struck && ledger.check().is_ok();
    if !is_well {
        println!(
            "{kind} {message} {fault:?} at the stop: {exit:?}, struck {is_struck}, {:?}",
            ledger.check()
        );
    }
    is_well
}
