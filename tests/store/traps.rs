//! Ways in which RocketMQ lost messages, each as a test that it does not happen here.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use castmq::store::scan::{Found, Verify, examine};
use castmq::store::store::Closed;
use castmq::store::{PhysicalOffset, QueueOffset};

use crate::faults::{FaultyDisk, open_on};
use crate::messages::{LOG_FILE, assert_sound, dispatch, fill, open, scratch, send, send_number};

/// #8239: under synchronous flush consumers were served what was not flushed, and were ahead after a crash. What
/// is visible here ends with what was dispatched, and the dispatcher stops at `flushed`: after a crash that takes
/// all else no queue is shorter than a consumer has seen it.
#[test]
fn rocketmq_8239_no_consumer_is_ahead_of_the_flushed_offset() {
    let dir = scratch();
    let store = open(dir.path());
    let sent = fill(&store, 0..30);
    let flushed = store.flush_log(sent[19].end()).unwrap();
    // As the dispatcher with a limit at `flushed`.
    for scanned in store.log().scan(PhysicalOffset(0), flushed).map(Result::unwrap) {
        let Found::Record(record) = examine(&scanned.bytes, scanned.offset, Verify::Layout) else { panic!() };
        let rules = &store.options().rules;
        let entry = castmq::store::dispatch::unit_of(&record, rules).unwrap();
        let mut queue = store.open_queue(entry.topic, entry.queue_id).unwrap();
        queue.append(entry.queue_offset, &[entry.unit]).unwrap();
        store.dispatched(scanned.offset.plus(record.size), record.store_timestamp);
    }
    assert_eq!(store.watermarks().dispatched.get(), flushed);
    let seen = store.queues().snapshot().into_iter();
    let seen: Vec<_> = seen.map(|(topic, id, state)| (topic, id, state.dispatched_next())).collect();
    drop(store);
    // The power goes: of the log only what was flushed is left.
    let cut = flushed.0 as usize;
    for entry in fs::read_dir(dir.path().join("commitlog")).unwrap().map(|entry| entry.unwrap().path()) {
        let base: usize = entry.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let mut bytes = fs::read(&entry).unwrap();
        let kept = cut.saturating_sub(base).min(bytes.len());
        bytes[kept..].fill(0);
        fs::write(&entry, bytes).unwrap();
    }
    let store = open(dir.path());
    assert_sound(&store, &sent[..20]);
    for (topic, queue_id, end) in seen {
        assert!(store.queues().get(&topic, queue_id).unwrap().next_offset() >= end);
    }
}

