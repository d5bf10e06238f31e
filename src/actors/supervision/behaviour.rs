//! The volatile half of an actor, and what it can do while it runs.

use std::{error::Error, future::Future, time::Duration};

use super::{Address, Clock, Message, shell::Hands};

/// Why a start function gave no behaviour.
pub type StartError = Box<dyn Error + Send + Sync>;

/// Whether an actor is up when [`Behaviour::started`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It is: the next sibling may start.
    Ready,
    /// It calls [`Cx::ready`] when it is.
    Later,
}

/// What lives inside a shell. Built on its thread by the child's start function, dropped when it fails.
///
/// All methods run under the kernel's guard: a panic in any of them is a failure of this actor alone.
pub trait Behaviour: Sized + 'static {
    /// What it is told.
    type Message: Message;

    /// The name of the kind, for people and tests: `queue`, `commit-log`.
    const KIND: &'static str;

    /// Whether [`Behaviour::drained`] is wanted.
    const DRAINS: bool = false;

    /// Called before the first message.
    fn started(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        Readiness::Ready
    }

    /// Called for each message.
    fn handle(&mut self, message: Self::Message, cx: &mut Cx<'_, Self>);

    /// Called when the mailbox ran empty after messages: the place to do once what they asked for together.
    fn drained(&mut self, _cx: &mut Cx<'_, Self>) {}

    /// Called when it is to stop, after what it had queued. [`Readiness::Later`] when it will call
    /// [`Cx::stop`] itself, within its shutdown time.
    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        Readiness::Ready
    }

    /// What it says of itself, in a few words.
    fn observe(&self) -> String {
        String::new()
    }
}

/// The actor's own view of its place in the tree, lent to each call.
pub struct Cx<'a, B: Behaviour> {
    pub(super) hands: &'a mut dyn Hands<B>,
}

impl<B: Behaviour> Cx<'_, B> {
    /// Its own address.
    pub fn address(&self) -> Address<B::Message> {
        self.hands.address()
    }

    /// Its path in the tree, `castmq/store/commit-log`.
    pub fn path(&self) -> &str {
        self.hands.path()
    }

    /// The tree's clock.
    pub fn clock(&self) -> &Clock {
        self.hands.clock()
    }

    /// Runs `future` on this actor's thread; its output comes back as a message. It is cancelled when the
    /// behaviour ends, and its panic is this actor's failure.
    pub fn spawn(&mut self, future: impl Future<Output = B::Message> + 'static) {
        self.hands.spawn(Box::pin(async move { Some(future.await) }));
    }

    /// Runs `future` like [`Cx::spawn`], for its effect alone.
    pub fn run(&mut self, future: impl Future<Output = ()> + 'static) {
        self.hands.spawn(Box::pin(async move {
            future.await;
            None
        }));
    }

    /// Delivers `message` to itself when `delay` has passed.
    pub fn after(&mut self, delay: Duration, message: B::Message) {
        let sleep = self.clock().sleep(delay);
        self.spawn(async move {
            sleep.await;
            message
        });
    }

    /// Says that it is up, after [`Readiness::Later`] from [`Behaviour::started`].
    pub fn ready(&mut self) {
        self.hands.ready();
    }

    /// Ends this actor normally once the present call returns.
    pub fn stop(&mut self) {
        self.hands.end(Ok(()));
    }

    /// Ends this actor as a failure once the present call returns.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.hands.end(Err(reason.into()));
    }
}
