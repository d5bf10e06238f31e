//! The store's subtree. What it works on, `store::Store`, outlives every actor here: an actor holds cursors
//! and waiters, and a restart takes them up from the files.
//!
//! In the order of start, rest for one: what stands later depends on what stands earlier.
//! - [`allocator`]: makes files and pages ready ahead of the writer.
//! - [`log`]: the single writer.
//! - [`flush`]: forces the log to the device, on its own thread.
//! - [`queue`]: one actor per topic queue, found through [`Queues`].
//! - [`dispatcher`]: tells the queues what is new. It stands behind them, since it needs them: so the last
//!   thing that stops before the queues is the one that has made them complete.
//! - [`queue_flush`]: forces the queues and the checkpoint to the device.

mod ack;
mod allocator;
mod dispatcher;
mod flush;
mod log;
pub(crate) mod queue;
mod queue_flush;
mod queues;
mod signal;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::ArbiterHandle;

pub use ack::{Acknowledgement, ClientAck, InnerAck, Placed, Refusal};
pub use queues::Queues;

use self::{
    allocator::{Allocator, AllocatorMessage},
    dispatcher::{Dispatcher, DispatcherMessage},
    flush::{FlushMessage, FlushPolicy, Flusher},
    log::LogWriter,
    queue_flush::QueueFlusher,
    signal::Signal,
};
use crate::{
    actors::supervision::{Address, Branch, Budget, Spec, StartError, Strategy},
    config::{BrokerConfig, FlushDiskType},
    store::Store,
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
    /// Supervisors.
    pub control: ArbiterHandle,
}

/// What the writer needs of those who stand behind it.
struct Behind {
    flush: Address<FlushMessage>,
    advanced: Signal,
}

/// Grows the store's branch below `parent`; gives the way to the queues.
pub fn grow(parent: &Branch, store: &Arc<Store>, config: &BrokerConfig, threads: &StoreThreads) -> Queues {
    let tight = Budget::new(3, Duration::from_secs(60));
    let spec = |name: &str, arbiter| Spec::new(name, arbiter).capacity(config.mailbox_capacity as usize);
    let branch = parent.branch(
        Spec::new("store", &threads.control).budget(tight).shutdown(Duration::from_secs(60)),
        Strategy::RestForOne,
    );
    let sync = config.flush_disk_type == FlushDiskType::SyncFlush;
    let behind: Arc<OnceLock<Behind>> = Arc::default();

    let log = store.log().clone();
    let allocator =
        branch.child(spec("allocator", &threads.background), move || Ok(Allocator { log: log.clone() }));
    let writer = branch.child(
        spec("commit-log", &threads.hot).shutdown(Duration::from_secs(20)),
        log_writer(store.clone(), sync, allocator, behind.clone()),
    );
    let flush = branch.child(
        spec("flush", &threads.flush).shutdown(Duration::from_secs(60)),
        flusher(store.clone(), sync, config, behind.clone()),
    );
    let nursery = branch
        .branch(Spec::new("queues", &threads.control).shutdown(Duration::from_secs(30)), Strategy::Dynamic);
    let queues = Queues::new(nursery, &threads.hot, config.mailbox_capacity as usize, store.clone());
    queues.connect(writer);
    let dispatcher = branch.child(
        spec("dispatcher", &threads.hot).shutdown(Duration::from_secs(30)),
        dispatch(store.clone(), sync, queues.clone(), behind.clone()),
    );
    let (flushed, interval) = (store.clone(), config.flush_interval_consume_queue.duration());
    branch.child(spec("queue-flush", &threads.background).shutdown(Duration::from_secs(60)), move || {
        Ok(QueueFlusher::new(flushed.clone(), interval))
    });
    let advanced = Signal::new(dispatcher, || DispatcherMessage::Advanced);
    // Filled once, before the tree starts, which is when it is first read.
    let _ = behind.set(Behind { flush, advanced });
    queues
}

const UNWIRED: &str = "the store's branch is not grown yet";

fn log_writer(
    store: Arc<Store>,
    sync: bool,
    allocator: Address<AllocatorMessage>,
    behind: Arc<OnceLock<Behind>>,
) -> impl Fn() -> Result<LogWriter, StartError> + Send {
    move || {
        let behind = behind.get().ok_or(UNWIRED)?;
        let log = store.log().clone();
        Ok(LogWriter {
            appender: log.appender()?,
            warm: log.max_offset(),
            log,
            sync,
            flush: behind.flush.clone(),
            appended: behind.advanced.clone(),
            allocator: allocator.clone(),
            waiting: Vec::new(),
        })
    }
}

fn flusher(
    store: Arc<Store>,
    sync: bool,
    config: &BrokerConfig,
    behind: Arc<OnceLock<Behind>>,
) -> impl Fn() -> Result<Flusher, StartError> + Send + use<> {
    let policy = FlushPolicy {
        interval: config.flush_interval_commit_log.duration(),
        least: usize::try_from(config.flush_commit_log_least_pages.0).unwrap_or(0).saturating_mul(4096),
        thorough: config.flush_commit_log_thorough_interval.duration(),
    };
    move || {
        let flushed = behind.get().ok_or(UNWIRED)?.advanced.clone();
        Ok(Flusher {
            store: store.clone(),
            policy,
            flushed: sync.then_some(flushed),
            waiting: Vec::new(),
            last: 0,
        })
    }
}

fn dispatch(
    store: Arc<Store>,
    sync: bool,
    queues: Queues,
    behind: Arc<OnceLock<Behind>>,
) -> impl Fn() -> Result<Dispatcher, StartError> + Send {
    move || {
        let advanced = behind.get().ok_or(UNWIRED)?.advanced.clone();
        Ok(Dispatcher::new(store.clone(), queues.clone(), sync, advanced))
    }
}
