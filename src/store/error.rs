//! What can go wrong below the actors.

use std::io;
use std::path::{Path, PathBuf};

use super::watermarks::{PhysicalOffset, QueueOffset};

/// An operation of the store that failed: what was tried, on what, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A call to the file system failed.
    #[error("cannot {action} {}: {source}; {}", path.display(), advice(source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A file of a sequence has not the configured size, which is part of the format.
    #[error(
        "{} has {found} bytes where {expected} are configured; start with the file size that wrote it",
        path.display()
    )]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Configured size in bytes.
        expected: u64,
        /// Size on disk in bytes.
        found: u64,
    },
    /// The files of a directory do not follow one another.
    #[error("{} does not follow its neighbour: {reason}; restore the missing file or move this one away", path.display())]
    BrokenSequence {
        /// The file that does not fit.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The directory does not look like the root of a store.
    #[error("{} does not exist, so this is no store; give its storePathRootDir", path.display())]
    NoStore {
        /// The directory of its log.
        path: PathBuf,
    },
    /// Another process has the store open.
    #[error("{} is locked by another process; stop that broker or give this one its own store path", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// This process has the store open already.
    #[error("{} is already open in this process; close it first or give this broker its own store path", path.display())]
    AlreadyOpen {
        /// The store's root.
        path: PathBuf,
    },
    /// A single-owner part was asked for while its owner lives.
    #[error("{what} already has an owner; drop the first before asking for a second")]
    InUse {
        /// The part.
        what: String,
    },
    /// A topic name that must not become a path.
    #[error("topic {topic:?} cannot name a directory: {reason}; refuse it where it came in")]
    BadTopic {
        /// The name as received.
        topic: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The record cannot fit into one file of the log.
    #[error(
        "a record of {size} bytes does not fit a log file, which takes {limit}; send less or use larger files"
    )]
    RecordTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest possible size in bytes.
        limit: usize,
    },
    /// What is stored at an offset is not a whole record.
    #[error("no whole record at {offset}: {reason}; recovery cuts the log here")]
    BadRecord {
        /// Where.
        offset: PhysicalOffset,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Units were handed to a consume queue that would leave a hole.
    #[error("queue offset {found} would leave a hole after {expected}; dispatch again from {expected}")]
    Gap {
        /// The next offset of the queue.
        expected: QueueOffset,
        /// The offset that was offered.
        found: QueueOffset,
    },
    /// So much of the disk is taken that no more messages are.
    #[error(
        "the disk of {} is {used} % full and takes no messages; they are taken again once old files are deleted \
         or space is freed",
        path.display()
    )]
    DiskFull {
        /// The log's directory.
        path: PathBuf,
        /// How much is taken, percent.
        used: u8,
    },
    /// All write buffers wait to be committed.
    #[error(
        "no write buffer is free; raise transientStorePoolSize, or unset fastFailIfNoBufferInStorePool to wait"
    )]
    NoBuffer,
    /// A sync has failed before, so that nobody knows what is on the device.
    #[error("the log no longer flushes since {reason}; check the device, then restart to recover")]
    Poisoned {
        /// The first failure.
        reason: String,
    },
}

impl StoreError {
    /// Wraps an answer of the system: `.map_err(StoreError::io("write", &path))`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |source| StoreError::Io { action, path: path.to_owned(), source }
    }

    /// Whether the device has no room left, which passes once space is freed.
    pub fn is_disk_full(&self) -> bool {
        match self {
            StoreError::Io { source, .. } => is_full(source),
            StoreError::DiskFull { .. } => true,
            _ => false,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_full(error) => "free space on the device or keep messages for less time",
        io::ErrorKind::PermissionDenied => "give the broker's user read and write access",
        io::ErrorKind::NotFound => "check the store path, or restore the file",
        _ => "check the device and its file system",
    }
}
