//! How far back a start reads: to the last checkpoint, however long the log is.

use castmq::store::PhysicalOffset;
use castmq::store::store::Closed;

use crate::messages::{LOG_FILE, assert_sound, dispatch, fill, open, scratch};

/// Messages of the three seconds by which a start goes behind the checkpoint, 100 ms apart; of a record less than
/// 600 bytes they fill so many files at most, and one in which they begin.
const MARGIN_FILES: usize = 30 * 600 / LOG_FILE + 2;

#[test]
fn a_start_reads_what_lies_behind_the_last_checkpoint_at_any_log_size() {
    for messages in [300, 1500, 6000] {
        let dir = scratch();
        let store = open(dir.path());
        let before = fill(&store, 0..messages);
        dispatch(&store).unwrap();
        store.flush_log(store.log().max_offset()).unwrap();
        store.flush_queues().unwrap();
        let checkpoint = store.log().max_offset();
        let after = fill(&store, messages..messages + 40);
        drop(store);

        // Killed: from the checkpoint on, less its margin.
        let store = open(dir.path());
        let report = store.recovery();
        assert!(report.was_abnormal && !report.read_all, "{report:?}");
        assert!(checkpoint.since(report.start) <= MARGIN_FILES * LOG_FILE, "{messages}: {report:?}");
        assert_eq!(report.end, after[39].end());
        let read = before.iter().chain(&after).filter(|sent| sent.at >= report.start).count();
        assert_eq!(report.records, read as u64);
        assert_sound(&store, &after);
        assert_eq!(store.close().unwrap(), Closed::Clean);
        drop(store);

        // Closed: the newest file alone.
        let store = open(dir.path());
        let report = store.recovery();
        assert!(!report.was_abnormal && !report.read_all, "{report:?}");
        let newest = PhysicalOffset(report.end.0 / LOG_FILE as i64 * LOG_FILE as i64);
        assert_eq!(report.start, newest, "{messages}");
        assert!(report.records <= (LOG_FILE / 91) as u64);
        drop(store);
    }
}

#[test]
fn without_a_checkpoint_a_start_goes_back_as_many_files_as_it_may() {
    let dir = scratch();
    let store = open(dir.path());
    let sent = fill(&store, 0..1500);
    dispatch(&store).unwrap();
    drop(store);
    let store = open(dir.path());
    let report = store.recovery();
    let files = store.options().recover_max_files + 1;
    assert!(report.end.since(report.start) <= files * LOG_FILE && !report.read_all, "{report:?}");
    assert_sound(&store, &sent);
}
