//! What can be wrong with a configuration, said so that it can be put right.

use std::{fmt, io, path::PathBuf};

/// Why one key cannot take one value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither RocketMQ nor CastMQ knows the key.
    #[error("unknown key {key}{}", suggest(.nearest))]
    Unknown {
        /// The key as written.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// The value does not parse or lies out of range.
    #[error("{key} = {value:?} is not allowed: it takes {allowed}")]
    Invalid {
        /// RocketMQ's name of the key.
        key: &'static str,
        /// The value as written.
        value: String,
        /// What is allowed, in words.
        allowed: String,
    },
    /// The key is read at start only.
    #[error("{key} cannot change at run time: set it to {value:?} in the configuration file and restart")]
    AtStartOnly {
        /// RocketMQ's name of the key.
        key: &'static str,
        /// The value asked for.
        value: String,
    },
    /// `configBlackList` forbids changing the key from afar.
    #[error("{key} cannot change at run time: configBlackList names it")]
    BlackListed {
        /// The key as written.
        key: String,
    },
}

fn suggest(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(", did you mean {name}?")).unwrap_or_default()
}

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// A command line option.
    CommandLine(&'static str),
    /// The text of a run-time change, with its line.
    Request(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::CommandLine(option) => write!(f, "option {option}"),
            Self::Request(line) => write!(f, "requested change, line {line}"),
        }
    }
}

/// Why there is no configuration to start with, or why a run-time change is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text is not RON or not properties.
    #[error("{place}: {problem}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser said.
        problem: String,
    },
    /// One setting is wrong.
    #[error("{place}: {error}")]
    Setting {
        /// Where the setting stands.
        place: Place,
        /// What is wrong with it.
        #[source]
        error: KeyError,
    },
    /// Settings that are right one by one but do not go together.
    #[error("{0}")]
    Conflict(&'static str),
}
