//! Any actor may crash while messages flow: nothing acknowledged is lost, offsets stay dense, connections stay. What
//! tests/supervision does to every message, in small, under both ways to flush.

use castmq::{
    actors::supervision::chaos::inject,
    config::{BrokerConfig, Bytes, FlushDiskType, Millis},
    testing::{Fault, Ledger, Load},
};

use crate::harness::Running;

fn asynchronous(config: &mut BrokerConfig) {
    config.flush_disk_type = FlushDiskType::AsyncFlush;
}

fn synchronous(config: &mut BrokerConfig) {
    config.flush_disk_type = FlushDiskType::SyncFlush;
}

/// With write buffers that end now and then, and in which messages wait now and then.
fn buffered(config: &mut BrokerConfig) {
    config.transient_store_pool_enable = true;
    config.transient_store_pool_size = 2;
    config.mapped_file_size_commit_log = Bytes(64 << 10);
    config.commit_interval_commit_log = Millis(20);
}

/// Crashes `victims` in turn under load, with each kind of fault.
fn survives(victims: &[&str], faults: &[Fault], flush: fn(&mut BrokerConfig)) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), flush);
    broker.connect().create_topic("T", 4);
    let ledger = Ledger::default();
    let load = Load::start(broker.address, "T", 4, 3, &ledger);
    load.flows();
    for victim in victims {
        for fault in faults {
            broker.strike(victim, fault);
            load.flows();
        }
    }
    assert_eq!(load.reconnects(), 0, "connections stay");
    assert!(broker.snapshot().is_whole(), "{}", broker.snapshot());
    load.stop();
    let totals = ledger.check().unwrap();
    assert!(totals.acknowledged > 20, "{totals:?} is no load");
}

pub(crate) fn panics() -> Vec<Fault> {
    vec![Fault::PanicBefore(None), Fault::PanicAfter(None), Fault::FailStart]
}

#[test]
fn the_logs_writer_may_crash() {
    survives(&["store/commit-log"], &panics()[..2], asynchronous);
}

#[test]
fn messages_that_wait_in_memory_outlive_all_who_work_with_them() {
    survives(&["store/commit-log", "store/flush", "store/dispatcher"], &panics()[..2], buffered);
}

#[test]
fn the_flusher_and_who_holds_the_waiters_may_crash() {
    survives(&["store/flush", "store/waiters"], &panics()[..2], synchronous);
}

#[test]
fn the_dispatcher_may_crash() {
    survives(&["store/dispatcher"], &panics(), asynchronous);
}

#[test]
fn queues_may_crash() {
    survives(&["store/queues/T:0", "store/queues/T:3"], &panics(), asynchronous);
}

#[test]
fn those_that_work_in_the_background_may_crash() {
    let starts = [Fault::FailStart];
    survives(
        &[
            "store/allocator",
            "store/queue-flush",
            "store/index",
            "store/cleaner",
            "topics",
            "remoting/listener",
        ],
        &starts,
        asynchronous,
    );
}

#[test]
fn a_connection_that_crashes_takes_no_other_along() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let (mut culprit, mut other) = (broker.connect(), broker.connect());
    culprit.create_topic("T", 1);
    other.send("T", 0, b"x").unwrap();
    let path = format!("broker/remoting/connections/{}", culprit.stream.local_addr().unwrap());
    inject(&broker.tree, &path, Fault::PanicInFuture).unwrap();
    culprit.tell(castmq::protocol::codes::RequestCode::from(31_999), &(), b"");
    assert!(culprit.read().is_none(), "its connection is closed");
    other.send("T", 0, b"y").unwrap();
    assert_eq!(other.drain("T", 0, 2).len(), 2);
}
