//! Stores that a live Apache RocketMQ 5.4.0 broker wrote, one closed and one killed: every message of their
//! manifests is found by queue offset, offset id, key, unique key and time.

use std::fs::File;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use castmq::protocol::message_id::OffsetMessageId;
use castmq::protocol::record::RecordView;
use castmq::store::disk::LocalDisk;
use castmq::store::dispatch::DispatchRules;
use castmq::store::index::{IndexOptions, KeyIndex};
use castmq::store::inspect::dump::{Filter, dump};
use castmq::store::inspect::layout::{Given, StoppedStore};
use castmq::store::inspect::rebuild::rebuild;
use castmq::store::inspect::verify::verify;
use castmq::store::offset_by_time::Boundary;
use castmq::store::scan::{Found, Verify, examine};
use castmq::store::store::Closed;
use castmq::store::{PhysicalOffset, QueueOffset, Store, StoreOptions};

use crate::messages::{EVERYTHING, copy_dir, scratch};

/// `sysFlag` of a record that holds a batch: it is in a batch queue, which is of another kind.
const INNER_BATCH: i32 = 0x80;
const INDEX: (usize, usize) = (1000, 4000);

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    topic: String,
    queue_id: i32,
    queue_offset: i64,
    physical_offset: i64,
    size: usize,
    store_timestamp: i64,
    body_length: usize,
    body_crc: u32,
    sys_flag: i32,
    msg_id: String,
    keys: Option<String>,
    uniq_key: Option<String>,
    tags: Option<String>,
}

fn fixture(name: &str) -> (tempfile::TempDir, Vec<Message>) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let dir = scratch();
    let archive = File::open(data.join(format!("{name}.tar.gz"))).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(archive)).unpack(dir.path()).unwrap();
    let manifest = std::fs::read(data.join(format!("{name}.json"))).unwrap();
    (dir, serde_json::from_slice(&manifest).unwrap())
}

fn given() -> Given {
    Given { index: Some(INDEX), ..Given::default() }
}

fn read_back(name: &str, light_queues: bool, batch_topics: &[&str]) {
    let (dir, messages) = fixture(name);
    let options = StoreOptions {
        commit_log_file_size: 1 << 20,
        consume_queue_file_size: 6000,
        rules: DispatchRules { light_queues, ..DispatchRules::default() },
        ..StoreOptions::at(dir.path())
    };
    let store = Store::open(options).unwrap();
    let log = store.log();
    let index = index(&store, dir.path());
    let count = log.scan(PhysicalOffset(0), EVERYTHING).map(Result::unwrap).count();
    assert_eq!(count, messages.len());
    for message in &messages {
        let at = PhysicalOffset(message.physical_offset);
        let case = format!("{}/{}/{}", message.topic, message.queue_id, message.queue_offset);

        let id = OffsetMessageId::from_str(&message.msg_id).unwrap();
        assert_eq!(id.offset, at.0, "{case}");
        let bytes = log.slice(PhysicalOffset(id.offset), message.size).unwrap();
        let record = RecordView::parse(&bytes).unwrap();
        record.check_crc().unwrap();
        assert_eq!(record.message_id().to_string(), message.msg_id, "{case}");
        assert_eq!((record.topic_str(), record.queue_id), (Some(&*message.topic), message.queue_id));
        assert_eq!(
            (record.queue_offset, record.store_timestamp),
            (message.queue_offset, message.store_timestamp)
        );
        assert_eq!((record.body.len(), record.body_crc), (message.body_length, message.body_crc), "{case}");
        assert_eq!(record.property_str("TAGS"), message.tags.as_deref(), "{case}");

        let found = |key: &str| {
            index.query(&message.topic, key, 1000, &(0..=i64::MAX)).contains(&at)
                && index
                    .query(&message.topic, key, 1000, &(message.store_timestamp..=message.store_timestamp))
                    .contains(&at)
        };
        let keys = message.keys.as_deref().unwrap_or_default().split(' ').filter(|key| !key.is_empty());
        for key in keys.chain(message.uniq_key.as_deref()) {
            assert!(found(key), "{case} by {key}");
        }
        if let Some(tags) = &message.tags {
            let tagged = index.query_tags(&message.topic, tags, 1000, &(0..=i64::MAX));
            assert!(tagged.contains(&at), "{case} by its tags");
        }

        if message.sys_flag & INNER_BATCH != 0 || batch_topics.contains(&&*message.topic) {
            continue;
        }
        let mut queue = store.open_queue(&message.topic, message.queue_id).unwrap();
        let unit = queue.unit(QueueOffset(message.queue_offset)).unwrap().unwrap();
        assert_eq!((unit.physical_offset, unit.size as usize), (at, message.size), "{case}");
        let stored = |at| log.store_timestamp(at);
        for (boundary, is_end) in [(Boundary::Lower, false), (Boundary::Upper, true)] {
            let found = queue.offset_by_time(message.store_timestamp, boundary, stored).unwrap();
            // Several messages may have been stored in one ms.
            let twin = messages.iter().any(|other| {
                (&other.topic, other.queue_id, other.queue_offset)
                    == (&message.topic, message.queue_id, found.0)
                    && other.store_timestamp == message.store_timestamp
            });
            assert!(twin, "{case} by its time, at the end: {is_end}: {found}");
        }
    }
}

