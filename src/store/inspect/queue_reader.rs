//! A consume queue, read without owning it.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::consume_queue::{UNIT_SIZE, Unit};
use super::super::disk::Disk;
use super::super::error::StoreError;
use super::super::file_sequence::file_name;
use super::super::watermarks::QueueOffset;
use super::finding::Findings;
use super::layout::open_to_read;
use super::log_reader::sequence;

/// Units that are read at once: few, since all queues of a store are read side by side.
const AHEAD: usize = 128;

#[derive(Debug)]
pub(super) struct QueueReader {
    dir: PathBuf,
    file_size: usize,
    bases: Vec<i64>,
    units: Vec<u8>,
    units_at: i64,
}

impl QueueReader {
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        file_size: usize,
        findings: &mut Findings,
    ) -> Result<Self, StoreError> {
        let bases = sequence(disk, dir, file_size, findings)?;
        Ok(QueueReader { dir: dir.to_owned(), file_size, bases, units: Vec::new(), units_at: 0 })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The offset of the first unit that the files have room for.
    pub(super) fn first(&self) -> QueueOffset {
        QueueOffset(self.bases.first().map_or(0, |base| base / UNIT_SIZE as i64))
    }

    /// Behind the last unit that the files have room for.
    pub(super) fn room(&self) -> QueueOffset {
        let end = self.bases.last().map_or(0, |base| base + self.file_size as i64);
        QueueOffset(end / UNIT_SIZE as i64)
    }

    /// File and place in it of a unit.
    pub(super) fn place(&self, at: QueueOffset) -> (PathBuf, Option<u64>) {
        let position = at.0.saturating_mul(UNIT_SIZE as i64);
        let within = position.rem_euclid(self.file_size.max(1) as i64);
        (self.dir.join(file_name(position - within)), u64::try_from(within).ok())
    }

    /// What is stored for an offset; `None` where nothing was written, or the files do not reach.
    pub(super) fn unit(&mut self, at: QueueOffset) -> Result<Option<Unit>, StoreError> {
        let index = at.0 - self.units_at;
        let is_read = index >= 0 && (index as usize) < self.units.len() / UNIT_SIZE;
        if !is_read {
            self.read(at)?;
        }
        let from = usize::try_from(at.0 - self.units_at).unwrap_or(0).saturating_mul(UNIT_SIZE);
        let unit = self.units.get(from..).and_then(Unit::decode);
        Ok(unit.filter(|unit| unit.is_written()))
    }

    fn read(&mut self, at: QueueOffset) -> Result<(), StoreError> {
        (self.units_at, self.units) = (at.0, std::mem::take(&mut self.units));
        self.units.clear();
        let (path, within) = self.place(at);
        let position = at.0.saturating_mul(UNIT_SIZE as i64);
        let Some(within) = within.filter(|within| self.bases.contains(&(position - *within as i64))) else {
            return Ok(());
        };
        let left = self.file_size.saturating_sub(within as usize);
        self.units.resize((AHEAD * UNIT_SIZE).min(left), 0);
        let outcome = open_to_read(&path)?.read_exact_at(&mut self.units, within);
        outcome.map_err(StoreError::io("read", &path))
    }

    /// Behind the last written unit.
    pub(super) fn end(&mut self) -> Result<QueueOffset, StoreError> {
        for base in self.bases.clone().into_iter().rev() {
            let first = base / UNIT_SIZE as i64;
            let (mut low, mut high) = (first, first + (self.file_size / UNIT_SIZE) as i64);
            while low < high {
                let middle = low + (high - low) / 2;
                match self.unit(QueueOffset(middle))? {
                    Some(_) => low = middle + 1,
                    None => high = middle,
                }
            }
            if low > first {
                return Ok(QueueOffset(low));
            }
        }
        Ok(self.first())
    }
}
