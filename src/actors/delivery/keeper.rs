//! The actor that saves how far the delay levels are, every few seconds and at the end.

use std::{sync::Arc, time::Duration};

use super::progress::Progress;
use crate::actors::supervision::{Behaviour, Cx, Readiness};

crate::messages! {
    /// What the keeper tells itself.
    pub(super) enum KeeperMessage {
        /// Time to save.
        Save,
    }
}

pub(super) struct Keeper {
    pub(super) progress: Arc<Progress>,
    pub(super) interval: Duration,
    /// The count of deliveries that the file has.
    pub(super) saved: Option<u64>,
}

impl Keeper {
    fn save(&mut self, cx: &Cx<'_, Self>) {
        // Read first: a step that comes between is saved once more, never missed.
        let steps = Some(self.progress.steps());
        if steps == self.saved {
            return;
        }
        match self.progress.save(cx.clock().now()) {
            Ok(()) => self.saved = steps,
            Err(error) => tracing::error!(%error, "cannot save how far the delay levels are"),
        }
    }
}

impl Behaviour for Keeper {
    type Message = KeeperMessage;
    const KIND: &'static str = "delay-offsets";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(self.interval, KeeperMessage::Save);
        Readiness::Ready
    }

    fn handle(&mut self, KeeperMessage::Save: KeeperMessage, cx: &mut Cx<'_, Self>) {
        self.save(cx);
        cx.after(self.interval, KeeperMessage::Save);
    }

    fn stop(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.save(cx);
        Readiness::Ready
    }

    fn observe(&self) -> String {
        format!("{} delivered, {} saved", self.progress.steps(), self.saved.unwrap_or_default())
    }
}
