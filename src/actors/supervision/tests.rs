//! What the kernel promises, each promise with a test that would fail without it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use actix::{Arbiter, System};
use tokio::sync::oneshot;

use super::*;

crate::messages! {
    /// What the test actor can be told to do to itself.
    enum Deed {
        Ask(oneshot::Sender<u32>),
        Panic(oneshot::Sender<u32>),
        PanicInFuture,
        PanicInDropOfFuture,
        Sleep(Duration),
        End,
    }
}

/// Counts what it was asked; its faults are switches that outlive it.
struct Probe {
    asked: u32,
    switches: Arc<Switches>,
    name: &'static str,
    log: Arc<Switches>,
}

#[derive(Default)]
struct Switches {
    panic_in_start: AtomicU32,
    fail_start: AtomicU32,
    panic_in_started: AtomicU32,
    panic_in_stop: AtomicBool,
    panic_in_drop: AtomicBool,
    linger_in_stop: AtomicBool,
    starts: AtomicU32,
    events: Mutex<Vec<String>>,
}

impl Switches {
    fn note(&self, event: String) {
        self.events.lock().unwrap().push(event);
    }

    fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }
}

fn strikes(switch: &AtomicU32) -> bool {
    switch.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

struct DropBomb;

impl Drop for DropBomb {
    fn drop(&mut self) {
        panic!("in the drop of a future");
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if self.switches.panic_in_drop.swap(false, SeqCst) {
            panic!("in drop");
        }
    }
}

impl Behaviour for Probe {
    type Message = Deed;
    const KIND: &'static str = "probe";

    fn started(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        assert!(!strikes(&self.switches.panic_in_started), "in started");
        Readiness::Ready
    }

    fn handle(&mut self, deed: Deed, cx: &mut Cx<'_, Self>) {
        match deed {
            Deed::Ask(reply) => {
                self.asked += 1;
                let _ = reply.send(self.asked);
            }
            Deed::Panic(_reply) => panic!("as told"),
            Deed::PanicInFuture => cx.run(async { panic!("in a future") }),
            Deed::PanicInDropOfFuture => cx.run(async {
                let _bomb = DropBomb;
                std::future::pending::<()>().await;
            }),
            Deed::Sleep(span) => std::thread::sleep(span),
            Deed::End => cx.stop(),
        }
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.log.note(format!("stop {}", self.name));
        assert!(!self.switches.panic_in_stop.load(SeqCst), "in stop");
        if self.switches.linger_in_stop.load(SeqCst) { Readiness::Later } else { Readiness::Ready }
    }

    fn observe(&self) -> String {
        format!("asked {}", self.asked)
    }
}

/// A tree with one branch of probes `a`, `b`, `c`, on its own system.
struct Stand {
    tree: Tree,
    branch: Branch,
    switches: Vec<Arc<Switches>>,
    probes: Vec<Address<Deed>>,
    log: Arc<Switches>,
}

fn spec(name: &str) -> Spec {
    Spec::new(name, &Arbiter::current())
}

fn probe(switches: &Arc<Switches>, name: &'static str, log: &Arc<Switches>) -> Result<Probe, StartError> {
    assert!(!strikes(&switches.panic_in_start), "in start");
    if strikes(&switches.fail_start) {
        return Err("cannot start".into());
    }
    switches.starts.fetch_add(1, SeqCst);
    log.note(format!("start {name}"));
    Ok(Probe { asked: 0, switches: switches.clone(), name, log: log.clone() })
}

impl Stand {
    async fn new(strategy: Strategy, budget: Budget) -> Self {
        let stand = Self::grown(strategy, budget);
        stand.tree.start();
        stand.tree.started().await.unwrap();
        stand
    }

    fn grown(strategy: Strategy, budget: Budget) -> Self {
        let tree = Tree::new("test", Clock::system(), &Arbiter::current());
        let branch = tree.root().branch(spec("branch").budget(Budget::new(0, Duration::ZERO)), strategy);
        let log = Arc::new(Switches::default());
        let switches: Vec<Arc<Switches>> = (0..3).map(|_| Arc::default()).collect();
        let probes = ["a", "b", "c"]
            .into_iter()
            .zip(&switches)
            .map(|(name, switches)| {
                let (switches, log) = (switches.clone(), log.clone());
                let spec = spec(name).budget(budget).shutdown(Duration::from_millis(200));
                branch.child(spec, move || probe(&switches, name, &log))
            })
            .collect();
        Self { tree, branch, switches, probes, log }
    }

    fn starts(&self) -> Vec<u32> {
        self.switches.iter().map(|switches| switches.starts.load(SeqCst)).collect()
    }

    async fn node(&self, name: &str) -> Node {
        let root = self.tree.snapshot(Duration::from_secs(1)).await;
        root.find(&format!("test/branch/{name}")).cloned().unwrap()
    }
}

async fn ask(probe: &Address<Deed>) -> Result<u32, oneshot::error::RecvError> {
    let (reply, answer) = oneshot::channel();
    probe.complete(Deed::Ask(reply));
    answer.await
}

async fn crash(probe: &Address<Deed>) {
    let (reply, answer) = oneshot::channel();
    probe.send(Deed::Panic(reply)).unwrap();
    assert!(answer.await.is_err(), "the request that crashed its actor is answered by its drop");
}

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() });
}

