//! The actor of one topic queue: it prepares records, owns the consume queue, and serves pulls.

mod pull;
mod send;
mod watch;

use std::sync::Arc;

use tokio::sync::oneshot;

pub(crate) use pull::{AnswerFlags, PullJob};
pub(crate) use send::{Payload, SendJob};
pub(crate) use watch::{Found, Watch};

use super::{
    dispatcher::Round,
    log::{Append, LogMessage},
};
use crate::{
    actors::supervision::{Address, Behaviour, Cx, Millis, Readiness},
    store::{
        QueueOffset, Store, StoreError,
        commit_log::CommitLog,
        consume_queue::{Appended, ConsumeQueue, Unit},
        offset_by_time::Boundary,
        queue_table::QueueState,
    },
};

crate::messages! {
    /// What a topic queue is told.
    pub(crate) enum QueueMessage {
        /// Store these.
        Send(Vec<SendJob>),
        /// Give what is there, or wait for it.
        Pull(PullJob),
        /// The log has these for it, from the offset on.
        Dispatched { at: QueueOffset, units: Vec<Unit>, round: Arc<Round> },
        /// A held pull is due.
        Due,
        /// Which offset belongs to a store time.
        OffsetByTime { timestamp: Millis, boundary: Boundary, reply: oneshot::Sender<QueueOffset> },
        /// The units from an offset on, at most so many.
        Units { from: QueueOffset, max: usize, reply: oneshot::Sender<Vec<Unit>> },
        /// The same, once there is one.
        Await(Watch),
        /// Its topic was deleted.
        Close,
    }
}

pub(crate) struct TopicQueue {
    name: String,
    state: Arc<QueueState>,
    queue: ConsumeQueue,
    log: Arc<CommitLog>,
    writer: Address<LogMessage>,
    held: Vec<PullJob>,
    watches: Vec<Watch>,
    /// The earliest time at which a `Due` is under way.
    alarm: Option<Millis>,
}

impl TopicQueue {
    pub(super) fn open(
        store: &Arc<Store>,
        topic: &str,
        queue_id: i32,
        writer: Address<LogMessage>,
    ) -> Result<Self, StoreError> {
        let mut queue = store.open_queue(topic, queue_id)?;
        // What was dispatched to a behaviour that did not live to write it.
        store.catch_up(&mut queue, topic, queue_id, store.watermarks().dispatched.get())?;
        Ok(Self {
            name: format!("{topic}:{queue_id}"),
            state: queue.state().clone(),
            queue,
            log: store.log().clone(),
            writer,
            held: Vec::new(),
            watches: Vec::new(),
            alarm: None,
        })
    }

    fn dispatched(&mut self, at: QueueOffset, units: &[Unit], cx: &mut Cx<'_, Self>) {
        match self.queue.append(at, units) {
            Ok(Appended::Until(_)) => {
                self.wake_held(cx);
                self.serve_watches();
            }
            Ok(Appended::Repeated) => {}
            Ok(Appended::Gap { expected }) => {
                // The next behaviour takes what is missing from the log.
                cx.fail(format!("offsets {expected} to {at} are missing"));
            }
            Err(error) => cx.fail(error.to_string()),
        }
    }

    fn send(&mut self, jobs: Vec<SendJob>) {
        let entries = jobs.into_iter().filter_map(SendJob::prepare).collect();
        let append = Append { queue: self.state.clone(), entries };
        // When the writer has no room the jobs are dropped, and say so to their senders.
        let _ = self.writer.send(LogMessage::Append(append));
    }

    fn offset_by_time(&mut self, timestamp: Millis, boundary: Boundary) -> QueueOffset {
        let log = self.log.clone();
        let found = self.queue.offset_by_time(timestamp, boundary, |at| log.store_timestamp(at));
        found.unwrap_or_else(|error| {
            tracing::error!(queue = self.name, %error, "no offset by time");
            self.queue.min_offset()
        })
    }

    fn units(&mut self, from: QueueOffset, max: usize) -> Vec<Unit> {
        self.queue.range(from, max).map(Iterator::collect).unwrap_or_default()
    }
}

impl Behaviour for TopicQueue {
    type Message = QueueMessage;
    const KIND: &'static str = "queue";

    fn started(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        Readiness::Ready
    }

    fn handle(&mut self, message: QueueMessage, cx: &mut Cx<'_, Self>) {
        match message {
            QueueMessage::Send(jobs) => self.send(jobs),
            QueueMessage::Pull(job) => self.pull(job, cx),
            QueueMessage::Dispatched { at, units, round } => {
                self.dispatched(at, &units, cx);
                drop(round);
            }
            QueueMessage::Due => self.release_due(cx),
            // Whoever asked may have stopped waiting.
            QueueMessage::OffsetByTime { timestamp, boundary, reply } => {
                let _ = reply.send(self.offset_by_time(timestamp, boundary));
            }
            QueueMessage::Units { from, max, reply } => {
                let _ = reply.send(self.units(from, max));
            }
            QueueMessage::Await(watch) => self.watch(watch),
            QueueMessage::Close => cx.stop(),
        }
    }

    fn observe(&self) -> String {
        let (min, max) = (self.queue.min_offset(), self.queue.max_offset());
        format!("{min} to {max}, {} pulls held", self.held.len())
    }
}
