//! What the store asks of a file system.
//!
//! Files are real files: they are mapped, read and written directly. What makes bytes durable, and what
//! takes or frees space, passes through [`Disk`], so that a test can record it, make it fail, or put the
//! files back to what had been synced and so play a power cut.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::MmapRaw;
use rustix::fs::FallocateFlags;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its last path component; entries whose name is not UTF-8 are not listed.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Size in bytes.
    pub len: u64,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that are taken.
    pub used: u64,
    /// Bytes that this process may still take; less than what is free where some is kept for the system.
    pub available: u64,
}

impl Usage {
    /// The taken share of what could be taken in all, in percent, rounded up.
    pub fn percent(self) -> u8 {
        let all = u128::from(self.used) + u128::from(self.available);
        let percent = if all == 0 { 100 } else { (u128::from(self.used) * 100).div_ceil(all) };
        u8::try_from(percent).unwrap_or(100)
    }
}

/// A file system with its durability: every method returns once the effect that it names has been reached.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a directory with its parents.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// What is in a directory, by name; a directory that does not exist is empty.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// A new file of `len` zero bytes whose space is reserved: a full device is an error here, not a
    /// signal when a page of its mapping is touched. A crash on the way leaves an empty file.
    fn create_reserved(&self, path: &Path, len: u64) -> io::Result<File>;
    /// A file of `len` bytes, made if need be, whose space is taken as it is written.
    fn create_sparse(&self, path: &Path, len: u64) -> io::Result<File>;
    /// Opens a file to read and write.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Writes into a file; where its space is not reserved, a full device is an error here.
    fn write_at(&self, _path: &Path, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }
    /// How full the file system of `path`, which must exist, is.
    fn usage(&self, path: &Path) -> io::Result<Usage> {
        usage(path)
    }
    /// When a file was last written to.
    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        fs::metadata(path)?.modified()
    }
    /// Reserves space for a range of a file, which keeps what it holds.
    fn reserve(&self, path: &Path, file: &File, range: Range<u64>) -> io::Result<()>;
    /// Makes a range read as zeros and reserves its space.
    fn zero(&self, path: &Path, file: &File, range: Range<u64>) -> io::Result<()>;
    /// Makes a range read as zeros and gives back its space, where the file system can. The file keeps its size
    /// at every moment.
    fn clear(&self, _path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        clear(file, range)
    }
    /// Replaces `to` by `from`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all that is in it.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Begins what [`Disk::sync_file`] then has to wait less for. Promises nothing.
    fn begin_sync(&self, _file: &File) {}
    /// Forces a file's bytes, and the size needed to find them, to the device.
    fn sync_file(&self, path: &Path, file: &File) -> io::Result<()>;
    /// Forces a range of a mapped file to the device.
    fn sync_mapped(&self, path: &Path, map: &MmapRaw, range: Range<usize>) -> io::Result<()>;
    /// Forces a directory's entries to the device.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The file system of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let found = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            found => found?,
        };
        let mut entries = Vec::new();
        for entry in found {
            let entry = entry?;
            let metadata = match fs::metadata(entry.path()) {
                // Removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry { name, is_dir: metadata.is_dir(), len: metadata.len() });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create_reserved(&self, path: &Path, len: u64) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        // Space first and size last: a crash in between leaves a file without length, which a start
        // removes, and never one of a length that no start accepts.
        let reserved = reserve(&file, 0..len).and_then(|()| file.set_len(len)).and_then(|()| file.sync_all());
        match reserved {
            Ok(()) => Ok(file),
            Err(error) => {
                let _ = fs::remove_file(path); // The reservation's error is the one to report.
                Err(error)
            }
        }
    }

    fn create_sparse(&self, path: &Path, len: u64) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.set_len(len)?;
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(path)
    }

    fn reserve(&self, _path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        reserve(file, range)
    }

    fn zero(&self, _path: &Path, file: &File, range: Range<u64>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(file, flags, range.start, range.end - range.start) {
            Err(errno) if is_unsupported(errno) => {
                reserve(file, range.clone())?;
                write_zeros_over_data(file, range)
            }
            other => Ok(other?),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    #[cfg(target_os = "linux")]
    fn begin_sync(&self, file: &File) {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor is open for the length of the call, which touches no memory of ours. Its failure
        // costs time and nothing else: the sync that follows tells.
        unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    }

    fn sync_file(&self, _path: &Path, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_mapped(&self, _path: &Path, map: &MmapRaw, range: Range<usize>) -> io::Result<()> {
        map.flush_range(range.start, range.len())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

fn usage(path: &Path) -> io::Result<Usage> {
    let stat = rustix::fs::statvfs(path)?;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize);
    Ok(Usage { used, available: stat.f_bavail.saturating_mul(stat.f_frsize) })
}

fn is_unsupported(errno: rustix::io::Errno) -> bool {
    errno == rustix::io::Errno::OPNOTSUPP || errno == rustix::io::Errno::NOSYS
}

/// Takes space for a range without changing the file's size or what it holds.
fn reserve(file: &File, range: Range<u64>) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, range.start, range.end - range.start) {
        // A file system without reservation: written zeros are the only promise that it can give.
        Err(errno) if is_unsupported(errno) => {
            let end = file.metadata()?.len().max(range.start);
            write_zeros(file, end..range.end)
        }
        other => Ok(other?),
    }
}

fn clear(file: &File, range: Range<u64>) -> io::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, flags, range.start, range.end - range.start) {
        Err(errno) if is_unsupported(errno) => write_zeros_over_data(file, range),
        other => Ok(other?),
    }
}

