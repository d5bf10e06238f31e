//! A place in the tree: what outlives the behaviours that come and go in it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, futures::Notified, oneshot, watch};

use super::{Address, Clock, Exit, Restart, Spec, Strategy, supervisor::SupervisorMessage};

/// A number that names a place for the life of the process; places are numbered in the order of their making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CellId(pub(super) u64);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What an actor is doing with its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[repr(u8)]
pub enum Phase {
    /// It waits for its supervisor's word, and holds its mailbox.
    Waiting,
    /// Its start function runs.
    Starting,
    /// It serves.
    Running,
    /// It was asked to stop and still works.
    Stopping,
    /// It has left the tree.
    Stopped,
    /// Its supervisor gave up on it: every request is answered at once with an error.
    GivenUp,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Waiting, Self::Starting, Self::Running, Self::Stopping, Self::Stopped, Self::GivenUp];
}

/// Why an actor failed, as one line of text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reason(pub String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a supervisor wants of a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Hold,
    Run,
    Stop,
    GiveUp,
}

/// What reaches a shell beside its messages.
pub(super) enum Control {
    /// The epoch was raised: see the order.
    Look,
    /// Stop after what is queued.
    Stop,
    /// Say what you see of yourself.
    Observe(oneshot::Sender<String>),
}

type Lane = Box<dyn Fn(Control) + Send + Sync>;

/// See the module's documentation.
pub(super) struct Cell {
    id: CellId,
    path: String,
    kind: Kind,
    spec: Spec,
    clock: Clock,
    strategy: Option<Strategy>,
    parent: Option<Arc<Cell>>,
    supervisor: Option<Address<SupervisorMessage>>,
    children: Mutex<BTreeMap<CellId, Arc<Cell>>>,

    /// It was told to end.
    ends: AtomicBool,
    depth: AtomicUsize,
    room: Notify,

    epoch: AtomicU64,
    order: Mutex<Order>,
    ordered: Notify,
    control: OnceLock<Lane>,

    phase: AtomicU8,
    restarts: AtomicU32,
    last_reason: Mutex<Option<Reason>>,
    /// Since when it has been down because of a failure of its own, and how many siblings that took along.
    down: Mutex<Option<(Instant, usize)>>,
    last_outage: Mutex<Option<Duration>>,
    /// At the root: who waits for the tree's end.
    exit: OnceLock<watch::Sender<Option<Exit>>>,

    /// Its mailbox has no room for now.
    #[cfg(feature = "chaos")]
    refuses: AtomicBool,
}

/// What behaviours of one type have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) messages: &'static [&'static str],
    /// Whether it is told when its mailbox ran empty.
    #[cfg_attr(not(feature = "chaos"), allow(dead_code))]
    // It is one more call in which a fault can strike.
    pub(super) drains: bool,
}

/// Where a new place stands: below whom, and who hears of its end.
pub(super) struct Above {
    pub(super) cell: Arc<Cell>,
    pub(super) supervisor: Address<SupervisorMessage>,
}

impl Cell {
    pub(super) fn new(
        spec: Spec,
        kind: Kind,
        strategy: Option<Strategy>,
        above: Option<Above>,
        clock: Clock,
    ) -> Arc<Self> {
        let (parent, supervisor) = above.map(|above| (above.cell, above.supervisor)).unzip();
        let path = match &parent {
            Some(parent) => format!("{}/{}", parent.path, spec.name),
            None => spec.name.clone(),
        };
        Arc::new(Self {
            id: CellId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            path,
            kind,
            spec,
            clock,
            strategy,
            parent,
            supervisor,
            children: Mutex::default(),
            ends: AtomicBool::new(false),
            depth: AtomicUsize::new(0),
            room: Notify::new(),
            epoch: AtomicU64::new(0),
            order: Mutex::new(Order::Hold),
            ordered: Notify::new(),
            control: OnceLock::new(),
            phase: AtomicU8::new(Phase::Waiting as u8),
            restarts: AtomicU32::new(0),
            last_reason: Mutex::default(),
            down: Mutex::default(),
            last_outage: Mutex::default(),
            exit: OnceLock::new(),
            #[cfg(feature = "chaos")]
            refuses: AtomicBool::new(false),
        })
    }

