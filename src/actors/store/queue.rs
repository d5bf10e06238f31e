//! The actor of one topic queue: it prepares records, owns the consume queue, and serves pulls.

mod cold;
mod pull;
mod send;
mod watch;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, oneshot};

pub(crate) use cold::{AT_ONCE, Loads};
pub(crate) use pull::{AnswerFlags, Limits, Most, PullJob};
pub(crate) use send::{Payload, SendJob};
pub(crate) use watch::{Found, Watch};

use super::{
    dispatcher::Round,
    log::{Append, LogMessage},
};
use crate::{
    actors::supervision::{Address, Behaviour, Cx, Millis, Readiness},
    protocol::fields::Text,
    store::{
        PhysicalOffset, QueueOffset, Store, StoreError,
        commit_log::CommitLog,
        consume_queue::{Appended, ConsumeQueue, Unit},
        offset_by_time::Boundary,
        queue_table::QueueState,
        tally::Tally,
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
        /// What a full disk has not taken is to be tried again.
        Retry,
        /// The log begins here now: forget what lies before.
        LogBegins(PhysicalOffset),
        /// Which offset belongs to a store time.
        OffsetByTime { timestamp: Millis, boundary: Boundary, reply: oneshot::Sender<QueueOffset> },
        /// The units from an offset on, at most so many.
        Units { from: QueueOffset, max: usize, reply: oneshot::Sender<Vec<Unit>> },
        /// The same, once there is one.
        Await(Watch),
        /// Look whether it was used of late.
        Idle,
        /// Its topic was deleted.
        Close,
    }
}

/// How long to wait before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How long a queue waits for another owner, the cleaner, to let go of it.
const OWNED_ELSEWHERE: Duration = Duration::from_millis(20);
/// After so long without use a queue's file is closed, so that another may stay open.
const IDLE: Duration = Duration::from_secs(2);

pub(crate) struct TopicQueue {
    topic: String,
    queue_id: i32,
    state: Arc<QueueState>,
    queue: ConsumeQueue,
    store: Arc<Store>,
    log: Arc<CommitLog>,
    writer: Address<LogMessage>,
    held: Vec<PullJob>,
    /// What groups have read of it.
    readers: HashMap<Text, Arc<Tally>>,
    /// Places at the device, shared by all queues.
    places: Arc<Semaphore>,
    /// Reads that went there.
    loads: u64,
    watches: Vec<Watch>,
    /// The earliest time at which a `Due` is under way.
    alarm: Option<Millis>,
    /// What the disk has no room for. Their rounds do not end meanwhile, so the dispatcher sends no more.
    unwritten: Vec<New>,
    /// Up to here the log had messages when this behaviour began: what was on its way to the one before may
    /// have been lost with it, and comes from the log.
    owed: QueueOffset,
    /// The log was looked through for such messages up to here.
    searched: PhysicalOffset,
    /// Its file stays open: a look whether it is still used is under way.
    stays_open: bool,
    /// It was used since the last look.
    is_used: bool,
}

/// What is new in the queue.
struct New {
    at: QueueOffset,
    units: Vec<Unit>,
    round: Arc<Round>,
}

impl TopicQueue {
    pub(super) fn open(
        store: &Arc<Store>,
        topic: &str,
        queue_id: i32,
        writer: Address<LogMessage>,
        places: Arc<Semaphore>,
    ) -> Result<Self, StoreError> {
        let mut queue = open_when_free(store, topic, queue_id)?;
        queue.correct_min(store.log().min_offset())?;
        let owed = queue.state().next_offset();
        Ok(Self {
            topic: topic.to_owned(),
            queue_id,
            state: queue.state().clone(),
            queue,
            store: store.clone(),
            log: store.log().clone(),
            writer,
            held: Vec::new(),
            readers: HashMap::new(),
            places,
            loads: 0,
            watches: Vec::new(),
            alarm: None,
            unwritten: Vec::new(),
            owed,
            searched: PhysicalOffset(0),
            stays_open: false,
            is_used: false,
        })
    }

    fn dispatched(&mut self, new: New, cx: &mut Cx<'_, Self>) {
        // A dispatcher that restarted begins where the one before did.
        self.unwritten.retain(|before| before.at < new.at);
        self.unwritten.push(new);
        if self.unwritten.len() == 1 {
            self.write(cx);
        }
    }

