//! The half of an actor that never dies: mailbox, guard, epoch. The only file that knows actix.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Supervised,
    dev::{ContextFut, channel::channel},
    fut::{ActorFuture, wrap_future},
};

use super::{
    Address, Behaviour, Clock, Cx, Exit, Message, Phase, Readiness, Reason, Restart, Spec, StartError,
    Strategy,
    address::Door,
    cell::{Above, Cell, Control, Kind, Order},
    guard::{Guarded, Panic, guard},
    pulse::{self, beating},
    supervisor::SupervisorMessage,
};

/// Builds a behaviour, on the actor's thread, at every start and restart.
pub(super) type Start<B> = Box<dyn Fn() -> Result<B, StartError> + Send>;

/// A future whose output, if any, is told to the actor that spawned it.
pub(super) type Work<M> = Pin<Box<dyn Future<Output = Option<M>>>>;

/// What a [`Cx`] can do; the shell lends it to the behaviour.
pub(super) trait Hands<B: Behaviour> {
    fn address(&self) -> Address<B::Message>;
    fn path(&self) -> &str;
    fn clock(&self) -> &Clock;
    fn spawn(&mut self, work: Work<B::Message>);
    fn ready(&mut self);
    fn end(&mut self, how: Result<(), String>);
}

struct Shell<B: Behaviour> {
    own: Own<B>,
    start: Start<B>,
    behaviour: Option<Box<B>>,
    /// The epoch that the behaviour was built in.
    epoch: u64,
    /// A message that found the epoch passed; the next behaviour's first.
    stash: Option<B::Message>,
    /// Messages were handled since the mailbox last ran empty.
    dirty: bool,
}

/// The part of the shell that a behaviour reaches through its [`Cx`].
struct Own<B: Behaviour> {
    cell: Arc<Cell>,
    address: Address<B::Message>,
    ready: bool,
    end: Option<Result<(), String>>,
}

// Nothing in a shell is pinned: behaviours are boxed, futures live in actix's context.
impl<B: Behaviour> Unpin for Shell<B> {}

/// Makes a place in the tree with a shell in it, which waits for its supervisor's order.
pub(super) fn spawn<B: Behaviour>(
    spec: Spec,
    strategy: Option<Strategy>,
    above: Option<Above>,
    clock: Clock,
    start: impl Fn() -> Result<B, StartError> + Send + 'static,
) -> (Arc<Cell>, Address<B::Message>) {
    let arbiter = spec.arbiter.clone();
    let kind = Kind { name: B::KIND, messages: B::Message::KINDS, drains: B::DRAINS };
    let cell = Cell::new(spec, kind, strategy, above, clock);
    // Capacity 0 is actix's word for unbounded: the cell counts, and bounds.
    let (sender, receiver) = channel::<Shell<B>>(0);
    let addr = Addr::new(sender);
    let lane = addr.clone();
    cell.connect(move |control| drop(lane.try_send(Told(control))));
    let address = Address { cell: cell.clone(), door: Arc::new(addr) };
    let own = Own { cell: cell.clone(), address: address.clone(), ready: false, end: None };
    let start: Start<B> = Box::new(start);
    arbiter.spawn_fn(move || {
        let shell = Shell { own, start, behaviour: None, epoch: 0, stash: None, dirty: false };
        let cell = shell.own.cell.clone();
        actix::spawn(Revived { fut: Context::with_receiver(receiver).into_future(shell), cell });
    });
    (cell, address)
}

/// Re-enters a shell whose context ended, until it has left the tree.
struct Revived<B: Behaviour> {
    fut: ContextFut<Shell<B>, Context<Shell<B>>>,
    cell: Arc<Cell>,
}

impl<B: Behaviour> Future for Revived<B> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        while Pin::new(&mut this.fut).poll(cx).is_ready() {
            if this.cell.phase() == Phase::Stopped || !this.fut.restart() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

struct Deliver<M>(M);

impl<M: Message> actix::Message for Deliver<M> {
    type Result = ();
}

struct Told(Control);

impl actix::Message for Told {
    type Result = ();
}

impl<B: Behaviour> Door<B::Message> for Addr<Shell<B>> {
    fn push(&self, message: B::Message) -> Result<(), B::Message> {
        self.try_send(Deliver(message)).map_err(|error| error.into_inner().0)
    }
}

impl<B: Behaviour> Actor for Shell<B> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.await_order(ctx);
    }
}

impl<B: Behaviour> Supervised for Shell<B> {}

impl<B: Behaviour> Handler<Deliver<B::Message>> for Shell<B> {
    type Result = ();

