//! How many timer messages wait for each topic: `config/timermetrics` and code 61 (fact sheet: store 7).
//!
//! As in RocketMQ a crash may leave the numbers a little off; nothing depends on them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    actors::supervision::{Clock, Millis},
    protocol::{data_version::DataVersion, json},
    store::{StoreError, StoreOptions, config_file},
};

const FILE: &str = "config/timermetrics";

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Table {
    data_version: DataVersion,
    timing_count: BTreeMap<String, Count>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Count {
    count: i64,
    time_stamp: Millis,
}

#[derive(Debug)]
pub(super) struct Metrics(Mutex<Table>);

impl Metrics {
    pub(super) fn load(options: &StoreOptions, now: Millis) -> Result<Self, StoreError> {
        let read = |text: &str| json::from_slice(text.as_bytes()).ok();
        let table = config_file::read_parsed(&options.root.join(FILE), read)?;
        let empty = || Table { data_version: DataVersion::new(now), ..Table::default() };
        Ok(Self(Mutex::new(table.unwrap_or_else(empty))))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many more messages wait for a topic.
    pub(super) fn count(&self, topic: &[u8], change: i64) {
        let (Ok(topic), now) = (std::str::from_utf8(topic), Clock::system().now()) else { return };
        if topic.is_empty() || change == 0 {
            return;
        }
        let table = &mut *self.table();
        table.data_version = table.data_version.next(now, 0);
        if !table.timing_count.contains_key(topic) {
            table.timing_count.insert(topic.to_owned(), Count::default());
        }
        if let Some(known) = table.timing_count.get_mut(topic) {
            known.count = known.count.saturating_add(change).max(0);
            known.time_stamp = now;
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Text, numbers and nothing else that JSON could not say.
        json::to_vec(&self.table().clone()).unwrap_or_default()
    }

    pub(super) fn save(&self, options: &StoreOptions) -> Result<(), StoreError> {
        let text = String::from_utf8(self.to_json()).unwrap_or_default();
        config_file::write_text(options.disk.as_ref(), &options.root.join(FILE), &text)
    }
}
