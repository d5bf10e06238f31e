//! The actor that saves the offsets, every few seconds and at the end.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{Shared, offsets::Offsets};
use crate::{
    actors::supervision::{Behaviour, Cx, Readiness},
    protocol::{json, offsets::ConsumerOffsets},
    store::{StoreError, StoreOptions, config_file, disk::Disk},
};

const OFFSETS_FILE: &str = "config/consumerOffset.json";
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
}

/// Where offsets are saved.
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
        // The table has text and integers for keys and nothing else that JSON could not say.
        let text = json::to_config(&offsets.to_file()).ok().and_then(|text| String::from_utf8(text).ok());
        config_file::write_text(self.disk.as_ref(), &self.root.join(OFFSETS_FILE), &text.unwrap_or_default())
    }
}

impl Keeper {
    fn save(&mut self) {
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
        self.save();
        cx.after(self.interval, KeeperMessage::Save);
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.save();
        Readiness::Ready
    }

    fn observe(&self) -> String {
        format!("{} changes, saved up to {}", self.shared.offsets.changes(), self.saved.unwrap_or_default())
    }
}
