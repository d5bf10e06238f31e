//! Looks for brokers that fell silent (fact sheet: remoting 2.4).

use std::{sync::Arc, time::Duration};

use super::{routes::RoutesMessage, state::State};
use crate::actors::supervision::{Address, Behaviour, Cx, Readiness};

crate::messages! {
    /// What the scanner tells itself.
    pub(super) enum LivenessMessage {
        /// Time to look.
        Scan,
    }
}

pub(super) struct Liveness {
    pub(super) state: Arc<State>,
    pub(super) routes: Address<RoutesMessage>,
    pub(super) every: Duration,
}

impl Behaviour for Liveness {
    type Message = LivenessMessage;
    const KIND: &'static str = "liveness";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(self.every, LivenessMessage::Scan);
        Readiness::Ready
    }

    fn handle(&mut self, LivenessMessage::Scan: LivenessMessage, cx: &mut Cx<'_, Self>) {
        for live in self.state.routes.load().expired(cx.clock().now()) {
            // With no room there, the next scan finds it again.
            let told = self.routes.send(RoutesMessage::Expired(live.broker.clone()));
            if let (Ok(()), Some(peer)) = (told, &live.peer) {
                peer.close();
            }
        }
        cx.after(self.every, LivenessMessage::Scan);
    }
}
