//! What must hold after any end of the process, seen from outside: open, write, stop badly, open again.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used)] // What fails here fails the test.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use castmq::store::consume_queue::{Appended, Unit};
use castmq::store::dispatch::unit_of;
use castmq::store::scan::{Found, Verify, examine};
use castmq::store::store::Closed;
use castmq::store::{PhysicalOffset, QueueOffset, Store, StoreOptions};

const LOG_FILE: usize = 16 * 1024;
const EVERYTHING: PhysicalOffset = PhysicalOffset(i64::MAX);

fn options(root: &Path) -> StoreOptions {
    StoreOptions { commit_log_file_size: LOG_FILE, consume_queue_file_size: 200, ..StoreOptions::at(root) }
}

fn open(root: &Path) -> Store {
    Store::open(options(root)).unwrap()
}

/// A version 1 record; its layout is that of the fact sheet: store 2.1.
fn record(topic: &str, queue_id: i32, queue_offset: i64, body: &[u8], at: i64, time: i64) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend((-626_843_481i32).to_be_bytes());
    out.extend((crc32fast::hash(body) & 0x7FFF_FFFF).to_be_bytes());
    out.extend(queue_id.to_be_bytes());
    out.extend(0i32.to_be_bytes());
    out.extend(queue_offset.to_be_bytes());
    out.extend(at.to_be_bytes());
    out.extend([0; 4 + 8 + 8]);
    out.extend(time.to_be_bytes());
    out.extend([0; 8 + 4 + 8]);
    out.extend((body.len() as i32).to_be_bytes());
    out.extend(body);
    out.push(topic.len() as u8);
    out.extend(topic.as_bytes());
    out.extend([0, 7]);
    out.extend(b"TAGS\x01a\x02");
    let size = out.len() as i32;
    out[..4].copy_from_slice(&size.to_be_bytes());
    out
}

/// Appends `count` messages over three queues; returns where each lies and how long it is.
fn fill(store: &Store, count: usize) -> Vec<(PhysicalOffset, usize)> {
    let mut appender = store.log().appender().unwrap();
    let one = |i: usize| {
        let queue_id = (i % 3) as i32;
        let state = store.queues().get_or_create("T", queue_id);
        let offset = state.next_offset();
        let time = 1_000_000 + i as i64;
        let body = vec![i as u8; 50 + i % 7 * 100];
        let encoded = |at: i64| record("T", queue_id, offset.0, &body, at, time);
        let size = encoded(0).len();
        let at = appender.append(size, time, |out, at| out.copy_from_slice(&encoded(at.0))).unwrap();
        state.set_next_offset(offset.plus(1));
        (at, size)
    };
    (0..count).map(one).collect()
}

/// What the dispatcher does.
fn dispatch(store: &Store) {
    let from = store.watermarks().dispatched.get();
    let mut scan = store.log().scan(from, EVERYTHING);
    for scanned in &mut scan {
        let scanned = scanned.unwrap();
        let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) else { panic!() };
        let entry = unit_of(&record, &store.options().rules).unwrap();
        let mut queue = store.open_queue(entry.topic, entry.queue_id).unwrap();
        let appended = queue.append(entry.queue_offset, &[entry.unit]).unwrap();
        assert!(!matches!(appended, Appended::Gap { .. }));
        store.dispatched(scanned.offset.plus(record.size), record.store_timestamp);
    }
    store.dispatched(scan.position(), 0);
}

/// Every unit of every queue, checked against its record.
fn units(store: &Store) -> Vec<Vec<Unit>> {
    let read = |queue_id: i32| {
        let mut queue = store.open_queue("T", queue_id).unwrap();
        assert_eq!(store.queues().get("T", queue_id).unwrap().next_offset(), queue.max_offset());
        let (mut at, mut units) = (queue.min_offset(), Vec::new());
        while let Some(unit) = queue.unit(at).unwrap() {
            let bytes = store.log().slice(unit.physical_offset, unit.size as usize).unwrap();
            let Found::Record(record) = examine(&bytes, unit.physical_offset, Verify::Checksum) else {
                panic!("no record at {}", unit.physical_offset)
            };
            assert_eq!((record.queue_id, record.queue_offset), (queue_id, at));
            units.push(unit);
            at = at.plus(1);
        }
        units
    };
    (0..3).map(read).collect()
}

