//! Small text files that are replaced as a whole and always leave a good one behind
//! (fact sheet: store 7): the one before stays beside it as `<name>.bak`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
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
        let file = File::create(&fresh)?;
        disk.write_at(&fresh, &file, text.as_bytes(), 0)?;
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
/// What cannot be read is put aside as `<name>.unreadable`, and the log says so: the next write would replace it.
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
    puts_bad_aside: bool,
) -> Result<Option<T>, StoreError> {
    for candidate in [path.to_owned(), beside(path, ".bak")] {
        let bytes = match fs::read(&candidate) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            outcome => outcome.map_err(StoreError::io("read", &candidate))?,
        };
        let parsed = std::str::from_utf8(&bytes).ok().filter(|text| !text.trim().is_empty()).and_then(&parse);
        if parsed.is_some() {
            return Ok(parsed);
        }
        if puts_bad_aside {
            put_aside(&candidate)?;
        }
    }
    Ok(None)
}

/// Keeps what cannot be read for whoever wants to mend it, out of the way of the next write.
fn put_aside(path: &Path) -> Result<(), StoreError> {
    let aside = beside(path, ".unreadable");
    fs::rename(path, &aside).map_err(StoreError::io("put aside", path))?;
    tracing::error!(
        file = %path.display(),
        kept = %aside.display(),
        "cannot be read: goes on with the version before it, or with none"
    );
    Ok(())
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
            assert_eq!(fs::read_to_string(beside(&path, ".unreadable")).unwrap(), torn, "kept for mending");
        }
        assert!(!path.exists(), "a bad version never becomes the one that is kept");
        assert_eq!(read_parsed(&path, number).unwrap(), Some(1));
    }
}
