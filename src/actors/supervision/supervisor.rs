//! The behaviour of a supervisor: starts children in order, restarts them by strategy and budget, stops them
//! in reverse, and fails itself when a budget is spent.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Behaviour, Cx, Millis, Phase, Readiness, Reason, Restart, Strategy,
    cell::{Cell, CellId},
};

crate::messages! {
    /// What a supervisor is told, by its children's shells and by its own timers.
    pub(super) enum SupervisorMessage {
        /// A child is up.
        Ready { child: CellId },
        /// A child failed; it and those whom the strategy takes along hold.
        Failed { child: CellId, reason: Reason },
        /// A child ended normally or as it was asked to.
        Stopped { child: CellId },
        /// A back-off is over.
        Restart { children: Vec<CellId> },
        /// A child took longer to stop than it may.
        Overdue { child: CellId },
    }
}

/// The window of a child's failures that its budget looks at.
type Failures = HashMap<CellId, VecDeque<Millis>>;

pub(super) struct Supervisor {
    cell: Arc<Cell>,
    failures: Failures,
    /// Children that are to start, in order; the first one is starting when `starting` names it.
    queue: BTreeSet<CellId>,
    starting: Option<CellId>,
    course: Course,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// The first start of all children.
    Opening,
    Open,
    /// Stopping children, last one first.
    Closing,
}

impl Supervisor {
    pub(super) fn new(cell: Arc<Cell>) -> Self {
        Self {
            cell,
            failures: Failures::new(),
            queue: BTreeSet::new(),
            starting: None,
            course: Course::Opening,
        }
    }

    fn strategy(&self) -> Strategy {
        self.cell.strategy().unwrap_or(Strategy::OneForOne)
    }

    /// Starts what is queued: one after the other, or all at once where the order means nothing.
    fn start_next(&mut self, cx: &mut Cx<'_, Self>) {
        if self.strategy() == Strategy::Dynamic {
            for child in std::mem::take(&mut self.queue) {
                self.run(child);
            }
        }
        while self.starting.is_none() {
            let Some(child) = self.queue.pop_first() else { break };
            if self.run(child) {
                self.starting = Some(child);
            }
        }
        if self.starting.is_none() && self.course == Course::Opening {
            self.course = Course::Open;
            cx.ready();
        }
    }

    fn run(&self, child: CellId) -> bool {
        let child = self.cell.child(child);
        if let Some(child) = &child {
            if child.phase() == Phase::GivenUp {
                child.hold();
            }
            child.run();
        }
        child.is_some()
    }

    fn failed(&mut self, child: CellId, reason: &Reason, cx: &mut Cx<'_, Self>) {
        let Some(cell) = self.cell.child(child) else { return };
        if self.starting == Some(child) {
            self.starting = None;
        }
        if self.course == Course::Closing {
            tracing::error!(actor = cell.path(), %reason, "failed while it was stopping");
            return cell.kill();
        }
        if cell.restart() == Restart::Temporary {
            tracing::warn!(actor = cell.path(), %reason, "ended by a failure");
            self.cell.release(child);
            return self.start_next(cx);
        }
        let Some(wait) = self.grant(&cell, cx.clock().now()) else {
            if self.strategy() == Strategy::Dynamic {
                return self.give_up_on(&cell, reason, cx);
            }
            let budget = cell.spec().budget;
            let text = format!(
                "{} failed more than {} times in {:?}, the last time: {reason}",
                cell.path(),
                budget.restarts,
                budget.within
            );
            tracing::error!(actor = cx.path(), reason = text, "gives up");
            return cx.fail(text);
        };
        let companions = self.cell.companions(child);
        for companion in &companions {
            // Again: one that was restarted meanwhile goes along all the same.
            companion.hold();
        }
        // What it has cost is said when it is up again.
        tracing::debug!(actor = cell.path(), %reason, wait_ms = wait.as_millis() as u64, "failed");
        cell.restarted();
        let children = std::iter::once(child).chain(companions.iter().map(|cell| cell.id())).collect();
        if wait.is_zero() {
            self.restart(children, cx);
        } else {
            cx.after(wait, SupervisorMessage::Restart { children });
        }
    }