/// The environment variable that makes this program the second process.
const SECOND_PROCESS: &str = "CASTMQ_TEST_SECOND_PROCESS";

#[test]
fn a_second_process_is_refused_and_told_which_file_is_locked() {
    if let Ok(root) = std::env::var(SECOND_PROCESS) {
        let refused = Store::open(options(Path::new(&root))).unwrap_err();
        assert!(refused.to_string().contains("lock is locked by another process"), "{refused}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    let second = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_second_process_is_refused_and_told_which_file_is_locked"])
        .env(SECOND_PROCESS, dir.path())
        .output()
        .unwrap();
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stdout));
}

fn copy_dir(from: &Path, to: &Path) {
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

#[test]
fn what_was_appended_is_there_after_an_orderly_close() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let written = fill(&store, 100);
    assert_eq!(store.close().unwrap(), Closed::Behind(store.log().max_offset().0 as usize));
    drop(store);
    let store = open(dir.path());
    assert!(store.recovery().was_abnormal);
    assert_eq!(store.recovery().records, 100);
    let before = units(&store);
    assert_eq!(before.iter().map(Vec::len).sum::<usize>(), written.len());
    assert_eq!(store.close().unwrap(), Closed::Clean);
    assert!(store.log().appender().is_err());
    drop(store);
    let store = open(dir.path());
    assert!(!store.recovery().was_abnormal && store.recovery().start.0 > 0);
    assert_eq!(units(&store), before);
    assert_eq!(store.recovery().end, written.last().map(|(at, size)| at.plus(*size)).unwrap());
}

#[test]
fn a_second_open_is_refused_in_this_process() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let refused = Store::open(options(dir.path())).unwrap_err().to_string();
    assert!(refused.contains("already open") && refused.contains(&dir.path().display().to_string()));
    drop(store);
    open(dir.path());
}

#[test]
fn a_log_cut_at_any_byte_keeps_exactly_the_whole_records() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("whole"));
    let written = fill(&store, 50);
    dispatch(&store);
    let last = *written.last().unwrap();
    let end = last.0.plus(last.1);
    drop(store);
    for cut in last.0.0 - 20..end.0 {
        let root = dir.path().join("cut");
        copy_dir(&dir.path().join("whole"), &root);
        let base = cut - cut % LOG_FILE as i64;
        let path = root.join("commitlog").join(format!("{base:020}"));
        let mut bytes = fs::read(&path).unwrap();
        bytes[(cut - base) as usize..].fill(0);
        fs::write(&path, bytes).unwrap();
        let store = open(&root);
        let kept: Vec<_> = written.iter().filter(|(at, size)| at.plus(*size).0 <= cut).collect();
        let end = kept.last().map(|(at, size)| at.plus(*size)).unwrap();
        assert_eq!(store.recovery().end, end, "cut at {cut}");
        assert_eq!(units(&store).concat().len(), kept.len(), "cut at {cut}");
        let again = fill(&store, 1)[0].0;
        assert_eq!(again, end);
        drop(store);
        fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn a_stale_record_behind_the_cut_never_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let written = fill(&store, 12);
    drop(store);
    let path = dir.path().join("commitlog").join(format!("{:020}", 0));
    let mut bytes = fs::read(&path).unwrap();
    bytes[written[7].0.0 as usize + 90] ^= 1;
    fs::write(&path, bytes).unwrap();
    let store = open(dir.path());
    assert_eq!(store.recovery().end, written[7].0);
    // A record of the size that the bad one had: what follows it on the device must not count.
    let (state, time) = (store.queues().get("T", 1).unwrap(), 2_000_000);
    let encode = |at: i64| record("T", 1, state.next_offset().0, &[9; 50], at, time);
    let body_len = 50 + written[7].1 - encode(0).len();
    let encode = |at: i64| record("T", 1, state.next_offset().0, &vec![9; body_len], at, time);
    let mut appender = store.log().appender().unwrap();
    appender.append(written[7].1, time, |out, at| out.copy_from_slice(&encode(at.0))).unwrap();
    drop((appender, store));
    let store = open(dir.path());
    assert_eq!(store.recovery().end, written[8].0);
    assert_eq!(units(&store).concat().len(), 8);
}

