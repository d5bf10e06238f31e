//! Timer messages: the wheel that a store has, what is under way of it, and the actor that turns it.
//!
//! [`Timer`] outlives the actor: a message that is on its way when the actor crashes is neither forgotten nor
//! delivered again.

mod actor;
mod metrics;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use self::{actor::TimerActor, metrics::Metrics};
use super::{Parts, SHUTDOWN, keeper::Saved, later::Asked};
use crate::{
    actors::{
        store::StoreThreads,
        supervision::{Address, Branch, Millis, Spec},
    },
    config::BrokerConfig,
    protocol::{properties, properties::name, record::RecordView, topic},
    store::{
        PhysicalOffset, QueueOffset, Store, StoreError,
        timer::{Due, TimerCheckpoint, TimerOptions, Timers},
    },
};

/// The timer wheel of a broker.
pub(crate) struct Timer {
    store: Arc<Store>,
    files: Mutex<Timers>,
    metrics: Metrics,
    precision: Millis,
    /// Messages that were told to their queues and are not settled.
    under_way: AtomicUsize,
    settled: Mutex<Settled>,
}

/// What has become of messages that were told, until the actor hears of it: the thread of the log, which knows
/// first, must not wait for the wheel's files.
#[derive(Default)]
struct Settled {
    failed: Vec<Due>,
    done: u64,
    /// By how much fewer messages wait.
    fewer: i64,
}

/// A message on its way to its queue. Dropped, it waits again.
struct Flight {
    timer: Arc<Timer>,
    due: Option<Due>,
    real_topic: Bytes,
    /// By how much fewer messages wait once it is done.
    fewer: i64,
    actor: Address<actor::TimerMessage>,
}

impl Flight {
    /// It is stored, or is to be no more.
    fn done(mut self) {
        self.due = None;
        let mut settled = self.timer.settled();
        settled.done += 1;
        settled.fewer += self.fewer;
        drop(settled);
        self.timer.store.traffic().due.add(1, 0);
        self.timer.metrics.count(&self.real_topic, -self.fewer);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(due) = self.due.take() {
            self.timer.settled().failed.push(due);
        }
        if self.timer.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.actor.complete(actor::TimerMessage::Settled);
        }
    }
}

impl Timer {
    /// Opens the wheel.
    pub(super) fn open(store: &Arc<Store>, config: &BrokerConfig, now: Millis) -> Result<Self, StoreError> {
        let millis = |span: Duration| Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX);
        let precision = millis(config.timer_precision_ms.duration()).max(1);
        let options = TimerOptions {
            precision,
            window_slots: config.timer_roll_window_slot.into(),
            reserved: millis(config.file_reserved_time.duration()),
            log_file_size: config.mapped_file_size_timer_log.len(),
        };
        Ok(Self {
            files: Mutex::new(Timers::open(store, options, now)?),
            metrics: Metrics::load(store.options(), now)?,
            store: store.clone(),
            precision,
            under_way: AtomicUsize::new(0),
            settled: Mutex::default(),
        })
    }

    /// Adds the actor to the branch.
    pub(super) fn grow(self: &Arc<Self>, branch: &Branch, threads: &StoreThreads, parts: &Parts<'_>) {
        let (timer, queues) = (self.clone(), parts.queues.clone());
        branch.child(Spec::new("timer", &threads.delivery).shutdown(SHUTDOWN), move || {
            Ok(TimerActor::new(timer.clone(), queues.clone()))
        });
    }

    fn files(&self) -> MutexGuard<'_, Timers> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settled(&self) -> MutexGuard<'_, Settled> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0
    }

    /// Lets a message go.
    fn begin(self: &Arc<Self>, due: Due, actor: Address<actor::TimerMessage>) -> Flight {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        Flight { timer: self.clone(), due: Some(due), real_topic: Bytes::new(), fewer: 0, actor }
    }

    /// Width of a slot, ms.
    pub(super) fn precision(&self) -> Millis {
        self.precision
    }

    /// Messages that wait in the slot of a time.
    pub(super) fn waiting_at(&self, out: Millis) -> i64 {
        self.files().waiting_at(out)
    }

    /// From where on the log may tell of deliveries that nothing else does.
    pub(super) fn delivered_from(&self) -> Option<PhysicalOffset> {
        self.files().delivered_from()
    }

    /// The log tells that the message of this record was delivered.
    pub(super) fn was_delivered(&self, record: &RecordView<'_>) {
        if record.topic == topic::TIMER_WHEEL.as_bytes() {
            self.files().was_delivered(PhysicalOffset(record.physical_offset));
        }
    }

    /// How far it is, as code 60 has it.
    pub(crate) fn checkpoint(&self) -> TimerCheckpoint {
        self.files().checkpoint()
    }

    /// Messages that wait, by topic, as the file and code 61 have it.
    pub(crate) fn metrics(&self) -> Bytes {
        self.metrics.to_json().into()
    }

    /// The first message of its queue that is not in the wheel.
    pub(crate) fn next(&self) -> QueueOffset {
        self.files().next()
    }

    /// How long the first message has been due, ms.
    pub(crate) fn late_by(&self, now: Millis) -> Millis {
        self.files().head().map_or(0, |head| (now - head).max(0))
    }

    /// Messages that wait.
    pub(crate) fn waiting(&self) -> i64 {
        self.files().waiting()
    }

    /// The record of a message that waits, while the log has it.
    fn record(&self, at: PhysicalOffset, size: i32) -> Option<Bytes> {
        let record = self.store.log().slice(at, usize::try_from(size).ok()?)?;
        let view = RecordView::parse(&record).ok()?;
        (view.topic == topic::TIMER_WHEEL.as_bytes()).then_some(record)
    }

    /// The key of the message that another one takes back.
    fn deleted_key(&self, at: PhysicalOffset, size: i32) -> Option<Box<[u8]>> {
        let record = self.record(at, size)?;
        let view = RecordView::parse(&record).ok()?;
        properties::get(view.properties, name::TIMER_DEL_UNIQKEY).map(Into::into)
    }
}

impl Saved for Timer {
    const KIND: &'static str = "timer-checkpoint";

    fn changes(&self) -> u64 {
        self.files().changes()
    }

    fn save(&self, now: Millis) -> Result<(), StoreError> {
        let log = self.store.log();
        let unsaved = self.files().unsaved(log.min_offset(), now)?;
        self.store.flush_log(log.written())?;
        let options = self.store.options();
        unsaved.save(options.disk.as_ref())?;
        self.metrics.save(options)
    }
}