const MANY: Budget = Budget::new(100, Duration::from_secs(10));

#[test]
fn a_panic_in_a_handler_restarts_the_actor_behind_the_same_address() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        assert_eq!(ask(&stand.probes[0]).await, Ok(1));
        crash(&stand.probes[0]).await;
        assert_eq!(ask(&stand.probes[0]).await, Ok(1), "a fresh behaviour");
        assert_eq!(stand.starts(), [2, 1, 1]);
        let node = stand.node("a").await;
        assert_eq!((node.phase, node.restarts), (Phase::Running, 1));
        assert!(node.last_reason.unwrap().0.contains("as told"));
    });
}

#[test]
fn what_was_queued_behind_a_crash_is_served_by_the_next_behaviour() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        let (reply, crashed) = oneshot::channel();
        stand.probes[0].send(Deed::Panic(reply)).unwrap();
        let queued: Vec<_> = (0..5)
            .map(|_| {
                let (reply, answer) = oneshot::channel();
                stand.probes[0].send(Deed::Ask(reply)).unwrap();
                answer
            })
            .collect();
        assert!(crashed.await.is_err());
        for (answer, expected) in queued.into_iter().zip(1..) {
            assert_eq!(answer.await, Ok(expected));
        }
    });
}

#[test]
fn a_panic_in_the_start_function_or_in_started_is_retried() {
    run(async {
        let stand = Stand::grown(Strategy::OneForOne, MANY);
        stand.switches[0].panic_in_start.store(1, SeqCst);
        stand.switches[1].panic_in_started.store(1, SeqCst);
        stand.switches[2].fail_start.store(2, SeqCst);
        stand.tree.start();
        stand.tree.started().await.unwrap();
        for probe in &stand.probes {
            assert_eq!(ask(probe).await, Ok(1));
        }
        assert!(stand.node("c").await.last_reason.unwrap().0.contains("cannot start"));
    });
}

#[test]
fn a_panic_in_a_spawned_future_is_the_actors_failure() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        stand.probes[0].send(Deed::PanicInFuture).unwrap();
        while stand.starts()[0] < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask(&stand.probes[0]).await, Ok(1));
        assert!(stand.node("a").await.last_reason.unwrap().0.contains("in a future"));
    });
}

#[test]
fn panics_in_destructors_of_behaviours_and_of_futures_are_contained() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        stand.switches[0].panic_in_drop.store(true, SeqCst);
        stand.probes[0].send(Deed::PanicInDropOfFuture).unwrap();
        assert_eq!(ask(&stand.probes[0]).await, Ok(1));
        crash(&stand.probes[0]).await;
        assert_eq!(ask(&stand.probes[0]).await, Ok(1));
    });
}

#[test]
fn a_panic_while_stopping_does_not_keep_the_tree_from_stopping() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        stand.switches[1].panic_in_stop.store(true, SeqCst);
        assert_eq!(stand.tree.stop().await, Exit::Stopped);
        assert!(stand.probes.iter().all(Address::is_closed));
    });
}

