//! The store's subtree. What it works on, `store::Store`, outlives every actor here: an actor holds cursors
//! and waiters, and a restart takes them up from the files.
//!
//! In the order of start, rest for one: what stands later depends on what stands earlier.
//! - [`allocator`]: makes files and pages ready ahead of the writer.
//! - [`log`]: the single writer.
//! - [`flush`]: forces the log to the device, on its own thread.
//! - [`waiters`]: holds the senders who wait for that.
//! - [`queue`]: one actor per topic queue, found through [`Queues`].
//! - [`dispatcher`]: tells the queues what is new. It stands behind them, since it needs them: so the last
//!   thing that stops before the queues is the one that has made them complete.
//! - [`index`]: the key index, fed from the log behind the dispatcher.
//! - [`queue_flush`]: forces the queues and the checkpoint to the device.
//! - [`cleaner`]: deletes old files, and says when the disk is full.

mod ack;
mod allocator;
mod cleaner;
mod dispatcher;
mod flush;
pub(crate) mod index;
mod log;
pub(crate) mod queue;
mod queue_flush;
mod queues;
mod signal;
mod waiters;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::ArbiterHandle;

pub use ack::{Acknowledgement, ClientAck, InnerAck, Placed, Refusal};
pub use cleaner::Cleaner;
pub use index::Index;
pub use queues::Queues;

use self::{
    allocator::{Allocator, AllocatorMessage, Warming},
    cleaner::{DiskCleaner, Rules, Tools},
    dispatcher::{Dispatcher, DispatcherMessage},
    flush::{FlushMessage, FlushPolicy, Flusher},
    index::Indexer,
    log::LogWriter,
    queue_flush::{QueueFlushPolicy, QueueFlusher},
    signal::Signal,
    waiters::{Patience, Waiters, WaitersMessage},
};
use crate::{
    actors::supervision::{Address, Branch, Budget, Spec, StartError, Strategy},
    config::{self, BrokerConfig, FlushDiskType},
    store::{Store, index::IndexOptions, retention::Retention, watermarks::Watermark},
};

/// The threads of the store's actors. The writer, the queues and the dispatcher talk much, and live on one.
#[derive(Debug, Clone)]
pub struct StoreThreads {
    /// The writer, the queues, the dispatcher.
    pub hot: ArbiterHandle,
    /// Syncs of the log.
    pub flush: ArbiterHandle,
    /// Whatever may take long: files and pages made ready, syncs of the queues.
    pub background: ArbiterHandle,
    /// What is delivered later, which may have to be read from the device.
    pub delivery: ArbiterHandle,
    /// Supervisors.
    pub control: ArbiterHandle,
}

/// The actors of a store, as others reach them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreActors {
    /// The topic queues.
    pub queues: Queues,
    /// The key index.
    pub index: Index,
    /// What deletes old files.
    pub cleaner: Cleaner,
    rules: Rules,
    patience: Patience,
}

impl StoreActors {
    /// Takes over the keys that decide here, after a change at run time.
    pub fn configure(&self, config: &BrokerConfig) {
        self.rules.set(retention(config));
        self.patience.set(config.sync_flush_timeout.duration());
    }
}

/// What the actors in front need of those who stand behind them.
struct Behind {
    waiters: Address<WaitersMessage>,
    /// The log's written end has moved, for the flusher.
    unflushed: Signal,
    /// The log's flushed end has moved, for those who wait.
    flushed: Signal,
    /// The log's safe end has moved, for the dispatcher.
    advanced: Signal,
    /// More is dispatched, for the key index.
    dispatched: Option<Signal>,
}

impl Behind {
    fn new(
        flush: Address<FlushMessage>,
        waiters: Address<WaitersMessage>,
        dispatcher: Address<DispatcherMessage>,
        index: &Index,
    ) -> Self {
        Self {
            unflushed: Signal::new(flush, || FlushMessage::Appended),
            flushed: Signal::new(waiters.clone(), || WaitersMessage::Flushed),
            advanced: Signal::new(dispatcher, || DispatcherMessage::Advanced),
            dispatched: index.signal(),
            waiters,
        }
    }
}

