//! The actor that deletes old files, and says when the disk has no room for messages (fact sheet: store 2.9).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Queues, index::Index, queue::QueueMessage};
use crate::{
    actors::supervision::{Address, Behaviour, Clock, Cx, Millis, Readiness},
    protocol::topic::is_system_topic,
    store::{
        Store, StoreError,
        local_time::local_hour,
        retention::{Deletion, Retention},
        watermarks::Watermark,
    },
};

crate::messages! {
    /// What the cleaner is told.
    pub(super) enum CleanerMessage {
        /// Time to look.
        Look,
        /// An operator wants expired files deleted now.
        DeleteExpired,
        /// An operator wants the queues of topics that are gone removed once the log has none of their messages.
        RemoveExpiredQueues { is_known: IsKnown, then: Removed },
        /// A round has ended.
        Done,
    }
}

/// Whether there is a topic of that name.
pub(super) type IsKnown = Box<dyn Fn(&str) -> bool + Send>;
/// Called with the number of queues that were removed.
pub(super) type Removed = Box<dyn FnOnce(usize) + Send>;

/// So many rounds delete expired files at any hour after an operator has asked for it.
const REQUESTED_ROUNDS: u32 = 20;
/// How often a full disk is looked at.
const FULL_LOOK: Duration = Duration::from_secs(1);
/// Queues that are dealt with before others on this thread have their turn.
const QUEUES_AT_ONCE: usize = 32;

/// The way to the cleaner. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cleaner(pub(super) Address<CleanerMessage>);

impl Cleaner {
    /// Deletes expired files of the log now, whatever the hour (DELETE_EXPIRED_COMMITLOG 329).
    pub fn delete_expired_log(&self) {
        self.0.complete(CleanerMessage::DeleteExpired);
    }

    /// Removes the queues whose topic `is_known` denies and whose messages the log has all deleted
    /// (CLEAN_EXPIRED_CONSUMEQUEUE 306); those of system topics stay. `then` is called with their number, or
    /// dropped when the cleaner restarts.
    pub fn remove_expired_queues(
        &self,
        is_known: impl Fn(&str) -> bool + Send + 'static,
        then: impl FnOnce(usize) + Send + 'static,
    ) {
        let (is_known, then) = (Box::new(is_known), Box::new(then));
        self.0.complete(CleanerMessage::RemoveExpiredQueues { is_known, then });
    }
}

/// The rules, which may change while they are read.
#[derive(Clone)]
pub(super) struct Rules(Arc<Mutex<Retention>>);

impl Rules {
    pub(super) fn new(retention: Retention) -> Self {
        Self(Arc::new(Mutex::new(retention)))
    }

    pub(super) fn set(&self, retention: Retention) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = retention;
    }

    fn get(&self) -> Retention {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// What the cleaner works with, also in its rounds.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) store: Arc<Store>,
    pub(super) queues: Queues,
    pub(super) index: Index,
    pub(super) rules: Rules,
    /// The start of the log that queues and index know of.
    pub(super) followed: Arc<Watermark>,
}

pub(super) struct DiskCleaner {
    tools: Tools,
    interval: Duration,
    /// Rounds left in which an operator wants expired files deleted.
    requested: u32,
    /// A round is under way.
    works: bool,
    /// The taken share of the disk, percent, when it was last read.
    used: u8,
    is_full: bool,
}

impl DiskCleaner {
    pub(super) fn new(tools: Tools, interval: Duration) -> Self {
        Self { tools, interval, requested: 0, works: false, used: 0, is_full: false }
    }

    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        self.measure();
        let rules = self.tools.rules.get();
        let now = cx.clock().now();
        let deletion = rules.deletion(local_hour(now), self.used, self.requested > 0);
        let is_followed = self.tools.followed.get() >= self.tools.store.log().min_offset();
        if self.works || (deletion == Deletion::Nothing && is_followed) {
            return;
        }
        self.requested = self.requested.saturating_sub(1);
        self.works = true;
        let (tools, clock) = (self.tools.clone(), cx.clock().clone());
        cx.spawn(async move {
            tools.delete(deletion, &rules, &clock).await;
            tools.follow().await;
            CleanerMessage::Done
        });
    }

    fn measure(&mut self) {
        let store = &self.tools.store;
        match store.disk_used() {
            Ok(used) => self.used = used,
            Err(error) => return tracing::warn!(%error, "the disk's usage is not known"),
        }
        let is_full = self.tools.rules.get().is_full(self.used);
        store.log().set_disk_full(is_full.then_some(self.used));
        if is_full != self.is_full {
            self.is_full = is_full;
            match is_full {
                true => tracing::error!(used = self.used, "the disk is full: messages are refused"),
                false => tracing::info!(used = self.used, "the disk has room again: messages are taken"),
            }
        }
    }

    fn remove_queues(&self, is_known: IsKnown, then: Removed, cx: &mut Cx<'_, Self>) {
        let tools = self.tools.clone();
        cx.run(async move { then(tools.remove_expired_queues(is_known).await) });
    }
}