#[test]
fn one_for_one_leaves_the_siblings_alone() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        for probe in &stand.probes {
            ask(probe).await.unwrap();
        }
        crash(&stand.probes[1]).await;
        assert_eq!(ask(&stand.probes[1]).await, Ok(1));
        assert_eq!(ask(&stand.probes[0]).await, Ok(2));
        assert_eq!(ask(&stand.probes[2]).await, Ok(2));
    });
}

#[test]
fn rest_for_one_restarts_what_was_started_later_in_order() {
    run(async {
        let stand = Stand::new(Strategy::RestForOne, MANY).await;
        for probe in &stand.probes {
            ask(probe).await.unwrap();
        }
        crash(&stand.probes[1]).await;
        assert_eq!(ask(&stand.probes[2]).await, Ok(1), "taken along before its next message");
        assert_eq!(ask(&stand.probes[1]).await, Ok(1));
        assert_eq!(ask(&stand.probes[0]).await, Ok(2));
        let log = stand.log.events();
        assert_eq!(log, ["start a", "start b", "start c", "start b", "start c"]);
    });
}

#[test]
fn one_for_all_restarts_everyone_in_order() {
    run(async {
        let stand = Stand::new(Strategy::OneForAll, MANY).await;
        crash(&stand.probes[2]).await;
        for probe in &stand.probes {
            assert_eq!(ask(probe).await, Ok(1));
        }
        let log = stand.log.events();
        assert_eq!(log, ["start a", "start b", "start c", "start a", "start b", "start c"]);
    });
}

#[test]
fn a_sibling_takes_no_step_between_the_failure_and_its_own_restart() {
    run(async {
        let stand = Stand::new(Strategy::RestForOne, MANY).await;
        // All in one go, before any of the actors has run: b fails first, so c must be new when it answers.
        let (reply, _crashed) = oneshot::channel();
        assert_eq!(ask(&stand.probes[2]).await, Ok(1));
        stand.probes[1].send(Deed::Panic(reply)).unwrap();
        while stand.node("b").await.restarts == 0 {}
        assert_eq!(ask(&stand.probes[2]).await, Ok(1));
    });
}

#[test]
fn a_spent_budget_escalates_to_the_root_and_ends_the_tree_with_the_reason() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, Budget::new(2, Duration::from_secs(10))).await;
        for _ in 0..3 {
            let (reply, answer) = oneshot::channel();
            stand.probes[0].send(Deed::Panic(reply)).unwrap();
            assert!(answer.await.is_err());
        }
        let Exit::GaveUp(reason) = stand.tree.exited().await else { panic!("stopped instead") };
        assert!(reason.0.contains("test/branch/a") && reason.0.contains("as told"), "{reason}");
        // Given up is a state that answers at once.
        assert!(ask(&stand.probes[1]).await.is_err());
    });
}

#[test]
fn a_supervisor_with_a_budget_is_restarted_by_the_one_above_with_all_its_children() {
    run(async {
        let tree = Tree::new("test", Clock::system(), &Arbiter::current());
        let upper = tree.root().branch(spec("upper"), Strategy::OneForOne);
        let lower = upper.branch(spec("lower"), Strategy::OneForOne);
        let (switches, log) = (Arc::new(Switches::default()), Arc::new(Switches::default()));
        let children: Vec<_> = ["x", "y"]
            .map(|name| {
                let (switches, log) = (switches.clone(), log.clone());
                let tight = spec(name).budget(Budget::new(0, Duration::ZERO));
                lower.child(tight, move || probe(&switches, name, &log))
            })
            .into();
        tree.start();
        tree.started().await.unwrap();
        ask(&children[1]).await.unwrap();
        crash(&children[0]).await;
        assert_eq!(ask(&children[0]).await, Ok(1), "served once the supervisor is back");
        assert_eq!(ask(&children[1]).await, Ok(1), "restarted with its supervisor");
        let root = tree.snapshot(Duration::from_secs(1)).await;
        assert_eq!(root.find("test/upper/lower").unwrap().restarts, 1);
        assert!(root.is_whole(), "{root}");
    });
}

#[test]
fn back_off_holds_the_mailbox_and_loses_nothing() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        for _ in 0..3 {
            crash(&stand.probes[0]).await;
        }
        let began = Instant::now();
        assert_eq!(ask(&stand.probes[0]).await, Ok(1));
        assert!(began.elapsed() >= Duration::from_millis(40), "the third restart waits 50 ms");
    });
}

