//! The timer wheel and timer log that a live Apache RocketMQ 5.4.0 broker wrote, read and continued. Pending in the
//! closed store are a message of an hour ahead, one of sixty hours, and one that was taken back.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used)] // What fails here fails the test.

use std::fs::{self, File};
use std::path::Path;

use castmq::protocol::record::RecordView;
use castmq::store::disk::LocalDisk;
use castmq::store::timer::{Due, Timed, TimerOptions, Timers};
use castmq::store::{PhysicalOffset, QueueOffset, Store, StoreOptions};

/// When the store was closed.
const CLOSED: i64 = 1_795_217_839_000;
const HOUR: i64 = 3_600_000;
/// When a producer asked for the message of an hour ahead.
const ASKED: i64 = 1_795_217_665_136;

const OPTIONS: TimerOptions =
    TimerOptions { precision: 1000, window_slots: 172_800, reserved: 72 * HOUR, log_file_size: 1 << 20 };

fn unpack(name: &str) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive).unwrap()));
    archive.unpack(dir.path()).unwrap();
    let store = open(dir.path());
    (dir, store)
}

fn open(root: &Path) -> Store {
    let sizes = StoreOptions {
        commit_log_file_size: 1 << 20,
        consume_queue_file_size: 6000,
        ..StoreOptions::at(root)
    };
    Store::open(sizes).unwrap()
}

fn body_and_key(store: &Store, due: &Due) -> (String, Vec<u8>) {
    let record = store.record_at(due.physical_offset).unwrap();
    let view = RecordView::parse(&record).unwrap();
    let key = castmq::protocol::properties::get(view.properties, "UNIQ_KEY").unwrap();
    (String::from_utf8_lossy(view.body).into_owned(), key.to_vec())
}

/// What leaves the wheel until a time: when, what, and whether it is to go round once more.
fn leaving(store: &Store, timers: &mut Timers, now: i64) -> Vec<(i64, String, bool)> {
    let deleted_key = |at: PhysicalOffset, _| {
        let record = store.record_at(at)?;
        let view = RecordView::parse(&record).ok()?;
        castmq::protocol::properties::get(view.properties, "TIMER_DEL_UNIQKEY").map(Into::into)
    };
    timers.load(now, deleted_key).unwrap();
    let mut left = Vec::new();
    loop {
        timers.advance(now, store.log().max_offset());
        let Some(due) = timers.take(now) else { return left };
        let (body, key) = body_and_key(store, &due);
        if !timers.is_deleted(&due, std::iter::once(key)) {
            left.push((due.at, body, due.rolls));
        }
    }
}

#[test]
fn what_rocketmq_has_in_its_wheel_comes_in_its_time_and_what_was_taken_back_does_not() {
    let (_dir, store) = unpack("apache-5.4.0-store.tar.gz");
    let mut timers = Timers::open(&store, OPTIONS, CLOSED + 1_000).unwrap();
    assert_eq!((timers.next(), timers.waiting()), (QueueOffset(8), 2));
    assert!(leaving(&store, &mut timers, CLOSED + 2_000).is_empty());
    assert!(leaving(&store, &mut timers, ASKED + HOUR - 1).is_empty(), "never early");
    let left = leaving(&store, &mut timers, CLOSED + 30 * HOUR);
    // Of RocketMQ's units the end of the slot is known. The one of sixty hours goes round after a day.
    let expected = [(1_795_221_266_000, "timer-1h", false), (1_795_304_066_000, "timer-60h", true)];
    assert_eq!(left, expected.map(|(at, body, rolls)| (at, body.to_owned(), rolls)));
}

#[test]
fn a_wheel_that_is_lost_is_made_again_from_the_timer_log() {
    let (dir, store) = unpack("apache-5.4.0-store.tar.gz");
    fs::remove_file(dir.path().join("timerwheel")).unwrap();
    let mut timers = Timers::open(&store, OPTIONS, CLOSED).unwrap();
    let left = leaving(&store, &mut timers, CLOSED + 30 * HOUR);
    assert_eq!(left.iter().map(|(_, body, _)| body.as_str()).collect::<Vec<_>>(), ["timer-1h", "timer-60h"]);
}

#[test]
fn a_wheel_that_names_units_which_the_log_has_lost_is_mended() {
    let (dir, store) = unpack("apache-5.4.0-store.tar.gz");
    let path = dir.path().join("timerlog/00000000000000000000");
    let mut log = fs::read(&path).unwrap();
    // The two units of the message that was taken back share a slot; the second is lost, with all behind it.
    log[208..].fill(0);
    fs::write(&path, log).unwrap();
    let mut timers = Timers::open(&store, OPTIONS, CLOSED).unwrap();
    assert_eq!(timers.next(), QueueOffset(4), "these are taken in again");
    let left = leaving(&store, &mut timers, CLOSED + 30 * HOUR);
    let bodies: Vec<_> = left.iter().map(|(_, body, _)| body.as_str()).collect();
    assert_eq!(bodies, ["timer-recalled", "timer-1h", "timer-60h"], "nobody told yet that one is taken back");
}

#[test]
fn the_killed_store_has_an_empty_wheel_and_what_is_put_into_it_is_there_at_the_next_start() {
    let (dir, store) = unpack("apache-5.4.0-store-crash.tar.gz");
    // Any record will do.
    let at = PhysicalOffset(0);
    let size = i32::try_from(store.record_at(at).unwrap().len()).unwrap();
    let now = 1_795_218_400_000;
    let timed = |number: i64| Timed {
        queue_offset: QueueOffset(number),
        physical_offset: PhysicalOffset(number * 400),
        size,
        out: now + 1_000 * (number % 7),
        at: now + 1_000 * (number % 7) + 123,
        real_topic: "T",
        deletes: None,
    };
    let small = TimerOptions { log_file_size: 4096, ..OPTIONS };
    fs::remove_dir_all(dir.path().join("timerlog")).unwrap_or(());
    {
        let mut timers = Timers::open(&store, small, now).unwrap();
        for number in 0..100 {
            timers.enqueue(&timed(number), now).unwrap();
        }
        timers.write().unwrap();
        timers.unsaved(PhysicalOffset(0), now).unwrap().save(&LocalDisk).unwrap();
        for number in 100..200 {
            timers.enqueue(&timed(number), now).unwrap();
            timers.enqueue(&timed(number), now).unwrap();
        }
        timers.write().unwrap();
        assert_eq!(timers.waiting(), 200);
    }
    assert_eq!(fs::read_dir(dir.path().join("timerlog")).unwrap().count(), 3, "78 units fit a file");
    // Nothing was saved since: the units behind the checkpoint are found, and none counts twice.
    let mut timers = Timers::open(&store, small, now + 60_000).unwrap();
    assert_eq!(timers.waiting(), 200);
    timers.load(now + 60_000, |_, _| None).unwrap();
    let mut left = Vec::new();
    loop {
        timers.advance(now + 60_000, store.log().max_offset());
        let Some(due) = timers.take(now + 60_000) else { break };
        left.push((due.at, due.physical_offset.0 / 400));
    }
    let mut expected: Vec<_> = (0..200).map(|number| (timed(number).at, number)).collect();
    expected.sort_unstable();
    assert_eq!(left, expected);
    timers.unsaved(PhysicalOffset(100 * 400), now).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("timerlog")).unwrap().count(), 2, "the first file's are deleted");
}
