//! The actor that saves offsets and filters, every few seconds and at the end.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    Shared,
    filters::{FilterFile, Filters},
    offsets::Offsets,
};
use crate::{
    actors::supervision::{Behaviour, Cx, Millis, Readiness},
    protocol::{json, offsets::ConsumerOffsets},
    store::{StoreError, StoreOptions, config_file, disk::Disk},
};

const OFFSETS_FILE: &str = "config/consumerOffset.json";
const FILTERS_FILE: &str = "config/consumerFilter.json";
/// Where RocketMQ keeps all offsets once light queues are enabled.
const LIGHT_OFFSETS_FILE: &str = "config/lmqConsumerOffset.json";

crate::messages! {
    /// What the keeper tells itself.
    pub(super) enum KeeperMessage {
        /// Time to save.
        Save,
    }
}

pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) files: Files,
    pub(super) interval: Duration,
    /// The count of changes that the file has.
    pub(super) saved: Option<u64>,
    /// The same of the filters.
    pub(super) saved_filters: u64,
}

/// Where offsets and filters are saved.
#[derive(Debug, Clone)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl Files {
    pub(super) fn of(options: &StoreOptions) -> Self {
        Self { disk: options.disk.clone(), root: options.root.clone() }
    }

    /// Reads the offsets; where both files name a queue, the one that was written last counts.
    pub(super) fn load(&self) -> Result<Offsets, StoreError> {
        let mut files = Vec::new();
        for name in [LIGHT_OFFSETS_FILE, OFFSETS_FILE] {
            let path = self.root.join(name);
            let written = std::fs::metadata(&path).and_then(|file| file.modified()).ok();
            let file = config_file::read_parsed(&path, |text| {
                json::from_slice::<ConsumerOffsets>(text.as_bytes()).ok()
            })?;
            files.extend(file.map(|file| (written, file)));
        }
        files.sort_by_key(|(written, _)| *written);
        Ok(Offsets::load(files.into_iter().map(|(_, file)| file)))
    }

    fn save(&self, offsets: &Offsets) -> Result<(), StoreError> {
        self.write(OFFSETS_FILE, &offsets.to_file())
    }

    /// Reads the filters.
    pub(super) fn load_filters(&self, now: Millis) -> Result<Filters, StoreError> {
        let parse = |text: &str| json::from_slice::<FilterFile>(text.as_bytes()).ok();
        let file = config_file::read_parsed(&self.root.join(FILTERS_FILE), parse)?;
        Ok(Filters::load(file.unwrap_or_default(), now))
    }

    fn write(&self, name: &str, table: &impl Serialize) -> Result<(), StoreError> {
        // The tables have text and integers for keys and nothing else that JSON could not say.
        let text = json::to_config(table).ok().and_then(|text| String::from_utf8(text).ok());
        config_file::write_text(self.disk.as_ref(), &self.root.join(name), &text.unwrap_or_default())
    }
}

impl Keeper {
    fn save(&mut self, now: Millis) {
        let changes = self.shared.filters.changes();
        if changes != self.saved_filters {
            match self.files.write(FILTERS_FILE, &self.shared.filters.to_file(now)) {
                Ok(()) => self.saved_filters = changes,
                Err(error) => tracing::error!(%error, "cannot save the filters of consumers"),
            }
        }
        // Read first: a change that comes between is saved once more, never missed.
        let changes = Some(self.shared.offsets.changes());
        if changes == self.saved {
            return;
        }
        match self.files.save(&self.shared.offsets) {
            Ok(()) => self.saved = changes,
            Err(error) => tracing::error!(%error, "cannot save the offsets of consumers"),
        }
    }
}

impl Behaviour for Keeper {
    type Message = KeeperMessage;
    const KIND: &'static str = "offsets";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(self.interval, KeeperMessage::Save);
        Readiness::Ready
    }

    fn handle(&mut self, KeeperMessage::Save: KeeperMessage, cx: &mut Cx<'_, Self>) {
        self.save(cx.clock().now());
        cx.after(self.interval, KeeperMessage::Save);
    }

    fn stop(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.save(cx.clock().now());
        Readiness::Ready
    }

    fn observe(&self) -> String {
        format!("{} changes, saved up to {}", self.shared.offsets.changes(), self.saved.unwrap_or_default())
    }
}