#[test]
fn children_stop_in_reverse_order_after_what_they_had_queued() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        let queued: Vec<_> = stand
            .probes
            .iter()
            .map(|probe| {
                let (reply, answer) = oneshot::channel();
                probe.send(Deed::Ask(reply)).unwrap();
                answer
            })
            .collect();
        assert_eq!(stand.tree.stop().await, Exit::Stopped);
        for answer in queued {
            assert_eq!(answer.await, Ok(1), "served before the stop");
        }
        let expected = ["start a", "start b", "start c", "stop c", "stop b", "stop a"];
        assert_eq!(stand.log.events(), expected);
    });
}

#[test]
fn a_child_that_does_not_stop_in_its_time_is_left_behind() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        stand.switches[1].linger_in_stop.store(true, SeqCst);
        let began = Instant::now();
        assert_eq!(stand.tree.stop().await, Exit::Stopped);
        assert!(began.elapsed() >= Duration::from_millis(200));
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_full_mailbox_gives_the_message_back_and_takes_more_once_there_is_room() {
    run(async {
        let tree = Tree::new("test", Clock::system(), &Arbiter::current());
        let branch = tree.root().branch(spec("branch"), Strategy::OneForOne);
        let (switches, log) = (Arc::new(Switches::default()), Arc::new(Switches::default()));
        let small = spec("small").capacity(4);
        let address = branch.child(small, move || probe(&switches, "small", &log));
        // Not started yet: the mailbox holds.
        for _ in 0..4 {
            address.send(Deed::Sleep(Duration::ZERO)).unwrap();
        }
        assert!(matches!(address.send(Deed::End), Err(SendError::Full(Deed::End))));
        assert_eq!(address.depth(), 4);
        let patient = address.clone();
        let waits = tokio::task::spawn_local(async move {
            patient.send_within(Deed::Sleep(Duration::ZERO), Duration::from_secs(5)).await.is_ok()
        });
        tokio::task::yield_now().await;
        tree.start();
        tree.started().await.unwrap();
        assert!(waits.await.unwrap());
        let late = address.send_within(Deed::Sleep(Duration::ZERO), Duration::from_millis(1)).await;
        assert!(late.is_ok());
    });
}

#[test]
fn dynamic_children_come_and_go_and_a_temporary_one_is_not_restarted() {
    run(async {
        let tree = Tree::new("test", Clock::system(), &Arbiter::current());
        let nursery = tree.root().branch(spec("nursery"), Strategy::Dynamic);
        tree.start();
        tree.started().await.unwrap();
        let child = |name: &'static str, restart: Restart| {
            let (switches, log) = (Arc::new(Switches::default()), Arc::new(Switches::default()));
            nursery.child(spec(name).restart(restart), move || probe(&switches, name, &log))
        };
        let temporary = child("t", Restart::Temporary);
        let transient = child("u", Restart::Transient);
        assert_eq!(ask(&temporary).await, Ok(1));
        crash(&temporary).await;
        crash(&transient).await;
        assert_eq!(ask(&transient).await, Ok(1), "a failure restarts a transient child");
        transient.send(Deed::End).unwrap();
        while nursery.children() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(temporary.is_closed() && transient.is_closed());
        assert!(matches!(temporary.send(Deed::End), Err(SendError::Closed(_))));
        assert_eq!(tree.stop().await, Exit::Stopped);
    });
}

#[test]
fn a_dynamic_child_that_fails_again_and_again_is_given_up_alone_and_tried_again_later() {
    run(async {
        let tree = Tree::new("test", Clock::system(), &Arbiter::current());
        let nursery = tree.root().branch(spec("nursery"), Strategy::Dynamic);
        tree.start();
        tree.started().await.unwrap();
        let child = |name: &'static str| {
            let (switches, log) = (Arc::new(Switches::default()), Arc::new(Switches::default()));
            let spec = spec(name).budget(Budget::new(1, Duration::from_millis(100)));
            nursery.child(spec, move || probe(&switches, name, &log))
        };
        let (bad, good) = (child("bad"), child("good"));
        crash(&bad).await;
        crash(&bad).await;
        assert!(ask(&bad).await.is_err(), "given up: answered at once");
        assert_eq!(ask(&good).await, Ok(1), "its siblings know nothing of it");
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(ask(&bad).await, Ok(1), "tried again");
    });
}

