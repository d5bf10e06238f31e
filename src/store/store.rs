//! The owner of all files under one root. Its supervisor holds it in an `Arc` and lends the parts; a
//! crashed borrower's successor borrows again.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::checkpoint::Checkpoint;
use super::commit_log::{Appender, CommitLog};
use super::consume_queue::{self, Appended, ConsumeQueue, FindEnd, QueueFiles};
use super::disk::{Disk, LocalDisk};
use super::dispatch::{DispatchRules, light_units, unit_of};
use super::error::StoreError;
use super::lock::{AbortMark, StoreLock};
use super::queue_ends::QueueEnds;
use super::queue_flush;
use super::queue_path::queue_dir;
use super::queue_table::{QueueState, QueueTable};
use super::recovery::{Progress, RecoveryReport, recover};
use super::scan::{Found, Verify, examine};
use super::tally::Traffic;
use super::transient_store_pool::PoolOptions;
use super::watermarks::{PhysicalOffset, Watermarks};

const LOG_DIR: &str = "commitlog";
pub(super) const CHECKPOINT_FILE: &str = "checkpoint";

/// Everything that a start has to know. File sizes must be those that wrote the files.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `storePathRootDir`.
    pub root: PathBuf,
    /// `storePathCommitLog`, when the log does not lie under the root.
    pub commit_log_dir: Option<PathBuf>,
    /// `mappedFileSizeCommitLog`, in bytes.
    pub commit_log_file_size: usize,
    /// `mappedFileSizeConsumeQueue`, in bytes; rounded up to whole units.
    pub consume_queue_file_size: usize,
    /// `commitLogRecoverMaxNum`: how many log files a recovery after a crash goes back at most.
    pub recover_max_files: usize,
    /// What decides over consume queue units.
    pub rules: DispatchRules,
    /// Write buffers, if there are to be any.
    pub pool: Option<PoolOptions>,
    /// The file system.
    pub disk: Arc<dyn Disk>,
}

impl StoreOptions {
    /// RocketMQ's defaults under `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        StoreOptions {
            root: root.into(),
            commit_log_dir: None,
            commit_log_file_size: 1 << 30,
            consume_queue_file_size: 300_000 * consume_queue::UNIT_SIZE,
            recover_max_files: 10,
            rules: DispatchRules::default(),
            pool: None,
            disk: Arc::new(LocalDisk),
        }
    }

    pub(super) fn log_dir(&self) -> PathBuf {
        self.commit_log_dir.clone().unwrap_or_else(|| self.root.join(LOG_DIR))
    }

    pub(super) fn queue_files(&self, topic: &str, queue_id: i32) -> Result<QueueFiles, StoreError> {
        let dir = queue_dir(&self.root, topic, queue_id)?;
        Ok(QueueFiles { disk: self.disk.clone(), dir, file_size: self.consume_queue_file_size })
    }
}

/// How a store was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// All is on the device; the next start trusts the files.
    Clean,
    /// So many bytes of the log are in no queue yet; the next start recovers as after a crash.
    Behind(usize),
    /// A part could not be flushed; the next start recovers as after a crash.
    Doubted,
}

/// An open store: nobody else has its files.
pub struct Store {
    options: StoreOptions,
    log: Arc<CommitLog>,
    queues: Arc<QueueTable>,
    traffic: Arc<Traffic>,
    checkpoint: Checkpoint,
    abort: AbortMark,
    /// Store time of the last record that is in all its queues, ms.
    dispatched_timestamp: AtomicI64,
    recovery: RecoveryReport,
    /// Something could not be flushed that the next start would trust.
    is_doubted: AtomicBool,
    /// Taken at the close, so that nothing is appended after it.
    last_appender: OnceLock<Appender>,
    _lock: StoreLock,
}

impl Store {
    /// Locks the root, recovers what is in it, and goes on from there.
    pub fn open(options: StoreOptions) -> Result<Self, StoreError> {
        Store::open_with_progress(options, &mut |_, _| {})
    }

