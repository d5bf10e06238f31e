//! Who belongs to a group: the rules of joining, leaving and being forgotten, for consumers and producers.

use std::{collections::HashMap, sync::Arc};

use crate::{
    actors::{remoting::Peer, supervision::Millis},
    protocol::{connection::Connection, language::Language},
};

/// A client as its heartbeats show it.
#[derive(Debug, Clone)]
pub struct Client {
    /// `ip@instance`.
    pub client_id: String,
    /// Its connection.
    pub peer: Arc<Peer>,
    /// The language in its headers.
    pub language: Language,
    /// The version in its headers.
    pub version: i32,
}

impl Client {
    /// As answers show it.
    pub fn to_connection(&self) -> Connection {
        Connection {
            client_addr: self.peer.remote().to_string(),
            client_id: self.client_id.clone(),
            language: self.language.name().to_owned(),
            version: self.version,
        }
    }
}

/// A client and when it was last heard of.
#[derive(Debug, Clone)]
pub struct Member {
    /// The client.
    pub client: Client,
    /// Its last heartbeat.
    pub heard: Millis,
}

/// The members of one group, one for each connection.
#[derive(Debug, Default)]
pub(super) struct Members(HashMap<u64, Member>);

impl Members {
    /// Notes a heartbeat; whether it is from a new member.
    pub(super) fn heard(&mut self, client: Client, now: Millis) -> bool {
        let client_id = client.client_id.clone();
        let before = self.0.insert(client.peer.id(), Member { client, heard: now });
        before.is_none_or(|member| member.client.client_id != client_id)
    }

    /// A connection leaves; whether it was there.
    pub(super) fn leave(&mut self, peer: u64) -> bool {
        self.0.remove(&peer).is_some()
    }

    /// Removes those that were not heard of for `patience` ms, or whose connection ended, and returns them.
    pub(super) fn expire(&mut self, now: Millis, patience: Millis) -> Vec<Client> {
        let gone = |member: &Member| now - member.heard > patience || member.client.peer.is_closed();
        self.0.extract_if(|_, member| gone(member)).map(|(_, member)| member.client).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.values()
    }

    pub(super) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.iter().map(|member| &member.client)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Client ids in order, each once.
    pub(super) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.clients().map(|client| client.client_id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(client_id: &str) -> Client {
        let (peer, _) = Peer::unconnected();
        Client { client_id: client_id.into(), peer, language: Language::Java, version: 493 }
    }

    #[test]
    fn a_member_is_new_once_for_each_connection() {
        let mut members = Members::default();
        let (one, two) = (client("a"), client("b"));
        assert!(members.heard(one.clone(), 0));
        assert!(!members.heard(one.clone(), 1));
        assert!(members.heard(two, 1));
        assert!(members.heard(Client { client_id: "c".into(), ..one.clone() }, 2), "another client");
        assert_eq!(members.ids(), ["b", "c"]);
        assert!(members.leave(one.peer.id()) && !members.leave(one.peer.id()));
    }

    #[test]
    fn who_is_silent_too_long_is_forgotten() {
        let mut members = Members::default();
        members.heard(client("a"), 0);
        members.heard(client("b"), 100);
        assert!(members.expire(120, 120).is_empty());
        let gone: Vec<_> = members.expire(121, 120).into_iter().map(|client| client.client_id).collect();
        assert_eq!((gone, members.ids()), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }
}
