//! A power cut, played: what was not synced is gone. The disk in front of a real directory remembers what
//! each sync made durable; the cut puts the files back to that.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used)] // What fails here fails the test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use castmq::store::disk::{Disk, Entry, LocalDisk};
use castmq::store::{PhysicalOffset, Store, StoreError, StoreOptions};
use memmap2::MmapRaw;

const LOG_FILE: usize = 8192;

/// Durable contents by path. Directory entries count as durable at once.
#[derive(Debug, Default)]
struct PowerCutDisk {
    durable: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
    fails_to_sync: AtomicBool,
}

impl PowerCutDisk {
    fn keep(&self, path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        if self.fails_to_sync.load(Ordering::Relaxed) {
            return Err(io::Error::other("the device does not answer"));
        }
        let len = file.metadata()?.len();
        let mut now = vec![0; (range.end.min(len) - range.start.min(len)) as usize];
        file.read_exact_at(&mut now, range.start)?;
        let mut durable = self.durable.lock().unwrap();
        let image = durable.entry(path.to_owned()).or_default();
        image.resize(len as usize, 0);
        image[range.start as usize..][..now.len()].copy_from_slice(&now);
        Ok(())
    }

    fn cut_power(&self) {
        for (path, image) in self.durable.lock().unwrap().iter().filter(|(path, _)| path.exists()) {
            fs::write(path, image).unwrap();
        }
    }
}

impl Disk for PowerCutDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        LocalDisk.list(dir)
    }
    fn create_reserved(&self, path: &Path, len: u64) -> io::Result<File> {
        let file = LocalDisk.create_reserved(path, len)?;
        self.keep(path, &file, 0..len)?;
        Ok(file)
    }
    fn create_sparse(&self, path: &Path, len: u64) -> io::Result<File> {
        let file = LocalDisk.create_sparse(path, len)?;
        self.durable.lock().unwrap().entry(path.to_owned()).or_insert_with(|| vec![0; len as usize]);
        Ok(file)
    }
    fn open(&self, path: &Path) -> io::Result<File> {
        LocalDisk.open(path)
    }
    fn reserve(&self, path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        LocalDisk.reserve(path, file, range)
    }
    fn zero(&self, path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        LocalDisk.zero(path, file, range)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.remove_dir(dir)
    }
    fn sync_file(&self, path: &Path, file: &File) -> io::Result<()> {
        self.keep(path, file, 0..file.metadata()?.len())
    }
    fn sync_mapped(&self, path: &Path, map: &MmapRaw, range: Range<usize>) -> io::Result<()> {
        assert!(range.end <= map.len());
        self.keep(path, &LocalDisk.open(path)?, range.start as u64..range.end as u64)
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}

fn open(root: &Path, disk: &Arc<PowerCutDisk>) -> Store {
    let options = StoreOptions {
        commit_log_file_size: LOG_FILE,
        consume_queue_file_size: 200,
        disk: disk.clone(),
        ..StoreOptions::at(root)
    };
    Store::open(options).unwrap()
}

/// A record of the smallest kind: topic `T`, queue 0.
fn append(
    store: &Store,
    appender: &mut castmq::store::commit_log::Appender,
    queue_offset: i64,
) -> PhysicalOffset {
    let body = [queue_offset as u8; 300];
    let encode = |out: &mut [u8], at: PhysicalOffset| {
        let mut fields = Vec::new();
        fields.extend((out.len() as i32).to_be_bytes());
        fields.extend((-626_843_481i32).to_be_bytes());
        fields.extend((crc32fast::hash(&body) & 0x7FFF_FFFF).to_be_bytes());
        fields.extend([0; 8]);
        fields.extend(queue_offset.to_be_bytes());
        fields.extend(at.0.to_be_bytes());
        fields.extend([0; 4 + 8 + 8]);
        fields.extend((1_000_000 + queue_offset).to_be_bytes());
        fields.extend([0; 8 + 4 + 8]);
        fields.extend(300i32.to_be_bytes());
        fields.extend(body);
        fields.extend([1, b'T', 0, 0]);
        out.copy_from_slice(&fields);
    };
    appender.append(88 + 300 + 4, 1_000_000 + queue_offset, encode).unwrap();
    store.log().max_offset()
}

#[test]
fn what_was_flushed_survives_a_power_cut_and_the_rest_is_cut_cleanly() {
    for (flushed_after, count) in [(0, 5), (1, 9), (20, 21), (30, 50), (41, 41)] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(PowerCutDisk::default());
        let store = open(dir.path(), &disk);
        let mut appender = store.log().appender().unwrap();
        let mut flushed = PhysicalOffset(0);
        for i in 0..count {
            let end = append(&store, &mut appender, i);
            if i + 1 == flushed_after {
                flushed = store.flush_log(end).unwrap();
                assert_eq!(flushed, end);
            }
        }
        drop((appender, store));
        disk.cut_power();
        let store = open(dir.path(), &disk);
        assert_eq!(store.recovery().end, flushed);
        let next = store.queues().get("T", 0).map_or(0, |state| state.next_offset().0);
        assert_eq!(next, flushed_after);
        // What recovery called safe is safe: another cut right now changes nothing.
        drop(store);
        disk.cut_power();
        let store = open(dir.path(), &disk);
        assert_eq!(store.recovery().end, flushed);
        append(&store, &mut store.log().appender().unwrap(), next);
        assert!(store.log().scan(PhysicalOffset(0), PhysicalOffset(i64::MAX)).all(|record| record.is_ok()));
    }
}

#[test]
fn a_failed_sync_poisons_the_log_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(PowerCutDisk::default());
    let store = open(dir.path(), &disk);
    let mut appender = store.log().appender().unwrap();
    let end = append(&store, &mut appender, 0);
    disk.fails_to_sync.store(true, Ordering::Relaxed);
    assert!(matches!(store.flush_log(end), Err(StoreError::Io { .. })));
    disk.fails_to_sync.store(false, Ordering::Relaxed);
    assert!(matches!(store.flush_log(end), Err(StoreError::Poisoned { .. })));
    assert_eq!(store.watermarks().flushed.get(), PhysicalOffset(0));
    assert!(matches!(appender.append(10, 0, |_, _| ()), Err(StoreError::Poisoned { .. })));
    drop(appender);
    assert!(store.close().is_err());
    drop(store);
    assert!(open(dir.path(), &disk).recovery().was_abnormal);
}
