//! One file of fixed size, mapped: a single writer at its end, any number of readers behind it.
//!
//! All `unsafe` of the store is here. What makes it sound: `published` divides the mapping in two.
//! Bytes below it never change again and may be shared; bytes from it on belong to the one [`FileWriter`].
//! The store's lock keeps other processes away, and the file's space was reserved before it was mapped.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::{Advice, MmapMut, MmapRaw, UncheckedAdvice};

use super::disk::Disk;
use super::error::StoreError;
use super::lease::{Lease, Seats};
use super::watermarks::PhysicalOffset;

/// Bytes that the system is told of at a time, a multiple of any page.
const PIECE: usize = 128 << 10;
/// How far the system reads ahead of what is read from the device.
const READ_AHEAD: usize = 1 << 20;

/// The memory of a file, unmapped when the file and the last slice of it are gone.
struct Mapping(MmapRaw);

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the mapping covers `len` readable bytes for as long as `self` lives. The slice is
        // only made to derive the address and length of `MappedFile::whole`; bytes are looked at through
        // sub-slices below `published`, which nobody writes any more.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.0.len()) }
    }
}

/// Maps a file that has one owner, who reads and writes it through the one mapping. Its space must be
/// reserved.
pub(super) fn map_exclusive(file: &std::fs::File) -> std::io::Result<memmap2::MmapMut> {
    // SAFETY: the store's lock keeps other processes from the file, and nothing else in this one maps or
    // shortens it while its owner lives.
    unsafe { memmap2::MmapMut::map_mut(file) }
}

