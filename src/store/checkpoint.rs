//! How far each part of the store is safe, by store time (fact sheet: store 6). A start after a crash
//! reads the log from there on.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::disk::Disk;
use super::error::StoreError;
use super::watermarks::PhysicalOffset;

/// Size of the file; what follows the fields is zero.
pub(super) const FILE_SIZE: usize = 4096;
/// Where three fields of CastMQ's own lie, which RocketMQ leaves alone: [`Safe::offset`], and the marks of log and
/// queues with which it was written. With other marks it is out of date.
const OWN: std::ops::Range<usize> = 48..72;
/// How much earlier than the marks a recovery begins, ms.
const MARGIN_MS: i64 = 3000;

/// The checkpoint file and its fields in memory. Times are ms since the epoch, 0 when unknown, and only
/// ever rise.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    file: File,
    /// Store time of the last flushed record.
    pub log: Mark,
    /// Store time of the last record whose consume queue unit is flushed.
    pub queues: Mark,
    /// End time of the last full, flushed index file.
    pub index: Mark,
    /// On a slave: how far its master has flushed.
    pub master_flushed: Mark,
    /// How far the log is confirmed by replicas.
    pub confirmed: Mark,
    /// Up to here log and queues are flushed, 0 when unknown.
    offset: AtomicI64,
}

/// From where on a start after a crash has to read the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Safe {
    /// See [`Checkpoint::safe_until`].
    pub(super) until: i64,
    /// Up to here log and queues were flushed, where that is known. Unlike the time it does not depend on a clock.
    pub(super) offset: Option<PhysicalOffset>,
}

/// The fields as a file holds them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) log: i64,
    pub(super) queues: i64,
    pub(super) index: i64,
    master_flushed: i64,
    confirmed: i64,
    offset: i64,
}

impl Marks {
    /// Bytes of the fields.
    pub(super) const LEN: usize = OWN.end;

    /// Reads them; a file that is too short counts as empty.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let (fields, _) = bytes.get(..Self::LEN).unwrap_or_default().as_chunks::<8>();
        let mut fields = fields.iter().map(|field| i64::from_be_bytes(*field));
        let mut next = || fields.next().unwrap_or(0);
        let (log, queues, index) = (next(), next(), next());
        let (master_flushed, confirmed, _unused) = (next(), next(), next());
        let (offset, is_current) = (next(), (next(), next()) == (log, queues));
        let offset = if is_current { offset } else { 0 };
        Marks { log, queues, index, master_flushed, confirmed, offset }
    }

    /// See [`Safe`].
    pub(super) fn safe(&self) -> Safe {
        let offset = (self.offset > 0).then_some(PhysicalOffset(self.offset));
        Safe { until: safe_until(self.log, self.queues), offset }
    }
}

fn safe_until(log: i64, queues: i64) -> i64 {
    log.min(queues).saturating_sub(MARGIN_MS).max(0)
}

/// A field of the checkpoint.
#[derive(Debug, Default)]
pub struct Mark(AtomicI64);

impl Mark {
    /// Its value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    /// Raises it; it reaches the file with the next [`Checkpoint::flush`].
    pub fn advance(&self, to: i64) {
        self.0.fetch_max(to, Ordering::AcqRel);
    }
}

impl Checkpoint {
    /// Opens or makes the file; one that is too short counts as empty.
    pub fn open(disk: Arc<dyn Disk>, path: PathBuf) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        let mut bytes = [0; Marks::LEN];
        let len = file.metadata().map_err(StoreError::io("read", &path))?.len();
        if len >= bytes.len() as u64 {
            file.read_exact_at(&mut bytes, 0).map_err(StoreError::io("read", &path))?;
        }
        let marks = Marks::decode(&bytes);
        let mark = |value| Mark(AtomicI64::new(value));
        Ok(Checkpoint {
            log: mark(marks.log),
            queues: mark(marks.queues),
            index: mark(marks.index),
            master_flushed: mark(marks.master_flushed),
            confirmed: mark(marks.confirmed),
            offset: AtomicI64::new(marks.offset),
            path,
            disk,
            file,
        })
    }

    /// The store time up to which log and queues are both safe, less a margin; 0 when unknown.
    pub fn safe_until(&self) -> i64 {
        safe_until(self.log.get(), self.queues.get())
    }

    pub(super) fn safe(&self) -> Safe {
        self.marks().safe()
    }

    fn marks(&self) -> Marks {
        Marks {
            log: self.log.get(),
            queues: self.queues.get(),
            index: self.index.get(),
            master_flushed: self.master_flushed.get(),
            confirmed: self.confirmed.get(),
            offset: self.offset.load(Ordering::Acquire),
        }
    }

    /// Says that log and queues are flushed up to here, or, with 0, that nobody knows how far.
    pub(super) fn set_offset(&self, to: PhysicalOffset) {
        self.offset.store(to.0, Ordering::Release);
    }

    /// Writes the fields and forces them to the device.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut bytes = [0; FILE_SIZE];
        let Marks { log, queues, index, master_flushed, confirmed, offset } = self.marks();
        let values = [log, queues, index, master_flushed, confirmed, 0, offset, log, queues];
        let (fields, _) = bytes.as_chunks_mut::<8>();
        fields.iter_mut().zip(values).for_each(|(field, value)| *field = value.to_be_bytes());
        self.disk
            .write_at(&self.path, &self.file, &bytes, 0)
            .and_then(|()| self.disk.sync_file(&self.path, &self.file))
            .map_err(StoreError::io("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::LocalDisk;

    #[test]
    fn fields_are_big_endian_and_survive_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let checkpoint = Checkpoint::open(Arc::new(LocalDisk), path.clone()).unwrap();
        assert_eq!(checkpoint.safe_until(), 0);
        checkpoint.log.advance(10_000);
        checkpoint.queues.advance(9_000);
        checkpoint.queues.advance(8_000);
        checkpoint.flush().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(
            (bytes.len(), &bytes[..16]),
            (4096, &[0, 0, 0, 0, 0, 0, 39, 16, 0, 0, 0, 0, 0, 0, 35, 40][..])
        );
        assert_eq!(Checkpoint::open(Arc::new(LocalDisk), path).unwrap().safe_until(), 6_000);
    }

    #[test]
    fn an_offset_counts_until_rocketmq_has_moved_the_marks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let checkpoint = Checkpoint::open(Arc::new(LocalDisk), path.clone()).unwrap();
        checkpoint.log.advance(10_000);
        checkpoint.queues.advance(9_000);
        checkpoint.set_offset(PhysicalOffset(70));
        checkpoint.flush().unwrap();
        let offset = || Checkpoint::open(Arc::new(LocalDisk), path.clone()).unwrap().safe().offset;
        assert_eq!(offset(), Some(PhysicalOffset(70)));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[7] += 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(offset(), None);
    }
}