    /// One of many alike that fails again and again is left alone for a while: the others go on, and what is
    /// asked of it is answered at once with an error.
    fn give_up_on(&mut self, child: &Cell, reason: &Reason, cx: &mut Cx<'_, Self>) {
        let pause = child.spec().budget.within;
        tracing::error!(actor = child.path(), %reason, pause_s = pause.as_secs(), "given up for now");
        self.failures.remove(&child.id());
        child.give_up();
        cx.after(pause, SupervisorMessage::Restart { children: vec![child.id()] });
    }

    fn restart(&mut self, children: Vec<CellId>, cx: &mut Cx<'_, Self>) {
        if children.iter().any(|child| Some(*child) == self.starting) {
            self.starting = None;
        }
        self.queue.extend(children);
        self.start_next(cx);
    }

    /// How long to wait before the restart; `None` when the budget is spent.
    fn grant(&mut self, cell: &Cell, now: Millis) -> Option<Duration> {
        let budget = cell.spec().budget;
        let since = now - i64::try_from(budget.within.as_millis()).unwrap_or(i64::MAX);
        let failures = self.failures.entry(cell.id()).or_default();
        failures.retain(|at| *at > since);
        failures.push_back(now);
        budget.back_off(failures.len())
    }

    fn stop_next(&mut self, cx: &mut Cx<'_, Self>) {
        let mut children = self.cell.children();
        if children.is_empty() {
            return cx.stop();
        }
        if self.strategy() != Strategy::Dynamic {
            children.drain(..children.len() - 1);
        }
        for child in children {
            child.stop();
            cx.after(child.spec().shutdown, SupervisorMessage::Overdue { child: child.id() });
        }
    }

    fn stopped(&mut self, child: CellId, cx: &mut Cx<'_, Self>) {
        let known = self.cell.child(child).is_some();
        self.cell.release(child);
        self.failures.remove(&child);
        self.queue.remove(&child);
        if self.starting == Some(child) {
            self.starting = None;
        }
        match self.course {
            Course::Closing if known && self.may_go_on() => self.stop_next(cx),
            Course::Closing => {}
            Course::Opening | Course::Open => self.start_next(cx),
        }
    }

    /// A dynamic supervisor asked all its children at once: it waits for the last one.
    fn may_go_on(&self) -> bool {
        self.strategy() != Strategy::Dynamic || self.cell.children().is_empty()
    }

    fn overdue(&mut self, child: CellId, cx: &mut Cx<'_, Self>) {
        let Some(cell) = self.cell.child(child) else { return };
        tracing::error!(
            actor = cell.path(),
            allowed_ms = cell.spec().shutdown.as_millis() as u64,
            "did not stop in its time: going on without it"
        );
        cell.kill();
        self.stopped(child, cx);
    }
}

impl Behaviour for Supervisor {
    type Message = SupervisorMessage;
    const KIND: &'static str = "supervisor";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        // After a restart the children of the one before hold, and start anew like the first time; but for those
        // whose end it did not come to hear of.
        for child in self.cell.children().iter().filter(|child| child.phase() == Phase::Stopped) {
            self.cell.release(child.id());
        }
        self.queue = self.cell.children().iter().map(|child| child.id()).collect();
        self.start_next(cx);
        Readiness::Later
    }

    fn handle(&mut self, message: SupervisorMessage, cx: &mut Cx<'_, Self>) {
        match message {
            SupervisorMessage::Ready { child } => {
                if self.starting == Some(child) {
                    self.starting = None;
                    self.start_next(cx);
                }
            }
            SupervisorMessage::Failed { child, reason } => self.failed(child, &reason, cx),
            SupervisorMessage::Stopped { child } => self.stopped(child, cx),
            SupervisorMessage::Restart { children } if self.course != Course::Closing => {
                self.restart(children, cx);
            }
            SupervisorMessage::Restart { .. } => {}
            SupervisorMessage::Overdue { child } => self.overdue(child, cx),
        }
    }

    fn stop(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.course = Course::Closing;
        self.stop_next(cx);
        Readiness::Later
    }

    fn observe(&self) -> String {
        let children = self.cell.children();
        let running = children.iter().filter(|child| child.phase() == Phase::Running).count();
        format!("{:?}, {running} of {} running", self.strategy(), children.len())
    }
}