#[test]
fn a_permanent_child_that_ends_by_itself_is_started_again() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        stand.probes[0].send(Deed::End).unwrap();
        assert_eq!(ask(&stand.probes[0]).await, Ok(1));
        assert_eq!(stand.starts(), [2, 1, 1]);
    });
}

#[test]
fn the_live_tree_shows_every_actor_and_what_it_says() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        ask(&stand.probes[2]).await.unwrap();
        let root = stand.tree.snapshot(Duration::from_secs(1)).await;
        assert!(root.is_whole());
        assert_eq!(root.find("test/branch/c").unwrap().says, "asked 1");
        assert_eq!(root.find("test/branch").unwrap().says, "OneForOne, 3 of 3 running");
        assert_eq!(root.find("test/branch/c").unwrap().kind, "probe");
        assert_eq!(stand.branch.children(), 3);
    });
}

#[test]
fn the_live_tree_is_drawn_as_one() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        crash(&stand.probes[1]).await;
        assert_eq!(ask(&stand.probes[1]).await, Ok(1));
        let drawn = stand.tree.snapshot(Duration::from_secs(1)).await.to_string();
        let lines: Vec<_> = drawn.lines().map(|line| line.split(" (last").next().unwrap()).collect();
        let expected = [
            "test Running: OneForOne, 1 of 1 running",
            "└─ branch Running: OneForOne, 3 of 3 running",
            "   ├─ a Running: asked 0",
            "   ├─ b Running, restarts 1: asked 1",
            "   └─ c Running: asked 0",
        ];
        assert_eq!(lines, expected);
    });
}

#[test]
fn the_watchdog_names_the_actor_and_the_message_that_hold_up_a_thread() {
    run(async {
        let stand = Stand::new(Strategy::OneForOne, MANY).await;
        let (barks, heard) = mpsc::channel();
        let period = Duration::from_millis(20);
        let dog = Watchdog::start(&stand.tree, period, move |blocked| barks.send(blocked.clone()).unwrap());
        stand.probes[1].send(Deed::Sleep(Duration::from_millis(200))).unwrap();
        ask(&stand.probes[1]).await.unwrap();
        drop(dog);
        let barks: Vec<_> = heard.iter().collect();
        let expected = Blocked { actor: "test/branch/b".into(), message: "Sleep".into() };
        assert_eq!(barks, [expected], "once for one message");
    });
}

#[cfg(feature = "chaos")]
mod injected {
    use super::*;
    use crate::actors::supervision::chaos::{Fault, aim, arm, inject, targets};

    #[test]
    fn faults_strike_at_the_path_once_and_the_actor_recovers() {
        run(async {
            let stand = Stand::new(Strategy::OneForOne, MANY).await;
            let path = "test/branch/b";
            inject(stand.tree.root(), path, Fault::PanicBefore(Some("Ask".into()))).unwrap();
            assert!(ask(&stand.probes[1]).await.is_err());
            assert_eq!(ask(&stand.probes[1]).await, Ok(1));
            inject(stand.tree.root(), path, Fault::PanicAfter(None)).unwrap();
            assert_eq!(ask(&stand.probes[1]).await, Ok(2), "the work was done before the panic");
            assert_eq!(ask(&stand.probes[1]).await, Ok(1));
            inject(stand.tree.root(), path, Fault::FailStart).unwrap();
            assert_eq!(ask(&stand.probes[1]).await, Ok(1));
            assert_eq!(stand.node("b").await.restarts, 3);
            assert_eq!(stand.starts(), [1, 4, 1]);
            assert!(inject(stand.tree.root(), "test/nobody", Fault::FailStart).is_err());
        });
    }

    #[test]
    fn a_fault_during_a_message_strikes_at_a_step_of_its_handler_or_at_its_end() {
        run(async {
            let stand = Stand::new(Strategy::OneForOne, MANY).await;
            let (root, path) = (stand.tree.root(), "test/branch/a");
            inject(root, path, Fault::PanicDuring(Some("PanicInFuture".into()), 1)).unwrap();
            stand.probes[0].send(Deed::PanicInFuture).unwrap();
            assert_eq!(ask(&stand.probes[0]).await, Ok(1));
            let node = stand.node("a").await;
            assert!(node.last_reason.unwrap().0.contains("chaos: during the message"), "when it spawns");
            assert!(node.last_outage_us.is_some_and(|outage| outage < 1_000_000));
            inject(root, path, Fault::PanicDuring(None, 7)).unwrap();
            assert_eq!(ask(&stand.probes[0]).await, Ok(2), "it takes no seven steps");
            assert_eq!(ask(&stand.probes[0]).await, Ok(1));
        });
    }