/// Filled while the branch is grown, before the tree starts, which is when it is first read.
#[derive(Clone, Default)]
struct Wires(Arc<OnceLock<Behind>>);

impl Wires {
    fn get(&self) -> Result<&Behind, StartError> {
        Ok(self.0.get().ok_or("the store's branch is not grown yet")?)
    }
}

/// Grows the store's branch below `parent`; gives the ways to its actors.
pub fn grow(
    parent: &Branch,
    store: &Arc<Store>,
    config: &BrokerConfig,
    threads: &StoreThreads,
) -> StoreActors {
    let tight = Budget::new(3, Duration::from_secs(60));
    let spec = |name: &str, arbiter, shutdown| {
        let shutdown = Duration::from_secs(shutdown);
        Spec::new(name, arbiter).capacity(config.mailbox_capacity as usize).shutdown(shutdown)
    };
    let branch = parent.branch(
        Spec::new("store", &threads.control).budget(tight).shutdown(Duration::from_secs(60)),
        Strategy::RestForOne,
    );
    let StoreThreads { hot, flush: flush_thread, background, .. } = threads;
    let sync = config.flush_disk_type == FlushDiskType::SyncFlush;
    let wires = Wires::default();
    let (rules, patience) = (Rules::new(retention(config)), Patience::default());

    let sync_each = sync.then(|| bytes_of(config.flush_least_pages_when_warm_maped_file).max(PAGE));
    let warming = config.warm_maped_file_enable.then_some(Warming { sync_each });
    let log = store.log().clone();
    let allocator =
        branch.child(spec("allocator", background, 5), move || Ok(Allocator::new(log.clone(), warming)));
    let writer =
        branch.child(spec("commit-log", hot, 20), log_writer(store.clone(), sync, allocator, wires.clone()));
    let flush =
        branch.child(spec("flush", flush_thread, 60), flusher(store.clone(), sync, config, wires.clone()));
    let waiters =
        branch.child(spec("waiters", hot, 60), hold_waiters(store.clone(), patience.clone(), wires.clone()));
    let nursery = branch
        .branch(Spec::new("queues", &threads.control).shutdown(Duration::from_secs(30)), Strategy::Dynamic);
    let queues = Queues::new(nursery, hot, config.mailbox_capacity as usize, store.clone());
    queues.connect(writer);
    let dispatcher = branch
        .child(spec("dispatcher", hot, 30), dispatch(store.clone(), sync, queues.clone(), wires.clone()));
    let index =
        Index(config.message_index_enable.then(|| {
            branch.child(spec("index", background, 60), indexer(store.clone(), config, wires.clone()))
        }));
    let (flushed, policy) = (store.clone(), queue_flush_policy(config));
    branch.child(spec("queue-flush", background, 60), move || Ok(QueueFlusher::new(flushed.clone(), policy)));
    let tools = Tools {
        store: store.clone(),
        queues: queues.clone(),
        index: index.clone(),
        rules: rules.clone(),
        // Recovery has seen to it that all agree.
        followed: Arc::new(Watermark::at(store.log().min_offset())),
    };
    let interval = config.clean_resource_interval.duration();
    let cleaner =
        branch.child(spec("cleaner", background, 5), move || Ok(DiskCleaner::new(tools.clone(), interval)));
    let _ = wires.0.set(Behind::new(flush, waiters, dispatcher, &index));
    let actors = StoreActors { queues, index, cleaner: Cleaner(cleaner), rules, patience };
    actors.configure(config);
    actors
}

fn log_writer(
    store: Arc<Store>,
    sync: bool,
    allocator: Address<AllocatorMessage>,
    wires: Wires,
) -> impl Fn() -> Result<LogWriter, StartError> + Send {
    move || {
        let behind = wires.get()?;
        let log = store.log().clone();
        let (waiters, appended) = (behind.waiters.clone(), behind.unflushed.clone());
        Ok(LogWriter {
            appender: log.appender()?,
            warm: log.written(),
            traffic: store.traffic().clone(),
            sync: sync.then(|| log::SyncFlush { waiters, appended: appended.clone() }),
            appended: match log.free_buffers() {
                Some(_) => appended,
                None => behind.advanced.clone(),
            },
            log,
            allocator: allocator.clone(),
            waiting: Vec::new(),
            lacks_file: false,
        })
    }
}

