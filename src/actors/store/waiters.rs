//! The actor that holds the senders who wait for the device: it answers them when the log is flushed, or at
//! their deadline even while a sync still blocks its own thread.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    ack::{Acknowledgement, Placed, Refusal},
    signal::Signal,
};
use crate::{
    actors::supervision::{Behaviour, Cx, Millis, Readiness},
    protocol::codes::ResponseCode,
    store::{PhysicalOffset, commit_log::CommitLog},
};

crate::messages! {
    /// What the holder of waiters is told.
    pub(super) enum WaitersMessage {
        /// These wait.
        Await(Vec<Waiting>),
        /// The log was flushed, or will never be again.
        Flushed,
        /// Somebody's deadline has come.
        Due,
    }
}

/// A stored message whose acknowledgement waits.
pub(super) struct Waiting {
    /// It is safe when the log is flushed up to here.
    pub(super) end: PhysicalOffset,
    pub(super) placed: Placed,
    pub(super) ack: Acknowledgement,
}

/// `syncFlushTimeout`, which may change while it is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Patience(Arc<AtomicU64>);

impl Patience {
    pub(super) fn set(&self, patience: Duration) {
        self.0.store(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn deadline(&self, now: Millis) -> Millis {
        now.saturating_add_unsigned(self.0.load(Ordering::Relaxed))
    }
}

pub(super) struct Waiters {
    log: Arc<CommitLog>,
    patience: Patience,
    flushed: Signal,
    /// In the order of the log, and so of their deadlines.
    waiting: VecDeque<(Millis, Waiting)>,
    /// A `Due` is under way.
    alarmed: bool,
    stopping: bool,
}

impl Waiters {
    pub(super) fn new(log: Arc<CommitLog>, patience: Patience, flushed: Signal) -> Self {
        Self { log, patience, flushed, waiting: VecDeque::new(), alarmed: false, stopping: false }
    }

    /// Answers whom it can, and sees that it hears of the next deadline.
    fn settle(&mut self, cx: &mut Cx<'_, Self>) {
        if let Err(error) = self.log.check_poison() {
            let refusal = Refusal { code: ResponseCode::SERVICE_NOT_AVAILABLE, remark: error.to_string() };
            self.waiting.drain(..).for_each(|(_, waiting)| waiting.ack.refused(&refusal));
        }
        let flushed = self.log.watermarks().flushed.get();
        self.answer_first(ResponseCode::SUCCESS, |_, waiting| waiting.end <= flushed);
        match self.waiting.front() {
            Some((deadline, _)) if !self.alarmed => {
                self.alarmed = true;
                let wait = u64::try_from(deadline - cx.clock().now()).unwrap_or(0);
                cx.after(Duration::from_millis(wait), WaitersMessage::Due);
            }
            None if self.stopping => cx.stop(),
            _ => {}
        }
    }

    fn answer_first(&mut self, code: ResponseCode, is_due: impl Fn(Millis, &Waiting) -> bool) {
        let count = self.waiting.iter().take_while(|(deadline, waiting)| is_due(*deadline, waiting)).count();
        for (_, Waiting { placed, ack, .. }) in self.waiting.drain(..count) {
            ack.settled(code, placed);
        }
    }
}

impl Behaviour for Waiters {
    type Message = WaitersMessage;
    const KIND: &'static str = "waiters";

    fn started(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.flushed.lower();
        Readiness::Ready
    }

    fn handle(&mut self, message: WaitersMessage, cx: &mut Cx<'_, Self>) {
        match message {
            WaitersMessage::Await(waiting) => {
                let deadline = self.patience.deadline(cx.clock().now());
                self.waiting.extend(waiting.into_iter().map(|waiting| (deadline, waiting)));
            }
            WaitersMessage::Flushed => self.flushed.lower(),
            WaitersMessage::Due => {
                self.alarmed = false;
                let now = cx.clock().now();
                self.answer_first(ResponseCode::FLUSH_DISK_TIMEOUT, |deadline, _| deadline <= now);
            }
        }
        self.settle(cx);
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.stopping = true;
        if self.waiting.is_empty() { Readiness::Ready } else { Readiness::Later }
    }

    fn observe(&self) -> String {
        format!("{} senders wait", self.waiting.len())
    }
}
