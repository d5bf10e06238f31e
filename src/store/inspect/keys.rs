//! The key index against the log: entries are those that the records' keys make, in their order, and the
//! chains lead to them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::super::error::StoreError;
use super::super::index::{
    BEGIN_OFFSET, BEGIN_TIME, END_OFFSET, END_TIME, ENTRY, HEADER, NAME_DIGITS, NEXT_ENTRY, SLOT, USED_SLOTS,
    key_hashes,
};
use super::super::scan::Record;
use super::super::watermarks::PhysicalOffset;
use super::finding::{Findings, Limited, Severity};
use super::layout::{StoppedStore, open_to_read};
use crate::protocol::sys_flag::TransactionType;

/// Entries that are read at once.
const AHEAD: usize = 4096;

/// All files of the index while the log goes by.
pub(super) struct KeyCheck<'a> {
    store: &'a StoppedStore,
    /// Oldest first.
    files: Vec<KeyFile>,
    current: usize,
    /// Where the log begins.
    first: Option<PhysicalOffset>,
    /// Whether an entry has met its record.
    has_begun: bool,
    /// The last record, and what its keys are: they may have been put in twice.
    last: (PhysicalOffset, Vec<i32>),
    /// Records before the first entry, and behind the last one.
    before: u64,
    behind: u64,
    /// What is wrong, to be told at the end: file, place, words.
    wrong: Vec<(usize, Option<u64>, String)>,
    limit: Limited,
}

/// An entry as it is stored.
#[derive(Debug, Clone, Copy)]
struct Stored {
    hash: i32,
    offset: PhysicalOffset,
    seconds: i32,
    previous: i32,
}

struct KeyFile {
    path: PathBuf,
    file: File,
    header: [u8; HEADER],
    slots: usize,
    entries: usize,
    /// The newest entry of each slot up to `number`.
    heads: Vec<i32>,
    /// The entry that is next.
    number: i32,
    /// Store time of the last record that its entries have met, and the record.
    met: Option<(PhysicalOffset, i64)>,
    buffer: Vec<u8>,
    buffer_from: i32,
}

impl KeyFile {
    fn i32_at(&self, at: usize) -> i32 {
        self.header
            .get(at..)
            .and_then(|bytes| bytes.first_chunk())
            .map_or(0, |field| i32::from_be_bytes(*field))
    }

    fn i64_at(&self, at: usize) -> i64 {
        self.header
            .get(at..)
            .and_then(|bytes| bytes.first_chunk())
            .map_or(0, |field| i64::from_be_bytes(*field))
    }

    /// The number behind the last entry.
    fn end(&self) -> i32 {
        self.i32_at(NEXT_ENTRY).clamp(1, i32::try_from(self.entries).unwrap_or(i32::MAX))
    }

    fn is_full(&self) -> bool {
        usize::try_from(self.end()).is_ok_and(|end| end >= self.entries)
    }

    fn place(&self, number: i32) -> u64 {
        (HEADER + SLOT * self.slots + ENTRY * number.unsigned_abs() as usize) as u64
    }

    /// The next entry, without going on.
    fn peek(&mut self) -> Result<Option<Stored>, StoreError> {
        if self.number >= self.end() {
            return Ok(None);
        }
        let within = |number: i32, from: i32| ((number - from).unsigned_abs() as usize) * ENTRY;
        if self.buffer_from == 0 || within(self.number, self.buffer_from) >= self.buffer.len() {
            let count = AHEAD.min((self.end() - self.number).unsigned_abs() as usize);
            self.buffer.resize(count * ENTRY, 0);
            self.buffer_from = self.number;
            let place = self.place(self.number);
            let outcome = self.file.read_exact_at(&mut self.buffer, place);
            outcome.map_err(StoreError::io("read", &self.path))?;
        }
        let bytes = self.buffer.get(within(self.number, self.buffer_from)..).unwrap_or_default();
        let i32_at = |at: usize| {
            bytes
                .get(at..)
                .and_then(|bytes| bytes.first_chunk())
                .map_or(0, |field| i32::from_be_bytes(*field))
        };
        let offset =
            bytes.get(4..).and_then(|bytes| bytes.first_chunk()).map_or(0, |f| i64::from_be_bytes(*f));
        let offset = PhysicalOffset(offset);
        Ok(Some(Stored { hash: i32_at(0), offset, seconds: i32_at(12), previous: i32_at(16) }))
    }