impl Tools {
    /// Deletes files of the log, oldest first, up to the first that may stay.
    async fn delete(&self, deletion: Deletion, rules: &Retention, clock: &Clock) {
        let mut deleted = 0;
        while deleted < rules.batch && self.delete_first(deletion, rules, clock.now()) {
            deleted += 1;
            clock.sleep(rules.pause).await;
        }
        if deleted > 0 {
            tracing::info!(deleted, ?deletion, from = %self.store.log().min_offset(), "old files are deleted");
        }
    }

    fn delete_first(&self, deletion: Deletion, rules: &Retention, now: Millis) -> bool {
        let outcome = self.try_to_delete_first(deletion, rules, now);
        outcome.unwrap_or_else(|error| {
            tracing::error!(%error, "an old file is not deleted: tried again");
            false
        })
    }

    fn try_to_delete_first(
        &self,
        deletion: Deletion,
        rules: &Retention,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let files = self.store.log().files();
        let Some(first) = files.first() else { return Ok(false) };
        // No more than needed goes before its time.
        let is_pressing = deletion != Deletion::Any
            || rules.deletion(local_hour(now), self.store.disk_used()?, false) == Deletion::Any;
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap_or(0));
        let modified = match deletion {
            Deletion::Any => SystemTime::UNIX_EPOCH,
            _ => files.modified(&first)?,
        };
        let deletion = if is_pressing { deletion } else { Deletion::Nothing };
        if !rules.allows(deletion, modified, now) {
            return Ok(false);
        }
        // What is not in the queues yet is still to be read.
        files.delete_first_before(self.store.watermarks().dispatched.get())
    }

    /// Lets queues and index forget what the log has deleted.
    async fn follow(&self) {
        let begin = self.store.log().min_offset();
        if begin <= self.followed.get() {
            return;
        }
        self.index.log_begins(begin);
        for (number, (topic, queue_id, state)) in self.store.queues().snapshot().into_iter().enumerate() {
            if number % QUEUES_AT_ONCE == QUEUES_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            if let Some(queue) = self.queues.live(&topic, queue_id) {
                queue.complete(QueueMessage::LogBegins(begin));
                continue;
            }
            match self.store.correct_queue(&topic, queue_id, state, begin) {
                // Its actor has just started, and looked at the log by itself.
                Ok(()) | Err(StoreError::InUse { .. }) => {}
                Err(error) => tracing::warn!(topic, queue_id, %error, "old files of a queue stay"),
            }
        }
        self.followed.advance(begin);
    }

    async fn remove_expired_queues(&self, is_known: IsKnown) -> usize {
        let mut removed = 0;
        for (topic, queue_id, _) in self.store.queues().snapshot() {
            if is_system_topic(&topic) || is_known(&topic) || self.queues.live(&topic, queue_id).is_some() {
                continue;
            }
            match self.remove_if_expired(&topic, queue_id) {
                Ok(was_expired) => removed += usize::from(was_expired),
                Err(error) => tracing::warn!(topic, queue_id, %error, "an expired queue stays"),
            }
            tokio::task::yield_now().await;
        }
        removed
    }

    fn remove_if_expired(&self, topic: &str, queue_id: i32) -> Result<bool, StoreError> {
        let last = self.store.open_queue(topic, queue_id)?.max_physical()?;
        let is_expired = last.is_some_and(|end| end <= self.store.log().min_offset());
        if is_expired {
            self.store.remove_queue(topic, queue_id)?;
        }
        Ok(is_expired)
    }
}

impl Behaviour for DiskCleaner {
    type Message = CleanerMessage;
    const KIND: &'static str = "cleaner";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.measure();
        cx.after(self.interval.min(FULL_LOOK), CleanerMessage::Look);
        Readiness::Ready
    }

    fn handle(&mut self, message: CleanerMessage, cx: &mut Cx<'_, Self>) {
        match message {
            CleanerMessage::Look => {
                self.look(cx);
                let pause = if self.is_full { self.interval.min(FULL_LOOK) } else { self.interval };
                cx.after(pause, CleanerMessage::Look);
            }
            CleanerMessage::DeleteExpired => {
                self.requested = REQUESTED_ROUNDS;
                self.look(cx);
            }
            CleanerMessage::RemoveExpiredQueues { is_known, then } => self.remove_queues(is_known, then, cx),
            CleanerMessage::Done => {
                self.works = false;
                self.measure();
            }
        }
    }

    fn observe(&self) -> String {
        let full = if self.is_full { ", full" } else { "" };
        format!("{} % of the disk is taken{full}, the log begins at {}", self.used, self.tools.followed.get())
    }
}