#[test]
fn queues_are_rebuilt_from_the_log_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let store = open(root);
    fill(&store, 300);
    dispatch(&store);
    assert_eq!(store.close().unwrap(), Closed::Clean);
    drop(store);
    let expected = queue_bytes(root);
    assert!(expected.len() > 20);
    for lost in ["", "T/1", "T/2/00000000000000000000", "T/0/00000000000000000400"] {
        let path = root.join("consumequeue").join(lost);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
        // A missing file in the middle refuses the start; the queue's remains go too.
        if path.extension().is_none() && lost.ends_with("00") {
            fs::remove_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(root.join("abort"), "1").unwrap();
        let store = open(root);
        assert_eq!(queue_bytes(root), expected, "after losing {lost:?}");
        units(&store);
        assert_eq!(store.close().unwrap(), Closed::Clean);
    }
}

fn queue_bytes(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for id in ["0", "1", "2"] {
        for entry in fs::read_dir(root.join("consumequeue/T").join(id)).unwrap() {
            let path = entry.unwrap().path();
            files.push((path.strip_prefix(root).unwrap().display().to_string(), fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_crashed_queue_owners_successor_gets_the_units_that_were_on_their_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 30);
    dispatch(&store);
    let known = store.log().max_offset();
    fill(&store, 30);
    let mut queue = store.open_queue("T", 1).unwrap();
    store.catch_up(&mut queue, "T", 1, PhysicalOffset(0), known).unwrap();
    assert_eq!(queue.max_offset(), QueueOffset(10));
    store.catch_up(&mut queue, "T", 1, PhysicalOffset(0), EVERYTHING).unwrap();
    assert_eq!(queue.max_offset(), QueueOffset(20));
    drop(queue);
    dispatch(&store);
    assert_eq!(units(&store).concat().len(), 60);
}

#[test]
fn deleting_the_oldest_log_files_moves_the_queues_minimum() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 200);
    dispatch(&store);
    assert!(store.log().files().delete_before(PhysicalOffset(2 * LOG_FILE as i64)).unwrap() == 2);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.log().min_offset(), PhysicalOffset(2 * LOG_FILE as i64));
    let queue = store.open_queue("T", 0).unwrap();
    assert!(queue.min_offset() > QueueOffset(0) && queue.min_offset() < queue.max_offset());
    drop(queue);
    units(&store);
}

#[test]
fn readers_and_the_flusher_work_beside_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| fill(&store, 2000).len());
        scope.spawn(|| while store.log().flush(EVERYTHING).unwrap().0 < 400_000 {});
        scope.spawn(|| {
            while store.log().max_offset().0 < 400_000 {
                store.log().files().prepare_next().unwrap();
            }
        });
        let mut scanned = 0;
        let mut from = PhysicalOffset(0);
        while scanned < 2000 {
            let mut scan = store.log().scan(from, EVERYTHING);
            scanned += scan.by_ref().map(Result::unwrap).count();
            from = scan.position();
        }
        assert_eq!(writer.join().unwrap(), scanned);
    });
    drop(store);
    // Without a checkpoint a recovery goes back ten files, finds that the queues miss more, and reads all.
    let store = open(dir.path());
    assert!(store.recovery().records < 2000 && store.recovery().read_all);
    assert_eq!(units(&store).concat().len(), 2000);
}