    /// Goes on behind an entry; says what is wrong with its place in the chain.
    fn pass(&mut self, entry: Stored) -> Option<String> {
        if self.heads.is_empty() {
            self.heads = vec![0; self.slots];
        }
        let slot = entry.hash.unsigned_abs() as usize % self.slots.max(1);
        let number = self.number;
        self.number += 1;
        let head = self.heads.get_mut(slot)?;
        let previous = std::mem::replace(head, number);
        (entry.previous != previous)
            .then(|| format!("entry {number} leads on to entry {}, not {previous}", entry.previous))
    }

    /// What is wrong with slots and header, once all entries were passed.
    fn judge(&mut self, last: Option<Stored>) -> Result<Vec<(u64, String)>, StoreError> {
        let mut wrong = Vec::new();
        let mut bytes = vec![0; self.slots * SLOT];
        self.file.read_exact_at(&mut bytes, HEADER as u64).map_err(StoreError::io("read", &self.path))?;
        let (slots, _) = bytes.as_chunks::<SLOT>();
        let mut used = 0;
        for (index, slot) in slots.iter().enumerate() {
            let (stored, expected) =
                (i32::from_be_bytes(*slot), self.heads.get(index).copied().unwrap_or_default());
            used += i32::from(expected != 0);
            if stored != expected {
                let at = (HEADER + SLOT * index) as u64;
                wrong.push((at, format!("slot {index} leads to entry {stored}, not {expected}")));
            }
        }
        if self.i32_at(USED_SLOTS) != used {
            let what = format!("the header counts {} slots in use, not {used}", self.i32_at(USED_SLOTS));
            wrong.push((USED_SLOTS as u64, what));
        }
        if let Some(last) = last.filter(|last| last.offset.0 != self.i64_at(END_OFFSET)) {
            let what = format!("the header ends at offset {}, not {}", self.i64_at(END_OFFSET), last.offset);
            wrong.push((END_OFFSET as u64, what));
        }
        let met = self.met.filter(|(offset, _)| last.is_some_and(|last| last.offset == *offset));
        if let Some((_, time)) = met.filter(|(_, time)| *time != self.i64_at(END_TIME)) {
            let what = format!("the header ends at the time {}, not {time}", self.i64_at(END_TIME));
            wrong.push((END_TIME as u64, what));
        }
        Ok(wrong)
    }
}

