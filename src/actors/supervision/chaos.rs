//! Fault injection: any actor of a tree, by its path, can be made to panic, to stall or to fail its start.
//!
//! Only in builds with the feature `chaos`.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Branch,
    cell::{Cell, Control},
    shell::Work,
};

/// What shall go wrong, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A panic before the next message of this kind is handled (`None`: any kind).
    PanicBefore(Option<String>),
    /// A panic after the next message of this kind was handled.
    PanicAfter(Option<String>),
    /// A panic at the next poll of one of its futures.
    PanicInFuture,
    /// The thread is held up for this long before the next message.
    Stall(Duration),
    /// The next start fails, and a running behaviour is made to fail so that there is one.
    FailStart,
}

/// The faults that wait for an actor.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: AtomicBool,
    waiting: Mutex<Vec<(Fault, &'static [&'static str])>>,
}

impl Faults {
    fn arm(&self, fault: Fault, kinds: &'static [&'static str]) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((fault, kinds));
        self.armed.store(true, Ordering::Release);
    }

    fn take(&self, wanted: impl Fn(&Fault, &'static [&'static str]) -> bool) -> Option<Fault> {
        if !self.armed.load(Ordering::Acquire) {
            return None;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waiting.iter().position(|(fault, kinds)| wanted(fault, kinds))?;
        let (fault, _) = waiting.remove(at);
        self.armed.store(!waiting.is_empty(), Ordering::Release);
        Some(fault)
    }

    pub(super) fn before(&self, kind: usize) {
        let due = |fault: &Fault, kinds: &'static [&'static str]| match fault {
            Fault::PanicBefore(name) => is_named(name.as_deref(), kinds, kind),
            Fault::Stall(_) => true,
            _ => false,
        };
        match self.take(due) {
            Some(Fault::Stall(span)) => std::thread::sleep(span),
            Some(_) => panic!("chaos: before the message"),
            None => {}
        }
    }

    pub(super) fn after(&self, kind: usize) {
        let due = |fault: &Fault, kinds: &'static [&'static str]| matches!(fault, Fault::PanicAfter(name) if is_named(name.as_deref(), kinds, kind));
        if self.take(due).is_some() {
            panic!("chaos: after the message");
        }
    }

    pub(super) fn at_start(&self) {
        if self.take(|fault, _| *fault == Fault::FailStart).is_some() {
            panic!("chaos: at the start");
        }
    }

    fn in_future(&self) {
        if self.take(|fault, _| *fault == Fault::PanicInFuture).is_some() {
            panic!("chaos: in a future");
        }
    }
}

/// Whether a fault for messages called `name` (`None`: any) is meant for the kind with this index.
fn is_named(name: Option<&str>, kinds: &[&str], kind: usize) -> bool {
    name.is_none_or(|name| kinds.get(kind) == Some(&name))
}

impl Cell {
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
        self.cell.faults.in_future();
        self.work.as_mut().poll(cx)
    }
}

/// No actor stands at this path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no actor at {0}: see the live tree for the paths there are")]
pub struct NoSuchActor(pub String);

/// Arms `fault` for the actor at `path`, at or below `root`.
///
/// # Errors
/// [`NoSuchActor`].
pub fn inject(root: &Branch, path: &str, fault: Fault) -> Result<(), NoSuchActor> {
    let cell = find(root.cell(), path).ok_or_else(|| NoSuchActor(path.to_owned()))?;
    let restart = fault == Fault::FailStart;
    cell.faults.arm(fault, cell.kinds());
    if restart {
        cell.hold();
        cell.run();
    } else {
        // Wakes its context, so that a future of it is polled.
        cell.control(Control::Look);
    }
    Ok(())
}

/// The paths of all actors at and below `root`, with the kinds of messages that each takes.
pub fn targets(root: &Branch) -> Vec<(String, &'static [&'static str])> {
    fn walk(cell: &Arc<Cell>, into: &mut Vec<(String, &'static [&'static str])>) {
        into.push((cell.path().to_owned(), cell.kinds()));
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
