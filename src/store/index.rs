//! The key index: which records carry a key (fact sheet: store 5).
//!
//! Files of fixed size, each a hash table whose chains run from the newest entry to the oldest. A file is
//! reserved in full and mapped by its one owner. What it lacks after a crash is put in again from the log,
//! from [`KeyIndex::end_offset`] on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::MmapMut;

use super::disk::Disk;
use super::error::StoreError;
use super::mapped_file::map_exclusive;
use super::scan::Record;
use super::watermarks::PhysicalOffset;
use crate::protocol::message::string_hash_on as hash_on;
use crate::protocol::properties::name;
use crate::protocol::sys_flag::TransactionType;

pub(super) const HEADER: usize = 40;
pub(super) const SLOT: usize = 4;
pub(super) const ENTRY: usize = 20;
/// Digits of a file name: `yyyyMMddHHmmssSSS`.
pub(super) const NAME_DIGITS: usize = 17;

/// Between topic and tags in the key of a tag.
const TAG_MARK: &[u8] = b"T#";

/// Where the index lies and how its files are cut; both numbers must be those that wrote the files.
#[derive(Debug, Clone)]
pub struct IndexOptions {
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// `<root>/index`.
    pub dir: PathBuf,
    /// `maxHashSlotNum`, 1 or more.
    pub slots: usize,
    /// `maxIndexNum`: entries of a file, 2 or more; the first is never used.
    pub entries: usize,
}

impl IndexOptions {
    /// RocketMQ's sizes under `root`.
    pub fn at(disk: Arc<dyn Disk>, root: &Path) -> Self {
        IndexOptions { disk, dir: root.join("index"), slots: 5_000_000, entries: 20_000_000 }
    }

    /// Bytes of a file.
    pub fn file_size(&self) -> usize {
        HEADER + SLOT * self.slots + ENTRY * self.entries
    }
}

/// Times between which a key is looked for, in ms, both inclusive.
pub type Period = std::ops::RangeInclusive<i64>;

/// A file that is full and on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// Where its last record begins.
    pub end: PhysicalOffset,
    /// The store time of that record, ms: what the checkpoint's index time may rise to, once the log is
    /// flushed behind the record.
    pub timestamp: i64,
}

/// The index's one owner.
#[derive(Debug)]
pub struct KeyIndex {
    options: IndexOptions,
    /// Oldest first; only the last one is written to.
    files: Vec<IndexFile>,
}

impl KeyIndex {
    /// Opens what is there. After a crash, files that are not known to be on the device (`safe_until`, the
    /// checkpoint's index time) and the last one unless it is full are removed.
    pub fn open(options: IndexOptions, was_abnormal: bool, safe_until: i64) -> Result<Self, StoreError> {
        let IndexOptions { disk, dir, .. } = &options;
        let mut files = Vec::new();
        for entry in disk.list(dir).map_err(StoreError::io("list", dir))? {
            let is_index = entry.name.len() == NAME_DIGITS && entry.name.bytes().all(|b| b.is_ascii_digit());
            if entry.is_dir || !is_index {
                continue;
            }
            let path = dir.join(&entry.name);
            let expected = options.file_size() as u64;
            if entry.len == 0 {
                disk.remove(&path).map_err(StoreError::io("remove the empty file", &path))?;
            } else if entry.len != expected {
                return Err(StoreError::WrongLength { path, expected, found: entry.len });
            } else {
                let file = disk.open(&path).map_err(StoreError::io("open", &path))?;
                disk.reserve(&path, &file, 0..expected)
                    .map_err(StoreError::io("reserve space for", &path))?;
                files.push(IndexFile::map(path, &file, &options)?);
            }
        }
        if was_abnormal {
            let is_whole = |file: &IndexFile| file.is_full() && file.end_timestamp() <= safe_until;
            for lost in files.extract_if(.., |file| !is_whole(file)) {
                disk.remove(&lost.path).map_err(StoreError::io("remove", &lost.path))?;
            }
        }
        Ok(KeyIndex { options, files })
    }

    /// Forgets the files that know records at or behind `log_end`, which a power cut took from the log.
    pub fn cut_to_log(&mut self, log_end: PhysicalOffset) -> Result<(), StoreError> {
        while let Some(last) = self.files.last().filter(|last| last.i64_at(END_OFFSET) >= log_end.0) {
            self.options.disk.remove(&last.path).map_err(StoreError::io("remove", &last.path))?;
            self.files.pop();
        }
        Ok(())
    }

    /// Where the last record that is known here was stored and when, ms; zeros when none is.
    pub fn last_update(&self) -> (PhysicalOffset, i64) {
        (self.end_offset(), self.files.last().map_or(0, IndexFile::end_timestamp))
    }

