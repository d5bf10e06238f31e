//! The actor that saves the configuration of topics and groups: the only writer of its two files.

use std::{sync::Arc, time::Duration};

use super::state::State;
use crate::actors::supervision::{Behaviour, Cx, Readiness};

/// Called when all that was changed before is in the files, or with the reason why it is not.
pub(super) type Then = Box<dyn FnOnce(Result<(), &str>) + Send>;

crate::messages! {
    /// What the keeper is told.
    pub(super) enum KeeperMessage {
        /// Something changed; whoever waits for it to be saved is called then.
        Save(Option<Then>),
    }
}

/// Those who wait are served at the latest when they are so many, though more may be on their way.
const MOST_WAITING: usize = 1_024;
/// The wait after a failure to save, mostly for want of space.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

pub(super) struct Keeper {
    state: Arc<State>,
    waiting: Vec<Then>,
}

impl Keeper {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, waiting: Vec::new() }
    }

    fn save(&mut self) -> bool {
        let outcome = self.state.save().map_err(|error| error.to_string());
        if let Err(error) = &outcome {
            tracing::error!(error, "cannot save the configuration of topics and groups");
        }
        for then in self.waiting.drain(..) {
            then(outcome.as_ref().copied().map_err(String::as_str));
        }
        outcome.is_ok()
    }

    fn save_or_try_again(&mut self, cx: &mut Cx<'_, Self>) {
        if !self.save() {
            cx.after(AFTER_FAILURE, KeeperMessage::Save(None));
        }
    }
}

impl Behaviour for Keeper {
    type Message = KeeperMessage;
    const KIND: &'static str = "topics";
    const DRAINS: bool = true;

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        // What the one before left unsaved.
        self.save_or_try_again(cx);
        Readiness::Ready
    }

    fn handle(&mut self, KeeperMessage::Save(then): KeeperMessage, cx: &mut Cx<'_, Self>) {
        self.waiting.extend(then);
        if self.waiting.len() >= MOST_WAITING {
            self.save_or_try_again(cx);
        }
    }

    fn drained(&mut self, cx: &mut Cx<'_, Self>) {
        self.save_or_try_again(cx);
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.state.all_changed();
        self.save();
        Readiness::Ready
    }

    fn observe(&self) -> String {
        format!("{:?}", self.state)
    }
}
