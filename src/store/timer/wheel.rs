//! The timer wheel: for each slot of time, where the newest unit of its chain is in the timer log
//! (fact sheet: store 9.3).
//!
//! A sparse file of which one slot at a time is read and written. In memory there is one bit for each slot: whether
//! messages wait in it that are not taken out yet.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::store::disk::Disk;
use crate::store::error::StoreError;

/// Slots of the wheel: two weeks of seconds.
pub(super) const SLOTS: i64 = 7 * 86_400 * 2;
const SLOT_SIZE: usize = 32;
/// Slots that one read takes.
const BLOCK: usize = 32_768;
/// A page of slots that were never used.
static PAGE: [u8; 4096] = [0; 4096];

/// One slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// When it begins, ms.
    pub(super) time: i64,
    /// Its first and last unit in the timer log.
    pub(super) first: i64,
    pub(super) last: i64,
    /// Messages that wait in it.
    pub(super) count: i32,
}

#[derive(Debug)]
pub(super) struct Wheel {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: File,
    precision: i64,
    /// Bit for each slot.
    marks: Vec<u64>,
    /// Slots that are not written yet, by time.
    unwritten: HashMap<i64, Slot>,
    /// The file was not there.
    pub(super) is_new: bool,
}

impl Wheel {
    pub(super) fn open(disk: Arc<dyn Disk>, path: PathBuf, precision: i64) -> Result<Self, StoreError> {
        let expected = SLOTS as u64 * SLOT_SIZE as u64;
        let is_new = !path.exists();
        let file = if is_new { disk.create_sparse(&path, expected) } else { disk.open(&path) };
        let file = file.map_err(StoreError::io("open", &path))?;
        let found = file.metadata().map_err(StoreError::io("read", &path))?.len();
        if found != expected {
            return Err(StoreError::WrongLength { path, expected, found });
        }
        let marks = vec![0; (SLOTS as usize).div_ceil(64)];
        Ok(Self { disk, path, file, precision, marks, unwritten: HashMap::new(), is_new })
    }

    /// Looks through the file, and marks the slots from `from` on.
    pub(super) fn load(&mut self, from: i64) -> Result<Vec<Slot>, StoreError> {
        let mut slots = Vec::new();
        if self.is_new {
            return Ok(slots);
        }
        let mut bytes = vec![0; BLOCK * SLOT_SIZE];
        for first in (0..SLOTS as usize).step_by(BLOCK) {
            let len = BLOCK.min(SLOTS as usize - first) * SLOT_SIZE;
            let block = bytes.get_mut(..len).unwrap_or_default();
            let read = self.file.read_exact_at(block, (first * SLOT_SIZE) as u64);
            read.map_err(StoreError::io("read", &self.path))?;
            // Most of it was never written.
            let pages = block.chunks(PAGE.len()).filter(|page| PAGE.get(..page.len()) != Some(*page));
            let found = pages.flat_map(|page| page.as_chunks::<SLOT_SIZE>().0);
            let found = found.filter_map(|slot| self.decode(slot));
            slots.extend(found.filter(|slot| slot.time >= from && slot.time > 0 && slot.last >= 0));
        }
        slots.iter().for_each(|slot| self.mark(slot.time, true));
        Ok(slots)
    }

    fn decode(&self, bytes: &[u8; SLOT_SIZE]) -> Option<Slot> {
        let long = |at: usize| {
            let field = bytes.get(at..at + 8)?;
            Some(i64::from_be_bytes(field.try_into().ok()?))
        };
        let count = bytes.get(24..28)?.try_into().ok()?;
        Some(Slot {
            time: long(0)?.checked_mul(self.precision)?,
            first: long(8)?,
            last: long(16)?,
            count: i32::from_be_bytes(count),
        })
    }

    fn index(&self, time: i64) -> usize {
        usize::try_from((time / self.precision).rem_euclid(SLOTS)).unwrap_or(0)
    }

    fn mark(&mut self, time: i64, is_waiting: bool) {
        let index = self.index(time);
        if let Some(word) = self.marks.get_mut(index / 64) {
            let bit = 1 << (index % 64);
            *word = if is_waiting { *word | bit } else { *word & !bit };
        }
    }

