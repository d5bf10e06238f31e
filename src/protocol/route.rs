//! Where a topic lies: the answer of a name server (fact sheet: remoting 2.5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::{self, JsonError, Style};
use super::mapping::TopicQueueMappingInfo;
use super::topic::Perm;

/// Number of a broker among those of one name; the master.
pub const MASTER_ID: i64 = 0;

/// A topic's brokers and queues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRouteData {
    /// Brokers that hold the topic.
    pub broker_datas: Vec<BrokerData>,
    /// Filter servers by broker address; none in 5.x.
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// Queues per broker for topics with an order, `broker-a:8;broker-b:4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// Queues, by broker.
    pub queue_datas: Vec<QueueData>,
    /// Static topics: mapping by broker name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_queue_mapping_by_broker: Option<BTreeMap<String, TopicQueueMappingInfo>>,
}

impl TopicRouteData {
    /// Writes the answer; [`Style::of_route`] says which style a requester takes.
    ///
    /// # Errors
    /// None in practice: all of it has a JSON form.
    pub fn encode(&self, style: Style) -> Result<Vec<u8>, JsonError> {
        json::to_vec_styled(self, style)
    }
}

/// The addresses of a master and its slaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerData {
    /// `ip:port` by number; 0 is the master.
    pub broker_addrs: BTreeMap<i64, String>,
    /// Name that they share.
    pub broker_name: String,
    /// Cluster.
    pub cluster: String,
    /// Whether a slave may act as master.
    pub enable_acting_master: bool,
    /// Zone of the broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
}

impl BrokerData {
    /// The master's address, else that of the slave with the smallest number.
    pub fn select_addr(&self) -> Option<&str> {
        self.broker_addrs.get(&MASTER_ID).or_else(|| self.broker_addrs.values().next()).map(String::as_str)
    }
}

/// The queues of a topic on one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueData {
    /// Broker.
    pub broker_name: String,
    /// What may be done.
    pub perm: Perm,
    /// Queues that can be read.
    pub read_queue_nums: i32,
    /// 1: unit; 2: subscribed by units.
    pub topic_sys_flag: i32,
    /// Queues that can be written.
    pub write_queue_nums: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: &str = r#"{"brokerDatas":[{"brokerAddrs":{"0":"127.0.0.1:21911","1":"127.0.0.1:21921"},"brokerName":"broker-a","cluster":"TestCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;

    #[test]
    fn both_styles_are_those_of_the_name_server() {
        let route: TopicRouteData = json::from_slice(STANDARD.as_bytes()).unwrap();
        assert_eq!(route.encode(Style::Standard).unwrap(), STANDARD.as_bytes());
        let bare = STANDARD.replace(r#""0":"#, "0:").replace(r#""1":"#, "1:");
        assert_eq!(route.encode(Style::RocketMq).unwrap(), bare.as_bytes());
        assert_eq!(json::from_slice::<TopicRouteData>(bare.as_bytes()).unwrap(), route);
    }

    #[test]
    fn the_master_is_selected_before_any_slave() {
        let mut broker =
            BrokerData { broker_addrs: [(0, "m".into()), (2, "s".into())].into(), ..Default::default() };
        assert_eq!(broker.select_addr(), Some("m"));
        broker.broker_addrs.remove(&MASTER_ID);
        assert_eq!(broker.select_addr(), Some("s"));
    }
}
