//! Fault injection: any actor of a tree can be made to panic, to stall, to fail its start or to refuse messages.
//!
//! Only in builds with the feature `chaos`. A fault is armed for one place ([`inject`]) or for whichever actor of
//! a kind comes to it first ([`arm`]), and strikes once.

use std::{
    cell::Cell as Slot,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Branch,
    cell::{Cell, CellId, Control},
    shell::Work,
};

/// What shall go wrong, once. Messages are named by the variants of their enum; `drained` names the call of
/// [`Behaviour::drained`](super::Behaviour::drained). `None` is any message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A panic before the next such message is handled.
    PanicBefore(Option<String>),
    /// A panic while it is handled: right behind the handler's step with this number, from 1, where a step is what
    /// it does through the kernel (telling somebody, spawning, setting a timer); at its end if it takes fewer.
    PanicDuring(Option<String>, u32),
    /// A panic after it was handled.
    PanicAfter(Option<String>),
    /// A panic at the next poll of one of its futures.
    PanicInFuture,
    /// The thread is held up for this long before the next message.
    Stall(Duration),
    /// The next start fails, and a running behaviour is made to fail so that there is one.
    FailStart,
    /// For so long its mailbox has no room, as if it were full.
    FullMailbox(Duration),
}

struct Armed {
    tree: CellId,
    whom: Whom,
    fault: Fault,
    struck: Arc<OnceLock<String>>,
}

enum Whom {
    Place(CellId),
    Kind(String),
}

/// Faults of all trees of the process that have not struck yet, and their number.
static ARMED: Mutex<Vec<Armed>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Steps of the handler that runs on this thread until it panics.
    static STEPS: Slot<Option<u32>> = const { Slot::new(None) };
}

fn armed() -> MutexGuard<'static, Vec<Armed>> {
    ARMED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(fault: Armed) {
    let mut armed = armed();
    armed.push(fault);
    COUNT.store(armed.len(), Ordering::Release);
}

/// A handler has done something through the kernel.
pub(super) fn step() {
    match STEPS.get() {
        Some(1) if !std::thread::panicking() => {
            STEPS.set(None);
            panic!("chaos: during the message");
        }
        Some(left) => STEPS.set(Some(left.saturating_sub(1).max(1))),
        None => {}
    }
}

impl Cell {
    fn strike(&self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        if COUNT.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut armed = armed();
        let at = armed.iter().position(|armed| {
            let is_meant = match &armed.whom {
                Whom::Place(id) => *id == self.id(),
                Whom::Kind(kind) => kind == self.kind(),
            };
            armed.tree == self.tree() && is_meant && wanted(&armed.fault)
        })?;
        let Armed { fault, struck, .. } = armed.remove(at);
        COUNT.store(armed.len(), Ordering::Release);
        // It is armed once, and so strikes once.
        let _ = struck.set(self.path().to_owned());
        Some(fault)
    }

    fn is_named(&self, name: Option<&str>, message: usize) -> bool {
        name.is_none_or(|name| name == self.message_name(message))
    }

    pub(super) fn before(&self, message: usize) {
        STEPS.set(None);
        let due = |fault: &Fault| match fault {
            Fault::PanicBefore(name) | Fault::PanicDuring(name, _) => self.is_named(name.as_deref(), message),
            Fault::Stall(_) => true,
            _ => false,
        };
        match self.strike(due) {
            Some(Fault::Stall(span)) => std::thread::sleep(span),
            Some(Fault::PanicDuring(_, step)) => STEPS.set(Some(step.max(1))),
            Some(_) => panic!("chaos: before the message"),
            None => {}
        }
    }

    pub(super) fn after(&self, message: usize) {
        let due = |fault: &Fault| matches!(fault, Fault::PanicAfter(name) if self.is_named(name.as_deref(), message));
        if STEPS.take().is_some() {
            panic!("chaos: at the end of the message");
        }
        if self.strike(due).is_some() {
            panic!("chaos: after the message");
        }
    }

