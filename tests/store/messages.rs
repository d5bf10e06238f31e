//! Messages put into a store as the broker's actors do, and the look at everything afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use castmq::protocol::record::{PropertyText, RecordDraft, RecordFields, RecordView};
use castmq::protocol::sys_flag::SysFlag;
use castmq::store::commit_log::Appender;
use castmq::store::consume_queue::Appended;
use castmq::store::disk::{Disk, LocalDisk};
use castmq::store::dispatch::unit_of;
use castmq::store::index::{IndexOptions, KeyIndex};
use castmq::store::queue_path::list_queues;
use castmq::store::scan::{Found, Verify, examine};
use castmq::store::{PhysicalOffset, PoolOptions, QueueOffset, Store, StoreError, StoreOptions};

pub(crate) const LOG_FILE: usize = 8192;
pub(crate) const QUEUE_FILE: usize = 200;
pub(crate) const EVERYTHING: PhysicalOffset = PhysicalOffset(i64::MAX);
/// Write buffers, if a store is to have some.
pub(crate) const POOL: Option<PoolOptions> = Some(PoolOptions { size: 2, fails_fast: false });
/// Slots and entries of an index file.
pub(crate) const INDEX: (usize, usize) = (16, 64);

pub(crate) fn options(root: &Path, disk: Arc<dyn Disk>) -> StoreOptions {
    StoreOptions {
        commit_log_file_size: LOG_FILE,
        consume_queue_file_size: QUEUE_FILE,
        disk,
        ..StoreOptions::at(root)
    }
}

pub(crate) fn open(root: &Path) -> Store {
    Store::open(options(root, Arc::new(LocalDisk))).unwrap()
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) topic: &'static str,
    pub(crate) queue_id: i32,
    pub(crate) queue_offset: i64,
    pub(crate) at: PhysicalOffset,
    pub(crate) bytes: Vec<u8>,
}

impl Sent {
    pub(crate) fn end(&self) -> PhysicalOffset {
        self.at.plus(self.bytes.len())
    }
}

/// Appends one message to a queue.
pub(crate) fn send(
    store: &Store,
    appender: &mut Appender,
    (topic, queue_id): (&'static str, i32),
    body: &[u8],
    time: i64,
) -> Result<Sent, StoreError> {
    let state = store.queues().get_or_create(topic, queue_id);
    let queue_offset = state.next_offset();
    let host = "127.0.0.1:10911".parse().unwrap();
    let properties = format!("KEYS\u{1}k{}\u{2}TAGS\u{1}t\u{2}", queue_offset.0 % 7);
    let fields = RecordFields {
        topic: topic.into(),
        queue_id,
        flag: 0,
        sys_flag: SysFlag(0),
        born_timestamp: time,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: body.to_vec().into(),
        properties: PropertyText::from(bytes::Bytes::from(properties)),
    };
    let draft = RecordDraft::new(fields).unwrap();
    let mut bytes = Vec::new();
    let at = appender.append(draft.total_size(), time, |out, at| {
        draft.encode_into(out, queue_offset.0, at.0, time).unwrap();
        bytes = out.to_vec();
    })?;
    state.set_next_offset(queue_offset.plus(1));
    Ok(Sent { topic, queue_id, queue_offset: queue_offset.0, at, bytes })
}

/// A message of some length over three queues of two topics; the time is that of its number.
pub(crate) fn send_number(store: &Store, appender: &mut Appender, number: usize) -> Result<Sent, StoreError> {
    let queue = [("A", 0), ("A", 1), ("B", 0)][number % 3];
    send(store, appender, queue, &vec![number as u8; 20 + number % 9 * 50], 1_000_000 + number as i64 * 100)
}

pub(crate) fn fill(store: &Store, numbers: std::ops::Range<usize>) -> Vec<Sent> {
    let mut appender = store.log().appender().unwrap();
    numbers.map(|number| send_number(store, &mut appender, number).unwrap()).collect()
}

/// What the dispatcher does, up to the end of the log.
pub(crate) fn dispatch(store: &Store) -> Result<(), StoreError> {
    let from = store.watermarks().dispatched.get();
    let mut scan = store.log().scan(from, EVERYTHING);
    for scanned in &mut scan {
        let scanned = scanned.unwrap();
        let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) else { panic!() };
        let entry = unit_of(&record, &store.options().rules).unwrap();
        let mut queue = store.open_queue(entry.topic, entry.queue_id)?;
        let appended = queue.append(entry.queue_offset, &[entry.unit])?;
        assert!(!matches!(appended, Appended::Gap { .. }), "{appended:?}");
        store.dispatched(scanned.offset.plus(record.size), record.store_timestamp);
    }
    store.dispatched(scan.position(), 0);
    Ok(())
}

