//! `config/timercheck`: how far the timer wheel is (fact sheet: store 9.3).

use std::path::Path;

use crate::protocol::data_version::DataVersion;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::watermarks::{PhysicalOffset, QueueOffset};

const FILE_SIZE: usize = 4096;
/// Bytes that RocketMQ knows.
const KNOWN: usize = 56;

/// How far the timer wheel is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimerCheckpoint {
    /// The first slot that is not wholly delivered, ms; 0 when nothing is known.
    pub read_time: i64,
    /// Up to here the timer log is on the device, and in the wheel.
    pub log_flushed: i64,
    /// The first message of the wheel's queue that is not in the timer log.
    pub queue_offset: QueueOffset,
    /// Counts the changes.
    pub version: DataVersion,
    /// Messages of slots from `read_time` on were delivered from here of the log on, if at all. RocketMQ leaves
    /// these bytes as they are.
    pub delivered_from: Option<PhysicalOffset>,
}

impl TimerCheckpoint {
    /// The answer to code 60, and the part of the file that RocketMQ knows.
    pub fn encode(&self) -> [u8; KNOWN] {
        let mut out = [0; KNOWN];
        let offset = self.queue_offset.0;
        let DataVersion { state_version, timestamp, counter } = self.version;
        let fields = [self.read_time, self.log_flushed, offset, offset, state_version, timestamp, counter];
        let (chunks, _) = out.as_chunks_mut::<8>();
        chunks.iter_mut().zip(fields).for_each(|(chunk, field)| *chunk = field.to_be_bytes());
        out
    }

    fn to_file(self) -> Vec<u8> {
        let mut file = self.encode().to_vec();
        if let Some(from) = self.delivered_from {
            file.extend(from.0.to_be_bytes());
            // It is this time's. Another that RocketMQ has gone on to knows nothing of it.
            file.extend(self.read_time.to_be_bytes());
        }
        file.resize(FILE_SIZE, 0);
        file
    }

    fn decode(bytes: &[u8]) -> Self {
        let (fields, _) = bytes.as_chunks::<8>();
        let mut fields = fields.iter().map(|field| i64::from_be_bytes(*field));
        let mut next = || fields.next().unwrap_or(0);
        let (read_time, log_flushed, queue_offset, _master) = (next(), next(), next(), next());
        let version = DataVersion { state_version: next(), timestamp: next(), counter: next() };
        let (from, of) = (next(), next());
        Self {
            read_time: read_time.max(0),
            log_flushed: log_flushed.max(0),
            queue_offset: QueueOffset(queue_offset.max(0)),
            version,
            delivered_from: (of == read_time && read_time > 0).then_some(PhysicalOffset(from)),
        }
    }

    /// Reads the file; one that is not there or too short says nothing.
    pub(super) fn read(path: &Path) -> Result<Self, StoreError> {
        match std::fs::read(path) {
            Ok(bytes) if bytes.len() >= KNOWN => Ok(Self::decode(&bytes)),
            Ok(_) => Ok(Self::default()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    /// Writes the file and forces it to the device.
    pub(super) fn write(self, disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
        let dir = path.parent().unwrap_or(path);
        disk.create_dir(dir).map_err(StoreError::io("make the directory", dir))?;
        let write = || {
            let file = disk.create_sparse(path, FILE_SIZE as u64)?;
            disk.write_at(path, &file, &self.to_file(), 0)?;
            disk.sync_file(path, &file)?;
            disk.sync_dir(dir)
        };
        write().map_err(StoreError::io("write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::LocalDisk;

    #[test]
    fn it_reads_back_and_what_rocketmq_has_gone_on_from_says_nothing_of_deliveries() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/timercheck");
        assert_eq!(TimerCheckpoint::read(&path).unwrap(), TimerCheckpoint::default());
        let written = TimerCheckpoint {
            read_time: 1_795_217_839_000,
            log_flushed: 416,
            queue_offset: QueueOffset(8),
            version: DataVersion { state_version: 0, timestamp: 5, counter: 274 },
            delivered_from: Some(PhysicalOffset(0)),
        };
        written.write(&LocalDisk, &path).unwrap();
        assert_eq!(TimerCheckpoint::read(&path).unwrap(), written);
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes.len(), &bytes[24..32]), (4096, &8i64.to_be_bytes()[..]));
        bytes[..8].copy_from_slice(&1_795_217_840_000i64.to_be_bytes());
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(TimerCheckpoint::read(&path).unwrap().delivered_from, None);
    }
}