fn flusher(
    store: Arc<Store>,
    sync: bool,
    config: &BrokerConfig,
    wires: Wires,
) -> impl Fn() -> Result<Flusher, StartError> + Send + use<> {
    let policy = FlushPolicy {
        interval: config.flush_interval_commit_log.duration(),
        least: bytes_of(config.flush_commit_log_least_pages),
        thorough: config.flush_commit_log_thorough_interval.duration(),
    };
    let committing = FlushPolicy {
        interval: config.commit_interval_commit_log.duration(),
        least: bytes_of(config.commit_commit_log_least_pages),
        thorough: config.commit_commit_log_thorough_interval.duration(),
    };
    move || {
        let behind = wires.get()?;
        let commit = store.log().free_buffers().map(|_| flush::Commit {
            policy: committing,
            appended: behind.unflushed.clone(),
            committed: behind.advanced.clone(),
            last: 0,
            failed: false,
        });
        let flushed = [behind.flushed.clone(), behind.advanced.clone()];
        let sync = sync.then(|| flush::SyncFlush { appended: behind.unflushed.clone(), flushed });
        Ok(Flusher { store: store.clone(), policy, sync, commit, last: 0 })
    }
}

fn hold_waiters(
    store: Arc<Store>,
    patience: Patience,
    wires: Wires,
) -> impl Fn() -> Result<Waiters, StartError> + Send {
    move || Ok(Waiters::new(store.log().clone(), patience.clone(), wires.get()?.flushed.clone()))
}

fn dispatch(
    store: Arc<Store>,
    sync: bool,
    queues: Queues,
    wires: Wires,
) -> impl Fn() -> Result<Dispatcher, StartError> + Send {
    move || {
        let behind = wires.get()?;
        let (advanced, dispatched) = (behind.advanced.clone(), behind.dispatched.clone());
        Ok(Dispatcher::new(store.clone(), queues.clone(), sync, advanced, dispatched))
    }
}

fn indexer(
    store: Arc<Store>,
    config: &BrokerConfig,
    wires: Wires,
) -> impl Fn() -> Result<Indexer, StartError> + Send + use<> {
    let options = IndexOptions {
        slots: config.max_hash_slot_num as usize,
        entries: config.max_index_num as usize,
        ..IndexOptions::at(store.options().disk.clone(), &store.options().root)
    };
    let is_recovered = Arc::default();
    move || {
        let advanced = wires.get()?.dispatched.clone().ok_or("there is no key index")?;
        Ok(Indexer::new(store.clone(), options.clone(), Arc::clone(&is_recovered), advanced))
    }
}

fn queue_flush_policy(config: &BrokerConfig) -> QueueFlushPolicy {
    QueueFlushPolicy {
        interval: config.flush_interval_consume_queue.duration(),
        least: bytes_of(config.flush_consume_queue_least_pages),
        thorough: config.flush_consume_queue_thorough_interval.duration(),
    }
}

/// Bytes of a page.
const PAGE: usize = 4096;

fn bytes_of(pages: config::Pages) -> usize {
    usize::try_from(pages.0).unwrap_or(usize::MAX).saturating_mul(PAGE)
}

fn retention(config: &BrokerConfig) -> Retention {
    let percent = |share: config::Percent| u8::try_from(share.0).unwrap_or(100);
    Retention {
        reserved: config.file_reserved_time.duration(),
        hours: config.delete_when.0.clone(),
        max_used: percent(config.disk_max_used_space_ratio),
        forcibly_at: percent(config.disk_space_clean_forcibly_ratio),
        refuse_at: percent(config.disk_space_warning_level_ratio),
        may_force: config.clean_file_forcibly_enable,
        batch: config.delete_file_batch_max as usize,
        pause: config.delete_commit_log_files_interval.duration(),
    }
}
