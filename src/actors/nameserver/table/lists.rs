//! What the table says of all brokers and topics (fact sheet: remoting 2.6).

use std::{collections::BTreeSet, sync::Arc};

use super::{Queues, RouteTable};
use crate::protocol::cluster::{BrokerMemberGroup, ClusterInfo, TopicList};

/// Flag of a topic: it belongs to a unit.
const UNIT: i32 = 1;
/// Flag of a topic: units subscribe to it.
const UNIT_SUB: i32 = 2;

/// Which topics of units are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum UnitList {
    /// Those of a unit.
    Unit,
    /// Those that units subscribe to.
    Subscribed,
    /// Those that units subscribe to without being of one.
    SubscribedFromOutside,
}

impl UnitList {
    fn takes(self, flags: i32) -> bool {
        let (unit, subscribed) = (flags & UNIT != 0, flags & UNIT_SUB != 0);
        match self {
            Self::Unit => unit,
            Self::Subscribed => subscribed,
            Self::SubscribedFromOutside => subscribed && !unit,
        }
    }
}

impl RouteTable {
    /// All clusters and brokers.
    pub(in super::super) fn cluster_info(&self) -> ClusterInfo {
        ClusterInfo {
            broker_addr_table: self
                .brokers
                .iter()
                .map(|(name, data)| (name.clone(), (**data).clone()))
                .collect(),
            cluster_addr_table: self.clusters.clone(),
        }
    }

    /// All topics.
    pub(in super::super) fn all_topics(&self) -> TopicList {
        self.topics_where(|_| true)
    }

    /// The topics of a cluster's brokers.
    pub(in super::super) fn topics_of_cluster(&self, cluster: &str) -> TopicList {
        let names = self.clusters.get(cluster);
        let held =
            |queues: &Queues| names.is_some_and(|names| names.iter().any(|name| queues.contains_key(name)));
        self.topics_where(held)
    }

    /// The topics of units, by the flags that the first broker gives them.
    pub(in super::super) fn unit_topics(&self, list: UnitList) -> TopicList {
        self.topics_where(|queues| {
            queues.values().next().is_some_and(|queues| list.takes(queues.topic_sys_flag))
        })
    }

    /// The topics that are named after clusters and brokers, and the address of some broker.
    pub(in super::super) fn system_topics(&self) -> TopicList {
        let names = self.clusters.iter().flat_map(|(cluster, names)| std::iter::once(cluster).chain(names));
        TopicList {
            broker_addr: self.brokers.values().find_map(|data| data.broker_addrs.values().next().cloned()),
            topic_list: names.cloned().collect(),
        }
    }

    /// The brokers of one name; none if the name is unknown.
    pub(in super::super) fn member_group(&self, cluster: &str, name: &str) -> BrokerMemberGroup {
        BrokerMemberGroup {
            broker_addrs: self.broker(name).map(|data| data.broker_addrs.clone()).unwrap_or_default(),
            broker_name: name.to_owned(),
            cluster: cluster.to_owned(),
        }
    }

    fn topics_where(&self, wanted: impl Fn(&Queues) -> bool) -> TopicList {
        let topics = self.topics.iter().filter(|(_, queues)| wanted(queues));
        let name = |(topic, _): (&Arc<str>, _)| String::from(&**topic);
        TopicList { broker_addr: None, topic_list: topics.map(name).collect::<BTreeSet<_>>() }
    }
}
