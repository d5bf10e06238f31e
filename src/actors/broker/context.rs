//! What all parts of one broker share.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;

use crate::{
    actors::{
        delivery::Delivery,
        groups::Groups,
        registration::Registration,
        remoting::Origin,
        statistics::Statistics,
        store::{Queues, StoreActors, queue::QueueMessage},
        supervision::{Address, Branch, Clock, Millis},
        topics::Topics,
    },
    config::BrokerConfig,
    protocol::message_id::UniqueIds,
    store::Store,
};

/// Who a broker is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `brokerClusterName`.
    pub cluster: String,
    /// `brokerName`.
    pub name: String,
    /// `brokerId`: 0 is the master.
    pub id: i64,
    /// `brokerIP1:listenPort`: where it is registered, and what message ids say.
    pub address: SocketAddr,
}

/// A configuration that can change while it is read: readers take the one of the moment.
#[derive(Debug)]
pub struct Live<C>(RwLock<Arc<C>>);

impl<C> Live<C> {
    /// Starts with `config`.
    pub fn new(config: C) -> Self {
        Self(RwLock::new(Arc::new(config)))
    }

    /// The configuration of this moment.
    pub fn get(&self) -> Arc<C> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it.
    pub fn set(&self, config: C) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}

impl Broker {
    /// The actor of a queue; `None` for a topic that may not be stored.
    pub(super) fn queue(&self, topic: &[u8], queue_id: i32) -> Option<Address<QueueMessage>> {
        self.queues.address(std::str::from_utf8(topic).ok()?, queue_id).ok()
    }
}

/// The parts of one broker, as the front ends on the connections' threads reach them.
#[derive(Debug)]
pub struct Broker {
    /// Who it is.
    pub identity: Identity,
    /// How it is set up.
    pub config: Arc<Live<BrokerConfig>>,
    /// What its answers to sends have in common.
    pub origin: Arc<Origin>,
    /// Its files.
    pub store: Arc<Store>,
    /// Its topics.
    pub topics: Topics,
    /// Its topic queues.
    pub queues: Queues,
    /// The actors of its files: those queues, the key index, the cleaner.
    pub stored: StoreActors,
    /// Its consumer and producer groups.
    pub groups: Groups,
    /// What it does by itself: delayed messages, transactions.
    pub delivery: Delivery,
    /// Its registration with the nameservers.
    pub registration: Registration,
    /// What went through it.
    pub statistics: Statistics,
    /// Unique keys, for messages that come without.
    pub unique_ids: UniqueIds,
    /// What is added to the properties of every message: region, trace and cluster, in their text form.
    pub added_properties: Bytes,
    /// The tree that it lives in.
    pub tree: Branch,
    /// Its time.
    pub clock: Clock,
    /// When it started.
    pub started: Millis,
    /// Bytes of memory that the machine has.
    pub memory: u64,
}
