//! The timer log: units in files named by offset, each pointing at the one before it in its slot
//! (fact sheet: store 9.2).
//!
//! Written with `pwrite` into sparse files, as consume queues are, so that a full device is an error.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::unit::{TimerUnit, UNIT_SIZE};
use crate::protocol::record::MAGIC_BLANK;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::file_sequence::{file_name, list_bases};
use crate::store::watermarks::PhysicalOffset;

/// Bytes that a file keeps for the mark of its end.
const BLANK_LEN: usize = 16;
/// Bytes that one read takes.
const BLOCK: usize = 1024 * UNIT_SIZE;

#[derive(Debug)]
pub(super) struct TimerLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_size: i64,
    files: VecDeque<(i64, File)>,
    /// Behind the last unit.
    end: i64,
    /// Units that are not written yet, and where they belong.
    buffer: Vec<u8>,
    buffer_at: i64,
    /// What was read last: a slot's units often lie together.
    block: Vec<u8>,
    block_at: i64,
}

impl TimerLog {
    /// Opens what is there. Where it ends is not known before [`TimerLog::recover`].
    pub(super) fn open(disk: Arc<dyn Disk>, dir: PathBuf, file_size: usize) -> Result<Self, StoreError> {
        let bases = list_bases(disk.as_ref(), &dir, file_size as u64)?;
        let mut files = VecDeque::with_capacity(bases.len());
        for base in bases {
            let path = dir.join(file_name(base));
            files.push_back((base, disk.open(&path).map_err(StoreError::io("open", &path))?));
        }
        let end = files.front().map_or(0, |(base, _)| *base);
        let (buffer, block) = (Vec::new(), Vec::new());
        let file_size = i64::try_from(file_size).unwrap_or(i64::MAX);
        Ok(Self { disk, dir, file_size, files, end, buffer, buffer_at: end, block, block_at: 0 })
    }

    /// Where the first unit is.
    pub(super) fn begin(&self) -> i64 {
        self.files.front().map_or(0, |(base, _)| *base)
    }

    /// Behind the last unit.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The newest files, which may hold what is not on the device yet.
    pub(super) fn newest(&self) -> Result<Vec<(PathBuf, File)>, StoreError> {
        let newest = self.files.iter().rev().take(2).map(|(base, file)| {
            let path = self.dir.join(file_name(*base));
            let file = file.try_clone().map_err(StoreError::io("open", &path))?;
            Ok((path, file))
        });
        newest.collect()
    }

    fn file(&self, position: i64) -> Option<&(i64, File)> {
        let index = usize::try_from((position - self.begin()) / self.file_size.max(1)).ok()?;
        self.files.get(index).filter(|(base, _)| position >= *base)
    }

    /// Adds a unit and says where. It is in the file after [`TimerLog::write`].
    pub(super) fn push(&mut self, unit: &TimerUnit) -> Result<i64, StoreError> {
        let room = self.files.back().map_or(0, |(base, _)| base + self.file_size - self.end);
        if room < (UNIT_SIZE + BLANK_LEN) as i64 {
            self.begin_file(room)?;
        }
        let at = self.end;
        self.buffer.extend_from_slice(&unit.encode());
        self.end += UNIT_SIZE as i64;
        Ok(at)
    }

    fn begin_file(&mut self, room: i64) -> Result<(), StoreError> {
        if room > 0 {
            let units = self.buffer.len();
            self.buffer.extend_from_slice(&(room as i32).to_be_bytes());
            self.buffer.extend_from_slice(&0i64.to_be_bytes());
            self.buffer.extend_from_slice(&MAGIC_BLANK.to_be_bytes());
            self.write().inspect_err(|_| self.buffer.truncate(units))?;
        }
        let base = self.files.back().map_or(0, |(base, _)| base + self.file_size);
        self.disk.create_dir(&self.dir).map_err(StoreError::io("make the directory", &self.dir))?;
        let path = self.dir.join(file_name(base));
        let file = self.disk.create_sparse(&path, self.file_size as u64);
        self.files.push_back((base, file.map_err(StoreError::io("make", &path))?));
        self.disk.sync_dir(&self.dir).map_err(StoreError::io("sync the directory", &self.dir))?;
        (self.end, self.buffer_at) = (base, base);
        Ok(())
    }

