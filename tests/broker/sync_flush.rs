//! Senders who wait for the device.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use castmq::{
    config::{BrokerConfig, Bytes, FlushDiskType, Millis, Pages},
    protocol::codes::{RequestCode, ResponseCode},
};

use crate::{
    faulty_disk::{FaultyDisk, Syncs},
    harness::{Running, message},
};

fn sync(config: &mut BrokerConfig) {
    config.flush_disk_type = FlushDiskType::SyncFlush;
    config.sync_flush_timeout = Millis(200);
}

#[test]
fn who_waits_too_long_is_answered_at_the_deadline_while_the_device_still_works() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), sync);
    let mut client = broker.connect();
    client.send("T", 0, b"first").unwrap();
    disk.set_syncs(Syncs::Block);
    let began = Instant::now();
    let late = client.ask(RequestCode::SEND_MESSAGE_V2, &message("T", 0, "").compact(), b"second");
    let waited = began.elapsed();
    assert_eq!(late.header.response_code(), ResponseCode::FLUSH_DISK_TIMEOUT);
    assert!(waited >= Duration::from_millis(190) && waited < Duration::from_secs(3), "{waited:?}");
    assert!(late.header.fields.get("queueOffset").is_some(), "it says where the message is");
    assert!(client.send_with("T", 0, b"third", "WAIT=false;").is_ok(), "who does not wait is not held up");
    assert_eq!(client.drain("T", 0, 1).len(), 1, "nobody reads what a power cut may take back");
    disk.set_syncs(Syncs::Well);
    assert_eq!(client.send("T", 0, b"fourth").unwrap().queue_offset, 3);
    assert_eq!(client.drain("T", 0, 4).len(), 4);
}

#[test]
fn all_who_wait_share_a_sync() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    let broker = Running::start_on(dir.path(), disk.clone(), |config| {
        sync(config);
        config.sync_flush_timeout = Millis(10_000);
    });
    let mut client = broker.connect();
    client.send("T", 0, b"first").unwrap();
    disk.set_syncs(Syncs::Block);
    let before = disk.synced.load(Ordering::Relaxed);
    for number in 0..200 {
        client.tell(RequestCode::SEND_MESSAGE_V2, &message("T", number % 4, "").compact(), b"x");
    }
    std::thread::sleep(Duration::from_millis(100));
    disk.set_syncs(Syncs::Well);
    for _ in 0..200 {
        assert_eq!(client.read().unwrap().header.response_code(), ResponseCode::SUCCESS);
    }
    let syncs = disk.synced.load(Ordering::Relaxed) - before;
    assert!(syncs <= 5, "{syncs} syncs");
}

#[test]
fn nothing_is_acknowledged_after_a_failed_sync_until_a_restart() {
    for flush in [FlushDiskType::SyncFlush, FlushDiskType::AsyncFlush] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
        let mut broker = Running::start_on(dir.path(), disk.clone(), |config| {
            config.flush_disk_type = flush;
            config.flush_interval_commit_log = Millis(10);
            config.flush_commit_log_thorough_interval = Millis(10);
        });
        broker.may_fail_to_close();
        let mut client = broker.connect();
        client.send("T", 0, b"first").unwrap();
        assert_eq!(client.drain("T", 0, 1).len(), 1);
        disk.set_syncs(Syncs::FailOnce);
        if flush == FlushDiskType::SyncFlush {
            let answer = client.ask(RequestCode::SEND_MESSAGE_V2, &message("T", 0, "").compact(), b"second");
            assert_eq!(answer.header.response_code(), ResponseCode::SERVICE_NOT_AVAILABLE);
            assert!(answer.header.remark.unwrap().contains("no longer flushes"));
        } else {
            let deadline = Instant::now() + Duration::from_secs(5);
            while client.send("T", 0, b"x").is_ok() {
                assert!(Instant::now() < deadline, "the failure is not noticed");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        for _ in 0..5 {
            assert_eq!(client.send("T", 0, b"x").unwrap_err(), ResponseCode::SERVICE_NOT_AVAILABLE);
            std::thread::sleep(Duration::from_millis(15));
        }
        assert!(!client.drain("T", 0, 1).is_empty(), "what is there can be read");
        drop((client, broker));
        assert!(dir.path().join("abort").exists(), "the next start recovers");
        let broker = Running::start_on(dir.path(), disk, |config| config.flush_disk_type = flush);
        let mut client = broker.connect();
        client.send("T", 0, b"again").unwrap();
        assert_eq!(client.drain("T", 0, 2)[0].body, b"first");
    }
}

/// A broker whose first file is warmed, sixteen pages of sixty-four at a time.
fn warmed(dir: &std::path::Path, disk: &Arc<FaultyDisk>, flush: FlushDiskType) -> Running {
    Running::start_on(dir, disk.clone(), |config| {
        config.flush_disk_type = flush;
        config.warm_maped_file_enable = true;
        config.mapped_file_size_commit_log = Bytes(256 << 10);
        config.flush_least_pages_when_warm_maped_file = Pages(16);
    })
}

#[test]
fn a_warmed_file_is_forced_to_the_device_in_steps_where_senders_wait_for_that() {
    for (flush, syncs) in [(FlushDiskType::SyncFlush, 4), (FlushDiskType::AsyncFlush, 0)] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
        let broker = warmed(dir.path(), &disk, flush);
        let synced = || disk.synced.load(Ordering::Relaxed);
        let deadline = Instant::now() + Duration::from_secs(5);
        while synced() < syncs && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(synced(), syncs, "{flush:?}");
        let mut client = broker.connect();
        client.send("T", 0, b"warm").unwrap();
        assert_eq!(client.drain("T", 0, 1)[0].body, b"warm");
    }
}

#[test]
fn a_device_that_fails_while_a_file_is_warmed_takes_no_messages() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(FaultyDisk::default()));
    disk.set_syncs(Syncs::FailOnce);
    let mut broker = warmed(dir.path(), &disk, FlushDiskType::SyncFlush);
    broker.may_fail_to_close();
    let deadline = Instant::now() + Duration::from_secs(5);
    while disk.synced.load(Ordering::Relaxed) < 3 {
        assert!(Instant::now() < deadline, "the other steps are synced");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(broker.connect().send("T", 0, b"x").unwrap_err(), ResponseCode::SERVICE_NOT_AVAILABLE);
}