    fn handle(&mut self, Deliver(message): Deliver<B::Message>, ctx: &mut Self::Context) {
        self.own.cell.taken();
        self.deliver(message, ctx);
    }
}

impl<B: Behaviour> Handler<Told> for Shell<B> {
    type Result = ();

    fn handle(&mut self, Told(control): Told, ctx: &mut Self::Context) {
        match control {
            Control::Look if self.epoch_passed() => self.retire(ctx),
            Control::Look => {}
            Control::Stop if self.epoch_passed() => self.retire(ctx),
            Control::Stop => self.stop(ctx),
            Control::Observe(answer) => {
                if let Some(behaviour) = &self.behaviour {
                    let seen = guard(|| behaviour.observe());
                    // Whoever asked may have stopped waiting.
                    let _ = answer.send(seen.unwrap_or_else(|Panic(text)| text));
                }
            }
        }
    }
}

impl<B: Behaviour> Shell<B> {
    fn cell(&self) -> &Arc<Cell> {
        &self.own.cell
    }

    fn epoch_passed(&self) -> bool {
        self.epoch != self.own.cell.epoch()
    }

    /// Holds the mailbox until the supervisor has spoken.
    fn await_order(&mut self, ctx: &mut Context<Self>) {
        let cell = self.cell().clone();
        let order = async move { cell.ordered().await };
        ctx.wait(wrap_future(order).map(|(order, epoch), shell: &mut Self, ctx: &mut Context<Self>| {
            match order {
                Order::Run => shell.build(epoch, ctx),
                Order::Stop => shell.leave(ctx),
                Order::GiveUp => {
                    shell.epoch = epoch;
                    shell.stash = None;
                    shell.cell().enter(Phase::GivenUp);
                }
                Order::Hold => shell.await_order(ctx),
            }
        }));
    }

    fn build(&mut self, epoch: u64, ctx: &mut Context<Self>) {
        self.epoch = epoch;
        self.own.ready = false;
        self.cell().enter(Phase::Starting);
        let id = self.cell().id();
        let built = guard(|| {
            #[cfg(feature = "chaos")]
            self.own.cell.at_start();
            beating(id, pulse::LIFE, || (self.start)())
        });
        match built {
            Ok(Ok(behaviour)) => self.behaviour = Some(Box::new(behaviour)),
            Ok(Err(error)) => return self.fail(Reason(format!("could not start: {error}")), ctx),
            Err(Panic(text)) => return self.fail(Reason(text), ctx),
        }
        self.cell().enter(Phase::Running);
        let mut readiness = Readiness::Later;
        self.call(pulse::LIFE, ctx, |behaviour, cx| readiness = behaviour.started(cx));
        if self.behaviour.is_none() {
            return;
        }
        if readiness == Readiness::Ready {
            self.own.tell_ready();
        }
        if B::DRAINS {
            ctx.spawn(Drained);
        }
        if let Some(message) = self.stash.take() {
            self.deliver(message, ctx);
        }
    }

    fn deliver(&mut self, message: B::Message, ctx: &mut Context<Self>) {
        if self.epoch_passed() {
            self.stash = Some(message);
            return self.retire(ctx);
        }
        self.dirty = true;
        self.call_at_risk(message.kind(), ctx, move |behaviour, cx| behaviour.handle(message, cx));
    }