/// [`Bytes`] want to own what they are slices of.
struct Shared(Arc<Mapping>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// A mapped file of the log. Slices of it keep the mapping alive, also after the file is deleted.
pub struct MappedFile {
    base: PhysicalOffset,
    path: PathBuf,
    mapping: Arc<Mapping>,
    /// Not memory of the process's own that stands in for one.
    is_file: bool,
    whole: Bytes,
    published: AtomicUsize,
    /// Up to here page faults read nothing ahead.
    loaded_to: AtomicUsize,
    writer: Seats,
    disk: Arc<dyn Disk>,
}

impl MappedFile {
    /// Maps the file at `path`, of which the first `published` bytes (at most its length) may be read.
    /// The space behind `published` must be reserved before anything is written there.
    pub fn map(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        file: &std::fs::File,
        base: PhysicalOffset,
        published: usize,
    ) -> Result<Self, StoreError> {
        let map = MmapRaw::map_raw(file).map_err(StoreError::io("map", &path))?;
        Ok(Self { is_file: true, ..Self::over(disk, path, map, base, published) })
    }

    /// Over memory of the process's own.
    fn over(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        map: MmapRaw,
        base: PhysicalOffset,
        published: usize,
    ) -> Self {
        let published = AtomicUsize::new(published.min(map.len()));
        let mapping = Arc::new(Mapping(map));
        let whole = Bytes::from_owner(Shared(mapping.clone()));
        MappedFile {
            base,
            path,
            mapping,
            is_file: false,
            whole,
            published,
            loaded_to: AtomicUsize::new(0),
            writer: Seats::default(),
            disk,
        }
    }

    /// Memory of the process's own that stands for the unpublished rest of this file, at the same positions.
    pub(super) fn stand_in(&self) -> Result<Self, StoreError> {
        let memory = MmapMut::map_anon(self.len()).map_err(StoreError::io("take memory for", &self.path))?;
        Ok(Self::over(self.disk.clone(), self.path.clone(), memory.into(), self.base, self.published()))
    }

    /// Gives published pages of a stand-in back to the system; they then read as zeros. Nobody may have or take a
    /// slice of them.
    pub(super) fn give_back(&self, range: Range<usize>) {
        // SAFETY: the caller sees to it that nobody looks there.
        unsafe { self.drop_pages(range) };
    }

    /// Takes the whole pages of a published range, which the writer does not come to any more, out of the
    /// process's tables.
    ///
    /// # Safety
    /// Where the mapping is not of a file, nobody may have or take a slice of the range.
    unsafe fn drop_pages(&self, range: Range<usize>) {
        let page = rustix::param::page_size();
        let (start, end) = (range.start - range.start % page, range.end.min(self.published()));
        let len = (end - end % page).saturating_sub(start);
        if len > 0 {
            // SAFETY: the range lies within the mapping, and by the caller's word nobody sees a change of what
            // is there. A failure costs memory only.
            let _ = unsafe { self.mapping.0.unchecked_advise_range(UncheckedAdvice::DontNeed, start, len) };
        }
    }

    /// The log offset of the first byte.
    pub fn base(&self) -> PhysicalOffset {
        self.base
    }

    /// The log offset behind the last byte of the file's fixed size.
    pub fn end(&self) -> PhysicalOffset {
        self.base.plus(self.len())
    }

    /// The fixed size in bytes.
    pub fn len(&self) -> usize {
        self.mapping.0.len()
    }

    /// Whether the file has no size at all, which no file of a sequence has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes may be read, counted from the start of the file.
    pub fn published(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// Published bytes, without a copy; `None` when the range is not wholly published.
    pub fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        let is_published = range.start <= range.end && range.end <= self.published();
        is_published.then(|| self.whole.slice(range))
    }

    /// How many bytes of a range, from its start on, are in memory, so that reading them waits for no device. All
    /// of them where the system does not say.
    pub fn resident(&self, range: Range<usize>) -> usize {
        let page = rustix::param::page_size();
        let (first, end) = (range.start - range.start % page, range.end.min(self.len()));
        if first >= end {
            return 0;
        }
        let mut present = vec![0u8; (end - first).div_ceil(page)];
        // SAFETY: the range lies within the mapping and begins at one of its pages; `present` has a byte for
        // each of them. Nothing is read or written there.
        let asked = unsafe {
            let start = self.mapping.0.as_mut_ptr().add(first);
            libc::mincore(start.cast(), end - first, present.as_mut_ptr().cast())
        };
        let pages = present.iter().take_while(|page| *page & 1 == 1).count();
        let known = if asked == 0 { (first + pages * page).min(end) } else { end };
        known.saturating_sub(range.start)
    }

    /// Reads published bytes into memory, for threads that may wait for the device, and has the system begin with
    /// what lies behind them. Whoever reads on finds it there: page faults read nothing ahead from now on, as
    /// that would be done, and memory for it found, by a thread that serves.
    pub fn load(&self, range: Range<usize>) {
        let page = rustix::param::page_size();
        let (start, published) = (range.start - range.start % page, self.published());
        let (end, ahead) = (range.end.min(published), (range.end + READ_AHEAD).min(published));
        if start >= end {
            return;
        }
        if self.loaded_to.fetch_max(end, Ordering::Relaxed) < end {
            let _ = self.mapping.0.advise_range(Advice::Random, 0, end);
        }
        // In pieces: within a call the system may not let other threads have the core. One that takes no advice
        // reads page by page.
        for at in (start..ahead).step_by(PIECE) {
            let _ = self.mapping.0.advise_range(Advice::WillNeed, at, PIECE.min(ahead - at));
        }
        if let Some(bytes) = self.slice(start..end) {
            std::hint::black_box(bytes.iter().step_by(page).fold(0, |sum, byte| sum ^ byte));
        }
    }

    /// The right to write from `published` on, or `None` while another writer of this file lives.
    pub fn writer(self: &Arc<Self>) -> Option<FileWriter> {
        let lease = self.writer.take()?;
        Some(FileWriter { position: self.published(), file: self.clone(), _lease: lease })
    }

    /// Makes the pages of a range present and writable, so that the writer does not fault on them.
    /// Contents do not change, whoever writes there meanwhile. Where the system cannot, nothing happens.
    pub fn warm(&self, range: Range<usize>) {
        let end = range.end.min(self.len());
        if range.start < end {
            // A kernel before 5.14 refuses; the writer then faults page by page, which is only slower.
            let _ = self.mapping.0.advise_range(Advice::PopulateWrite, range.start, end - range.start);
        }
    }

    /// Takes published pages of a log file out of this process's tables, not out of memory: a system that lacks memory
    /// finds it cheaper there. Who reads them gets them back, several at a time.
    pub fn unmap(&self, range: Range<usize>) {
        if self.is_file {
            // SAFETY: the mapping is shared with the file, so that nothing written is lost, and whoever reads
            // there finds the same bytes.
            unsafe { self.drop_pages(range) };
        }
    }

    /// Forces a range to the device.
    pub fn sync(&self, range: Range<usize>) -> Result<(), StoreError> {
        let end = range.end.min(self.len());
        if range.start >= end {
            return Ok(());
        }
        self.disk
            .sync_mapped(&self.path, &self.mapping.0, range.start..end)
            .map_err(StoreError::io("sync", &self.path))
    }
}

impl std::fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MappedFile")
            .field("path", &self.path)
            .field("len", &self.len())
            .field("published", &self.published())
            .finish()
    }
}

