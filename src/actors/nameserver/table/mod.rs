//! The route table: which brokers there are, and which topics they hold. Plain data and functions
//! (fact sheet: remoting 2).
//!
//! A table is never changed in place once it was published: the actor `routes` clones it, changes the clone
//! and publishes that. A clone shares everything that does not change; topics are copied only when one does.

mod lists;
mod present;
mod register;
#[cfg(test)]
mod tests;
mod unregister;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

pub(super) use lists::UnitList;
pub(super) use present::within_zone;
pub(super) use register::{Registered, Registration, Rules};

use crate::{
    actors::{remoting::Peer, supervision::Millis},
    protocol::{
        data_version::DataVersion,
        mapping::TopicQueueMappingInfo,
        route::{BrokerData, QueueData},
    },
};

/// After how long without a word a broker counts as gone, unless it says otherwise.
pub(super) const DEFAULT_EXPIRY: Duration = Duration::from_secs(120);

/// Queues of one topic, by broker name.
type Queues = BTreeMap<String, QueueData>;
/// Static topics: the mapping of one topic, by broker name.
type Mappings = BTreeMap<String, TopicQueueMappingInfo>;

/// All that a nameserver knows of brokers and topics.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteTable {
    topics: Arc<BTreeMap<Arc<str>, Arc<Queues>>>,
    mappings: Arc<BTreeMap<Arc<str>, Arc<Mappings>>>,
    brokers: BTreeMap<String, Arc<BrokerData>>,
    clusters: BTreeMap<String, BTreeSet<String>>,
    live: BTreeMap<BrokerKey, Arc<Live>>,
}

/// What tells brokers apart: the cluster that they say they belong to, and their address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BrokerKey {
    pub(super) cluster: String,
    /// `ip:port`.
    pub(super) addr: String,
}

/// A broker, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) key: BrokerKey,
    pub(super) name: String,
    pub(super) id: i64,
}

/// A registered broker that was heard of lately.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) broker: Identity,
    pub(super) data_version: DataVersion,
    pub(super) ha_server_addr: String,
    /// The connection that it registered on; its end is the broker's.
    pub(super) peer: Option<Arc<Peer>>,
    expiry: Duration,
    /// Readers of a published table may set it: heartbeats change nothing else.
    heard: AtomicI64,
}

impl Live {
    /// Notes that the broker was heard of.
    pub(super) fn touch(&self, now: Millis) {
        self.heard.store(now, Ordering::Relaxed);
    }

    /// Whether nothing was heard for too long.
    pub(super) fn is_expired(&self, now: Millis) -> bool {
        let expiry = i64::try_from(self.expiry.as_millis()).unwrap_or(i64::MAX);
        self.heard.load(Ordering::Relaxed).saturating_add(expiry) < now
    }
}

/// What the remaining members of a group are told when their smallest id changes (code 905).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MinIdChange {
    /// Addresses to tell.
    pub(super) tell: Vec<String>,
    pub(super) broker_name: String,
    pub(super) min_id: i64,
    pub(super) min_addr: String,
    /// Who left, if that was the cause.
    pub(super) offline_addr: Option<String>,
    /// Where the newcomer with the smallest id offers its log, if that was the cause.
    pub(super) ha_addr: Option<String>,
}

impl RouteTable {
    /// The broker's entry, while it is alive.
    pub(super) fn live(&self, key: &BrokerKey) -> Option<&Arc<Live>> {
        self.live.get(key)
    }

    /// All brokers that were not heard of for too long.
    pub(super) fn expired(&self, now: Millis) -> impl Iterator<Item = &Arc<Live>> {
        self.live.values().filter(move |live| live.is_expired(now))
    }

    /// All brokers that registered on this connection.
    pub(super) fn on_peer(&self, id: u64) -> Vec<Identity> {
        let bound = |live: &&Arc<Live>| live.peer.as_ref().is_some_and(|peer| peer.id() == id);
        self.live.values().filter(bound).map(|live| live.broker.clone()).collect()
    }

    /// All brokers whose connection has ended.
    pub(super) fn cut_off(&self) -> Vec<Identity> {
        let is_cut_off = |live: &&Arc<Live>| live.peer.as_ref().is_some_and(|peer| peer.is_closed());
        self.live.values().filter(is_cut_off).map(|live| live.broker.clone()).collect()
    }

    /// How many topics, broker names and live brokers there are.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.topics.len(), self.brokers.len(), self.live.len())
    }

    /// Changes the queues of a topic on one broker; a topic without queues goes.
    fn set_queues(&mut self, topic: &str, broker: &str, queues: Option<QueueData>) {
        if self.topics.get(topic).and_then(|brokers| brokers.get(broker)) == queues.as_ref() {
            return;
        }
        let topics = Arc::make_mut(&mut self.topics);
        match queues {
            Some(queues) => {
                let brokers = topics.entry(topic.into()).or_default();
                Arc::make_mut(brokers).insert(broker.to_owned(), queues);
            }
            None => {
                if let Some(brokers) = topics.get_mut(topic) {
                    Arc::make_mut(brokers).remove(broker);
                    if brokers.is_empty() {
                        topics.remove(topic);
                    }
                }
            }
        }
    }

    /// The topics that this broker has queues of.
    fn topics_of(&self, broker: &str) -> Vec<(Arc<str>, QueueData)> {
        let queues = |(topic, brokers): (&Arc<str>, &Arc<Queues>)| {
            brokers.get(broker).map(|queues| (topic.clone(), queues.clone()))
        };
        self.topics.iter().filter_map(queues).collect()
    }
}