    /// The last record that is known here; records before it are ignored. 0 when none is.
    pub fn end_offset(&self) -> PhysicalOffset {
        PhysicalOffset(self.files.last().map_or(0, |file| file.i64_at(END_OFFSET)))
    }

    /// Adds a record's keys. Records come in the order of the log; one that is older than the last, or the last
    /// one itself, may be repeated: what is there is not put in twice. Returns the end of a file that became
    /// full and was flushed.
    ///
    /// # Errors
    /// A new file that cannot be made; repeating the record goes on where this ended.
    pub fn put(&mut self, record: &Record<'_>) -> Result<Option<Filled>, StoreError> {
        let end = self.end_offset();
        let is_rolled_back = record.sys_flag.transaction() == TransactionType::Rollback;
        if record.physical_offset < end || is_rolled_back {
            return Ok(None);
        }
        let mut known = if record.physical_offset == end { self.last_entries_of(end) } else { 0 };
        let mut filled = None;
        for_each_key_hash(record, |hash| {
            if known > 0 {
                known -= 1;
                return Ok(());
            }
            filled = self.put_hash(hash, record)?.or(filled);
            Ok(())
        })?;
        Ok(filled)
    }

    /// How many of the newest entries belong to the record at `offset`.
    fn last_entries_of(&self, offset: PhysicalOffset) -> usize {
        let newest_first = self.files.iter().rev().flat_map(IndexFile::offsets_newest_first);
        newest_first.take_while(|found| *found == offset).count()
    }

    fn put_hash(&mut self, hash: i32, record: &Record<'_>) -> Result<Option<Filled>, StoreError> {
        let mut filled = None;
        if self.files.last().is_none_or(IndexFile::is_full) {
            if let Some(full) = self.files.last() {
                full.flush()?;
                filled = Some(Filled {
                    end: PhysicalOffset(full.i64_at(END_OFFSET)),
                    timestamp: full.end_timestamp(),
                });
            }
            self.add_file(record.store_timestamp)?;
        }
        if let Some(last) = self.files.last_mut() {
            last.put(hash, record.physical_offset, record.store_timestamp);
        }
        Ok(filled)
    }

    fn add_file(&mut self, now: i64) -> Result<(), StoreError> {
        let IndexOptions { disk, dir, .. } = &self.options;
        disk.create_dir(dir).map_err(StoreError::io("make the directory", dir))?;
        let previous =
            self.files.last().and_then(|file| file.path.file_name()?.to_str()?.parse::<u64>().ok());
        // Names tell the order, also beside names that another time zone's clock has given.
        let name = time_digits(now).max(previous.map_or(0, |previous| previous + 1));
        let path = dir.join(format!("{name:0NAME_DIGITS$}"));
        let size = self.options.file_size() as u64;
        let file = disk.create_reserved(&path, size).map_err(StoreError::io("reserve space for", &path))?;
        disk.sync_dir(dir).map_err(StoreError::io("sync the directory", dir))?;
        let mut fresh = IndexFile::map(path, &file, &self.options)?;
        let end = self.files.last().map(|last| (last.end_timestamp(), last.i64_at(END_OFFSET)));
        fresh.begin(end.unwrap_or_default());
        self.files.push(fresh);
        Ok(())
    }

    /// Records stored within `period` that may carry the key, newest first. Only hashes are compared, and times
    /// to the second: who asks must look at the records. One that has the key twice may come twice.
    pub fn matches<'a>(
        &'a self,
        topic: &str,
        key: &str,
        period: &'a Period,
    ) -> Box<dyn Iterator<Item = PhysicalOffset> + 'a> {
        self.matches_of_hash(hash_on(of_topic(topic), key.as_bytes()), period)
    }

    /// [`KeyIndex::matches`] for the records with these tags.
    pub fn matches_of_tags<'a>(
        &'a self,
        topic: &str,
        tags: &str,
        period: &'a Period,
    ) -> Box<dyn Iterator<Item = PhysicalOffset> + 'a> {
        self.matches_of_hash(hash_on(hash_on(of_topic(topic), TAG_MARK), tags.as_bytes()), period)
    }

    fn matches_of_hash<'a>(
        &'a self,
        hash: i32,
        period: &'a Period,
    ) -> Box<dyn Iterator<Item = PhysicalOffset> + 'a> {
        let newest_first = self.files.iter().rev().filter(|file| file.overlaps(period));
        Box::new(newest_first.flat_map(move |file| file.chain(positive(hash), period)))
    }

    /// The first `max` of [`KeyIndex::matches`].
    pub fn query(&self, topic: &str, key: &str, max: usize, period: &Period) -> Vec<PhysicalOffset> {
        self.matches(topic, key, period).take(max).collect()
    }

    /// The first `max` of [`KeyIndex::matches_of_tags`].
    pub fn query_tags(&self, topic: &str, tags: &str, max: usize, period: &Period) -> Vec<PhysicalOffset> {
        self.matches_of_tags(topic, tags, period).take(max).collect()
    }

    /// Forces what is written to the device.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.files.last().map_or(Ok(()), IndexFile::flush)
    }

    /// Removes files whose last record is deleted, never the last file.
    pub fn delete_before(&mut self, log_min: PhysicalOffset) -> Result<(), StoreError> {
        while self.files.len() > 1 {
            let Some(oldest) = self.files.first().filter(|file| file.i64_at(END_OFFSET) < log_min.0) else {
                break;
            };
            self.options.disk.remove(&oldest.path).map_err(StoreError::io("remove", &oldest.path))?;
            self.files.remove(0);
        }
        Ok(())
    }
}

