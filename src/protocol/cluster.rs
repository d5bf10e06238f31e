//! What name servers tell of clusters, brokers and topics (fact sheet: remoting 2.3, 2.6).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::route::BrokerData;

/// All brokers (code 106).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterInfo {
    /// Brokers by name.
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Broker names by cluster.
    pub cluster_addr_table: BTreeMap<String, BTreeSet<String>>,
}

/// A list of topics (codes 206, 224, 304, 311 to 313).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicList {
    /// Address of some broker; only with the topics of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// Topics.
    pub topic_list: BTreeSet<String>,
}

/// The brokers of one name (code 901).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerMemberGroup {
    /// `ip:port` by number.
    pub broker_addrs: BTreeMap<i64, String>,
    /// Name that they share.
    pub broker_name: String,
    /// Cluster.
    pub cluster: String,
}

/// Answer to code 901.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerMemberGroupBody {
    /// The group; empty when the name is unknown.
    pub broker_member_group: BrokerMemberGroup,
}

/// A list of groups (code 300).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupList {
    /// Groups.
    pub group_list: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    #[test]
    fn bodies_are_written_as_observed() {
        let text = br#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:21911"},"brokerName":"broker-a","cluster":"TestCluster","enableActingMaster":false}},"clusterAddrTable":{"TestCluster":["broker-a"]}}"#;
        let info: ClusterInfo = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&info).unwrap(), text);

        let text = br#"{"brokerMemberGroup":{"brokerAddrs":{0:"ip:port"},"brokerName":"b","cluster":"c"}}"#;
        let group: BrokerMemberGroupBody = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&group).unwrap(), text);

        let list = TopicList { topic_list: ["TBW102".to_owned()].into(), ..TopicList::default() };
        assert_eq!(json::to_vec(&list).unwrap(), br#"{"topicList":["TBW102"]}"#);
    }
}