    /// [`Shell::call`] for what faults can be injected into.
    fn call_at_risk(&mut self, kind: usize, ctx: &mut Context<Self>, f: impl FnOnce(&mut B, &mut Cx<'_, B>)) {
        #[cfg(feature = "chaos")]
        let cell = self.own.cell.clone();
        self.call(kind, ctx, move |behaviour, cx| {
            #[cfg(feature = "chaos")]
            cell.before(kind);
            f(behaviour, cx);
            #[cfg(feature = "chaos")]
            cell.after(kind);
        });
    }

    /// Runs the behaviour under the guard, then does what it asked for or what its panic demands. With no
    /// behaviour (given up) the closure is dropped, and with it the message and its reply.
    fn call(&mut self, kind: usize, ctx: &mut Context<Self>, f: impl FnOnce(&mut B, &mut Cx<'_, B>)) {
        let Some(behaviour) = self.behaviour.as_deref_mut() else { return };
        let id = self.own.cell.id();
        let mut hand = Hand { own: &mut self.own, ctx };
        let result = guard(|| beating(id, kind, || f(behaviour, &mut Cx { hands: &mut hand })));
        match (result, self.own.end.take()) {
            (Err(Panic(text)), _) | (Ok(()), Some(Err(text))) => self.fail(Reason(text), ctx),
            (Ok(()), Some(Ok(()))) => self.finish(ctx),
            (Ok(()), None) => {}
        }
    }

    fn stop(&mut self, ctx: &mut Context<Self>) {
        self.cell().enter(Phase::Stopping);
        let mut readiness = Readiness::Ready;
        self.call(pulse::LIFE, ctx, |behaviour, cx| readiness = behaviour.stop(cx));
        if readiness == Readiness::Ready && self.cell().phase() == Phase::Stopping {
            self.finish(ctx);
        }
    }

    /// A failure of this actor: the strategy acts before anything else can run in this shell.
    fn fail(&mut self, reason: Reason, ctx: &mut Context<Self>) {
        let cell = self.cell().clone();
        cell.failed(&reason);
        self.drop_behaviour();
        match cell.supervisor() {
            Some(supervisor) => supervisor.complete(SupervisorMessage::Failed { child: cell.id(), reason }),
            None => cell.end_tree(Exit::GaveUp(reason)),
        }
        if cell.restart() == Restart::Temporary {
            return self.leave_quietly(ctx);
        }
        cell.enter(Phase::Waiting);
        ctx.stop();
    }

    /// A normal end.
    fn finish(&mut self, ctx: &mut Context<Self>) {
        self.drop_behaviour();
        if self.cell().restart() == Restart::Permanent && self.cell().phase() != Phase::Stopping {
            // Nobody asked a permanent child to end: for its supervisor that is a failure like any other.
            return self.fail(Reason("ended by itself".into()), ctx);
        }
        self.leave(ctx);
    }

    fn leave(&mut self, ctx: &mut Context<Self>) {
        self.leave_quietly(ctx);
        let cell = self.cell();
        match cell.supervisor() {
            Some(supervisor) => supervisor.complete(SupervisorMessage::Stopped { child: cell.id() }),
            None => cell.end_tree(Exit::Stopped),
        }
    }

    fn leave_quietly(&mut self, ctx: &mut Context<Self>) {
        self.stash = None;
        self.cell().enter(Phase::Stopped);
        ctx.stop();
    }

    /// Makes way for the next behaviour, or for the end: the order says which.
    fn retire(&mut self, ctx: &mut Context<Self>) {
        self.drop_behaviour();
        self.cell().enter(Phase::Waiting);
        ctx.stop();
    }

    fn drop_behaviour(&mut self) {
        let behaviour = self.behaviour.take();
        if let Err(Panic(text)) = guard(|| drop(behaviour)) {
            tracing::warn!(actor = self.cell().path(), "its destructor {text}");
        }
    }
}

struct Hand<'a, B: Behaviour> {
    own: &'a mut Own<B>,
    ctx: &'a mut Context<Shell<B>>,
}

impl<B: Behaviour> Hands<B> for Hand<'_, B> {
    fn address(&self) -> Address<B::Message> {
        self.own.address.clone()
    }

    fn path(&self) -> &str {
        self.own.cell.path()
    }

    fn clock(&self) -> &Clock {
        self.own.cell.clock()
    }

    fn spawn(&mut self, work: Work<B::Message>) {
        let id = self.own.cell.id();
        #[cfg(feature = "chaos")]
        let work = self.own.cell.clone().faulty(work);
        let guarded = Guarded::new(work, id);
        self.ctx.spawn(wrap_future(guarded).map(
            |result, shell: &mut Shell<B>, ctx: &mut Context<Shell<B>>| match result {
                Ok(Some(message)) => shell.deliver(message, ctx),
                Ok(None) => {}
                Err(Panic(text)) => shell.fail(Reason(format!("in a future: {text}")), ctx),
            },
        ));
        #[cfg(feature = "chaos")]
        super::chaos::step();
    }

    fn ready(&mut self) {
        self.own.tell_ready();
    }

    fn end(&mut self, how: Result<(), String>) {
        self.own.end = Some(how);
    }
}

impl<B: Behaviour> Own<B> {
    fn tell_ready(&mut self) {
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        self.cell.is_up();
        if let Some(supervisor) = self.cell.supervisor() {
            supervisor.complete(SupervisorMessage::Ready { child: self.cell.id() });
        }
    }
}

/// Polled by actix after every emptying of the mailbox; never done.
struct Drained;

impl<B: Behaviour> ActorFuture<Shell<B>> for Drained {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        shell: &mut Shell<B>,
        ctx: &mut Context<Shell<B>>,
        _task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        if std::mem::take(&mut shell.dirty) {
            shell.call_at_risk(pulse::DRAINED, ctx, |behaviour, cx| behaviour.drained(cx));
        }
        Poll::Pending
    }
}