/// Calls `act` with the hash of each key of a record, in the order in which they are put in.
fn for_each_key_hash(
    record: &Record<'_>,
    mut act: impl FnMut(i32) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some(topic) = record.topic_name() else { return Ok(()) };
    let [unique, keys, tags] = record.properties_named([name::UNIQ_KEY, name::KEYS, name::TAGS]);
    let of_topic = of_topic(topic);
    if let Some(unique) = unique {
        act(positive(hash_on(of_topic, unique)))?;
    }
    if let Some(keys) = keys {
        let mut each = keys.split(|&byte| byte == b' ').filter(|key| !key.is_empty());
        each.try_for_each(|key| act(positive(hash_on(of_topic, key))))?;
    }
    match tags {
        Some(tags) => act(positive(hash_on(hash_on(of_topic, TAG_MARK), tags))),
        None => Ok(()),
    }
}

/// The hash of what stands before each key of a topic.
fn of_topic(topic: &str) -> i32 {
    hash_on(hash_on(0, topic.as_bytes()), b"#")
}

/// The keys of a record, hashed, in the order in which they are put in.
pub(super) fn key_hashes(record: &Record<'_>) -> Vec<i32> {
    let mut hashes = Vec::new();
    // Pushing does not fail.
    let _ = for_each_key_hash(record, |hash| {
        hashes.push(hash);
        Ok(())
    });
    hashes
}

/// The absolute value of Java's hash; the one number that has none counts as 0.
fn positive(hash: i32) -> i32 {
    hash.checked_abs().unwrap_or(0)
}

/// `yyyyMMddHHmmssSSS` of a time in ms since the epoch, UTC.
pub(crate) fn time_digits(ms: i64) -> u64 {
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Years that begin in March have the leap day last, and every 400 of them the same number of days.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let date = (year * 100 + month) * 100 + day_of_month;
    let time = (in_day / 3_600_000 * 100 + in_day / 60_000 % 60) * 100_000 + in_day % 60_000;
    u64::try_from(date * 1_000_000_000 + time).unwrap_or(0)
}

// Places of the header.
pub(super) const BEGIN_TIME: usize = 0;
pub(super) const END_TIME: usize = 8;
pub(super) const BEGIN_OFFSET: usize = 16;
pub(super) const END_OFFSET: usize = 24;
pub(super) const USED_SLOTS: usize = 32;
/// The number of the next entry; number 0 stands for none.
pub(super) const NEXT_ENTRY: usize = 36;

/// One file, its header written through.
#[derive(Debug)]
struct IndexFile {
    path: PathBuf,
    map: MmapMut,
    slots: usize,
    entries: usize,
}

impl IndexFile {
    fn map(path: PathBuf, file: &File, options: &IndexOptions) -> Result<Self, StoreError> {
        let map = map_exclusive(file).map_err(StoreError::io("map", &path))?;
        Ok(IndexFile { path, map, slots: options.slots.max(1), entries: options.entries })
    }

