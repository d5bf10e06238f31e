//! The version of a table, by which brokers and name servers see that it changed.

use serde::{Deserialize, Serialize};

/// Version of a table; two are the same when all three numbers are (fact sheet: store 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// Number of changes.
    pub counter: i64,
    /// Epoch of the controller; 0 without one.
    pub state_version: i64,
    /// When the last change was made, milliseconds since 1970.
    pub timestamp: i64,
}

impl DataVersion {
    /// The first version of a table.
    pub fn new(now: i64) -> Self {
        Self { counter: 0, state_version: 0, timestamp: now }
    }

    /// The version after one more change.
    #[must_use]
    pub fn next(self, now: i64, state_version: i64) -> Self {
        Self { counter: self.counter.wrapping_add(1), state_version, timestamp: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    #[test]
    fn versions_read_as_registered_and_differ_after_a_change() {
        let text = br#"{"counter":0,"stateVersion":0,"timestamp":1795216530113}"#;
        let version: DataVersion = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&version).unwrap(), text);
        assert_ne!(version.next(version.timestamp, 0), version);
    }
}
