//! Brokers, topics and permissions go, or change by hand (fact sheet: remoting 2.3, 2.6).

use std::sync::Arc;

use super::{Identity, MinIdChange, RouteTable};
use crate::protocol::{
    route::{BrokerData, MASTER_ID, QueueData},
    topic::Perm,
};

impl RouteTable {
    /// Takes a broker out. Says who is to be told if it had the smallest id of a group that has others.
    pub(in super::super) fn unregister(&mut self, broker: &Identity) -> Option<MinIdChange> {
        self.live.remove(&broker.key);
        let data = Arc::make_mut(self.brokers.get_mut(&broker.name)?);
        let was_min = data.broker_addrs.keys().next() == Some(&broker.id);
        data.broker_addrs.retain(|_, addr| *addr != broker.key.addr);
        let data = data.clone();
        let Some((min_id, min_addr)) = data.broker_addrs.first_key_value() else {
            self.forget(broker);
            return None;
        };
        if data.enable_acting_master && !data.broker_addrs.contains_key(&MASTER_ID) {
            self.change_perms(&broker.name, |perm| perm.without(Perm::WRITE));
        }
        (was_min && data.enable_acting_master).then(|| MinIdChange {
            tell: data.broker_addrs.values().cloned().collect(),
            broker_name: broker.name.clone(),
            min_id: *min_id,
            min_addr: min_addr.clone(),
            offline_addr: Some(broker.key.addr.clone()),
            ha_addr: None,
        })
    }

    /// The last broker of a name is gone.
    fn forget(&mut self, broker: &Identity) {
        self.brokers.remove(&broker.name);
        if let Some(names) = self.clusters.get_mut(&broker.key.cluster) {
            names.remove(&broker.name);
            if names.is_empty() {
                self.clusters.remove(&broker.key.cluster);
            }
        }
        for (topic, _) in self.topics_of(&broker.name) {
            self.set_queues(&topic, &broker.name, None);
        }
    }

    /// Clears the write permission of all topics of a broker; how many there are.
    pub(in super::super) fn wipe_write_perm(&mut self, broker: &str) -> usize {
        self.change_perms(broker, |perm| perm.without(Perm::WRITE))
    }

    /// Sets all topics of a broker to read and write, exactly; how many there are.
    pub(in super::super) fn add_write_perm(&mut self, broker: &str) -> usize {
        self.change_perms(broker, |_| Perm::READ_WRITE)
    }

    fn change_perms(&mut self, broker: &str, change: impl Fn(Perm) -> Perm) -> usize {
        let topics = self.topics_of(broker);
        for (topic, queues) in &topics {
            let perm = change(queues.perm);
            self.set_queues(topic, broker, Some(QueueData { perm, ..queues.clone() }));
        }
        topics.len()
    }

    /// Takes a topic off all brokers, or off those of one cluster.
    pub(in super::super) fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        match cluster {
            None if self.topics.contains_key(topic) => {
                Arc::make_mut(&mut self.topics).remove(topic);
            }
            None => {}
            Some(cluster) => {
                for broker in self.clusters.get(cluster).cloned().unwrap_or_default() {
                    self.set_queues(topic, &broker, None);
                }
            }
        }
    }

    /// Gives brokers queues of a topic, if all of them are known.
    pub(in super::super) fn register_topic(&mut self, topic: &str, queues: Vec<QueueData>) {
        if queues.iter().all(|queues| self.brokers.contains_key(&queues.broker_name)) {
            for queues in queues {
                let broker = queues.broker_name.clone();
                self.set_queues(topic, &broker, Some(queues));
            }
        }
    }

    /// The addresses of a broker name.
    pub(in super::super) fn broker(&self, name: &str) -> Option<&BrokerData> {
        self.brokers.get(name).map(|data| &**data)
    }
}