    /// [`Store::open`] that tells how far it is: bytes checked, bytes in all.
    pub fn open_with_progress(
        options: StoreOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Self, StoreError> {
        let disk = options.disk.clone();
        let root = &options.root;
        disk.create_dir(root).map_err(StoreError::io("make the directory", root))?;
        let lock = StoreLock::take(root)?;
        let abort = AbortMark::of(root);
        let was_abnormal = abort.exists()?;
        abort.set(disk.as_ref())?;
        let checkpoint = Checkpoint::open(disk, root.join(CHECKPOINT_FILE))?;
        let (log, queues, recovery) = recover(&options, &checkpoint, was_abnormal, progress)?;
        if checkpoint.safe().offset.is_some_and(|offset| offset > recovery.end) {
            checkpoint.set_offset(PhysicalOffset(0));
            checkpoint.flush()?;
        }
        Ok(Store {
            dispatched_timestamp: AtomicI64::new(log.flushed_timestamp()),
            options,
            log: Arc::new(log),
            queues: Arc::new(queues),
            traffic: Arc::default(),
            checkpoint,
            abort,
            recovery,
            is_doubted: AtomicBool::new(false),
            last_appender: OnceLock::new(),
            _lock: lock,
        })
    }

    /// What the start found.
    pub fn recovery(&self) -> RecoveryReport {
        self.recovery
    }

    /// With what it was opened.
    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// The log.
    pub fn log(&self) -> &Arc<CommitLog> {
        &self.log
    }

    /// How far each stage of a message's road has come.
    pub fn watermarks(&self) -> &Arc<Watermarks> {
        self.log.watermarks()
    }

    /// What is known of each queue.
    pub fn queues(&self) -> &Arc<QueueTable> {
        &self.queues
    }

    /// What went in and out since the process began.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The times up to which the parts are safe.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The record that begins at an offset of the log. What merely looks like one there names another offset.
    pub fn record_at(&self, offset: PhysicalOffset) -> Option<Bytes> {
        if (self.log.max_offset()..self.log.written()).contains(&offset) {
            // Whoever was told of it need not wait until it is committed anyway.
            self.log.commit().ok()?;
        }
        let bytes = self.log.contiguous(offset, usize::MAX)?;
        match examine(&bytes, offset, Verify::Layout) {
            Found::Record(record) => bytes.get(..record.size).map(|whole| bytes.slice_ref(whole)),
            Found::Blank(_) | Found::Bad(_) => None,
        }
    }

    /// Becomes the owner of a queue, new or not. Nothing is created on the device before its first unit.
    pub fn open_queue(&self, topic: &str, queue_id: i32) -> Result<ConsumeQueue, StoreError> {
        let files = self.options.queue_files(topic, queue_id)?;
        let state = self.queues.get_or_create(topic, queue_id);
        ConsumeQueue::open(files, FindEnd::Halving, state)
    }

    /// Appends the units that a queue lacks of what its topic has in the log between `from` and `up_to`: those
    /// that were on their way when its owner crashed. Cheap when none is missing; otherwise it reads the log,
    /// from the queue's last record on where that lies behind `from`.
    ///
    /// # Errors
    /// [`StoreError::Gap`] when the log does not have what is missing.
    pub fn catch_up(
        &self,
        queue: &mut ConsumeQueue,
        topic: &str,
        queue_id: i32,
        from: PhysicalOffset,
        up_to: PhysicalOffset,
    ) -> Result<(), StoreError> {
        if queue.max_offset() >= queue.state().next_offset() {
            return Ok(());
        }
        let from = queue.max_physical()?.unwrap_or_default().max(from).max(self.log.min_offset());
        for scanned in self.log.scan(from, up_to) {
            let scanned = scanned?;
            let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) else {
                break;
            };
            let rules = &self.options.rules;
            let entries = unit_of(&record, rules).into_iter().chain(light_units(&record, rules));
            for entry in entries.filter(|entry| entry.topic == topic && entry.queue_id == queue_id) {
                if let Appended::Gap { expected } = queue.append(entry.queue_offset, &[entry.unit])? {
                    return Err(StoreError::Gap { expected, found: entry.queue_offset });
                }
            }
        }
        Ok(())
    }

