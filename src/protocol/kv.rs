//! Tables of text: the KV configuration of a name server, statistics of a broker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Namespace that says how many queues the topics with an order have, per broker.
pub const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";

/// A table (codes 28, 103, 219).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct KvTable {
    /// Its entries.
    pub table: BTreeMap<String, String>,
}

/// The file `kvConfig.json` (fact sheet: remoting 2.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct KvConfig {
    /// Tables by namespace.
    pub config_table: BTreeMap<String, BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    #[test]
    fn bodies_are_written_as_observed() {
        let text = br#"{"table":{"T2":"broker-a:8"}}"#;
        assert_eq!(json::to_vec(&json::from_slice::<KvTable>(text).unwrap()).unwrap(), text);
        let text = br#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T2":"broker-a:8"}}}"#;
        assert_eq!(json::to_vec(&json::from_slice::<KvConfig>(text).unwrap()).unwrap(), text);
    }
}