/// #1434: recovery looked at the last file only and missed what lay in the files before it. Without a checkpoint
/// all that could be lost is looked at, and what lies further back is found by its queue.
#[test]
fn rocketmq_1434_recovery_covers_every_file_that_is_not_known_to_be_safe() {
    let dir = scratch();
    let store = open(dir.path());
    let sent = fill(&store, 0..300);
    let files = store.log().files().files().len();
    assert!(files > 9, "{files} files");
    drop(store);
    let store = open(dir.path());
    assert!(store.recovery().was_abnormal);
    assert_sound(&store, &sent);
    drop(store);
    // A torn record in the third file from the end, with whole files behind it.
    let victim = &sent[sent.iter().position(|sent| sent.at.0 > (files as i64 - 3) * 8192).unwrap()];
    let base = victim.at.0 / 8192 * 8192;
    let path = dir.path().join(format!("commitlog/{base:020}"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[(victim.at.0 - base) as usize + 90] ^= 1;
    fs::write(&path, bytes).unwrap();
    let store = open(dir.path());
    assert_eq!(store.recovery().end, victim.at);
    let kept = sent.iter().filter(|sent| sent.at < victim.at).cloned().collect::<Vec<_>>();
    assert_sound(&store, &kept);
}

/// #9728: a start failed on a last consume queue file that had been made and not written.
#[test]
fn rocketmq_9728_a_start_takes_an_empty_last_queue_file() {
    for (len, is_orderly) in [(0, true), (0, false), (200, true), (200, false)] {
        let dir = scratch();
        let store = open(dir.path());
        let sent = fill(&store, 0..30);
        dispatch(&store).unwrap();
        if is_orderly {
            assert_eq!(store.close().unwrap(), Closed::Clean);
        }
        drop(store);
        // Ten messages a queue fill the first file.
        let last = dir.path().join("consumequeue/A/0").join(format!("{:020}", 200));
        fs::write(&last, vec![0; len]).unwrap();
        let store = open(dir.path());
        assert_sound(&store, &sent);
        let more = fill(&store, 30..60);
        dispatch(&store).unwrap();
        assert_sound(&store, &more);
    }
}

/// alibaba#331: after the disk had been full the broker took no message any more, and its next start failed.
#[test]
fn rocketmq_alibaba_331_a_full_disk_is_no_end() {
    let dir = scratch();
    let disk = Arc::new(FaultyDisk::default());
    let mut sent = Vec::new();
    for life in 0..3 {
        let store = open_on(dir.path(), &disk).unwrap();
        assert_sound(&store, &sent);
        let mut appender = store.log().appender().unwrap();
        disk.room.store(2, Ordering::Relaxed);
        let refusal = loop {
            match send_number(&store, &mut appender, sent.len()) {
                Ok(message) => sent.push(message),
                Err(error) => break error,
            }
        };
        assert!(refusal.is_disk_full(), "{refusal}");
        let last = sent.last().unwrap();
        assert_eq!(store.log().slice(last.at, last.bytes.len()).as_deref(), Some(&last.bytes[..]));
        disk.room.store(i64::MAX, Ordering::Relaxed);
        if life == 1 {
            continue; // Killed while it was full.
        }
        store.log().files().prepare_next().unwrap();
        sent.push(send_number(&store, &mut appender, sent.len()).unwrap());
        dispatch(&store).unwrap();
        drop(appender);
        assert_eq!(store.close().unwrap(), Closed::Clean);
    }
    assert_sound(&open(dir.path()), &sent);
}

/// A recovery began where the checkpoint's time is, and passed over what a clock that was set back has stored
/// before: a queue that had nothing newer lost it, and gave its offset away once more.
#[test]
fn a_clock_that_is_set_back_hides_no_message_from_a_recovery() {
    let dir = scratch();
    let store = open(dir.path());
    let mut appender = store.log().appender().unwrap();
    let mut sent: Vec<_> = (0..3).map(|number| send_number(&store, &mut appender, number).unwrap()).collect();
    dispatch(&store).unwrap();
    store.flush_log(store.log().max_offset()).unwrap();
    store.flush_queues().unwrap();
    // The one that is not in a flushed queue, then an hour back until a file begins, and then forward.
    let mut send = |queue, time| send(&store, &mut appender, queue, &[7; 500], time).unwrap();
    sent.push(send(("C", 0), 1_000_300));
    while sent.last().unwrap().at.0 < 2 * LOG_FILE as i64 {
        sent.push(send(("A", 0), 900_000));
    }
    sent.push(send(("A", 0), 2_000_000));
    dispatch(&store).unwrap();
    store.flush_log(store.log().max_offset()).unwrap();
    drop((appender, store));
    fs::remove_dir_all(dir.path().join("consumequeue/C")).unwrap();
    assert_sound(&open(dir.path()), &sent);
}

/// #7689: two messages got one queue offset: the table of next offsets was behind the log after a restart.
#[test]
fn rocketmq_7689_no_two_messages_have_one_queue_offset() {
    let dir = scratch();
    let (mut sent, mut number) = (Vec::new(), 0);
    for round in 0..12 {
        let store = open(dir.path());
        let more = fill(&store, number..number + 7 + round);
        number += more.len();
        sent.extend(more);
        // Left with the queues up to date, behind the log, or closed.
        match round % 3 {
            0 => dispatch(&store).unwrap(),
            1 => {}
            _ => {
                dispatch(&store).unwrap();
                store.close().unwrap();
            }
        }
    }
    let store = open(dir.path());
    assert_sound(&store, &sent);
    for (topic, queue_id) in [("A", 0), ("A", 1), ("B", 0)] {
        let offsets = sent.iter().filter(|sent| (sent.topic, sent.queue_id) == (topic, queue_id));
        let offsets: Vec<i64> = offsets.map(|sent| sent.queue_offset).collect();
        assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>());
    }
}

/// The same when a topic was deleted and made again: its offsets begin anew, and the newer messages have them.
#[test]
fn rocketmq_7689_a_topic_that_was_made_again_has_its_new_messages() {
    for is_orderly in [true, false] {
        let dir = scratch();
        let store = open(dir.path());
        fill(&store, 0..60);
        dispatch(&store).unwrap();
        for queue_id in [0, 1] {
            store.remove_queue("A", queue_id).unwrap();
        }
        let new = fill(&store, 60..75);
        dispatch(&store).unwrap();
        if is_orderly {
            store.close().unwrap();
        }
        drop(store);
        for lost in [false, true] {
            if lost {
                fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
                fs::write(dir.path().join("abort"), "1").unwrap();
            }
            let store = open(dir.path());
            for sent in new.iter().filter(|sent| sent.topic == "A") {
                let mut queue = store.open_queue("A", sent.queue_id).unwrap();
                let unit = queue.unit(QueueOffset(sent.queue_offset)).unwrap().unwrap();
                assert_eq!(unit.physical_offset, sent.at, "orderly {is_orderly}, lost {lost}");
                assert_eq!(queue.max_offset(), QueueOffset(5));
            }
        }
    }
}
