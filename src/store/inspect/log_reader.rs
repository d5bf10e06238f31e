//! The commit log, read piece by piece: a page that the device cannot give is an error here, where with a
//! mapping it would be a signal.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::disk::Disk;
use super::super::error::StoreError;
use super::super::file_sequence::file_name;
use super::super::scan::{Found, Record, Verify, examine, next_magic};
use super::super::watermarks::PhysicalOffset;
use super::finding::Findings;
use super::layout::open_to_read;
use crate::protocol::record::{BLANK_LEN, MAGIC_BLANK};

/// Bytes that are read at once.
const CHUNK: usize = 4 << 20;

/// What stands at an offset.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry<'a> {
    Record(Record<'a>, &'a [u8]),
    /// The end of the file is unused.
    Padding(usize),
    /// Zeros, as where nothing was written yet.
    Nothing,
    Bad(&'static str),
}

/// The log's files.
#[derive(Debug)]
pub(super) struct LogReader {
    dir: PathBuf,
    file_size: usize,
    bases: Vec<PhysicalOffset>,
    open: Option<(PhysicalOffset, File)>,
    window: Vec<u8>,
    window_at: PhysicalOffset,
}

impl LogReader {
    /// The files of `dir` that have `file_size` bytes; what is wrong with others is a finding.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        file_size: usize,
        findings: &mut Findings,
    ) -> Result<Self, StoreError> {
        let files = sequence(disk, dir, file_size, findings)?;
        let bases = files.into_iter().map(PhysicalOffset).collect();
        let dir = dir.to_owned();
        let window_at = PhysicalOffset(0);
        Ok(LogReader { dir, file_size, bases, open: None, window: Vec::new(), window_at })
    }

    pub(super) fn bases(&self) -> &[PhysicalOffset] {
        &self.bases
    }

    pub(super) fn min(&self) -> PhysicalOffset {
        self.bases.first().copied().unwrap_or_default()
    }

    /// Behind the last file.
    pub(super) fn extent(&self) -> PhysicalOffset {
        self.bases.last().map_or(PhysicalOffset(0), |last| last.plus(self.file_size))
    }

    /// Bytes of all files.
    pub(super) fn len(&self) -> u64 {
        (self.bases.len() * self.file_size) as u64
    }

    /// The first byte of the file that holds `at`.
    fn base_of(&self, at: PhysicalOffset) -> Option<PhysicalOffset> {
        let index = self.bases.partition_point(|base| *base <= at).checked_sub(1)?;
        self.bases.get(index).copied().filter(|base| at.since(*base) < self.file_size)
    }

    /// The first byte of the file behind that of `at`, if there is one.
    pub(super) fn next_base(&self, at: PhysicalOffset) -> Option<PhysicalOffset> {
        self.bases.get(self.bases.partition_point(|base| *base <= at)).copied()
    }

    /// File and place in it, as findings name them.
    pub(super) fn place(&self, at: PhysicalOffset) -> (PathBuf, Option<u64>) {
        let base = self.base_of(at).unwrap_or(at);
        (self.dir.join(file_name(base.0)), Some(at.since(base) as u64))
    }

    /// The bytes from `at` on: `len`, or fewer at the end of the file.
    fn bytes(&mut self, at: PhysicalOffset, len: usize) -> Option<&[u8]> {
        let base = self.base_of(at)?;
        let left = self.file_size - at.since(base);
        let len = len.min(left);
        let within = self.window_at <= at && at.since(self.window_at) + len <= self.window.len();
        if !within {
            if self.open.as_ref().is_none_or(|(open, _)| *open != base) {
                self.open = Some((base, open_to_read(&self.dir.join(file_name(base.0))).ok()?));
            }
            let (_, file) = self.open.as_ref()?;
            self.window.resize(len.max(CHUNK).min(left), 0);
            self.window_at = at;
            if file.read_exact_at(&mut self.window, at.since(base) as u64).is_err() {
                self.window.clear();
                return None;
            }
        }
        let start = at.since(self.window_at);
        self.window.get(start..start + len)
    }

    /// What begins at `at`.
    pub(super) fn entry(&mut self, at: PhysicalOffset) -> Entry<'_> {
        let Some(base) = self.base_of(at) else { return Entry::Bad("no file has this offset") };
        let left = self.file_size - at.since(base);
        let Some(header) = self.bytes(at, BLANK_LEN) else {
            return Entry::Bad("the device cannot read it");
        };
        let Ok(header) = <[u8; BLANK_LEN]>::try_from(header) else {
            return Entry::Bad("fewer bytes than a header are left");
        };
        let [size, magic] = [0, 4].map(|from| {
            header
                .get(from..)
                .and_then(|field| field.first_chunk())
                .map_or(0, |field| u32::from_be_bytes(*field))
        });
        let size = usize::try_from(size as i32).unwrap_or(0);
        match magic {
            _ if header == [0; BLANK_LEN] => return Entry::Nothing,
            MAGIC_BLANK if size == left => return Entry::Padding(size),
            MAGIC_BLANK => return Entry::Bad("padding that does not reach the end of its file"),
            _ => {}
        }
        // What is no record is not worth reading as long as it claims to be.
        let size = if size > left { BLANK_LEN } else { size.max(BLANK_LEN) };
        let Some(bytes) = self.bytes(at, size) else { return Entry::Bad("the device cannot read it") };
        match examine(bytes, at, Verify::Checksum) {
            Found::Record(record) => Entry::Record(record, bytes),
            Found::Blank(_) => Entry::Bad("unknown magic"),
            Found::Bad(reason) => Entry::Bad(reason),
        }
    }

    /// The next whole record behind `at`, which holds none.
    pub(super) fn next_whole(&mut self, at: PhysicalOffset) -> Option<PhysicalOffset> {
        let mut from = at;
        loop {
            if let Some(found) = self.next_whole_in_file(from) {
                return Some(found);
            }
            from = self.next_base(from)?;
            if matches!(self.entry(from), Entry::Record(..)) {
                return Some(from);
            }
        }
    }

    fn next_whole_in_file(&mut self, at: PhysicalOffset) -> Option<PhysicalOffset> {
        let end = self.base_of(at)?.plus(self.file_size);
        let mut from = at.plus(1);
        while from.plus(BLANK_LEN) <= end {
            let piece = self.bytes(from, CHUNK)?;
            let Some(passed) = next_magic(piece) else {
                from = from.plus(piece.len() - (BLANK_LEN - 1));
                continue;
            };
            from = from.plus(passed);
            if matches!(self.entry(from), Entry::Record(..)) {
                return Some(from);
            }
            from = from.plus(1);
        }
        None
    }

    /// When the record at a file's beginning was stored, ms.
    pub(super) fn first_record(&mut self, base: PhysicalOffset) -> Option<i64> {
        match self.entry(base) {
            Entry::Record(record, _) => Some(record.store_timestamp),
            _ => None,
        }
    }
}

/// The bases of a directory's files, in order; those that a start would refuse are findings and left out.
pub(super) fn sequence(
    disk: &dyn Disk,
    dir: &Path,
    file_size: usize,
    findings: &mut Findings,
) -> Result<Vec<i64>, StoreError> {
    let mut files = disk.list(dir).map_err(StoreError::io("list", dir))?;
    files.retain(|file| !file.is_dir);
    let mut bases: Vec<i64> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let path = dir.join(&file.name);
        let base = file.name.parse().ok().filter(|base| file_name(*base) == file.name);
        if file.len == 0 && index + 1 == files.len() {
            findings.note(&path, None, "an empty file, left by a crash: the next start removes it");
        } else if let Some(base) = base {
            if file.len != file_size as u64 {
                let what =
                    format!("{} bytes where the others have {file_size}: a start refuses it", file.len);
                findings.damage(&path, None, what);
                continue;
            }
            if bases.last().is_some_and(|last| base - last != file_size as i64) {
                findings.damage(&path, None, "files before it are missing: a start refuses the gap");
            }
            bases.push(base);
        } else {
            findings.damage(&path, None, "its name is not an offset of 20 digits: a start refuses it");
        }
    }
    Ok(bases)
}
