//! What the table says of one topic (fact sheet: remoting 2.5).

use super::RouteTable;
use crate::protocol::route::{BrokerData, MASTER_ID, QueueData, TopicRouteData};

/// Topics by which brokers learn who is in their group: there a slave is shown as what it is.
const MEMBER_GROUP_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

impl RouteTable {
    /// Brokers and queues of a topic. With `acting_master`, the slave with the smallest id of a broker
    /// without master is shown in its place, if the broker asked for that.
    pub(in super::super) fn route(&self, topic: &str, acting_master: bool) -> Option<TopicRouteData> {
        let queues = self.topics.get(topic)?;
        let broker_datas: Vec<BrokerData> =
            queues.keys().filter_map(|name| self.brokers.get(name)).map(|data| (**data).clone()).collect();
        if broker_datas.is_empty() {
            return None;
        }
        let mapping = self.mappings.get(topic).map(|mappings| (**mappings).clone());
        let mut route = TopicRouteData {
            broker_datas,
            queue_datas: queues.values().cloned().collect(),
            topic_queue_mapping_by_broker: mapping,
            ..TopicRouteData::default()
        };
        if acting_master && !topic.starts_with(MEMBER_GROUP_PREFIX) {
            let TopicRouteData { broker_datas, queue_datas, .. } = &mut route;
            broker_datas.iter_mut().for_each(|data| act_as_master(data, queue_datas));
        }
        Some(route)
    }
}

fn act_as_master(data: &mut BrokerData, queues: &[QueueData]) {
    let queues = queues.iter().find(|queues| queues.broker_name == data.broker_name);
    let is_read_only = queues.is_some_and(|queues| !queues.perm.is_writable());
    let is_wanted = data.enable_acting_master && is_read_only && !data.broker_addrs.contains_key(&MASTER_ID);
    if let Some((_, addr)) = is_wanted.then(|| data.broker_addrs.pop_first()).flatten() {
        data.broker_addrs.insert(MASTER_ID, addr);
    }
}

/// Leaves of a route what lies in `zone`, and brokers without a master, which others must stand in for.
pub(in super::super) fn within_zone(route: &mut TopicRouteData, zone: &str) {
    let is_near = |data: &BrokerData| {
        let same = data.zone_name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(zone));
        same || !data.broker_addrs.contains_key(&MASTER_ID)
    };
    let far: Vec<String> =
        route.broker_datas.extract_if(.., |data| !is_near(data)).map(|data| data.broker_name).collect();
    route.queue_datas.retain(|queues| !far.contains(&queues.broker_name));
}