/// The only writer of a mapped file. Dropping it leaves what was published and frees the place.
#[derive(Debug)]
pub struct FileWriter {
    file: Arc<MappedFile>,
    position: usize,
    _lease: Lease,
}

impl FileWriter {
    /// The file that is written.
    pub fn file(&self) -> &Arc<MappedFile> {
        &self.file
    }

    /// Bytes between the write position and the end of the file.
    pub fn remaining(&self) -> usize {
        self.file.len() - self.position
    }

    /// The log offset of the next byte.
    pub fn offset(&self) -> PhysicalOffset {
        self.file.base.plus(self.position)
    }

    /// The next `len` bytes to write, whatever they hold now; `None` when so many do not remain.
    pub fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        if len > self.remaining() {
            return None;
        }
        // SAFETY: `position + len` lies within the mapping. The range starts at `published`, so no slice
        // covers it; the lease makes this the file's only writer, and `&mut self` makes the borrow unique.
        Some(unsafe {
            std::slice::from_raw_parts_mut(self.file.mapping.0.as_mut_ptr().add(self.position), len)
        })
    }

    /// Lets readers see the next `len` bytes, which from now on never change.
    pub fn publish(&mut self, len: usize) {
        self.position += len.min(self.remaining());
        self.file.published.store(self.position, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::LocalDisk;

    fn file(published: usize) -> (tempfile::TempDir, Arc<MappedFile>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000000");
        let file = LocalDisk.create_reserved(&path, 8192).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
        (dir, Arc::new(MappedFile::map(disk, path, &file, PhysicalOffset(0), published).unwrap()))
    }

    #[test]
    fn only_published_bytes_can_be_read() {
        let (_dir, file) = file(0);
        let mut writer = file.writer().unwrap();
        writer.reserve(3).unwrap().copy_from_slice(b"abc");
        assert!(file.slice(0..3).is_none());
        writer.publish(3);
        assert_eq!(file.slice(0..3).unwrap(), "abc");
        assert!((3..=4096).contains(&file.resident(0..4096)) && file.resident(9000..9001) == 0);
        assert!(file.slice(0..4).is_none());
        assert!(writer.reserve(8190).is_none());
    }

    #[test]
    fn a_second_writer_starts_where_the_first_published() {
        let (_dir, file) = file(0);
        let mut writer = file.writer().unwrap();
        assert!(file.writer().is_none());
        writer.reserve(6).unwrap().copy_from_slice(b"abcdef");
        writer.publish(2);
        drop(writer);
        assert_eq!(file.writer().unwrap().offset(), PhysicalOffset(2));
    }

    #[test]
    fn a_slice_outlives_the_file() {
        let (dir, file) = file(8192);
        let slice = file.slice(0..8192).unwrap();
        std::fs::remove_file(file.path()).unwrap();
        drop(file);
        drop(dir);
        assert!(slice.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn warming_loading_unmapping_and_syncing_change_nothing() {
        let (_dir, file) = file(0);
        for file in [&file, &Arc::new(file.stand_in().unwrap())] {
            let mut writer = file.writer().unwrap();
            writer.reserve(4096).unwrap().fill(b'x');
            writer.publish(4096);
            file.unmap(0..4096);
            assert!(file.slice(0..4096).unwrap().iter().all(|&byte| byte == b'x'));
        }
        let (_dir, file) = self::file(0);
        let mut writer = file.writer().unwrap();
        writer.reserve(3).unwrap().copy_from_slice(b"abc");
        file.warm(0..1 << 20);
        file.load(0..3);
        writer.publish(3);
        file.load(1..1 << 20);
        file.unmap(0..1 << 20);
        assert_eq!(file.slice(0..3).unwrap(), "abc");
        file.sync(0..3).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap()[..4], *b"abc\0");
    }
}
