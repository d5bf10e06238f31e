//! A topic's queues as producers and consumers see them (fact sheet: client 2).

use std::collections::BTreeMap;

use crate::protocol::{
    message::MessageQueue,
    route::{BrokerData, MASTER_ID, TopicRouteData},
};

/// Queues of a topic on one broker that are believed in.
const MOST_QUEUES: i32 = 1 << 16;

/// Where a topic lies.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    pub(super) data: TopicRouteData,
    /// Queues to send to: of brokers that have a master.
    pub(super) publish: Vec<MessageQueue>,
    /// Queues to read.
    pub(super) subscribe: Vec<MessageQueue>,
    /// Taken from another topic, because this one does not exist yet.
    pub(super) provisional: bool,
}

impl Route {
    pub(super) fn of(topic: &str, mut data: TopicRouteData) -> Self {
        data.queue_datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        data.broker_datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        let queues = |broker: &str, count: i32| {
            let broker = broker.to_owned();
            (0..count.min(MOST_QUEUES)).map(move |queue_id| MessageQueue {
                broker_name: broker.clone(),
                queue_id,
                topic: topic.to_owned(),
            })
        };
        let publish = match data.order_topic_conf.as_deref().filter(|conf| !conf.is_empty()) {
            Some(conf) => conf
                .split(';')
                .filter_map(|item| item.split_once(':'))
                .flat_map(|(broker, count)| queues(broker, count.trim().parse().unwrap_or(0)))
                .collect(),
            None => data
                .queue_datas
                .iter()
                .filter(|queue| {
                    queue.perm.is_writable() && has_master(&data.broker_datas, &queue.broker_name)
                })
                .flat_map(|queue| queues(&queue.broker_name, queue.write_queue_nums))
                .collect(),
        };
        let subscribe = data
            .queue_datas
            .iter()
            .filter(|queue| queue.perm.is_readable())
            .flat_map(|queue| queues(&queue.broker_name, queue.read_queue_nums))
            .collect();
        Self { publish, subscribe, data, provisional: false }
    }

    /// The route that a topic would get if the brokers made it after `default`'s, with at most `queues` queues.
    pub(super) fn provisional(topic: &str, mut default: TopicRouteData, queues: i32) -> Self {
        for data in &mut default.queue_datas {
            let count = queues.min(data.read_queue_nums);
            (data.read_queue_nums, data.write_queue_nums) = (count, count);
        }
        Self { provisional: true, ..Self::of(topic, default) }
    }

    /// The broker that a consumer asks who else is in its group.
    pub(super) fn any_broker(&self) -> Option<&str> {
        let brokers = &self.data.broker_datas;
        brokers.get(fastrand::usize(..brokers.len().max(1)))?.select_addr()
    }
}

fn has_master(brokers: &[BrokerData], name: &str) -> bool {
    brokers.iter().any(|broker| broker.broker_name == name && broker.broker_addrs.contains_key(&MASTER_ID))
}

/// Addresses of a broker by id.
pub(super) type Addresses = BTreeMap<i64, String>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{route::QueueData, topic::Perm};

    fn data(brokers: &[(&str, i64, i32, i32)]) -> TopicRouteData {
        TopicRouteData {
            broker_datas: brokers
                .iter()
                .map(|(name, id, ..)| BrokerData {
                    broker_name: (*name).into(),
                    broker_addrs: [(*id, format!("{name}:1"))].into(),
                    ..BrokerData::default()
                })
                .collect(),
            queue_datas: brokers
                .iter()
                .map(|(name, _, perm, count)| QueueData {
                    broker_name: (*name).into(),
                    perm: Perm(*perm),
                    read_queue_nums: *count,
                    write_queue_nums: *count,
                    ..QueueData::default()
                })
                .collect(),
            ..TopicRouteData::default()
        }
    }

    fn names(queues: &[MessageQueue]) -> Vec<String> {
        queues.iter().map(|queue| format!("{}{}", queue.broker_name, queue.queue_id)).collect()
    }

    #[test]
    fn only_writable_queues_of_masters_are_sent_to() {
        let route = Route::of("T", data(&[("c", 1, 6, 1), ("b", 0, 4, 1), ("a", 0, 6, 2)]));
        assert_eq!(names(&route.publish), ["a0", "a1"]);
        assert_eq!(names(&route.subscribe), ["a0", "a1", "b0", "c0"]);
    }

    #[test]
    fn a_route_of_endless_queues_is_not_believed() {
        let route = Route::of("T", data(&[("a", 0, 6, i32::MAX)]));
        assert_eq!(route.publish.len(), MOST_QUEUES as usize);
        assert!(Route::of("T", data(&[("a", 0, 6, -1)])).publish.is_empty());
    }

    #[test]
    fn an_order_configuration_says_which_queues_there_are() {
        let mut ordered = data(&[("a", 0, 6, 8)]);
        ordered.order_topic_conf = Some("a:2;b:1".into());
        assert_eq!(names(&Route::of("T", ordered).publish), ["a0", "a1", "b0"]);
    }

    #[test]
    fn a_topic_to_come_has_no_more_queues_than_asked_for() {
        let route = Route::provisional("T", data(&[("a", 0, 7, 8), ("b", 0, 7, 1)]), 2);
        assert_eq!(names(&route.publish), ["a0", "a1", "b0"]);
        assert!(route.provisional && route.publish.iter().all(|queue| queue.topic == "T"));
    }
}