/// The index, with all that the log has put in.
pub(crate) fn index(store: &Store, was_abnormal: bool) -> KeyIndex {
    let root = &store.options().root;
    let options =
        IndexOptions { slots: INDEX.0, entries: INDEX.1, ..IndexOptions::at(Arc::new(LocalDisk), root) };
    let mut index = KeyIndex::open(options, was_abnormal, store.checkpoint().index.get()).unwrap();
    for scanned in store.log().scan(store.log().min_offset(), EVERYTHING) {
        let scanned = scanned.unwrap();
        let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) else { panic!() };
        if let Some(full) = index.put(&record).unwrap() {
            store.checkpoint().index.advance(full.timestamp);
        }
    }
    index
}

/// Looks at all of a recovered store: every record is whole, offsets of each queue are dense in the order of
/// the log, the queues' files have the bytes that a rebuild writes, and `safe` is all there.
pub(crate) fn assert_sound(store: &Store, safe: &[Sent]) {
    let mut queues: BTreeMap<(String, i32), Vec<u8>> = BTreeMap::new();
    let mut starts: BTreeMap<(String, i32), i64> = BTreeMap::new();
    for scanned in store.log().scan(store.log().min_offset(), EVERYTHING) {
        let scanned = scanned.unwrap();
        let record = RecordView::parse(&scanned.bytes).unwrap();
        record.check_crc().unwrap();
        assert_eq!(record.physical_offset, scanned.offset.0);
        let queue = (record.topic_str().unwrap().to_owned(), record.queue_id);
        let start = *starts.entry(queue.clone()).or_insert(record.queue_offset);
        let units = queues.entry(queue).or_default();
        assert_eq!(record.queue_offset, start + (units.len() / 20) as i64, "offsets are dense in log order");
        units.extend(record.physical_offset.to_be_bytes());
        units.extend((scanned.bytes.len() as i32).to_be_bytes());
        units.extend(record.tags_code().to_be_bytes());
    }
    let root = &store.options().root;
    let with_files: BTreeSet<_> = list_queues(&LocalDisk, root).unwrap().into_iter().collect();
    for (topic, queue_id) in with_files.iter().filter(|queue| !queues.contains_key(*queue)) {
        let queue = store.open_queue(topic, *queue_id).unwrap();
        assert_eq!(queue.min_offset(), queue.max_offset(), "a unit of {topic}/{queue_id} without a record");
    }
    for ((topic, queue_id), units) in &queues {
        let bytes = queue_bytes(&root.join("consumequeue").join(topic).join(queue_id.to_string()));
        let (base, bytes) = bytes.expect("the queue has files");
        let start = starts[&(topic.clone(), *queue_id)];
        let max = QueueOffset(start + (units.len() / 20) as i64);
        // A queue's file that was deleted stays deleted when the log's comes back.
        let kept = start.max((base / 20) as i64);
        let units = &units[(kept - start) as usize * 20..];
        let state = store.queues().get(topic, *queue_id).unwrap();
        let numbers = (state.min_offset(), state.next_offset(), state.dispatched_next());
        assert_eq!(numbers, (QueueOffset(kept), max, max), "{topic}/{queue_id}");
        let from = kept as usize * 20 - base;
        assert!(bytes[from..].starts_with(units), "{topic}/{queue_id} is not what a rebuild makes");
        assert!(bytes[from + units.len()..].iter().all(|byte| *byte == 0), "units behind the end");
    }
    for sent in safe.iter().filter(|sent| sent.at >= store.log().min_offset()) {
        let stored = store.log().slice(sent.at, sent.bytes.len());
        assert_eq!(stored.as_deref(), Some(&sent.bytes[..]), "a message that was safe is lost: {}", sent.at);
    }
}

/// All files of a queue in one, with the position of the first byte.
fn queue_bytes(dir: &Path) -> Option<(usize, Vec<u8>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).ok()?.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let base = files.first()?.file_name()?.to_str()?.parse().ok()?;
    Some((base, files.iter().flat_map(|file| fs::read(file).unwrap()).collect()))
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// The seed of a test's random choices: of `CASTMQ_SEED`, or a new one. It is printed, and shown on failure.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("CASTMQ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("CASTMQ_SEED={seed}");
    seed
}

/// A directory that goes with the test, in memory where there is such a place: nothing here needs a device.
pub(crate) fn scratch() -> tempfile::TempDir {
    match Path::new("/dev/shm") {
        shm if shm.is_dir() => tempfile::tempdir_in(shm),
        _ => tempfile::tempdir(),
    }
    .unwrap()
}