impl<'a> KeyCheck<'a> {
    pub(super) fn open(store: &'a StoppedStore, findings: &mut Findings) -> Result<Self, StoreError> {
        let options = &store.index;
        let entries = options.disk.list(&options.dir).map_err(StoreError::io("list", &options.dir))?;
        let mut files = Vec::new();
        for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
            let path = options.dir.join(&entry.name);
            let is_index = entry.name.len() == NAME_DIGITS && entry.name.bytes().all(|b| b.is_ascii_digit());
            if !is_index {
                findings.note(&path, None, "not a file of the index: nobody reads it");
            } else if entry.len == 0 {
                findings.note(&path, None, "an empty file, left by a crash: the next start removes it");
            } else if entry.len != options.file_size() as u64 {
                let what = format!(
                    "{} bytes, where {} slots and {} entries make {}",
                    entry.len,
                    options.slots,
                    options.entries,
                    options.file_size()
                );
                match store.index_is_given {
                    true => findings.damage(&path, None, what + ": a start refuses it"),
                    false => {
                        findings.note(&path, None, what + ": not checked; give the broker's configuration")
                    }
                }
            } else {
                let file = open_to_read(&path)?;
                let mut header = [0; HEADER];
                file.read_exact_at(&mut header, 0).map_err(StoreError::io("read", &path))?;
                files.push(KeyFile {
                    path,
                    file,
                    header,
                    slots: options.slots.max(1),
                    entries: options.entries,
                    heads: Vec::new(),
                    number: 1,
                    met: None,
                    buffer: Vec::new(),
                    buffer_from: 0,
                });
            }
        }
        Ok(KeyCheck {
            store,
            files,
            current: 0,
            first: None,
            has_begun: false,
            last: (PhysicalOffset(-1), Vec::new()),
            before: 0,
            behind: 0,
            wrong: Vec::new(),
            limit: Limited::default(),
        })
    }

    /// Entries of all files.
    pub(super) fn len(&self) -> u64 {
        self.files.iter().map(|file| u64::from((file.end() - 1).unsigned_abs())).sum()
    }

    fn peek(&mut self) -> Result<Option<Stored>, StoreError> {
        while let Some(file) = self.files.get_mut(self.current) {
            if let Some(entry) = file.peek()? {
                return Ok(Some(entry));
            }
            self.end_file(None)?;
        }
        Ok(None)
    }

    fn pass(&mut self, entry: Stored) -> Result<(), StoreError> {
        let Some(file) = self.files.get_mut(self.current) else { return Ok(()) };
        let at = file.place(file.number);
        if let Some(what) = file.pass(entry) {
            self.tell(Some(at), what);
        }
        if self.files.get(self.current).is_some_and(|file| file.number >= file.end()) {
            self.end_file(Some(entry))?;
        }
        Ok(())
    }

    fn end_file(&mut self, last: Option<Stored>) -> Result<(), StoreError> {
        if let Some(file) = self.files.get_mut(self.current) {
            for (at, what) in file.judge(last)? {
                self.tell(Some(at), what);
            }
            if let Some(file) = self.files.get_mut(self.current) {
                (file.heads, file.buffer) = (Vec::new(), Vec::new());
            }
            self.current += 1;
        }
        Ok(())
    }

    fn tell(&mut self, at: Option<u64>, what: String) {
        if self.limit.admits() {
            self.wrong.push((self.current, at, what));
        }
    }

    fn tell_of_next(&mut self, what: String) {
        let at = self.files.get(self.current).map(|file| file.place(file.number));
        self.tell(at, what);
    }

    /// Takes the next record of the log.
    pub(super) fn record(&mut self, record: &Record<'_>) -> Result<(), StoreError> {
        let is_rolled_back = record.sys_flag.transaction() == TransactionType::Rollback;
        if self.files.is_empty() || is_rolled_back {
            return Ok(());
        }
        let (at, hashes) = (record.physical_offset, key_hashes(record));
        let first = *self.first.get_or_insert(at);
        while let Some(entry) = self.peek()?.filter(|entry| !self.has_begun && entry.offset < first) {
            self.pass(entry)?;
        }
        for hash in &hashes {
            self.expect(*hash, record)?;
        }
        self.last = (at, hashes);
        Ok(())
    }

    fn expect(&mut self, hash: i32, record: &Record<'_>) -> Result<(), StoreError> {
        let at = record.physical_offset;
        while let Some(entry) = self.peek()? {
            if entry.offset == at {
                self.has_begun = true;
                if let Some(file) = self.files.get_mut(self.current) {
                    file.met = Some((at, record.store_timestamp));
                }
                let number = self.files.get(self.current).map_or(0, |file| file.number);
                if entry.hash != hash {
                    self.tell_of_next(format!("entry {number} has not the hash of its record's key"));
                } else {
                    self.check_time(entry, record);
                }
                return self.pass(entry);
            }
            if entry.offset > at && entry.offset.0 <= self.header_end() {
                if !self.has_begun {
                    self.before += 1;
                } else {
                    self.tell_of_next(format!(
                        "a key of the record at offset {at} is missing before this entry"
                    ));
                }
                return Ok(());
            }
            if !self.is_again(entry) {
                self.tell_of_next(format!("an entry for offset {}, which has no such key", entry.offset));
            }
            self.pass(entry)?;
        }
        self.behind += 1;
        Ok(())
    }

    /// The offset with which the current file says to end.
    fn header_end(&self) -> i64 {
        self.files.get(self.current).map_or(0, |file| file.i64_at(END_OFFSET))
    }

    /// Whether it was put in a second time at a restart.
    fn is_again(&self, entry: Stored) -> bool {
        entry.offset == self.last.0 && self.last.1.contains(&entry.hash)
    }

    fn check_time(&mut self, entry: Stored, record: &Record<'_>) {
        let Some(file) = self.files.get(self.current) else { return };
        let begin = file.i64_at(BEGIN_TIME);
        let seconds =
            if file.number == 1 || begin == 0 { 0 } else { (record.store_timestamp - begin) / 1000 };
        let is_first = file.number == 1;
        let seconds = seconds.clamp(0, i64::from(i32::MAX));
        if i64::from(entry.seconds) != seconds {
            self.tell_of_next(format!("stored {} s after the file's begin, not {seconds}", entry.seconds));
        }
        let header =
            (file_times(self.files.get(self.current)), record.physical_offset.0, record.store_timestamp);
        if let (Some((time, offset)), at, stored) = header
            && is_first
            && (time, offset) != (stored, at)
        {
            let what = format!(
                "the header begins with offset {offset} of {time}, the entries with {at} of {stored}"
            );
            self.tell(Some(BEGIN_TIME as u64), what);
        }
    }

    /// Says what is wrong, now that the log, which ends at `end`, has gone by.
    pub(super) fn finish(
        &mut self,
        end: PhysicalOffset,
        was_abnormal: bool,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let mut beyond = 0u64;
        while let Some(entry) = self.peek()? {
            if !self.is_again(entry) {
                beyond += 1;
                if beyond == 1 {
                    self.tell_of_next(format!(
                        "entries for offset {} and behind, where the log ends at {end}",
                        entry.offset
                    ));
                }
            }
            self.pass(entry)?;
        }
        let dir = &self.store.index.dir;
        if self.before > 0 {
            let what = format!("the first {} keys of the log are in no file: nobody finds them", self.before);
            findings.note(dir, None, what);
        }
        if self.behind > 0 {
            let what =
                format!("the last {} keys of the log are not in: the next start puts them in", self.behind);
            findings.note(dir, None, what);
        }
        for (index, at, what) in std::mem::take(&mut self.wrong) {
            let Some(file) = self.files.get(index) else { continue };
            // A start after a crash trusts full files alone, and makes the others anew.
            let is_dropped = was_abnormal && !file.is_full();
            let severity = if is_dropped { Severity::Note } else { Severity::Damage };
            let mended =
                if is_dropped { "the next start makes it anew" } else { "`castmq store rebuild` mends it" };
            findings.add(severity, &file.path, at, format!("{what}; {mended}"));
        }
        for file in &self.files {
            if !(1..=file.entries).contains(&(file.i32_at(NEXT_ENTRY).max(0) as usize)) {
                let severity = if was_abnormal { Severity::Note } else { Severity::Damage };
                let what = format!("the header counts up to entry {}", file.i32_at(NEXT_ENTRY));
                findings.add(severity, &file.path, Some(NEXT_ENTRY as u64), what);
            }
            if file.i64_at(BEGIN_OFFSET) > file.i64_at(END_OFFSET)
                || file.i64_at(BEGIN_TIME) > file.i64_at(END_TIME)
            {
                let severity = if was_abnormal { Severity::Note } else { Severity::Damage };
                findings.add(severity, &file.path, Some(0), "its header ends before it begins".to_owned());
            }
        }
        if self.limit.left_out() > 0 {
            let severity = if was_abnormal { Severity::Note } else { Severity::Damage };
            findings.add(severity, dir, None, format!("{} more entries are wrong", self.limit.left_out()));
        }
        Ok(())
    }
}

/// Time and offset of a header's begin.
fn file_times(file: Option<&KeyFile>) -> Option<(i64, i64)> {
    file.map(|file| (file.i64_at(BEGIN_TIME), file.i64_at(BEGIN_OFFSET)))
}