    /// Removes a queue that nobody owns, with its files; its offsets begin at 0 again.
    pub fn remove_queue(&self, topic: &str, queue_id: i32) -> Result<(), StoreError> {
        let mut queue = self.open_queue(topic, queue_id)?;
        queue.clear()?;
        self.queues.remove(topic, queue_id);
        let dir = self.options.queue_files(topic, queue_id)?.dir;
        match self.options.disk.remove_dir(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &dir)(error))
            }
            _ => Ok(()),
        }
    }

    /// Notes that all records below `to` are in their queues, the last of them stored at
    /// `store_timestamp`. For the dispatcher, after the queues' owners have appended the units.
    pub fn dispatched(&self, to: PhysicalOffset, store_timestamp: i64) {
        self.watermarks().dispatched.advance(to);
        // Padding has no time.
        self.dispatched_timestamp.fetch_max(store_timestamp, Ordering::AcqRel);
    }

    /// Commits what waits, forces the log to the device up to `up_to` and notes its time for the checkpoint.
    pub fn flush_log(&self, up_to: PhysicalOffset) -> Result<PhysicalOffset, StoreError> {
        let committed = self.log.commit();
        let flushed = self.log.flush(up_to)?;
        self.checkpoint.log.advance(self.log.flushed_timestamp());
        committed.map(|_| flushed)
    }

    /// Forces all queues' new units and then the checkpoint to the device; callable beside their owners.
    pub fn flush_queues(&self) -> Result<(), StoreError> {
        // Read first: all units of that time are written, and the flush comes after them.
        let timestamp = self.dispatched_timestamp.load(Ordering::Acquire);
        let marks = self.watermarks();
        let offset = marks.dispatched.get().min(marks.flushed.get());
        self.flush_queues_from(0)?;
        self.checkpoint.queues.advance(timestamp);
        self.checkpoint.set_offset(offset);
        self.checkpoint.flush()
    }

    /// Forces the queues that have at least so many bytes of new units to the device. That is no reason for
    /// another checkpoint: others may have a few.
    pub fn flush_queues_from(&self, least: usize) -> Result<(), StoreError> {
        let mut queues = Vec::new();
        for (topic, queue_id, state) in self.queues.snapshot() {
            if state.dirty_units().saturating_mul(consume_queue::UNIT_SIZE) >= least {
                queues.push((self.options.queue_files(&topic, queue_id)?, state));
            }
        }
        queue_flush::flush(queues)
    }

    /// Says that a part of the files could not be flushed: the close leaves the mark of a crash.
    pub fn doubt(&self) {
        self.is_doubted.store(true, Ordering::Release);
    }

    /// Follows the log's deletion up to `log_min` in a queue that nobody owns.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when it has an owner, who can do it himself.
    pub fn correct_queue(
        &self,
        topic: &str,
        queue_id: i32,
        state: Arc<QueueState>,
        log_min: PhysicalOffset,
    ) -> Result<(), StoreError> {
        let files = self.options.queue_files(topic, queue_id)?;
        ConsumeQueue::open(files, FindEnd::Halving, state)?.correct_min(log_min)
    }

    /// How much of the disk is taken, percent: of the log's or the root's, whichever is fuller.
    pub fn disk_used(&self) -> Result<u8, StoreError> {
        let used = |dir: &std::path::Path| match self.options.disk.usage(dir) {
            Ok(usage) => Ok(usage.percent()),
            Err(error) => Err(StoreError::io("read the usage of", dir)(error)),
        };
        Ok(used(self.log.files().dir())?.max(used(&self.options.root)?))
    }

    /// Closes in order: everything flushed, the checkpoint written, the abort mark removed. The appender
    /// and the queues' owners must be gone; afterwards nothing can be appended any more.
    pub fn close(&self) -> Result<Closed, StoreError> {
        if self.last_appender.get().is_none() {
            let _ = self.last_appender.set(self.log.appender()?); // The lease admits one at a time.
        }
        self.log.files().discard_prepared()?;
        self.flush_log(self.log.written())?;
        self.flush_queues()?;
        let behind = self.log.max_offset().since(self.watermarks().dispatched.get());
        if behind > 0 {
            return Ok(Closed::Behind(behind));
        }
        if self.is_doubted.load(Ordering::Acquire) {
            return Ok(Closed::Doubted);
        }
        // Without it the next start only takes longer.
        let log = (self.log.min_offset(), self.log.max_offset());
        let ends = QueueEnds::of(&self.options, &self.queues, log);
        if let Err(error) = ends.and_then(|ends| ends.map_or(Ok(()), |ends| ends.write(&self.options))) {
            tracing::warn!(%error, "the ends of the queues are not written down");
        }
        self.abort.clear(self.options.disk.as_ref())?;
        Ok(Closed::Clean)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("root", &self.options.root)
            .field("watermarks", self.watermarks())
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}
