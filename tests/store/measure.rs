//! How long a start takes, measured: `cargo test --release --test store measure -- --ignored --nocapture`. Figures
//! are printed and never asserted.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use castmq::store::disk::LocalDisk;
use castmq::store::store::Closed;
use castmq::store::{Store, StoreOptions};

use crate::messages::{dispatch, send};

const FILE: usize = 256 << 20;

fn options(root: &Path) -> StoreOptions {
    StoreOptions {
        commit_log_file_size: FILE,
        recover_max_files: 1000,
        disk: Arc::new(LocalDisk),
        ..StoreOptions::at(root)
    }
}

fn open(root: &Path) -> (Store, Duration) {
    let began = Instant::now();
    let store = Store::open(options(root)).unwrap();
    (store, began.elapsed())
}

/// Resident memory of this process, and the part that is no file, MiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    (field("VmRSS:").unwrap_or(0) >> 10, field("RssAnon:").unwrap_or(0) >> 10)
}

#[test]
#[ignore = "takes minutes and gigabytes; prints figures"]
fn measure_recovery_per_gibibyte() {
    const TOPICS: [&str; 4] = ["A", "B", "C", "D"];
    for body in [256, 1024] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        let mut appender = store.log().appender().unwrap();
        let (mut number, began) = (0, Instant::now());
        let body = vec![7; body];
        while store.log().max_offset().0 < 2 << 30 {
            let queue = (TOPICS[number % 4], (number / 4 % 2) as i32);
            send(&store, &mut appender, queue, &body, 1_000_000 + number as i64).unwrap();
            number += 1;
        }
        let appended = began.elapsed();
        drop((appender, store));
        let (store, lost) = open(dir.path());
        let report = store.recovery();
        assert_eq!(report.records, number as u64);
        drop(store);
        let (store, known) = open(dir.path());
        store.flush_log(store.log().max_offset()).unwrap();
        assert_eq!(store.close().unwrap(), Closed::Clean);
        drop(store);
        let (store, clean) = open(dir.path());
        let gib = report.end.since(report.start) as f64 / (1u64 << 30) as f64;
        println!(
            "{} B bodies, {number} records, {gib:.1} GiB: appended in {:.2} s; recovery without queues {:.2} s/GiB, \
             with them {:.2} s/GiB; after an orderly end {:.1} ms, reading {} MiB",
            body.len(),
            appended.as_secs_f64(),
            lost.as_secs_f64() / gib,
            known.as_secs_f64() / gib,
            clean.as_secs_f64() * 1e3,
            store.recovery().end.since(store.recovery().start) >> 20
        );
    }
}

#[test]
#[ignore = "makes 50,000 directories; prints figures"]
fn measure_starts_with_many_queues() {
    for queues in [8, 1_000, 50_000] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        let mut appender = store.log().appender().unwrap();
        let topics: Vec<&'static str> =
            (0..queues / 8).map(|topic| &*format!("Topic{topic}").leak()).collect();
        for topic in &topics {
            for queue_id in 0..8 {
                send(&store, &mut appender, (topic, queue_id), b"body", 1_000_000).unwrap();
            }
        }
        dispatch(&store).unwrap();
        drop(appender);
        let began = Instant::now();
        assert_eq!(store.close().unwrap(), Closed::Clean);
        let closed = began.elapsed();
        drop(store);
        let before = memory();
        let (store, clean) = open(dir.path());
        let after = memory();
        drop(store);
        let (store, killed) = open(dir.path());
        assert!(store.recovery().was_abnormal && !store.recovery().read_all);
        println!(
            "{queues} queues: start after an orderly end {:.1} ms, after a kill {:.1} ms, close {:.1} ms; \
             memory {} MiB more, of it {} MiB no file",
            clean.as_secs_f64() * 1e3,
            killed.as_secs_f64() * 1e3,
            closed.as_secs_f64() * 1e3,
            after.0.saturating_sub(before.0),
            after.1.saturating_sub(before.1)
        );
    }
}
