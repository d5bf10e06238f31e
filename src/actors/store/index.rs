//! The actor of the key index: it reads the log behind what is dispatched, and answers queries by key. It
//! lives on a thread that nobody waits for: the files are large, and each entry touches another page.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::signal::Signal;
use crate::{
    actors::supervision::{Address, Behaviour, Cx, Millis, Readiness},
    protocol::{properties::name, record::RecordView},
    store::{
        PhysicalOffset, Store, StoreError,
        index::{Filled, IndexOptions, KeyIndex, Period},
        scan::{Found, Verify, examine},
    },
};

crate::messages! {
    /// What the indexer is told.
    pub(super) enum IndexMessage {
        /// More of the log is dispatched.
        Advanced,
        /// There is more to read, or to try again, or it has rested.
        Again,
        /// Which records carry a key.
        Query { query: KeyQuery, then: Then },
        /// The log begins here now: forget what lies before.
        LogBegins(PhysicalOffset),
    }
}

/// What kind of key is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Property `UNIQ_KEY`.
    Unique,
    /// One of property `KEYS`.
    Key,
    /// Either of them.
    Any,
    /// Property `TAGS`.
    Tags,
}

/// Which records are looked for.
#[derive(Debug)]
pub(crate) struct KeyQuery {
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) kind: KeyKind,
    /// Records wanted at most: the newest.
    pub(crate) max: usize,
    /// Bytes wanted at most; the first record comes whatever its size.
    pub(crate) max_bytes: usize,
    pub(crate) period: Period,
}

/// The records of a query, in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct KeyResult {
    pub(crate) records: Vec<Bytes>,
    /// Where the newest record in the index begins, and when it was stored.
    pub(crate) last_update: (PhysicalOffset, Millis),
}

/// Called with the result, on the indexer's thread.
pub(crate) type Then = Box<dyn FnOnce(KeyResult) + Send>;

/// The way to the key index; there may be none. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Index(pub(super) Option<Address<IndexMessage>>);

impl Index {
    /// Looks for records. Dropped uncalled, `then` means that the index has no room or is restarting.
    pub(crate) fn query(&self, query: KeyQuery, then: Then) {
        match &self.0 {
            Some(actor) => drop(actor.send(IndexMessage::Query { query, then })),
            None => then(KeyResult::default()),
        }
    }

    pub(super) fn log_begins(&self, at: PhysicalOffset) {
        if let Some(actor) = &self.0 {
            actor.complete(IndexMessage::LogBegins(at));
        }
    }

    /// A signal for whoever makes more of the log visible.
    pub(super) fn signal(&self) -> Option<Signal> {
        self.0.clone().map(|actor| Signal::new(actor, || IndexMessage::Advanced))
    }
}

/// Bytes of the log that are read before others on this thread have their turn.
const SLICE: usize = 1 << 20;
/// The pause after it has caught up: under load it wakes up this often, not for every round of the dispatcher.
const REST: Duration = Duration::from_millis(10);
/// How long to wait before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long a stop may take to bring the index up to the log's end; the next start goes on from there.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(super) struct Indexer {
    store: Arc<Store>,
    options: IndexOptions,
    /// Whether what an abnormal exit left was looked after, which is once in a process.
    is_recovered: Arc<AtomicBool>,
    advanced: Signal,
    /// `None` until the files could be opened.
    index: Option<KeyIndex>,
    /// All records before are in the index.
    position: PhysicalOffset,
    /// Waits until the log is flushed behind it.
    filled: Option<Filled>,
}

impl Indexer {
    pub(super) fn new(
        store: Arc<Store>,
        options: IndexOptions,
        is_recovered: Arc<AtomicBool>,
        advanced: Signal,
    ) -> Self {
        let position = PhysicalOffset(0);
        Self { store, options, is_recovered, advanced, index: None, position, filled: None }
    }

    fn open(&self) -> Result<KeyIndex, StoreError> {
        let was_abnormal = self.store.recovery().was_abnormal && !self.is_recovered.load(Ordering::Acquire);
        let safe_until = self.store.checkpoint().index.get();
        let mut index = KeyIndex::open(self.options.clone(), was_abnormal, safe_until)?;
        index.cut_to_log(self.store.log().max_offset())?;
        self.is_recovered.store(true, Ordering::Release);
        Ok(index)
    }

    fn is_behind(&self) -> bool {
        self.index.is_none() || self.position < self.store.watermarks().dispatched.get()
    }

    /// Reads on, for a slice, until nothing is new.
    fn advance(&mut self, cx: &mut Cx<'_, Self>) {
        if !self.is_behind() {
            self.advanced.lower();
            if self.is_behind() {
                self.advanced.raise();
            }
            return;
        }
        match self.read(self.store.watermarks().dispatched.get()) {
            Ok(()) if self.is_behind() => cx.address().complete(IndexMessage::Again),
            Ok(()) => cx.after(REST, IndexMessage::Again),
            Err(error) if error.is_disk_full() => {
                tracing::warn!(%error, "the key index waits for space");
                cx.after(RETRY, IndexMessage::Again);
            }
            Err(error) => cx.fail(error.to_string()),
        }
    }