    /// Writes what is not written yet. A full disk keeps it waiting; any other failure is one.
    fn write(&mut self, cx: &mut Cx<'_, Self>) {
        let end = self.queue.max_offset();
        match self.try_to_write() {
            // The rest is on its way, or was when its queue failed: then the log is soon said to have it.
            Ok(()) if self.queue.max_offset() < self.owed => cx.after(RETRY, QueueMessage::Retry),
            Ok(()) => {}
            Err(error) if error.is_disk_full() => {
                tracing::warn!(topic = self.topic, queue = self.queue_id, %error, "the queue waits for space");
                cx.after(RETRY, QueueMessage::Retry);
            }
            Err(error) => cx.fail(error.to_string()),
        }
        if self.queue.max_offset() > end {
            self.wake_held(cx);
            self.serve_watches();
        }
    }

    fn try_to_write(&mut self) -> Result<(), StoreError> {
        if self.queue.max_offset() < self.owed {
            self.catch_up()?;
        }
        while let Some(New { at, .. }) = self.unwritten.first() {
            if *at > self.queue.max_offset() {
                self.catch_up()?;
            }
            let Some(New { at, units, .. }) = self.unwritten.first() else { break };
            if let Appended::Gap { expected } = self.queue.append(*at, units)? {
                return Err(StoreError::Gap { expected, found: *at });
            }
            drop(self.unwritten.remove(0).round);
        }
        Ok(())
    }

    /// Takes from the log what earlier rounds had for this queue.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        let up_to = self.store.watermarks().dispatched.get();
        self.store.catch_up(&mut self.queue, &self.topic, self.queue_id, self.searched, up_to)?;
        self.searched = up_to;
        Ok(())
    }

    /// Closes its file after a use, unless it is one of those that stay open until they are idle.
    fn rest(&mut self, cx: &mut Cx<'_, Self>) {
        self.is_used = true;
        if self.queue.rest() && !std::mem::replace(&mut self.stays_open, true) {
            cx.after(IDLE, QueueMessage::Idle);
        }
    }

    fn close_if_idle(&mut self, cx: &mut Cx<'_, Self>) {
        if std::mem::take(&mut self.is_used) {
            return cx.after(IDLE, QueueMessage::Idle);
        }
        self.queue.release();
        self.stays_open = false;
    }

    fn log_begins(&mut self, at: PhysicalOffset) {
        if let Err(error) = self.queue.correct_min(at) {
            // Its reads find out by themselves; the next deletion corrects it again.
            tracing::warn!(topic = self.topic, queue = self.queue_id, %error, "old files stay");
        }
    }

    fn send(&mut self, jobs: Vec<SendJob>) {
        let mut entries = Vec::with_capacity(jobs.len());
        entries.extend(jobs.into_iter().filter_map(SendJob::prepare));
        let append = Append { queue: self.state.clone(), entries, since: Instant::now() };
        // When the writer has no room the jobs are dropped, and say so to their senders.
        let _ = self.writer.send(LogMessage::Append(append));
    }

    fn offset_by_time(&mut self, timestamp: Millis, boundary: Boundary) -> QueueOffset {
        let log = self.log.clone();
        let found = self.queue.offset_by_time(timestamp, boundary, |at| log.store_timestamp(at));
        found.unwrap_or_else(|error| {
            tracing::error!(topic = self.topic, queue = self.queue_id, %error, "no offset by time");
            self.queue.min_offset()
        })
    }

    fn units(&mut self, from: QueueOffset, max: usize) -> Vec<Unit> {
        self.queue.range(from, max).map(Iterator::collect).unwrap_or_default()
    }
}

/// Who follows the log's deletion in queues without an actor holds each for a moment.
fn open_when_free(store: &Store, topic: &str, queue_id: i32) -> Result<ConsumeQueue, StoreError> {
    let since = Instant::now();
    loop {
        match store.open_queue(topic, queue_id) {
            Err(StoreError::InUse { .. }) if since.elapsed() < OWNED_ELSEWHERE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            outcome => return outcome,
        }
    }
}

impl Behaviour for TopicQueue {
    type Message = QueueMessage;
    const KIND: &'static str = "queue";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.write(cx);
        self.rest(cx);
        Readiness::Ready
    }

    fn handle(&mut self, message: QueueMessage, cx: &mut Cx<'_, Self>) {
        match message {
            QueueMessage::Send(jobs) => return self.send(jobs),
            QueueMessage::Idle => return self.close_if_idle(cx),
            QueueMessage::Pull(job) => self.pull(job, cx),
            QueueMessage::Dispatched { at, units, round } => self.dispatched(New { at, units, round }, cx),
            QueueMessage::Retry => self.write(cx),
            QueueMessage::LogBegins(at) => self.log_begins(at),
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
        self.rest(cx);
    }

    fn observe(&self) -> String {
        let (min, max) = (self.queue.min_offset(), self.queue.max_offset());
        format!("{min} to {max}, {} pulls held, {} reads from disk", self.held.len(), self.loads)
    }
}
