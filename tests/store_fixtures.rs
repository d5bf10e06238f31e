//! Stores that a live Apache RocketMQ 5.4.0 broker wrote: one closed, one killed. `tests/data` holds them
//! as archives; each test opens a copy.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used)] // What fails here fails the test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use castmq::store::dispatch::DispatchRules;
use castmq::store::index::{IndexOptions, KeyIndex};
use castmq::store::queue_path::list_queues;
use castmq::store::scan::{Found, Verify, examine};
use castmq::store::store::Closed;
use castmq::store::{PhysicalOffset, Store, StoreOptions};

fn unpack(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive).unwrap()));
    archive.unpack(dir.path()).unwrap();
    dir
}

fn open(root: &Path, light_queues: bool) -> Store {
    let rules = DispatchRules { light_queues, ..DispatchRules::default() };
    let sizes = StoreOptions {
        commit_log_file_size: 1 << 20,
        consume_queue_file_size: 6000,
        ..StoreOptions::at(root)
    };
    Store::open(StoreOptions { rules, ..sizes }).unwrap()
}

fn ends(store: &Store) -> BTreeMap<String, i64> {
    let queues = store.queues().snapshot().into_iter();
    queues.map(|(topic, id, state)| (format!("{topic}/{id}"), state.next_offset().0)).collect()
}

/// The bytes of every consume queue, by directory.
fn queue_bytes(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |(topic, id): (String, i32)| {
        let name = format!("{topic}/{id}");
        let path = root.join("consumequeue").join(&name).join("00000000000000000000");
        (name, fs::read(path).unwrap())
    };
    list_queues(&castmq::store::disk::LocalDisk, root).unwrap().into_iter().map(read).collect()
}

#[test]
fn the_closed_store_opens_as_it_was_left() {
    let dir = unpack("apache-5.4.0-store.tar.gz");
    let before = queue_bytes(dir.path());
    let store = open(dir.path(), false);
    let report = store.recovery();
    assert_eq!(
        (report.was_abnormal, report.start, report.end),
        (false, PhysicalOffset(1_048_576), PhysicalOffset(1_262_385))
    );
    let scan = store.log().scan(PhysicalOffset(0), report.end);
    assert_eq!(scan.map(Result::unwrap).count(), 100);
    let ends = ends(&store);
    assert_eq!(ends.len(), 26);
    for (queue, end) in [("FxPlain/0", 7), ("RMQ_SYS_TRANS_HALF_TOPIC/0", 18), ("SCHEDULE_TOPIC_XXXX/17", 2)]
    {
        assert_eq!(ends[queue], end, "{queue}");
    }
    assert_eq!(store.close().unwrap(), Closed::Clean);
    assert_eq!(queue_bytes(dir.path()), before);
}

#[test]
fn queues_rebuilt_from_the_log_are_those_that_java_wrote() {
    let dir = unpack("apache-5.4.0-store.tar.gz");
    let before = queue_bytes(dir.path());
    fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let store = open(dir.path(), false);
    assert_eq!(store.recovery().records, 100);
    assert_eq!(queue_bytes(dir.path()), before);
}

#[test]
fn the_killed_store_recovers_as_java_recovers_it() {
    let dir = unpack("apache-5.4.0-store-crash.tar.gz");
    let before = queue_bytes(dir.path());
    let store = open(dir.path(), true);
    let report = store.recovery();
    assert_eq!(
        (report.was_abnormal, report.start, report.end),
        (true, PhysicalOffset(1_048_576), PhysicalOffset(1_251_668))
    );
    assert!(!dir.path().join("commitlog/00000000000002097152").exists());
    let expected = [("%LMQ%a/0", 2), ("%LMQ%b/0", 1), ("CrPlain/0", 13), ("CrPlain/1", 9), ("CrRoll/0", 12)];
    assert_eq!(ends(&store), expected.map(|(queue, end)| (queue.to_owned(), end)).into());
    assert_eq!(queue_bytes(dir.path()), before);
    drop(store);

    fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    let store = open(dir.path(), true);
    assert!(store.recovery().read_all);
    let rebuilt = queue_bytes(dir.path());
    // The other queues' tags codes are addresses of an extension file, which is not built.
    for light in ["%LMQ%a/0", "%LMQ%b/0"] {
        assert_eq!(rebuilt[light], before[light]);
    }
}

#[test]
fn the_index_rebuilt_from_the_log_is_the_one_that_java_wrote() {
    let dir = unpack("apache-5.4.0-store.tar.gz");
    let java = dir.path().join("index/20261120233413552");
    let expected = fs::read(&java).unwrap();
    fs::remove_file(java).unwrap();
    let store = open(dir.path(), false);
    let disk = store.options().disk.clone();
    let options = IndexOptions { slots: 1000, entries: 4000, ..IndexOptions::at(disk, dir.path()) };
    let mut index = KeyIndex::open(options, false, 0).unwrap();
    for scanned in store.log().scan(PhysicalOffset(0), store.log().max_offset()) {
        let scanned = scanned.unwrap();
        let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Checksum) else {
            panic!()
        };
        index.put(&record).unwrap();
    }
    index.flush().unwrap();
    let built = fs::read_dir(dir.path().join("index")).unwrap().next().unwrap().unwrap().path();
    let built = fs::read(built).unwrap();
    assert_eq!(built.len(), expected.len());
    let differs = built.iter().zip(&expected).position(|(ours, javas)| ours != javas);
    assert_eq!(differs, None);
}