    fn read(&mut self, limit: PhysicalOffset) -> Result<(), StoreError> {
        if self.index.is_none() {
            let index = self.open()?;
            self.position = index.end_offset();
            self.index = Some(index);
        }
        let Some(index) = &mut self.index else { return Ok(()) };
        let log = self.store.log();
        let from = self.position.max(log.min_offset());
        let Some(window) = log.contiguous(from, limit.since(from)) else { return Ok(()) };
        let slice = window.len().min(SLICE);
        if log.resident(from, slice) < slice {
            // Page faults read nothing ahead where cold readers were.
            log.load(from, slice);
        }
        let mut rest: &[u8] = &window;
        self.position = from;
        while !rest.is_empty() && self.position.since(from) < SLICE {
            let size = match examine(rest, self.position, Verify::Layout) {
                Found::Record(record) => {
                    self.filled = index.put(&record)?.or(self.filled);
                    record.size
                }
                Found::Blank(size) => size,
                Found::Bad(reason) => {
                    // Damage in an old file, which recovery need not read, hides the rest of it.
                    tracing::warn!(offset = %self.position, reason, "the key index leaves out the rest of a file");
                    rest.len()
                }
            };
            self.position = self.position.plus(size);
            rest = rest.get(size..).unwrap_or_default();
        }
        self.note_filled()
    }

    /// Tells the checkpoint of a full file, once no power cut can take its records from the log.
    fn note_filled(&mut self) -> Result<(), StoreError> {
        let flushed = self.store.watermarks().flushed.get();
        if let Some(filled) = self.filled.take_if(|filled| filled.end < flushed) {
            self.store.checkpoint().index.advance(filled.timestamp);
            self.store.checkpoint().flush()?;
        }
        Ok(())
    }

    fn query(&self, query: &KeyQuery) -> KeyResult {
        let Some(index) = &self.index else { return KeyResult::default() };
        let KeyQuery { topic, key, kind, max, max_bytes, period } = query;
        let found = match kind {
            KeyKind::Tags => index.matches_of_tags(topic, key, period),
            _ => index.matches(topic, key, period),
        };
        let mut room = *max_bytes;
        let mut records: Vec<(PhysicalOffset, Bytes)> = Vec::new();
        for at in found {
            if records.len() >= *max {
                break;
            }
            let is_known = records.last().is_some_and(|(last, _)| *last == at);
            let Some(record) = self.record(at).filter(|record| !is_known && query.wants(record)) else {
                continue;
            };
            if record.len() > room && !records.is_empty() {
                break;
            }
            room = room.saturating_sub(record.len());
            records.push((at, record));
        }
        let records = records.into_iter().rev().map(|(_, record)| record).collect();
        KeyResult { records, last_update: index.last_update() }
    }

    fn record(&self, at: PhysicalOffset) -> Option<Bytes> {
        let bytes = self.store.log().contiguous(at, usize::MAX)?;
        match examine(&bytes, at, Verify::Layout) {
            Found::Record(record) => Some(bytes.slice(..record.size)),
            Found::Blank(_) | Found::Bad(_) => None,
        }
    }

    /// Brings the index up to the end of the log: nobody appends any more.
    fn finish(&mut self) -> Result<(), StoreError> {
        let (since, limit) = (Instant::now(), self.store.log().max_offset());
        while self.position < limit && since.elapsed() < LAST_WORDS {
            let before = self.position;
            self.read(limit)?;
            if self.position == before {
                break;
            }
        }
        self.index.as_ref().map_or(Ok(()), KeyIndex::flush)
    }
}

impl KeyQuery {
    /// Whether the record is really meant: the index compares hashes.
    fn wants(&self, record: &[u8]) -> bool {
        let Ok(record) = RecordView::parse(record) else { return false };
        let is = |property| record.property(property) == Some(self.key.as_bytes());
        let has_key = || {
            let keys = record.property(name::KEYS).unwrap_or_default();
            keys.split(|&byte| byte == b' ').any(|key| key == self.key.as_bytes())
        };
        let is_meant = match self.kind {
            KeyKind::Unique => is(name::UNIQ_KEY),
            KeyKind::Key => has_key(),
            KeyKind::Any => is(name::UNIQ_KEY) || has_key(),
            KeyKind::Tags => is(name::TAGS),
        };
        is_meant && record.topic == self.topic.as_bytes() && self.period.contains(&record.store_timestamp)
    }
}

impl Behaviour for Indexer {
    type Message = IndexMessage;
    const KIND: &'static str = "index";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.advance(cx);
        Readiness::Ready
    }

    fn handle(&mut self, message: IndexMessage, cx: &mut Cx<'_, Self>) {
        match message {
            IndexMessage::Advanced | IndexMessage::Again => self.advance(cx),
            IndexMessage::Query { query, then } => {
                // Who asks for what it has just sent finds it. Any error is met again when it reads on.
                let _ = self.read(self.store.watermarks().dispatched.get());
                then(self.query(&query));
            }
            IndexMessage::LogBegins(at) => {
                if let Some(Err(error)) = self.index.as_mut().map(|index| index.delete_before(at)) {
                    tracing::warn!(%error, "old files of the key index stay");
                }
            }
        }
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        if let Err(error) = self.finish() {
            tracing::error!(%error, "the key index is not on the device: the next start recovers");
            self.store.doubt();
        }
        Readiness::Ready
    }

    fn observe(&self) -> String {
        let behind = self.store.watermarks().dispatched.get().since(self.position);
        format!("indexed {}, {behind} bytes behind", self.position)
    }
}