    /// The slot that begins at a time, if it has units.
    pub(super) fn get(&self, time: i64) -> Result<Option<Slot>, StoreError> {
        if let Some(slot) = self.unwritten.get(&time) {
            return Ok(Some(*slot));
        }
        let mut bytes = [0; SLOT_SIZE];
        self.file
            .read_exact_at(&mut bytes, (self.index(time) * SLOT_SIZE) as u64)
            .map_err(StoreError::io("read", &self.path))?;
        Ok(self.decode(&bytes).filter(|slot| slot.time == time && slot.last >= 0))
    }

    /// Replaces a slot. It is in the file after [`Wheel::write`].
    pub(super) fn put(&mut self, slot: Slot) {
        self.mark(slot.time, true);
        self.unwritten.insert(slot.time, slot);
    }

    /// Writes what was put.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        for slot in self.unwritten.values() {
            let mut bytes = [0; SLOT_SIZE];
            let fields = (slot.time / self.precision).to_be_bytes().into_iter();
            let fields = fields.chain(slot.first.to_be_bytes()).chain(slot.last.to_be_bytes());
            bytes.iter_mut().zip(fields.chain(slot.count.to_be_bytes())).for_each(|(to, from)| *to = from);
            let at = (self.index(slot.time) * SLOT_SIZE) as u64;
            let written = self.disk.write_at(&self.path, &self.file, &bytes, at);
            written.map_err(StoreError::io("write", &self.path))?;
        }
        self.unwritten.clear();
        Ok(())
    }

    /// The first marked slot from `from` on.
    pub(super) fn next(&self, from: i64) -> Option<i64> {
        let first = self.index(from);
        let mut passed = 0;
        while passed < SLOTS as usize {
            let index = (first + passed) % SLOTS as usize;
            let word = self.marks.get(index / 64)? >> (index % 64);
            // Behind the last slot the word is empty, and the next one is the first.
            let left = (64 - index % 64).min(SLOTS as usize - index);
            match word.trailing_zeros() as usize {
                zeros if zeros < left => passed += zeros,
                _ => {
                    passed += left;
                    continue;
                }
            }
            return (passed < SLOTS as usize)
                .then(|| from - from.rem_euclid(self.precision) + passed as i64 * self.precision);
        }
        None
    }

    /// The slot was taken out.
    pub(super) fn taken(&mut self, time: i64) {
        self.mark(time, false);
    }

    pub(super) fn file(&self) -> Result<(PathBuf, File), StoreError> {
        let file = self.file.try_clone().map_err(StoreError::io("open", &self.path))?;
        Ok((self.path.clone(), file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::LocalDisk;

    fn wheel(dir: &std::path::Path) -> Wheel {
        Wheel::open(Arc::new(LocalDisk), dir.join("timerwheel"), 1000).unwrap()
    }

    #[test]
    fn slots_are_found_again_and_in_order_over_the_end_of_the_wheel() {
        let dir = tempfile::tempdir().unwrap();
        let now = SLOTS * 1000 * 5 - 10_000;
        let times = [now + 3_000, now + 64_000, now + 9_000, now + 500_000_000];
        {
            let mut wheel = wheel(dir.path());
            assert!(wheel.is_new && wheel.load(now).unwrap().is_empty());
            for time in times {
                wheel.put(Slot { time, first: 0, last: 52, count: 2 });
            }
            wheel.put(Slot { time: now - 1_000, first: 0, last: 0, count: 1 });
            assert_eq!(wheel.get(times[0]).unwrap().unwrap().count, 2);
            wheel.write().unwrap();
        }
        let mut wheel = wheel(dir.path());
        assert_eq!(wheel.load(now).unwrap().len(), 4, "what is over is not looked at");
        let mut found = Vec::new();
        while let Some(time) = wheel.next(found.last().map_or(now, |last| last + 1_000)) {
            if found.len() == 4 {
                assert_eq!(time - SLOTS * 1000, times[0], "once round");
                break;
            }
            found.push(time);
        }
        assert_eq!(found, [times[0], times[2], times[1], times[3]]);
        found.iter().for_each(|time| wheel.taken(*time));
        assert_eq!(wheel.next(now), None);
        assert_eq!(wheel.get(times[0] + SLOTS * 1000).unwrap(), None, "the slot is another time's");
    }

    #[test]
    fn a_wheel_of_another_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("timerwheel"), b"short").unwrap();
        let opened = Wheel::open(Arc::new(LocalDisk), dir.path().join("timerwheel"), 1000);
        assert!(matches!(opened, Err(StoreError::WrongLength { found: 5, .. })));
    }
}
