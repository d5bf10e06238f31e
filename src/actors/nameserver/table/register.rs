//! A broker comes, or says again what it has (fact sheet: remoting 2.2).

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use super::{BrokerKey, DEFAULT_EXPIRY, Identity, Live, MinIdChange, RouteTable};
use crate::{
    actors::{remoting::Peer, supervision::Millis},
    protocol::{
        data_version::DataVersion,
        register::TopicConfigSerializeWrapper,
        route::{BrokerData, MASTER_ID, QueueData},
        topic::{Perm, TopicConfig},
    },
};

/// What a broker says when it registers.
#[derive(Debug)]
pub(in super::super) struct Registration {
    pub(in super::super) broker: Identity,
    pub(in super::super) ha_server_addr: String,
    pub(in super::super) expiry: Option<Duration>,
    /// Absent from brokers older than acting masters.
    pub(in super::super) enable_acting_master: Option<bool>,
    pub(in super::super) zone_name: Option<String>,
    pub(in super::super) topics: TopicConfigSerializeWrapper,
    pub(in super::super) peer: Option<Arc<Peer>>,
}

/// The keys of the configuration that a registration goes by.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Rules {
    /// Forget what the broker no longer names.
    pub(in super::super) delete_topics: bool,
}

/// What came of a registration.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Registered {
    /// The table holds it.
    Accepted {
        /// For a slave: its master, if that is alive.
        master: Option<Master>,
        /// The smallest id of its group is a smaller one now.
        change: Option<MinIdChange>,
    },
    /// Another broker holds its place, elected later.
    Outdated,
    /// A broker that is not known sent a single topic: it must register in full first.
    Unknown,
}

/// Where a slave finds its master.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Master {
    pub(in super::super) addr: String,
    pub(in super::super) ha_server_addr: String,
}

impl RouteTable {
    /// Puts a broker and its topics into the table.
    pub(in super::super) fn register(
        &mut self,
        mut registration: Registration,
        rules: Rules,
        now: Millis,
    ) -> Registered {
        let broker = &registration.broker;
        self.clusters.entry(broker.key.cluster.clone()).or_default().insert(broker.name.clone());
        let known = self.brokers.contains_key(&broker.name);
        let data = Arc::make_mut(self.brokers.entry(broker.name.clone()).or_insert_with(|| {
            let (cluster, broker_name) = (broker.key.cluster.clone(), broker.name.clone());
            Arc::new(BrokerData { cluster, broker_name, ..BrokerData::default() })
        }));
        data.enable_acting_master = registration.enable_acting_master.unwrap_or(false);
        data.zone_name.clone_from(&registration.zone_name);
        let min_before = data.broker_addrs.keys().next().copied();
        // A slave that became master keeps its address: one entry for each address.
        data.broker_addrs.retain(|id, addr| *addr != broker.key.addr || *id == broker.id);

        let holder = data.broker_addrs.get(&broker.id).filter(|addr| **addr != broker.key.addr).cloned();
        if holder.is_some_and(|addr| self.is_newer(&registration, addr)) {
            self.live.remove(&registration.broker.key);
            return Registered::Outdated;
        }
        let Some(data) = self.brokers.get_mut(&broker.name).map(Arc::make_mut) else {
            return Registered::Unknown;
        };
        if !data.broker_addrs.contains_key(&broker.id) && registration.topics.topic_config_table.len() == 1 {
            return Registered::Unknown;
        }
        let replaced = data.broker_addrs.insert(broker.id, broker.key.addr.clone());
        let is_first = !known || replaced.is_none();
        let is_min = data.broker_addrs.keys().next() == Some(&broker.id);
        let is_prime_slave = registration.enable_acting_master.is_some() && broker.id != MASTER_ID && is_min;
        let read_only = is_prime_slave && data.enable_acting_master;
        let addrs = data.broker_addrs.clone();

        if broker.id == MASTER_ID || is_prime_slave {
            self.put_topics(&mut registration, rules, is_first, read_only);
        }
        let Registration { broker, ha_server_addr, expiry, topics, peer, .. } = registration;
        let master = addrs.get(&MASTER_ID).filter(|_| broker.id != MASTER_ID).and_then(|addr| {
            let key = BrokerKey { cluster: broker.key.cluster.clone(), addr: addr.clone() };
            let live = self.live.get(&key)?;
            Some(Master { addr: addr.clone(), ha_server_addr: live.ha_server_addr.clone() })
        });
        let change = min_before.is_some_and(|before| broker.id < before).then(|| MinIdChange {
            tell: addrs
                .iter()
                .filter(|(id, _)| addrs.len() == 1 || **id != broker.id)
                .map(|(_, addr)| addr.clone())
                .collect(),
            broker_name: broker.name.clone(),
            min_id: broker.id,
            min_addr: broker.key.addr.clone(),
            offline_addr: None,
            ha_addr: Some(ha_server_addr.clone()),
        });
        let live = Live {
            data_version: topics.data_version,
            ha_server_addr,
            peer,
            expiry: expiry.unwrap_or(DEFAULT_EXPIRY),
            heard: AtomicI64::new(now),
            broker,
        };
        self.live.insert(live.broker.key.clone(), Arc::new(live));
        Registered::Accepted { master, change }
    }

    /// Whether the one at `addr` was made what it is by a later election.
    fn is_newer(&self, registration: &Registration, addr: String) -> bool {
        let cluster = registration.broker.key.cluster.clone();
        let holder = self.live.get(&BrokerKey { cluster, addr });
        let ours = registration.topics.data_version.state_version;
        holder.is_some_and(|live| live.data_version.state_version > ours)
    }

    fn put_topics(&mut self, registration: &mut Registration, rules: Rules, is_first: bool, read_only: bool) {
        let broker = registration.broker.clone();
        let topics = &mut registration.topics;
        let is_changed = is_first || self.has_changed(&broker.key, &topics.data_version);
        if rules.delete_topics && topics.topic_queue_mapping_info_map.is_empty() {
            for (topic, _) in self.topics_of(&broker.name) {
                if !topics.topic_config_table.contains_key(&*topic) {
                    self.set_queues(&topic, &broker.name, None);
                }
            }
        }
        for (name, topic) in &mut topics.topic_config_table {
            if read_only {
                topic.perm = topic.perm.without(Perm::WRITE);
            }
            let is_known = self.topics.get(name.as_str()).is_some_and(|held| held.contains_key(&broker.name));
            if is_changed || !is_known {
                self.set_queues(name, &broker.name, Some(queues_of(&broker.name, topic)));
            }
        }
        if is_changed && !topics.topic_queue_mapping_info_map.is_empty() {
            let mappings = Arc::make_mut(&mut self.mappings);
            for (topic, mapping) in std::mem::take(&mut topics.topic_queue_mapping_info_map) {
                let brokers = mappings.entry(topic.into()).or_default();
                Arc::make_mut(brokers).insert(mapping.bname.clone(), mapping);
            }
        }
    }

    /// Whether what a broker has now is another version than what it registered; also when it is unknown.
    pub(in super::super) fn has_changed(&self, key: &BrokerKey, version: &DataVersion) -> bool {
        self.live.get(key).is_none_or(|live| live.data_version != *version)
    }
}

fn queues_of(broker: &str, topic: &TopicConfig) -> QueueData {
    QueueData {
        broker_name: broker.to_owned(),
        perm: topic.perm,
        read_queue_nums: topic.read_queue_nums,
        write_queue_nums: topic.write_queue_nums,
        topic_sys_flag: topic.topic_sys_flag,
    }
}