    fn i32_at(&self, at: usize) -> i32 {
        self.map.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| i32::from_be_bytes(*bytes))
    }

    fn i64_at(&self, at: usize) -> i64 {
        self.map.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| i64::from_be_bytes(*bytes))
    }

    fn put_bytes<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        if let Some(place) = self.map.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *place = bytes;
        }
    }

    fn begin(&mut self, (time, offset): (i64, i64)) {
        for (at, value) in
            [(BEGIN_TIME, time), (END_TIME, time), (BEGIN_OFFSET, offset), (END_OFFSET, offset)]
        {
            self.put_bytes(at, value.to_be_bytes());
        }
        self.put_bytes(NEXT_ENTRY, 1i32.to_be_bytes());
    }

    fn next_entry(&self) -> i32 {
        self.i32_at(NEXT_ENTRY).max(1)
    }

    fn is_full(&self) -> bool {
        usize::try_from(self.next_entry()).is_ok_and(|next| next >= self.entries)
    }

    fn end_timestamp(&self) -> i64 {
        self.i64_at(END_TIME)
    }

    fn overlaps(&self, period: &Period) -> bool {
        self.i64_at(BEGIN_TIME) <= *period.end() && self.end_timestamp() >= *period.start()
    }

    fn slot_place(&self, hash: i32) -> usize {
        HEADER + SLOT * (hash.unsigned_abs() as usize % self.slots)
    }

    /// Where an entry lies; `None` for a number that was not given, so that a damaged chain ends.
    fn entry_place(&self, number: i32) -> Option<usize> {
        let is_given = number > 0 && number < self.next_entry();
        is_given.then(|| HEADER + SLOT * self.slots + ENTRY * number.unsigned_abs() as usize)
    }

    fn put(&mut self, hash: i32, offset: PhysicalOffset, timestamp: i64) {
        let (number, slot) = (self.next_entry(), self.slot_place(hash));
        let head = self.i32_at(slot);
        let previous = if self.entry_place(head).is_some() { head } else { 0 };
        let begin = self.i64_at(BEGIN_TIME);
        let is_first = number == 1;
        let seconds = if is_first || begin == 0 { 0 } else { (timestamp - begin) / 1000 };
        let entry = HEADER + SLOT * self.slots + ENTRY * number.unsigned_abs() as usize;
        self.put_bytes(entry, hash.to_be_bytes());
        self.put_bytes(entry + 4, offset.0.to_be_bytes());
        self.put_bytes(entry + 12, (seconds.clamp(0, i64::from(i32::MAX)) as i32).to_be_bytes());
        self.put_bytes(entry + 16, previous.to_be_bytes());
        self.put_bytes(slot, number.to_be_bytes());
        if is_first {
            self.put_bytes(BEGIN_TIME, timestamp.to_be_bytes());
            self.put_bytes(BEGIN_OFFSET, offset.0.to_be_bytes());
        }
        if previous == 0 {
            self.put_bytes(USED_SLOTS, (self.i32_at(USED_SLOTS) + 1).to_be_bytes());
        }
        self.put_bytes(END_TIME, timestamp.to_be_bytes());
        self.put_bytes(END_OFFSET, offset.0.to_be_bytes());
        self.put_bytes(NEXT_ENTRY, (number + 1).to_be_bytes());
    }

    /// Where the records of the entries begin, the last entry first.
    fn offsets_newest_first(&self) -> impl Iterator<Item = PhysicalOffset> + '_ {
        let places = (1..self.next_entry()).rev().filter_map(|number| self.entry_place(number));
        places.map(|place| PhysicalOffset(self.i64_at(place + 4)))
    }

    /// The records of a hash within a period, newest first.
    fn chain<'a>(&'a self, hash: i32, period: &'a Period) -> impl Iterator<Item = PhysicalOffset> + 'a {
        let mut number = self.i32_at(self.slot_place(hash));
        let next = move || {
            let place = self.entry_place(number)?;
            let previous = self.i32_at(place + 16);
            // Numbers fall along a chain; one that does not would lead in a circle.
            number = if previous < number { previous } else { 0 };
            Some(place)
        };
        let stored = move |place: usize| self.i64_at(BEGIN_TIME) + i64::from(self.i32_at(place + 12)) * 1000;
        // Entries keep whole seconds: the one in which the period begins is still of interest.
        std::iter::from_fn(next)
            .take_while(move |&place| stored(place) + 999 >= *period.start())
            .filter(move |&place| self.i32_at(place) == hash && stored(place) <= *period.end())
            .map(|place| PhysicalOffset(self.i64_at(place + 4)))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.map.flush().map_err(StoreError::io("sync", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::LocalDisk;
    use crate::store::scan::tests::Draft;
    use crate::store::scan::{Found, Verify, examine};

    const ALWAYS: Period = 0..=i64::MAX;

    fn open(dir: &Path, was_abnormal: bool) -> KeyIndex {
        let options = IndexOptions { slots: 10, entries: 50, ..IndexOptions::at(Arc::new(LocalDisk), dir) };
        KeyIndex::open(options, was_abnormal, i64::MAX).unwrap()
    }

    fn put(index: &mut KeyIndex, i: i64, keys: &str) -> Option<i64> {
        put_all(index, i, keys).unwrap().map(|filled| filled.timestamp)
    }

    fn put_all(index: &mut KeyIndex, i: i64, keys: &str) -> Result<Option<Filled>, StoreError> {
        let mut draft = Draft::new("T", 0, i, b"x");
        draft.properties = format!("KEYS\u{1}{keys}\u{2}");
        draft.store_timestamp = 1_000_000 + i * 1000;
        let bytes = draft.encode(PhysicalOffset(i));
        let Found::Record(record) = examine(&bytes, PhysicalOffset(i), Verify::Layout) else { panic!() };
        index.put(&record)
    }

    fn found(index: &KeyIndex, key: &str, max: usize, period: &Period) -> Vec<i64> {
        index.query("T", key, max, period).into_iter().map(|offset| offset.0).collect()
    }

    #[test]
    fn a_key_is_found_newest_first_over_files_and_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = open(dir.path(), false);
        let filled: Vec<i64> =
            (1..=60).filter_map(|i| put(&mut index, i, &format!("k{}  all", i % 4))).collect();
        assert_eq!(filled, [1_025_000, 1_049_000]);
        index.flush().unwrap();
        drop(index);
        let mut index = open(dir.path(), false);
        assert_eq!(found(&index, "k1", 3, &ALWAYS), [57, 53, 49]);
        assert_eq!(found(&index, "all", 100, &ALWAYS).len(), 60);
        assert_eq!(found(&index, "all", 100, &(1_020_000..=1_022_000)), [22, 21, 20]);
        assert!(found(&index, "", 100, &ALWAYS).is_empty());
        put(&mut index, 59, "all");
        assert_eq!(found(&index, "all", 100, &ALWAYS).len(), 60);
    }

    #[test]
    fn a_crash_takes_the_file_that_was_not_full() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = open(dir.path(), false);
        for i in 1..=60 {
            put(&mut index, i, "k");
        }
        drop(index);
        let mut index = open(dir.path(), true);
        assert_eq!(index.end_offset(), PhysicalOffset(49));
        for i in 49..=60 {
            put(&mut index, i, "k");
        }
        assert_eq!(found(&index, "k", 2, &ALWAYS), [60, 59]);
        index.delete_before(PhysicalOffset(55)).unwrap();
        assert_eq!(index.files.len(), 1);
    }

    fn bytes(root: &Path) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(root.join("index"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }

    #[test]
    fn an_owner_that_ends_after_any_entry_leaves_what_a_rebuild_would_write() {
        let (dir, rebuilt) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let keys = |i: i64| ["a", "b c", "", "d e f g", "a a"][i as usize % 5];
        let mut whole = open(rebuilt.path(), false);
        for i in 1..=60 {
            put(&mut whole, i, keys(i));
        }
        whole.flush().unwrap();
        for i in 1..=60 {
            // Each owner puts in some of the record's keys, and ends; the next one begins with that record.
            for left in 0..=4 {
                let mut index = open(dir.path(), false);
                let parts = keys(i).split(' ').take(left).collect::<Vec<_>>().join(" ");
                if i > 1 && index.end_offset().0 < i {
                    put(&mut index, i - 1, keys(i - 1));
                }
                put(&mut index, i, &parts);
            }
            put(&mut open(dir.path(), false), i, keys(i));
        }
        assert!(bytes(dir.path()) == bytes(rebuilt.path()), "byte for byte");
    }

    #[test]
    fn records_that_the_log_has_lost_are_lost_here_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = open(dir.path(), false);
        for i in 1..=60 {
            put(&mut index, i, "k");
        }
        index.cut_to_log(PhysicalOffset(61)).unwrap();
        assert_eq!(index.end_offset(), PhysicalOffset(60));
        index.cut_to_log(PhysicalOffset(50)).unwrap();
        assert_eq!((index.files.len(), index.end_offset()), (1, PhysicalOffset(49)));
        index.cut_to_log(PhysicalOffset(0)).unwrap();
        assert!(index.files.is_empty() && bytes(dir.path()).is_empty());
    }

    #[test]
    fn nothing_is_made_before_the_first_key() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = open(dir.path(), false);
        put(&mut index, 1, "");
        assert!(bytes(dir.path()).is_empty());
        put(&mut index, 2, "k");
        assert_eq!(bytes(dir.path()).len(), 1);
    }

    #[test]
    fn a_file_is_named_by_its_time() {
        assert_eq!(time_digits(0), 19_700_101_000_000_000);
        assert_eq!(time_digits(1_795_218_196_724), 20_261_120_234_316_724);
        assert_eq!(time_digits(951_782_400_001), 20_000_229_000_000_001);
    }
}
