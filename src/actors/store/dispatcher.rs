//! The actor that reads the log behind its safe end and tells each queue what is new in it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use super::{Queues, queue::QueueMessage, signal::Signal};
use crate::{
    actors::supervision::{Address, Behaviour, Cx, Millis, Readiness},
    store::{
        PhysicalOffset, QueueOffset, Store,
        consume_queue::Unit,
        dispatch::{Entry, unit_of},
        scan::{Found, Verify, examine},
    },
};

crate::messages! {
    /// What the dispatcher is told.
    pub(super) enum DispatcherMessage {
        /// The log's safe end has moved.
        Advanced,
        /// All queues have taken their part of a round.
        Taken { round: u64, to: PhysicalOffset, timestamp: Millis },
    }
}

/// Bytes of the log that one round covers at most.
const ROUND: usize = 4 << 20;

static NEXT_ROUND: AtomicU64 = AtomicU64::new(1);

pub(super) struct Dispatcher {
    store: Arc<Store>,
    queues: Queues,
    /// Whether only flushed records may be seen.
    sync: bool,
    advanced: Signal,
    /// Raised after each round, for the key index.
    dispatched: Option<Signal>,
    /// The round that is under way.
    round: Option<u64>,
    /// It stops once nothing is behind; nobody is left to see what is not flushed.
    stopping: bool,
}

/// A part of a round, held by each queue that has something to take; the last one to let go ends the round.
pub(crate) struct Round {
    number: u64,
    to: PhysicalOffset,
    timestamp: Millis,
    dispatcher: Address<DispatcherMessage>,
}

impl Drop for Round {
    fn drop(&mut self) {
        let Self { number: round, to, timestamp, .. } = *self;
        self.dispatcher.complete(DispatcherMessage::Taken { round, to, timestamp });
    }
}

/// What is new in one queue.
struct Group {
    topic: Bytes,
    queue_id: i32,
    at: QueueOffset,
    units: Vec<Unit>,
}