    pub(super) fn id(&self) -> CellId {
        self.id
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind.name
    }

    /// The name of the message kind with this index.
    pub(super) fn message_name(&self, kind: usize) -> &'static str {
        match kind {
            super::pulse::FUTURE => "a future",
            super::pulse::LIFE => "start or stop",
            super::pulse::DRAINED => "drained",
            kind => self.kind.messages.get(kind).copied().unwrap_or("?"),
        }
    }

    /// The names of all its messages.
    #[cfg(feature = "chaos")]
    pub(super) fn messages(&self) -> Vec<&'static str> {
        let drained = self.kind.drains.then_some("drained");
        self.kind.messages.iter().copied().chain(drained).collect()
    }

    /// The place at the root of its tree.
    #[cfg(feature = "chaos")]
    pub(super) fn tree(&self) -> CellId {
        self.parent.as_ref().map_or(self.id, |parent| parent.tree())
    }

    /// Lets the mailbox have no room for a while.
    #[cfg(feature = "chaos")]
    pub(super) fn refuse(self: Arc<Self>, span: Duration) {
        self.refuses.store(true, Ordering::Release);
        std::thread::spawn(move || {
            std::thread::sleep(span);
            self.refuses.store(false, Ordering::Release);
            self.room.notify_waiters();
        });
    }

    pub(super) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// When it is started again: never, once it was told to end.
    pub(super) fn restart(&self) -> Restart {
        if self.ends.load(Ordering::Acquire) { Restart::Temporary } else { self.spec.restart }
    }

    pub(super) fn ends(&self) {
        self.ends.store(true, Ordering::Release);
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn strategy(&self) -> Option<Strategy> {
        self.strategy
    }

    pub(super) fn parent(&self) -> Option<&Arc<Cell>> {
        self.parent.as_ref()
    }

    pub(super) fn supervisor(&self) -> Option<&Address<SupervisorMessage>> {
        self.supervisor.as_ref()
    }

    // The mailbox's count.

    pub(super) fn admit(&self) -> bool {
        #[cfg(feature = "chaos")]
        if self.refuses.load(Ordering::Acquire) {
            return false;
        }
        let admitted = self.depth.fetch_add(1, Ordering::Relaxed) < self.spec.capacity;
        if !admitted {
            self.depth.fetch_sub(1, Ordering::Relaxed);
        }
        admitted
    }

    pub(super) fn admit_always(&self) {
        self.depth.fetch_add(1, Ordering::Relaxed);
    }

    /// A message left the mailbox; those who wait for room hear of it when it is half empty.
    pub(super) fn taken(&self) {
        if self.depth.fetch_sub(1, Ordering::Relaxed) == self.spec.capacity / 2 + 1 {
            self.room.notify_waiters();
        }
    }

    pub(super) fn room(&self) -> Notified<'_> {
        self.room.notified()
    }

    pub(super) fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
    }

    // Orders and epochs.

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn connect(&self, control: impl Fn(Control) + Send + Sync + 'static) {
        // A cell is connected once, by the shell that is made with it.
        let _ = self.control.set(Box::new(control));
    }

    pub(super) fn control(&self, control: Control) {
        if let Some(lane) = self.control.get() {
            lane(control);
        }
    }

    fn order(&self, order: Order, raise_epoch: bool) {
        {
            let mut current = lock(&self.order);
            *current = order;
            if raise_epoch {
                self.epoch.fetch_add(1, Ordering::AcqRel);
            }
        }
        self.ordered.notify_one();
        if raise_epoch {
            self.control(Control::Look);
        }
    }

    /// Takes the behaviour down before its next message; what is queued waits for the next behaviour.
    pub(super) fn hold(&self) {
        self.order(Order::Hold, true);
        for child in self.children() {
            child.hold();
        }
    }

    /// Lets a shell that waits build its behaviour.
    pub(super) fn run(&self) {
        self.order(Order::Run, false);
    }

    /// Stops it after what it has queued; at once when it waits.
    pub(super) fn stop(&self) {
        if self.phase() == Phase::Running {
            self.control(Control::Stop);
        } else {
            self.order(Order::Stop, true);
        }
    }

    /// Stops it before its next message.
    pub(super) fn kill(&self) {
        self.order(Order::Stop, true);
    }

    /// Makes it answer everything at once with an error.
    pub(super) fn give_up(&self) {
        self.order(Order::GiveUp, true);
        for child in self.children() {
            child.give_up();
        }
    }

    /// Waits for an order other than to hold; gives it with the epoch it was read at.
    pub(super) async fn ordered(&self) -> (Order, u64) {
        loop {
            let heard = self.ordered.notified();
            {
                let order = lock(&self.order);
                if *order != Order::Hold {
                    return (*order, self.epoch());
                }
            }
            heard.await;
        }
    }

    // Life.

    pub(super) fn phase(&self) -> Phase {
        let phase = usize::from(self.phase.load(Ordering::Acquire));
        Phase::ALL.get(phase).copied().unwrap_or(Phase::Stopped)
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(super) fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn last_reason(&self) -> Option<Reason> {
        lock(&self.last_reason).clone()
    }

    /// Records a failure, in the failing shell's own path: it holds itself (or leaves, when temporary), and so
    /// do the siblings that the strategy takes along.
    pub(super) fn failed(&self, reason: &Reason) {
        *lock(&self.last_reason) = Some(reason.clone());
        let taken_along = self.parent.as_ref().map_or(0, |parent| parent.companions(self.id).len());
        // One that fails again while it starts is down since it first failed.
        lock(&self.down).get_or_insert_with(|| (Instant::now(), taken_along));
        self.order(if self.restart() == Restart::Temporary { Order::Stop } else { Order::Hold }, true);
        for child in self.children() {
            child.hold();
        }
        if let Some(parent) = &self.parent {
            parent.hold_companions(self.id);
        }
    }

    /// It is up; the one word of a restart: who, why, and what it has cost.
    pub(super) fn is_up(&self) {
        let Some((since, taken_along)) = lock(&self.down).take() else { return };
        let took = since.elapsed();
        *lock(&self.last_outage) = Some(took);
        tracing::warn!(
            actor = self.path,
            reason = self.last_reason().map(|reason| reason.0),
            restarts = self.restarts(),
            taken_along,
            waiting = self.depth(),
            took_us = took.as_micros() as u64,
            "restarted"
        );
    }

    /// How long its last failure kept it from serving.
    pub(super) fn last_outage(&self) -> Option<Duration> {
        *lock(&self.last_outage)
    }

    pub(super) fn announce_to(&self, exit: watch::Sender<Option<Exit>>) {
        // A root is made with its one listener.
        let _ = self.exit.set(exit);
    }

    /// At the root, where nobody is left to escalate to: the whole tree ended.
    pub(super) fn end_tree(&self, exit: Exit) {
        if matches!(exit, Exit::GaveUp(_)) {
            self.give_up();
        }
        if let Some(sender) = self.exit.get() {
            sender.send_replace(Some(exit));
        }
    }

    // Kin.

    /// The children, in the order of their start.
    pub(super) fn children(&self) -> Vec<Arc<Cell>> {
        lock(&self.children).values().cloned().collect()
    }

    pub(super) fn child(&self, id: CellId) -> Option<Arc<Cell>> {
        lock(&self.children).get(&id).cloned()
    }

    pub(super) fn adopt(&self, child: Arc<Cell>) {
        lock(&self.children).insert(child.id, child);
    }

    pub(super) fn release(&self, child: CellId) {
        lock(&self.children).remove(&child);
    }

    /// The siblings that the failure of `failed` takes along.
    pub(super) fn companions(&self, failed: CellId) -> Vec<Arc<Cell>> {
        let strategy = self.strategy.unwrap_or(Strategy::OneForOne);
        if matches!(strategy, Strategy::OneForOne | Strategy::Dynamic) {
            return Vec::new();
        }
        self.children().into_iter().filter(|child| strategy.takes_along(failed.0, child.id.0)).collect()
    }

    fn hold_companions(&self, failed: CellId) {
        for companion in self.companions(failed) {
            companion.hold();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The guarded values are replaced whole, so a panic while one was held left nothing half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
