//! Who produces for which group, and the actor that forgets silent ones.

use std::{collections::BTreeMap, sync::Arc};

use dashmap::DashMap;

use super::{
    actor::{SCAN, Settings},
    members::{Client, Member, Members},
};
use crate::actors::supervision::{Behaviour, Cx, Millis, Readiness};

/// Producers by group; read and changed from any thread.
#[derive(Debug, Default)]
pub(super) struct Producers(DashMap<String, Members>);

impl Producers {
    pub(super) fn heard(&self, group: &str, client: Client, now: Millis) {
        if let Some(mut members) = self.0.get_mut(group) {
            members.heard(client, now);
            return;
        }
        self.0.entry(group.to_owned()).or_default().heard(client, now);
    }

    pub(super) fn leave(&self, group: &str, peer: u64) {
        if let Some(mut members) = self.0.get_mut(group) {
            members.leave(peer);
        }
        self.0.remove_if(group, |_, members| members.is_empty());
    }

    fn expire(&self, now: Millis, patience: Millis) {
        for mut group in self.0.iter_mut() {
            for client in group.expire(now, patience) {
                tracing::warn!(group = group.key(), client = client.client_id, "no heartbeat: forgotten");
                client.peer.close();
            }
        }
        self.0.retain(|_, members| !members.is_empty());
    }

    /// Any producer of the group whose connection is there.
    pub(super) fn any(&self, group: &str) -> Option<Client> {
        let members = self.0.get(group)?;
        let live: Vec<_> = members.clients().filter(|client| !client.peer.is_closed()).collect();
        fastrand::choice(live).cloned()
    }

    /// The client with this id, if its connection is there.
    pub(super) fn client(&self, client_id: &str) -> Option<Client> {
        let is_it = |client: &&Client| client.client_id == client_id && !client.peer.is_closed();
        self.0.iter().find_map(|members| members.clients().find(is_it).cloned())
    }

    pub(super) fn of(&self, group: &str) -> Vec<Client> {
        self.0.get(group).map(|members| members.clients().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn all(&self) -> BTreeMap<String, Vec<Member>> {
        self.0.iter().map(|group| (group.key().clone(), group.iter().cloned().collect())).collect()
    }
}

crate::messages! {
    /// What the actor `producers` tells itself.
    pub(super) enum ProducersMessage {
        /// Time to look for silent producers.
        Scan,
    }
}

/// Forgets producers that are silent for too long.
pub(super) struct Forgetter {
    pub(super) shared: Arc<super::Shared>,
    pub(super) settings: Arc<Settings>,
}

impl Behaviour for Forgetter {
    type Message = ProducersMessage;
    const KIND: &'static str = "producers";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(SCAN, ProducersMessage::Scan);
        Readiness::Ready
    }

    fn handle(&mut self, ProducersMessage::Scan: ProducersMessage, cx: &mut Cx<'_, Self>) {
        self.shared.producers.expire(cx.clock().now(), self.settings.patience());
        cx.after(SCAN, ProducersMessage::Scan);
    }

    fn observe(&self) -> String {
        format!("{} groups", self.shared.producers.0.len())
    }
}