/// What is new in each queue, in the order of their first messages.
#[derive(Default)]
struct Groups<'w> {
    all: Vec<Group>,
    places: HashMap<(&'w str, i32), usize>,
    /// Where the last message went: the next one often goes there too.
    last: Option<((&'w str, i32), usize)>,
}

impl<'w> Groups<'w> {
    fn add(&mut self, entry: Entry<'w>, window: &Bytes) {
        let queue = (entry.topic, entry.queue_id);
        let place = match self.last {
            Some((last, place)) if last == queue => place,
            _ => *self.places.entry(queue).or_insert(self.all.len()),
        };
        self.last = Some((queue, place));
        match self.all.get_mut(place) {
            Some(group) => group.units.push(entry.unit),
            None => self.all.push(Group {
                topic: window.slice_ref(entry.topic.as_bytes()),
                queue_id: entry.queue_id,
                at: entry.queue_offset,
                units: vec![entry.unit],
            }),
        }
    }
}

impl Dispatcher {
    pub(super) fn new(
        store: Arc<Store>,
        queues: Queues,
        sync: bool,
        advanced: Signal,
        dispatched: Option<Signal>,
    ) -> Self {
        Self { store, queues, sync, advanced, dispatched, round: None, stopping: false }
    }

    /// The end of what may be seen.
    fn limit(&self) -> PhysicalOffset {
        let marks = self.store.watermarks();
        if self.sync && !self.stopping { marks.flushed.get() } else { marks.appended.get() }
    }

    /// Starts a round, unless one is under way or nothing is new.
    fn advance(&mut self, cx: &mut Cx<'_, Self>) {
        let from = self.store.watermarks().dispatched.get();
        let limit = self.limit();
        if self.round.is_some() || from >= limit {
            return;
        }
        let window = self.store.log().contiguous(from, limit.since(from).min(ROUND));
        let Some(window) = window else {
            return cx.fail(format!("the log has nothing at {from}, though it ends at {limit}"));
        };
        let (groups, to, timestamp) = match self.group(&window, from, cx) {
            Some(found) => found,
            None => return,
        };
        let number = NEXT_ROUND.fetch_add(1, Ordering::Relaxed);
        self.round = Some(number);
        let round = Arc::new(Round { number, to, timestamp, dispatcher: cx.address() });
        for Group { topic, queue_id, at, units } in groups {
            let Ok(topic) = std::str::from_utf8(&topic) else { continue };
            match self.queues.address(topic, queue_id) {
                Ok(queue) => {
                    queue.complete(QueueMessage::Dispatched { at, units, round: round.clone() });
                }
                Err(error) => tracing::error!(%error, topic, queue_id, "messages of no queue"),
            }
        }
    }

    /// The units of all records in `window`, by queue; with the end of the last record and its time.
    fn group(
        &self,
        window: &Bytes,
        from: PhysicalOffset,
        cx: &mut Cx<'_, Self>,
    ) -> Option<(Vec<Group>, PhysicalOffset, Millis)> {
        let rules = &self.store.options().rules;
        let mut groups = Groups::default();
        let (mut at, mut timestamp) = (from, 0);
        let mut rest: &[u8] = window;
        while !rest.is_empty() {
            let size = match examine(rest, at, Verify::Layout) {
                Found::Record(record) => {
                    timestamp = record.store_timestamp;
                    if let Some(entry) = unit_of(&record, rules) {
                        groups.add(entry, window);
                    }
                    record.size
                }
                Found::Blank(size) => size,
                // The window may end within a record: the next round has it whole.
                Found::Bad(_) if at > from => break,
                Found::Bad(_) if window.len() >= ROUND => return self.group_one_large(from, cx),
                Found::Bad(reason) => {
                    cx.fail(format!("no record at {at}: {reason}"));
                    return None;
                }
            };
            at = at.plus(size);
            rest = rest.get(size..).unwrap_or_default();
        }
        Some((groups.all, at, timestamp))
    }

    /// A record that alone is larger than a round.
    fn group_one_large(
        &self,
        from: PhysicalOffset,
        cx: &mut Cx<'_, Self>,
    ) -> Option<(Vec<Group>, PhysicalOffset, Millis)> {
        let whole = self.store.log().contiguous(from, self.limit().since(from))?;
        match examine(&whole, from, Verify::Layout) {
            Found::Record(record) => self.group(&whole.slice(..record.size), from, cx),
            Found::Blank(size) => Some((Vec::new(), from.plus(size), 0)),
            Found::Bad(reason) => {
                cx.fail(format!("no record at {from}: {reason}"));
                None
            }
        }
    }
}

impl Behaviour for Dispatcher {
    type Message = DispatcherMessage;
    const KIND: &'static str = "dispatcher";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.advanced.lower();
        self.advance(cx);
        Readiness::Ready
    }

    fn handle(&mut self, message: DispatcherMessage, cx: &mut Cx<'_, Self>) {
        match message {
            DispatcherMessage::Advanced => self.advanced.lower(),
            DispatcherMessage::Taken { round, to, timestamp } => {
                // Also a round of the behaviour before this one is done with when its queues have it.
                if self.round == Some(round) {
                    self.round = None;
                    self.store.dispatched(to, timestamp);
                    if let Some(dispatched) = &self.dispatched {
                        dispatched.raise();
                    }
                }
            }
        }
        self.advance(cx);
        if self.stopping && self.round.is_none() {
            cx.stop();
        }
    }

    fn stop(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.stopping = true;
        if let Err(error) = self.store.log().commit() {
            tracing::error!(%error, "messages that wait in memory are lost");
        }
        self.advance(cx);
        if self.round.is_some() { Readiness::Later } else { Readiness::Ready }
    }

    fn observe(&self) -> String {
        let behind = self.limit().since(self.store.watermarks().dispatched.get());
        format!("{behind} bytes behind")
    }
}
