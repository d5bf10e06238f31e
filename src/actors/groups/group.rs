//! One consumer group: what everybody may read of it at any time. It outlives its actor.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use std::sync::Arc;

use super::{
    locks::Locks,
    members::{Client, Members},
    subscriptions::Subscriptions,
};
use crate::{
    actors::supervision::Millis,
    protocol::{
        connection::ConsumerConnection,
        heartbeat::{ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel},
        subscription::SubscriptionData,
    },
};

/// A consumer group that has, or had, members.
#[derive(Debug, Default)]
pub struct Group {
    roster: Mutex<Roster>,
    subscriptions: Subscriptions,
    locks: Mutex<Locks>,
    /// What each pull asks, without the mutex.
    online: AtomicBool,
    broadcasting: AtomicBool,
}

#[derive(Debug, Default)]
struct Roster {
    members: Members,
    consume_type: ConsumeType,
    message_model: MessageModel,
    from_where: ConsumeFromWhere,
    /// That of the last heartbeat of version 2.
    fingerprint: Option<i32>,
}

/// A heartbeat as it concerns one group.
#[derive(Debug)]
pub(super) struct Beat {
    pub(super) client: Client,
    pub(super) data: ConsumerData,
    /// Only in heartbeats of version 2.
    pub(super) fingerprint: Option<i32>,
    /// Whether the subscriptions are left out, and the known ones stay.
    pub(super) without_sub: bool,
}

/// What a heartbeat changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// The members have to share out the queues anew.
    pub(super) rebalance: bool,
    /// The client is to send its subscriptions in full (version 2).
    pub(super) subscriptions_differ: bool,
}

impl Group {
    /// The group's subscription to a topic.
    pub fn subscription(&self, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.subscriptions.get(topic)
    }

    /// Whether it has members.
    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire)
    }

    /// Who of the group gets a message.
    pub fn message_model(&self) -> MessageModel {
        if self.broadcasting.load(Ordering::Acquire) {
            MessageModel::Broadcasting
        } else {
            MessageModel::Clustering
        }
    }

    /// Ids of its members in order, each once.
    pub fn member_ids(&self) -> Vec<String> {
        self.roster().members.ids()
    }

    /// Its members.
    pub fn clients(&self) -> Vec<Client> {
        self.roster().members.clients().cloned().collect()
    }

    /// The member of that id.
    pub fn client(&self, client_id: &str) -> Option<Client> {
        self.roster().members.clients().find(|client| client.client_id == client_id).cloned()
    }

    /// Who and what it is, as code 203 shows it.
    pub fn to_connection(&self) -> ConsumerConnection {
        let roster = self.roster();
        ConsumerConnection {
            connection_set: roster.members.clients().map(Client::to_connection).collect(),
            consume_from_where: roster.from_where,
            consume_type: roster.consume_type,
            message_model: roster.message_model,
            subscription_table: self.subscriptions.to_map(),
        }
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What its actor does.

    pub(super) fn heard(&self, beat: Beat, now: Millis) -> Heard {
        let Beat { client, data, fingerprint, without_sub } = beat;
        let mut roster = self.roster();
        roster.consume_type = data.consume_type;
        roster.message_model = data.message_model;
        roster.from_where = data.consume_from_where;
        let known = roster.fingerprint;
        roster.fingerprint = fingerprint.or(known);
        let joined = roster.members.heard(client, now);
        let changed = !without_sub && self.subscriptions.update(data.subscription_data_set);
        self.publish(&roster);
        let forgot = without_sub && self.subscriptions.is_empty();
        let differs = known.is_some() && known != fingerprint;
        Heard { rebalance: joined || changed, subscriptions_differ: differs || forgot }
    }

    /// A connection leaves; whether the others have to share out the queues anew.
    pub(super) fn leave(&self, peer: u64) -> bool {
        let mut roster = self.roster();
        let left = roster.members.leave(peer);
        self.publish(&roster);
        left
    }

    /// Members that were silent for too long leave.
    pub(super) fn expire(&self, now: Millis, patience: Millis) -> Vec<Client> {
        let mut roster = self.roster();
        let gone = roster.members.expire(now, patience);
        self.publish(&roster);
        gone
    }

    fn publish(&self, roster: &Roster) {
        let online = !roster.members.is_empty();
        if !online {
            // Nobody is there whose subscriptions these would be.
            self.subscriptions.clear();
        }
        self.broadcasting.store(roster.message_model == MessageModel::Broadcasting, Ordering::Release);
        self.online.store(online, Ordering::Release);
    }

    pub(super) fn locks(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holds_locks(&self, now: Millis) -> bool {
        self.locks().any_held(now)
    }

    pub(super) fn observe(&self) -> String {
        let (members, locks) = (self.roster().members.len(), self.locks().len());
        format!("{members} members, {locks} locks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{actors::remoting::Peer, protocol::language::Language};

    fn beat(client_id: &str, topics: &[&str]) -> Beat {
        let client = Client {
            client_id: client_id.into(),
            peer: Peer::unconnected().0,
            language: Language::Java,
            version: 493,
        };
        let to = |topic: &&str| SubscriptionData { topic: (*topic).into(), ..SubscriptionData::default() };
        let data = ConsumerData {
            subscription_data_set: topics.iter().map(to).collect(),
            ..ConsumerData::default()
        };
        Beat { client, data, fingerprint: None, without_sub: false }
    }

    #[test]
    fn members_share_out_anew_when_one_comes_or_topics_change() {
        let group = Group::default();
        let first = beat("a", &["T"]);
        let again = || Beat { client: first.client.clone(), ..beat("a", &["T"]) };
        let same = [again(), again()];
        let more = Beat { client: first.client.clone(), ..beat("a", &["T", "U"]) };
        let rebalances = |beat| group.heard(beat, 0).rebalance;
        assert_eq!(same.map(rebalances), [true, false]);
        assert!(rebalances(more));
        assert!(group.is_online() && group.subscription("U").is_some());
    }

    #[test]
    fn an_empty_group_has_no_subscriptions() {
        let group = Group::default();
        let beat = beat("a", &["T"]);
        let peer = beat.client.peer.id();
        group.heard(beat, 0);
        assert!(group.leave(peer) && !group.leave(peer));
        assert!(!group.is_online() && group.subscription("T").is_none());
    }

    #[test]
    fn a_heartbeat_without_subscriptions_keeps_the_known_ones() {
        let group = Group::default();
        let mut full = beat("a", &["T"]);
        full.fingerprint = Some(7);
        let client = full.client.clone();
        let short = |fingerprint| Beat {
            client: client.clone(),
            fingerprint: Some(fingerprint),
            without_sub: true,
            ..beat("a", &[])
        };
        assert!(group.heard(short(7), 0).subscriptions_differ, "none are known");
        assert!(!group.heard(full, 0).subscriptions_differ);
        assert!(!group.heard(short(7), 0).subscriptions_differ);
        assert!(group.subscription("T").is_some());
        assert!(group.heard(short(8), 0).subscriptions_differ);
    }
}