const CHUNK: usize = 1 << 20;

fn write_zeros(file: &File, range: Range<u64>) -> io::Result<()> {
    let zeros = vec![0u8; CHUNK];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).map_or(CHUNK, |left| left.min(CHUNK));
        file.write_all_at(zeros.get(..len).unwrap_or_default(), at)?;
        at += len as u64;
    }
    Ok(())
}

fn write_zeros_over_data(file: &File, range: Range<u64>) -> io::Result<()> {
    let mut chunk = vec![0u8; CHUNK];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).map_or(CHUNK, |left| left.min(CHUNK));
        let Some(window) = chunk.get_mut(..len) else { break };
        file.read_exact_at(window, at)?;
        if window.iter().any(|&byte| byte != 0) {
            write_zeros(file, at..at + len as u64)?;
        }
        at += len as u64;
    }
    Ok(())
}

/// The directory that holds `path`.
pub(super) fn parent(path: &Path) -> PathBuf {
    path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_file_takes_its_space_at_once() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let file = LocalDisk.create_reserved(&dir.path().join("f"), 1 << 16).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 1 << 16);
        assert!(metadata.blocks() * 512 >= 1 << 16);
    }

    #[test]
    fn a_cleared_range_reads_as_zeros_and_takes_no_space() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, vec![7u8; 1 << 20]).unwrap();
        let file = LocalDisk.open(&path).unwrap();
        file.sync_all().unwrap();
        LocalDisk.clear(&path, &file, 100..1 << 20).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 1 << 20 && bytes[..100] == [7; 100] && bytes[100..].iter().all(|b| *b == 0));
        assert!(file.metadata().unwrap().blocks() * 512 < 1 << 19);
        write_zeros_over_data(&file, 10..100).unwrap();
        assert_eq!(fs::read(&path).unwrap()[..11], [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]);
    }

    #[test]
    fn zeroing_a_range_leaves_its_surroundings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, vec![7u8; 10_000]).unwrap();
        let file = LocalDisk.open(&path).unwrap();
        LocalDisk.zero(&path, &file, 5_000..9_000).unwrap();
        write_zeros_over_data(&file, 9_000..9_500).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes[..5_000].iter().chain(&bytes[9_500..]).all(|&b| b == 7));
        assert!(bytes[5_000..9_500].iter().all(|&b| b == 0));
    }

    #[test]
    fn usage_is_what_is_taken_of_what_can_be_taken_rounded_up() {
        let percent = |used, available| Usage { used, available }.percent();
        assert_eq!([percent(0, 9), percent(1, 999), percent(90, 10), percent(u64::MAX, 0)], [0, 1, 90, 100]);
        assert_eq!(percent(0, 0), 100);
        assert!(LocalDisk.usage(Path::new("/")).unwrap().percent() <= 100);
    }

    #[test]
    fn a_missing_directory_is_empty() {
        assert!(LocalDisk.list(Path::new("/nonexistent/x")).unwrap().is_empty());
    }
}
