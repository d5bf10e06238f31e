//! The actor that writes the log: the only one. It takes all that waits, appends it in one go, and says how
//! far the log has come.

use std::{sync::Arc, time::Instant};

use super::{
    ack::{Acknowledgement, Placed, Refusal},
    allocator::AllocatorMessage,
    signal::Signal,
    waiters::{WaitersMessage, Waiting},
};
use crate::{
    actors::supervision::{Address, Behaviour, Cx, Millis},
    protocol::{
        codes::ResponseCode,
        record::{BatchDraft, RecordDraft},
    },
    store::{
        PhysicalOffset, QueueOffset, StoreError,
        commit_log::{Appender, CommitLog},
        queue_table::QueueState,
        tally::Traffic,
    },
};

crate::messages! {
    /// What the log's writer is told.
    pub(super) enum LogMessage {
        /// Append these.
        Append(Append),
    }
}

/// Messages of one queue, in order.
pub(super) struct Append {
    /// The queue's numbers: the writer gives out offsets, so that they are dense in the order of the log.
    pub(super) queue: Arc<QueueState>,
    pub(super) entries: Vec<Entry>,
    /// When they were handed over.
    pub(super) since: Instant,
}

/// What is appended together or not at all, and who waits for it.
pub(super) struct Entry {
    pub(super) records: Records,
    /// Whether the sender waits until the record is as safe as the policy says.
    pub(super) waits: bool,
    pub(super) ack: Acknowledgement,
}

/// One record, or those of a batch, which stay in one file.
#[allow(clippy::large_enum_variant)] // One is the rule, and a box would be an allocation for each.
pub(super) enum Records {
    One(RecordDraft),
    Many(BatchDraft),
}

impl Records {
    fn size(&self) -> usize {
        match self {
            Self::One(record) => record.total_size(),
            Self::Many(records) => records.sizes().sum(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(records) => records.sizes().len(),
        }
    }

    fn take_queue_offsets(&self) -> bool {
        match self {
            Self::One(record) => record.takes_queue_offset(),
            Self::Many(records) => records.takes_queue_offset(),
        }
    }

    fn encode_into(&self, window: &mut [u8], queue: QueueOffset, at: PhysicalOffset, now: Millis) {
        // The window has their size, so they fit.
        let _ = match self {
            Self::One(record) => record.encode_into(window, queue.0, at.0, now),
            Self::Many(records) => records.encode_into(window, queue.0, at.0, now),
        };
    }
}

/// What the writer works with.
pub(super) struct LogWriter {
    pub(super) log: Arc<CommitLog>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) appender: Appender,
    /// With synchronous flush: where those wait who wait for the device.
    pub(super) sync: Option<SyncFlush>,
    /// Raised after each run of appends: for the dispatcher, or with write buffers for who commits them.
    pub(super) appended: Signal,
    pub(super) allocator: Address<AllocatorMessage>,
    /// Up to where the pages of the current file were asked to be made ready.
    pub(super) warm: PhysicalOffset,
    pub(super) waiting: Vec<Waiting>,
    /// A new file could not be made: the allocator is to try, so that this thread need not.
    pub(super) lacks_file: bool,
}

/// Whom the writer tells with synchronous flush.
pub(super) struct SyncFlush {
    pub(super) waiters: Address<WaitersMessage>,
    /// Raised after each run of appends, for the flusher.
    pub(super) appended: Signal,
}

/// How far ahead of the writer pages are made ready.
const WARM_AHEAD: usize = 16 << 20;
/// How much is made ready at a time: little, since new pages cost up to 2 µs a KiB, and whoever shares a core
/// with the allocator waits for as long.
const WARM_STEP: usize = 512 << 10;

impl LogWriter {
    fn append(&mut self, queue: &QueueState, entry: Entry, now: Millis) {
        let Entry { records, waits, ack } = entry;
        if queue.is_closed() {
            let remark = "[CASTMQ]the topic is being deleted, try again".to_owned();
            return ack.refused(&Refusal { code: ResponseCode::SYSTEM_BUSY, remark });
        }
        match self.place(queue, &records, now) {
            Ok(placed) if self.sync.is_some() && waits => {
                let end = self.log.max_offset();
                self.waiting.push(Waiting { end, placed, ack });
            }
            Ok(placed) => ack.stored(placed),
            Err(error) => {
                self.traffic.failed.add(1, 0);
                self.lacks_file |= error.is_disk_full();
                ack.refused(&Refusal::from(&error));
            }
        }
    }

    fn place(&mut self, queue: &QueueState, records: &Records, now: Millis) -> Result<Placed, StoreError> {
        let first = queue.next_offset();
        let (count, size) = (records.count(), records.size());
        let encode = |window: &mut [u8], at| records.encode_into(window, first, at, now);
        let at = self.appender.append(size, now, encode)?;
        queue.set_next_offset(if records.take_queue_offsets() { first.plus(count) } else { first });
        queue.stored().add(count, size);
        self.traffic.stored.add(count, size);
        if !queue.is_system() {
            self.traffic.stored_by_users.add(count, size);
        }
        let sizes = match records {
            Records::One(_) => Vec::new(),
            Records::Many(records) => records.sizes().collect(),
        };
        Ok(Placed { queue_offset: first, physical_offset: at, sizes })
    }

    /// Has the pages made ready that the next appends will touch.
    fn warm_ahead(&mut self) {
        let Some((file, position)) = self.appender.position() else { return };
        let here = file.base().plus(position);
        if here.plus(WARM_AHEAD - WARM_STEP) < self.warm {
            return;
        }
        let from = self.warm.max(here);
        self.warm = here.plus(WARM_AHEAD);
        let range = from.since(file.base()).min(file.len())..self.warm.since(file.base()).min(file.len());
        let order = AllocatorMessage::Warm { file: file.clone(), range };
        // It is a favour: when the allocator is busy the writer touches the pages itself.
        let _ = self.allocator.send(order);
    }
}

impl Behaviour for LogWriter {
    type Message = LogMessage;
    const KIND: &'static str = "commit-log";
    const DRAINS: bool = true;

    fn handle(&mut self, LogMessage::Append(append): LogMessage, cx: &mut Cx<'_, Self>) {
        let now = cx.clock().now();
        let requests = append.entries.len();
        for entry in append.entries {
            self.append(&append.queue, entry, now);
        }
        self.traffic.store_times.add(requests, append.since.elapsed());
    }

    fn drained(&mut self, _cx: &mut Cx<'_, Self>) {
        self.appended.raise();
        if let Some(sync) = &self.sync {
            if !self.waiting.is_empty() {
                sync.waiters.complete(WaitersMessage::Await(std::mem::take(&mut self.waiting)));
            }
            sync.appended.raise();
        }
        if std::mem::take(&mut self.lacks_file) {
            let _ = self.allocator.send(AllocatorMessage::Prepare);
        }
        self.warm_ahead();
    }

    fn observe(&self) -> String {
        let marks = self.log.watermarks();
        match self.log.poisoned() {
            Some(reason) => format!("poisoned: {reason}"),
            None => format!("appended {}, flushed {}", self.log.written(), marks.flushed.get()),
        }
    }
}