    #[test]
    fn a_mailbox_that_is_said_to_be_full_takes_nothing_for_so_long() {
        run(async {
            let stand = Stand::new(Strategy::OneForOne, MANY).await;
            inject(stand.tree.root(), "test/branch/b", Fault::FullMailbox(Duration::from_millis(20)))
                .unwrap();
            assert!(matches!(stand.probes[1].send(Deed::PanicInFuture), Err(SendError::Full(_))));
            let (reply, answer) = oneshot::channel();
            stand.probes[1].send_within(Deed::Ask(reply), Duration::from_secs(5)).await.unwrap();
            assert_eq!(answer.await, Ok(1));
        });
    }

    #[test]
    fn a_fault_for_a_kind_strikes_whoever_comes_to_it_first_unless_it_is_taken_back() {
        run(async {
            let stand = Stand::new(Strategy::OneForOne, MANY).await;
            let root = stand.tree.root();
            drop(arm(root, "probe", Fault::PanicBefore(None)));
            assert_eq!(ask(&stand.probes[1]).await, Ok(1));
            let strike = arm(root, "probe", Fault::PanicBefore(None));
            assert_eq!(strike.victim(), None);
            assert!(ask(&stand.probes[1]).await.is_err());
            assert_eq!(strike.victim(), Some("test/branch/b"));
            assert_eq!(ask(&stand.probes[0]).await, Ok(1));
        });
    }

    #[test]
    fn a_supervisor_that_misses_the_end_of_a_child_does_not_keep_it() {
        run(async {
            let tree = Tree::new("test", Clock::system(), &Arbiter::current());
            let nursery = tree.root().branch(spec("nursery"), Strategy::Dynamic);
            tree.start();
            tree.started().await.unwrap();
            let (switches, log) = (Arc::new(Switches::default()), Arc::new(Switches::default()));
            let child =
                nursery.child(spec("u").restart(Restart::Transient), move || probe(&switches, "u", &log));
            assert_eq!(ask(&child).await, Ok(1));
            let fault = Fault::PanicBefore(Some("Stopped".into()));
            let strike = aim(tree.root(), "test/nursery", fault).unwrap();
            child.send(Deed::End).unwrap();
            while strike.victim().is_none() || nursery.children() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(tree.snapshot(Duration::from_secs(1)).await.is_whole());
        });
    }

    #[test]
    fn an_actor_that_fails_when_it_is_to_end_is_not_started_again() {
        run(async {
            let tree = Tree::new("test", Clock::system(), &Arbiter::current());
            let nursery = tree.root().branch(spec("nursery"), Strategy::Dynamic);
            tree.start();
            tree.started().await.unwrap();
            for fault in [Fault::PanicBefore(Some("End".into())), Fault::PanicBefore(None)] {
                let (switches, log) = (Arc::new(Switches::default()), Arc::new(Switches::default()));
                let counted = switches.clone();
                let child =
                    nursery.child(spec("u").restart(Restart::Transient), move || probe(&switches, "u", &log));
                assert_eq!(ask(&child).await, Ok(1));
                let strike = arm(tree.root(), "probe", fault);
                child.send(Deed::Sleep(Duration::ZERO)).unwrap();
                child.finish(Deed::End);
                while strike.victim().is_none() || nursery.children() > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                assert!(child.is_closed());
                assert_eq!(counted.starts.load(SeqCst), 1);
            }
        });
    }

    #[test]
    fn every_actor_and_message_kind_is_a_target() {
        run(async {
            let stand = Stand::new(Strategy::OneForOne, MANY).await;
            let all = targets(stand.tree.root());
            let (_, kind, messages) = all.iter().find(|(path, ..)| path == "test/branch/a").unwrap();
            assert_eq!((*kind, messages.contains(&"PanicInFuture")), ("probe", true));
        });
    }
}
