//! The actor that saves how far deliveries are, every few seconds and at the end.

use std::{sync::Arc, time::Duration};

use crate::{
    actors::supervision::{Behaviour, Cx, Millis, Readiness},
    store::StoreError,
};

crate::messages! {
    /// What the keeper tells itself.
    pub(super) enum KeeperMessage {
        /// Time to save.
        Save,
    }
}

/// What is saved now and then.
pub(super) trait Saved: Send + Sync + 'static {
    /// The kind of its keeper.
    const KIND: &'static str;

    /// Rises with everything that is worth saving.
    fn changes(&self) -> u64;

    /// Saves it. What it says to be delivered is on the device before.
    fn save(&self, now: Millis) -> Result<(), StoreError>;
}

pub(super) struct Keeper<S> {
    kept: Arc<S>,
    interval: Duration,
    /// The count of changes that the file has.
    saved: Option<u64>,
}

impl<S: Saved> Keeper<S> {
    pub(super) fn new(kept: Arc<S>, interval: Duration) -> Self {
        Self { kept, interval, saved: None }
    }

    fn save(&mut self, cx: &Cx<'_, Self>) {
        // Read first: a change that comes between is saved once more, never missed.
        let changes = Some(self.kept.changes());
        if changes == self.saved {
            return;
        }
        match self.kept.save(cx.clock().now()) {
            Ok(()) => self.saved = changes,
            Err(error) => tracing::error!(%error, what = S::KIND, "cannot save how far deliveries are"),
        }
    }
}

impl<S: Saved> Behaviour for Keeper<S> {
    type Message = KeeperMessage;
    const KIND: &'static str = S::KIND;

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
        format!("{} changes, {} saved", self.kept.changes(), self.saved.unwrap_or_default())
    }
}
