//! Small text files that are replaced as a whole and always leave a good one behind
//! (fact sheet: store 7): the one before stays beside it as `<name>.bak`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::{Disk, parent};
use super::error::StoreError;

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Replaces the text of `path`, keeping the one before. Whenever this is interrupted, `path` or its
/// `.bak` holds one of the two, whole.
pub fn write_text(disk: &dyn Disk, path: &Path, text: &str) -> Result<(), StoreError> {
    let dir = parent(path);
    disk.create_dir(&dir).map_err(StoreError::io("make the directory", &dir))?;
    let fresh = beside(path, ".tmp");
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        disk.sync_file(&fresh, &file)
    };
    write().map_err(StoreError::io("write", &fresh))?;
    match disk.rename(path, &beside(path, ".bak")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io("keep the last version of", path)(error));
        }
        _ => {}
    }
    disk.rename(&fresh, path).map_err(StoreError::io("replace", path))?;
    disk.sync_dir(&dir).map_err(StoreError::io("sync the directory", &dir))
}

/// Reads `path` with `parse`; where it is missing, empty or `parse` refuses it, its `.bak`. `None` when
/// neither is good.
///
/// When the `.bak` is taken a bad `path` is removed: the next write would put it in the place of the good one.
pub fn read_parsed<T>(path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
    read_either(path, parse, true)
}

/// [`read_parsed`] that changes nothing.
pub(super) fn peek_parsed<T>(
    path: &Path,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    read_either(path, parse, false)
}

fn read_either<T>(
    path: &Path,
    parse: impl Fn(&str) -> Option<T>,
    removes_bad: bool,
) -> Result<Option<T>, StoreError> {
    for candidate in [path.to_owned(), beside(path, ".bak")] {
        let bytes = match fs::read(&candidate) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            outcome => outcome.map_err(StoreError::io("read", &candidate))?,
        };
        let parsed = std::str::from_utf8(&bytes).ok().filter(|text| !text.trim().is_empty()).and_then(&parse);
        if parsed.is_some() {
            if removes_bad && candidate != path {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(StoreError::io("remove the unreadable", path)(error));
                    }
                    _ => {}
                }
            }
            return Ok(parsed);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::LocalDisk;

    fn number(text: &str) -> Option<i32> {
        text.parse().ok()
    }

    #[test]
    fn a_torn_version_never_takes_the_place_of_the_good_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("offsets.json");
        write_text(&LocalDisk, &path, "1").unwrap();
        write_text(&LocalDisk, &path, "2").unwrap();
        fs::write(&path, "x").unwrap();
        assert_eq!(peek_parsed(&path, number).unwrap(), Some(1));
        assert!(path.exists());
        assert_eq!(read_parsed(&path, number).unwrap(), Some(1));
        // A crash of the next write between its two renames leaves what was kept before it.
        let _ = fs::rename(&path, beside(&path, ".bak"));
        assert_eq!(read_parsed(&path, number).unwrap(), Some(1));
    }

    #[test]
    fn the_version_before_is_used_when_the_last_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/offsets.json");
        assert_eq!(read_parsed(&path, number).unwrap(), None);
        write_text(&LocalDisk, &path, "1").unwrap();
        write_text(&LocalDisk, &path, "2").unwrap();
        assert_eq!(read_parsed(&path, number).unwrap(), Some(2));
        for torn in ["", "x", "\u{0}\u{0}"] {
            fs::write(&path, torn).unwrap();
            assert_eq!(read_parsed(&path, number).unwrap(), Some(1));
        }
        assert!(!path.exists(), "a bad version never becomes the one that is kept");
        assert_eq!(read_parsed(&path, number).unwrap(), Some(1));
    }
}
