//! The store without a broker: `cargo bench --bench store`, or a part of it: `… --bench store -- recovery`.
//!
//! The groups `recovery` and `many_queues` take gigabytes and up to 50,000 directories under the temporary directory.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)] // As in tests.

#[allow(dead_code)]
#[path = "../tests/store/messages.rs"]
mod messages;

use std::path::Path;

use castmq::protocol::record::{PropertyText, RecordDraft, RecordFields};
use castmq::protocol::sys_flag::SysFlag;
use castmq::store::consume_queue::Unit;
use castmq::store::store::Closed;
use castmq::store::{PhysicalOffset, QueueOffset, Store, StoreOptions};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use messages::{dispatch, send};

fn main() {
    divan::main();
}

fn open(root: &Path) -> Store {
    let sizes =
        StoreOptions { commit_log_file_size: 256 << 20, recover_max_files: 1000, ..StoreOptions::at(root) };
    Store::open(sizes).unwrap()
}

fn draft(body: usize) -> RecordDraft {
    let host = "127.0.0.1:10911".parse().unwrap();
    let properties = "KEYS\u{1}k\u{2}TAGS\u{1}t\u{2}UNIQ_KEY\u{1}7F0000010000597F0000000000132EAC\u{2}";
    RecordDraft::new(RecordFields {
        topic: "T".into(),
        queue_id: 0,
        flag: 0,
        sys_flag: SysFlag(0),
        born_timestamp: 1,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: vec![7; body].into(),
        properties: PropertyText::from(bytes::Bytes::from_static(properties.as_bytes())),
    })
    .unwrap()
}

fn append_to(bencher: Bencher, store: &Store, body: usize) {
    let mut appender = store.log().appender().unwrap();
    let draft = draft(body);
    bencher.counter(ItemsCount::new(1u32)).counter(BytesCount::new(draft.total_size())).bench_local(|| {
        let encode = |out: &mut [u8], at: PhysicalOffset| draft.encode_into(out, 0, at.0, 1).unwrap();
        appender.append(draft.total_size(), 1, encode).unwrap()
    });
}

/// One record into the log, its checksum made before. Nobody makes pages ready.
#[divan::bench(args = [256, 1024], sample_count = 100, sample_size = 1000)]
fn append(bencher: Bencher, body: usize) {
    let dir = tempfile::tempdir().unwrap();
    append_to(bencher, &open(dir.path()), body);
}

/// The same into a write buffer, committed in the end.
#[divan::bench(args = [256, 1024], sample_count = 100, sample_size = 1000)]
fn append_to_write_buffer(bencher: Bencher, body: usize) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(StoreOptions { pool: messages::POOL, ..StoreOptions::at(dir.path()) }).unwrap();
    append_to(bencher, &store, body);
    let (began, bytes) = (std::time::Instant::now(), store.log().written().0 as f64);
    store.log().commit().unwrap();
    println!("{body}: committed at {:.1} GB/s", bytes / began.elapsed().as_secs_f64() / 1e9);
}

/// So many units of a queue, from anywhere in its file.
#[divan::bench(args = [1, 32])]
fn look_up(bencher: Bencher, count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut queue = store.open_queue("T", 0).unwrap();
    let unit = |number: i64| Unit { physical_offset: PhysicalOffset(number * 300), size: 300, tags_code: 0 };
    queue.append(QueueOffset(0), &(0..200_000).map(unit).collect::<Vec<_>>()).unwrap();
    // The units that were appended last are kept in memory.
    drop(queue);
    let mut queue = store.open_queue("T", 0).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let from = QueueOffset(random.i64(0..199_900));
        let units = queue.range(from, count).unwrap();
        assert_eq!(units.len(), count);
        units.map(|unit| unit.physical_offset.0).sum::<i64>()
    });
}

/// A start after a kill that reads a GiB of log, whose queues are there.
#[divan::bench(args = [256, 1024], sample_count = 3, sample_size = 1)]
fn recovery(bencher: Bencher, body: usize) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut appender = store.log().appender().unwrap();
    for number in 0.. {
        let queue = (["A", "B", "C", "D"][number % 4], (number / 4 % 2) as i32);
        let sent = send(&store, &mut appender, queue, &vec![7; body], 1_000_000 + number as i64).unwrap();
        if sent.end().0 >= 1 << 30 {
            break;
        }
    }
    drop((appender, store));
    drop(open(dir.path())); // makes the queues
    bencher.counter(BytesCount::new(1u64 << 30)).bench_local(|| {
        let store = open(dir.path());
        assert!(store.recovery().records > 0);
    });
}

/// Starts and ends of a store of so many queues, with a message in each; memory is printed.
mod many_queues {
    use super::*;

    fn filled(root: &Path, queues: usize) -> Store {
        let store = open(root);
        let mut appender = store.log().appender().unwrap();
        for number in 0..queues {
            let topic: &'static str = format!("Topic{}", number / 8).leak();
            send(&store, &mut appender, (topic, (number % 8) as i32), b"body", 1_000_000).unwrap();
        }
        drop(appender);
        dispatch(&store).unwrap();
        store
    }

    fn close(store: Store) {
        assert_eq!(store.close().unwrap(), Closed::Clean);
    }

    /// Memory of this process that is no file and not free, MiB.
    fn memory() -> u64 {
        // SAFETY: gives back what the allocator keeps free, and nothing that is in use.
        #[cfg(target_env = "gnu")]
        unsafe {
            libc::malloc_trim(0)
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) >> 10
    }

    #[divan::bench(args = [8, 1_000, 50_000], sample_count = 3, sample_size = 1)]
    fn start_after_close(bencher: Bencher, queues: usize) {
        let dir = tempfile::tempdir().unwrap();
        close(filled(dir.path(), queues));
        let before = memory();
        let open_again = || {
            let store = open(dir.path());
            assert!(!store.recovery().was_abnormal);
            store
        };
        let store = open_again();
        println!("{queues} queues: {} MiB more", memory().saturating_sub(before));
        close(store);
        // The close counts too; it has nothing to flush.
        bencher.bench_local(|| close(open_again()));
    }

    #[divan::bench(args = [8, 1_000, 50_000], sample_count = 3, sample_size = 1)]
    fn start_after_kill(bencher: Bencher, queues: usize) {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path(), queues));
        bencher.bench_local(|| open(dir.path()));
    }

    #[divan::bench(args = [8, 1_000, 50_000], sample_count = 1, sample_size = 1)]
    fn close_with_all_queues_dirty(bencher: Bencher, queues: usize) {
        let dir = tempfile::tempdir().unwrap();
        let store = std::cell::Cell::new(Some(filled(dir.path(), queues)));
        bencher.bench_local(|| store.take().map(close));
    }
}