    pub(super) fn at_start(&self) {
        if self.strike(|fault| *fault == Fault::FailStart).is_some() {
            panic!("chaos: at the start");
        }
    }

    /// Wraps a future so that a fault can strike in it.
    pub(super) fn faulty<M: 'static>(self: Arc<Self>, work: Work<M>) -> Work<M> {
        Box::pin(Faulty { cell: self, work })
    }
}

struct Faulty<M> {
    cell: Arc<Cell>,
    work: Work<M>,
}

impl<M> Future for Faulty<M> {
    type Output = Option<M>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.cell.strike(|fault| *fault == Fault::PanicInFuture).is_some() {
            panic!("chaos: in a future");
        }
        self.work.as_mut().poll(cx)
    }
}

/// No actor stands at this path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no actor at {0}: see the live tree for the paths there are")]
pub struct NoSuchActor(pub String);

/// A fault that was armed. It says whether it has struck; dropped before that, it never will.
#[derive(Debug)]
pub struct Strike(Arc<OnceLock<String>>);

impl Strike {
    /// The path of the actor that was struck.
    pub fn victim(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

impl Drop for Strike {
    fn drop(&mut self) {
        let mut armed = armed();
        armed.retain(|armed| !Arc::ptr_eq(&armed.struck, &self.0));
        COUNT.store(armed.len(), Ordering::Release);
    }
}

/// Arms `fault` for the actor at `path`, at or below `root`, for as long as it takes.
///
/// # Errors
/// [`NoSuchActor`].
pub fn inject(root: &Branch, path: &str, fault: Fault) -> Result<(), NoSuchActor> {
    aim(root, path, fault).map(std::mem::forget)
}

/// [`inject`], but the fault can be watched, and taken back.
///
/// # Errors
/// [`NoSuchActor`].
pub fn aim(root: &Branch, path: &str, fault: Fault) -> Result<Strike, NoSuchActor> {
    let cell = find(root.cell(), path).ok_or_else(|| NoSuchActor(path.to_owned()))?;
    let struck: Arc<OnceLock<String>> = Arc::default();
    if let Fault::FullMailbox(span) = fault {
        // At once, that is.
        let _ = struck.set(cell.path().to_owned());
        cell.refuse(span);
        return Ok(Strike(struck));
    }
    let starts = fault == Fault::FailStart;
    let whom = Whom::Place(cell.id());
    add(Armed { tree: cell.tree(), whom, fault, struck: struck.clone() });
    if starts {
        cell.hold();
        cell.run();
    } else {
        // Wakes its context, so that a future of it is polled.
        cell.control(Control::Look);
    }
    Ok(Strike(struck))
}

/// Arms `fault`, one that strikes at a message or in a future, for whichever actor of `kind` in the tree of
/// `root` comes to it first; also one that starts later.
pub fn arm(root: &Branch, kind: &str, fault: Fault) -> Strike {
    let struck = Arc::default();
    let whom = Whom::Kind(kind.to_owned());
    add(Armed { tree: root.cell().tree(), whom, fault, struck: Arc::clone(&struck) });
    Strike(struck)
}

/// The paths of all actors at and below `root`, with their kinds and the kinds of messages that each takes.
pub fn targets(root: &Branch) -> Vec<(String, &'static str, Vec<&'static str>)> {
    fn walk(cell: &Arc<Cell>, into: &mut Vec<(String, &'static str, Vec<&'static str>)>) {
        into.push((cell.path().to_owned(), cell.kind(), cell.messages()));
        cell.children().iter().for_each(|child| walk(child, into));
    }
    let mut all = Vec::new();
    walk(root.cell(), &mut all);
    all
}

fn find(cell: &Arc<Cell>, path: &str) -> Option<Arc<Cell>> {
    if cell.path() == path {
        return Some(cell.clone());
    }
    cell.children().iter().find_map(|child| find(child, path))
}
