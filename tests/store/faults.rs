//! A device that fails once, and one that is full.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use castmq::store::disk::{Disk, Entry, LocalDisk};
use castmq::store::index::{IndexOptions, KeyIndex};
use castmq::store::store::Closed;
use castmq::store::{PhysicalOffset, Store, StoreError, StoreOptions};
use memmap2::MmapRaw;

use crate::messages::{POOL, Sent, assert_sound, dispatch, open, options, scratch, send_number};

const NO_SPACE: i32 = 28;
const IO_ERROR: i32 = 5;

/// The machine's disk, but that it can be told to fail.
#[derive(Debug)]
pub(crate) struct FaultyDisk {
    /// Calls that take space and still succeed; negative: it is full.
    pub(crate) room: AtomicI64,
    fails_to_sync: AtomicBool,
    fails_to_write: AtomicBool,
}

impl Default for FaultyDisk {
    fn default() -> Self {
        FaultyDisk {
            room: AtomicI64::new(i64::MAX),
            fails_to_sync: false.into(),
            fails_to_write: false.into(),
        }
    }
}

impl FaultyDisk {
    fn take_space(&self) -> io::Result<()> {
        match self.room.fetch_sub(1, Ordering::Relaxed) {
            ..=0 => Err(io::Error::from_raw_os_error(NO_SPACE)),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.fails_to_sync.swap(false, Ordering::Relaxed) {
            true => Err(io::Error::from_raw_os_error(IO_ERROR)),
            false => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        LocalDisk.list(dir)
    }
    fn create_reserved(&self, path: &Path, len: u64) -> io::Result<File> {
        self.take_space()?;
        LocalDisk.create_reserved(path, len)
    }
    fn create_sparse(&self, path: &Path, len: u64) -> io::Result<File> {
        self.take_space()?;
        LocalDisk.create_sparse(path, len)
    }
    fn open(&self, path: &Path) -> io::Result<File> {
        LocalDisk.open(path)
    }
    fn write_at(&self, path: &Path, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let broken = self.fails_to_write.swap(false, Ordering::Relaxed);
        let broken = broken.then(|| io::Error::from_raw_os_error(IO_ERROR));
        if let Some(error) = broken.or(self.take_space().err()) {
            // A part of it goes in before that.
            LocalDisk.write_at(path, file, &bytes[..bytes.len() / 2], at)?;
            return Err(error);
        }
        LocalDisk.write_at(path, file, bytes, at)
    }
    fn reserve(&self, path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        self.take_space()?;
        LocalDisk.reserve(path, file, range)
    }
    fn zero(&self, path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        self.take_space()?;
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
    fn sync_file(&self, _path: &Path, _file: &File) -> io::Result<()> {
        self.sync()
    }
    fn sync_mapped(&self, _path: &Path, _map: &MmapRaw, _range: Range<usize>) -> io::Result<()> {
        self.sync()
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        self.sync()
    }
}

pub(crate) fn open_on(root: &Path, disk: &Arc<FaultyDisk>) -> Result<Store, StoreError> {
    Store::open(options(root, disk.clone()))
}

fn open_buffered(root: &Path, disk: &Arc<FaultyDisk>) -> Store {
    Store::open(StoreOptions { pool: POOL, ..options(root, disk.clone()) }).unwrap()
}

#[test]
fn messages_that_a_full_device_did_not_take_wait_and_no_more_are_taken_until_it_has() {
    let dir = scratch();
    let disk = Arc::new(FaultyDisk::default());
    let store = open_buffered(dir.path(), &disk);
    let mut appender = store.log().appender().unwrap();
    let mut sent: Vec<Sent> = (0..9).map(|n| send_number(&store, &mut appender, n).unwrap()).collect();
    store.log().commit().unwrap();
    sent.extend((9..12).map(|number| send_number(&store, &mut appender, number).unwrap()));
    disk.room.store(0, Ordering::Relaxed);
    assert!(store.log().commit().unwrap_err().is_disk_full());
    assert!(store.flush_log(store.log().written()).unwrap_err().is_disk_full());
    assert_eq!(store.watermarks().flushed.get(), sent[8].end(), "what is in the file is flushed");
    assert!(send_number(&store, &mut appender, 12).unwrap_err().is_disk_full());
    assert!(store.record_at(sent[9].at).is_none() && store.record_at(sent[8].at).is_some());
    disk.room.store(i64::MAX, Ordering::Relaxed);
    assert_eq!(store.log().commit().unwrap(), sent[11].end());
    sent.push(send_number(&store, &mut appender, 12).unwrap());
    assert_eq!(
        store.record_at(sent[12].at).as_deref(),
        Some(&sent[12].bytes[..]),
        "who asks has it committed"
    );
    dispatch(&store).unwrap();
    drop(appender);
    assert_eq!(store.close().unwrap(), Closed::Clean);
    assert_sound(&store, &sent);
}

#[test]
fn a_commit_that_failed_and_a_kill_leave_what_was_committed_before_and_whole_records_of_the_rest() {
    for is_broken in [false, true] {
        let dir = scratch();
        let disk = Arc::new(FaultyDisk::default());
        let store = open_buffered(dir.path(), &disk);
        let mut appender = store.log().appender().unwrap();
        // Over the end of a file, with a torn write at the end.
        let mut sent: Vec<Sent> = (0..30).map(|n| send_number(&store, &mut appender, n).unwrap()).collect();
        store.log().commit().unwrap();
        dispatch(&store).unwrap();
        sent.extend((30..36).map(|number| send_number(&store, &mut appender, number).unwrap()));
        disk.fails_to_write.store(is_broken, Ordering::Relaxed);
        disk.room.store(if is_broken { i64::MAX } else { 0 }, Ordering::Relaxed);
        assert!(store.log().commit().is_err());
        disk.room.store(i64::MAX, Ordering::Relaxed);
        if is_broken {
            assert!(matches!(store.log().commit(), Err(StoreError::Poisoned { .. })));
            assert!(matches!(send_number(&store, &mut appender, 9), Err(StoreError::Poisoned { .. })));
        }
        drop((appender, store));
        let store = open_buffered(dir.path(), &disk);
        let end = store.recovery().end;
        assert!((sent[29].end()..sent[35].end()).contains(&end), "{end}");
        sent.retain(|sent| sent.end() <= end);
        assert_sound(&store, &sent);
        // Offsets that nobody has seen are given out again.
        let again = send_number(&store, &mut store.log().appender().unwrap(), sent.len()).unwrap();
        assert_eq!(again.at, end);
        store.log().commit().unwrap();
        dispatch(&store).unwrap();
        assert_sound(&store, &[again]);
    }
}

#[test]
fn a_log_that_failed_to_sync_once_acknowledges_nothing_until_it_is_recovered() {
    let dir = scratch();
    let disk = Arc::new(FaultyDisk::default());
    let store = open_on(dir.path(), &disk).unwrap();
    let mut appender = store.log().appender().unwrap();
    let sent: Vec<Sent> = (0..5).map(|number| send_number(&store, &mut appender, number).unwrap()).collect();
    let safe = store.flush_log(sent[2].end()).unwrap();
    disk.fails_to_sync.store(true, Ordering::Relaxed);
    assert!(matches!(store.flush_log(sent[4].end()), Err(StoreError::Io { .. })));
    for _ in 0..3 {
        assert!(matches!(store.flush_log(sent[4].end()), Err(StoreError::Poisoned { .. })));
        assert!(matches!(send_number(&store, &mut appender, 9), Err(StoreError::Poisoned { .. })));
        assert_eq!(store.watermarks().flushed.get(), safe);
    }
    // Who has it read may go on: what is there is there.
    assert!(store.log().slice(sent[4].at, sent[4].bytes.len()).is_some());
    drop(appender);
    assert!(store.close().is_err());
    drop(store);
    let store = open_on(dir.path(), &disk).unwrap();
    assert!(store.recovery().was_abnormal);
    assert_sound(&store, &sent[..3]);
    let again = send_number(&store, &mut store.log().appender().unwrap(), 5).unwrap();
    assert!(store.flush_log(again.end()).is_ok());
}

#[test]
fn a_queue_that_failed_to_sync_once_is_synced_again_and_the_checkpoint_waits() {
    let dir = scratch();
    let disk = Arc::new(FaultyDisk::default());
    let store = open_on(dir.path(), &disk).unwrap();
    let mut appender = store.log().appender().unwrap();
    for number in 0..6 {
        send_number(&store, &mut appender, number).unwrap();
    }
    dispatch(&store).unwrap();
    store.flush_log(store.log().max_offset()).unwrap();
    disk.fails_to_sync.store(true, Ordering::Relaxed);
    assert!(matches!(store.flush_queues(), Err(StoreError::Io { .. })));
    assert_eq!(store.checkpoint().queues.get(), 0);
    store.flush_queues().unwrap();
    assert!(store.checkpoint().queues.get() > 0);
}

#[test]
fn a_full_device_at_any_allocation_is_an_error_after_which_the_store_goes_on() {
    // A store that takes space `room` times, then none, then some again.
    for room in (0..30).chain((30..100).step_by(7)) {
        let dir = scratch();
        let disk = Arc::new(FaultyDisk::default());
        let store = open_on(dir.path(), &disk).unwrap();
        disk.room.store(room, Ordering::Relaxed);
        let mut appender = store.log().appender().unwrap();
        let (mut sent, mut refused) = (Vec::new(), 0);
        for number in 0..90 {
            match send_number(&store, &mut appender, number) {
                Ok(message) => sent.push(message),
                Err(error) => {
                    assert!(error.is_disk_full(), "{error}");
                    refused += 1;
                }
            }
            if let Err(error) = dispatch(&store) {
                assert!(error.is_disk_full(), "{error}");
                refused += 1;
            }
            if number == 70 {
                // What is there can be read, and there is room again.
                for message in &sent {
                    let bytes = store.log().slice(message.at, message.bytes.len());
                    assert_eq!(bytes.as_deref(), Some(&message.bytes[..]));
                }
                disk.room.store(i64::MAX, Ordering::Relaxed);
                // The allocator keeps trying; its success is what the writer waits for.
                store.log().files().prepare_next().unwrap();
            }
        }
        assert!(refused > 0 || room > 70, "room for {room} calls");
        dispatch(&store).unwrap();
        assert_sound(&store, &sent);
        assert!(sent.len() > 15, "room for {room} calls: {} sent, {refused} refused", sent.len());
        drop((appender, store));
        assert_sound(&open(dir.path()), &sent);
    }
}

#[test]
fn a_full_device_at_any_allocation_of_a_start_is_an_error_after_which_the_next_one_succeeds() {
    for room in 0..25 {
        let dir = scratch();
        let disk = Arc::new(FaultyDisk::default());
        let store = open_on(dir.path(), &disk).unwrap();
        let mut appender = store.log().appender().unwrap();
        let sent: Vec<Sent> =
            (0..90).map(|number| send_number(&store, &mut appender, number).unwrap()).collect();
        drop((appender, store));
        disk.room.store(room, Ordering::Relaxed);
        match open_on(dir.path(), &disk) {
            Ok(store) => assert_sound(&store, &sent),
            Err(error) => assert!(error.is_disk_full(), "{error}"),
        }
        disk.room.store(i64::MAX, Ordering::Relaxed);
        let store = open_on(dir.path(), &disk).unwrap();
        assert_sound(&store, &sent);
    }
}

#[test]
fn a_full_device_at_an_index_file_leaves_the_index_as_it_was() {
    let dir = scratch();
    let disk = Arc::new(FaultyDisk::default());
    let store = open(dir.path());
    let sent = crate::messages::fill(&store, 0..60);
    let index_options = IndexOptions { slots: 16, entries: 64, ..IndexOptions::at(disk.clone(), dir.path()) };
    let mut index = KeyIndex::open(index_options, false, 0).unwrap();
    let put = |index: &mut KeyIndex, sent: &Sent| {
        use castmq::store::scan::{Found, Verify, examine};
        let Found::Record(record) = examine(&sent.bytes, sent.at, Verify::Layout) else { panic!() };
        index.put(&record)
    };
    disk.room.store(1, Ordering::Relaxed);
    let stuck = sent.iter().position(|message| put(&mut index, message).is_err()).unwrap();
    assert!(put(&mut index, &sent[stuck]).unwrap_err().is_disk_full());
    let before = index.end_offset();
    assert!(before <= sent[stuck].at && before > PhysicalOffset(0));
    disk.room.store(i64::MAX, Ordering::Relaxed);
    for message in &sent[stuck..] {
        put(&mut index, message).unwrap();
    }
    assert_eq!(index.end_offset(), sent[59].at);
    let keyed = |sent: &&Sent| sent.topic == "A" && sent.queue_offset % 7 == 3;
    let expected = sent.iter().filter(keyed).count();
    let mut found = index.query("A", "k3", 64, &(0..=i64::MAX));
    found.dedup();
    assert_eq!(found.len(), expected);
}