    /// Writes what was pushed. After a failure it is written with the next.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let Some((base, file)) = self.file(self.buffer_at) else { return Ok(()) };
        let path = self.dir.join(file_name(*base));
        let at = u64::try_from(self.buffer_at - base).unwrap_or(0);
        self.disk.write_at(&path, file, &self.buffer, at).map_err(StoreError::io("write", &path))?;
        self.buffer.clear();
        self.buffer_at = self.end;
        Ok(())
    }

    /// The unit at a position, if there is one.
    pub(super) fn read(&mut self, position: i64) -> Result<Option<TimerUnit>, StoreError> {
        if position < self.begin() || position >= self.end {
            return Ok(None);
        }
        let behind = position + UNIT_SIZE as i64;
        if position < self.block_at || behind > self.block_at + self.block.len() as i64 {
            let Some((base, _)) = self.file(position) else { return Ok(None) };
            let from = (behind - BLOCK as i64).max(*base);
            self.block = self.bytes(from, usize::try_from(behind - from).unwrap_or(0))?;
            self.block_at = from;
        }
        let start = usize::try_from(position - self.block_at).unwrap_or(usize::MAX);
        Ok(self.block.get(start..).and_then(TimerUnit::decode))
    }

    /// Bytes of one file; fewer at its end.
    fn bytes(&self, from: i64, len: usize) -> Result<Vec<u8>, StoreError> {
        let Some((base, file)) = self.file(from) else { return Ok(Vec::new()) };
        let len = len.min(usize::try_from(base + self.file_size - from).unwrap_or(0));
        let mut bytes = vec![0; len];
        let path = self.dir.join(file_name(*base));
        match file.read_exact_at(&mut bytes, u64::try_from(from - base).unwrap_or(0)) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Vec::new()),
            outcome => outcome.map(|()| bytes).map_err(StoreError::io("read", &path)),
        }
    }

    /// Goes through the units from `from` on, or from the beginning of its file where no unit ends there, and ends the log behind the last one that `is_good` takes.
    pub(super) fn recover(
        &mut self,
        from: i64,
        mut is_good: impl FnMut(i64, &TimerUnit) -> bool,
    ) -> Result<(), StoreError> {
        let found = self.file(from).or(self.files.front()).map(|(base, _)| *base);
        let Some(base) = found else { return Ok(()) };
        let before = from - UNIT_SIZE as i64;
        let is_place = from == base
            || (from > base
                && (from - base) % UNIT_SIZE as i64 == 0
                && TimerUnit::decode(&self.bytes(before, UNIT_SIZE)?).is_some());
        let mut at = if is_place { from } else { base };
        'files: while self.file(at).is_some() {
            let bytes = self.bytes(at, BLOCK)?;
            let mut passed = 0;
            while let Some(unit) = bytes.get(passed..).and_then(TimerUnit::decode) {
                if !is_good(at, &unit) {
                    break 'files;
                }
                passed += UNIT_SIZE;
                at += UNIT_SIZE as i64;
            }
            if passed == BLOCK {
                continue;
            }
            let magic = bytes.get(passed + 12..passed + 16).and_then(|magic| magic.try_into().ok());
            if magic.map(u32::from_be_bytes) != Some(MAGIC_BLANK) {
                break;
            }
            let next = at - at % self.file_size + self.file_size;
            if self.file(next).is_none() {
                break;
            }
            at = next;
        }
        self.cut(at)
    }

    /// Nothing lies behind `end`.
    fn cut(&mut self, end: i64) -> Result<(), StoreError> {
        while let Some((base, _)) = self.files.back().filter(|(base, _)| *base > end) {
            let path = self.dir.join(file_name(*base));
            self.disk.remove(&path).map_err(StoreError::io("remove", &path))?;
            self.files.pop_back();
        }
        if let Some((base, file)) = self.files.back() {
            let path = self.dir.join(file_name(*base));
            let range = u64::try_from(end - base).unwrap_or(0)..u64::try_from(self.file_size).unwrap_or(0);
            let is_clear = self.bytes(end, UNIT_SIZE)?.iter().all(|byte| *byte == 0);
            if !is_clear {
                self.disk
                    .clear(&path, file, range)
                    .map_err(StoreError::io("clear the unused end of", &path))?;
            }
        }
        (self.end, self.buffer_at) = (end, end);
        self.buffer.clear();
        self.block.clear();
        Ok(())
    }

    /// The last unit.
    pub(super) fn last(&mut self) -> Result<Option<TimerUnit>, StoreError> {
        let (unit, size) = (UNIT_SIZE as i64, self.file_size);
        let base = self.files.back().map_or(0, |(base, _)| *base);
        let at =
            if self.end > base { self.end - unit } else { base - size + self.units_per_file() * unit - unit };
        self.read(at)
    }

    fn units_per_file(&self) -> i64 {
        (self.file_size - BLANK_LEN as i64) / UNIT_SIZE as i64
    }

    /// Removes the oldest files whose messages all lie before `log_begin`, never the last one.
    pub(super) fn delete_before(&mut self, log_begin: PhysicalOffset) -> Result<(), StoreError> {
        while let (Some((base, _)), true) = (self.files.front(), self.files.len() > 1) {
            let (base, last) = (*base, base + (self.units_per_file() - 1) * UNIT_SIZE as i64);
            if self.read(last)?.is_some_and(|unit| unit.physical_offset >= log_begin) {
                break;
            }
            let path = self.dir.join(file_name(base));
            let removed: io::Result<()> = self.disk.remove(&path);
            removed.map_err(StoreError::io("remove", &path))?;
            self.files.pop_front();
        }
        Ok(())
    }
}
