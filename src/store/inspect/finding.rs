//! What an inspection has to say about a file.

use std::fmt;
use std::path::{Path, PathBuf};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The next start mends it, or it needs no mending.
    Note,
    /// A start does not mend it.
    Damage,
}

/// One thing that is not as it should be, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file or directory, relative to the root where it lies there.
    pub path: PathBuf,
    /// Where in the file, in bytes, if it is about one place.
    pub at: Option<u64>,
    /// What it is, in words.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Damage => "DAMAGE",
        };
        write!(f, "{severity}: {}", self.path.display())?;
        if let Some(at) = self.at {
            write!(f, " at byte {at}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Findings of one kind and file that are told one by one; of further ones only the number.
const MOST_OF_A_KIND: usize = 5;

/// All findings, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Findings {
    root: PathBuf,
    found: Vec<Finding>,
}

impl Findings {
    pub(super) fn below(root: &Path) -> Self {
        Findings { root: root.to_owned(), found: Vec::new() }
    }

    pub(super) fn note(&mut self, path: &Path, at: Option<u64>, what: impl Into<String>) {
        self.add(Severity::Note, path, at, what.into());
    }

    pub(super) fn damage(&mut self, path: &Path, at: Option<u64>, what: impl Into<String>) {
        self.add(Severity::Damage, path, at, what.into());
    }

    pub(super) fn add(&mut self, severity: Severity, path: &Path, at: Option<u64>, what: String) {
        let path = path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        self.found.push(Finding { severity, path, at, what });
    }

    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.found
    }
}

/// Counts what is found in one file, so that a file of garbage does not fill the screen.
#[derive(Debug, Default)]
pub(super) struct Limited {
    count: usize,
}

impl Limited {
    /// Whether to tell of one more.
    pub(super) fn admits(&mut self) -> bool {
        self.count += 1;
        self.count <= MOST_OF_A_KIND
    }

    /// How many were not told of.
    pub(super) fn left_out(&self) -> usize {
        self.count.saturating_sub(MOST_OF_A_KIND)
    }
}