fn index(store: &Store, root: &Path) -> KeyIndex {
    let options =
        IndexOptions { slots: INDEX.0, entries: INDEX.1, ..IndexOptions::at(Arc::new(LocalDisk), root) };
    let mut index =
        KeyIndex::open(options, store.recovery().was_abnormal, store.checkpoint().index.get()).unwrap();
    for scanned in store.log().scan(index.end_offset(), EVERYTHING).map(Result::unwrap) {
        let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) else { panic!() };
        if index.end_offset() == PhysicalOffset(0) || scanned.offset > index.end_offset() {
            index.put(&record).unwrap();
        }
    }
    index
}

#[test]
fn every_message_of_the_closed_store_is_read_back() {
    read_back("apache-5.4.0-store", false, &["FxBcq"]);
}

#[test]
fn every_message_of_the_killed_store_is_read_back() {
    read_back("apache-5.4.0-store-crash", true, &["CrBcq"]);
}

/// Names, lengths, times and bytes of all files.
fn state(root: &Path) -> Vec<(std::path::PathBuf, std::time::SystemTime, Vec<u8>)> {
    let (mut files, mut dirs) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = dirs.pop() {
        files.push((dir.clone(), dir.metadata().unwrap().modified().unwrap(), Vec::new()));
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => dirs.push(path),
                // Sparse files of tens of megabytes that nobody of ours reads.
                false if path.metadata().unwrap().len() > 8 << 20 => {}
                false => {
                    let modified = path.metadata().unwrap().modified().unwrap();
                    files.push((path.clone(), modified, std::fs::read(path).unwrap()));
                }
            }
        }
    }
    files.sort();
    files
}

#[test]
fn the_inspector_finds_them_whole_and_changes_nothing() {
    for (name, records, end) in
        [("apache-5.4.0-store", 100, 1_262_385), ("apache-5.4.0-store-crash", 35, 1_251_668)]
    {
        let (dir, messages) = fixture(name);
        let before = state(dir.path());
        let store = StoppedStore::read(dir.path(), &given()).unwrap();
        let verdict = verify(&store, &mut |_, _| {}).unwrap();
        assert!(!verdict.is_damaged(), "{:?}", verdict.findings);
        assert_eq!((verdict.records, verdict.log_end.0, verdict.recovery_start.0), (records, end, 1_048_576));
        for message in &messages {
            let filter = Filter {
                topic: Some(message.topic.clone()),
                queue: Some(message.queue_id),
                from: Some(message.queue_offset),
                to: Some(message.queue_offset + 1),
                key: message.uniq_key.clone(),
                since: Some(message.store_timestamp),
                until: Some(message.store_timestamp + 1),
            };
            let mut found = Vec::new();
            dump(&store, &filter, |record| {
                found.push(record.physical_offset);
                true
            })
            .unwrap();
            assert_eq!(found, [message.physical_offset]);
        }
        drop(store);
        assert!(state(dir.path()) == before, "{name} was changed by looking at it");
    }
}

#[test]
fn a_rebuild_of_the_closed_store_makes_the_bytes_that_java_wrote() {
    let (dir, _) = fixture("apache-5.4.0-store");
    let copy = scratch();
    copy_dir(dir.path(), copy.path());
    for lost in ["consumequeue", "index"] {
        std::fs::remove_dir_all(copy.path().join(lost)).unwrap();
    }
    let mut told = Vec::new();
    let given = Given { consume_queue_file_size: Some(6000), ..given() };
    let rebuilt = rebuild(copy.path(), &given, &mut |done, all| told.push((done, all))).unwrap();
    assert_eq!((rebuilt.records, rebuilt.queues, rebuilt.skipped, rebuilt.index), (100, 26, 0, true));
    assert!(told.iter().all(|(done, all)| done <= all));
    let contents = |root: &Path, part: &str| -> Vec<Vec<u8>> {
        let files = state(&root.join(part)).into_iter();
        files.filter(|(path, ..)| path.is_file()).map(|(_, _, bytes)| bytes).collect()
    };
    for part in ["consumequeue", "index"] {
        assert!(contents(copy.path(), part) == contents(dir.path(), part), "{part}");
    }
    // It can be opened, and closed, as it was.
    let options = StoreOptions {
        commit_log_file_size: 1 << 20,
        consume_queue_file_size: 6000,
        ..StoreOptions::at(copy.path())
    };
    assert_eq!(Store::open(options).unwrap().close().unwrap(), Closed::Clean);
}
