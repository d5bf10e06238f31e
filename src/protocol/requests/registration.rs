//! Brokers at a nameserver (fact sheet: remoting 2.2, 2.3).

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// REGISTER_BROKER 103.
    pub struct RegisterBrokerRequest {
        "brokerName" => broker_name: Text,
        /// Host and port.
        "brokerAddr" => broker_addr: Text,
        "clusterName" => cluster_name: Text,
        /// Host and port for slaves.
        "haServerAddr" => ha_server_addr: Option<Text>,
        /// 0 is the master.
        "brokerId" => broker_id: i64,
        /// After how many ms without a word the broker counts as gone; absent for 120,000.
        "heartbeatTimeoutMillis" => heartbeat_timeout_millis: Option<i64>,
        "enableActingMaster" => enable_acting_master: Option<bool>,
        /// Whether the body is deflated. Brokers say false even when it is: look at its first byte.
        "compressed" => compressed: bool = false,
        /// CRC-32 of the body as sent, without its sign bit; 0 for none.
        "bodyCrc32" => body_crc32: i32 = 0,
        /// The zone that the broker stands in.
        "__ZONE_NAME" => zone_name: Option<Text>,
    }

    /// Answer to REGISTER_BROKER: where a slave finds its master.
    pub struct RegisterBrokerResponse {
        "haServerAddr" => ha_server_addr: Option<Text>,
        "masterAddr" => master_addr: Option<Text>,
    }

    /// UNREGISTER_BROKER 104 and QUERY_DATA_VERSION 322.
    pub struct BrokerIdentityRequest {
        "brokerName" => broker_name: Text,
        /// Host and port.
        "brokerAddr" => broker_addr: Text,
        "clusterName" => cluster_name: Text,
        /// 0 is the master.
        "brokerId" => broker_id: i64,
    }

    /// Answer to QUERY_DATA_VERSION.
    pub struct QueryDataVersionResponse {
        /// True also when the broker is unknown.
        "changed" => changed: bool,
    }

    /// BROKER_HEARTBEAT 904, to nameservers and controllers.
    pub struct BrokerHeartbeatRequest {
        "clusterName" => cluster_name: Text,
        /// Host and port.
        "brokerAddr" => broker_addr: Text,
        "brokerName" => broker_name: Text,
        "brokerId" => broker_id: Option<i64>,
        "epoch" => epoch: Option<i32>,
        "maxOffset" => max_offset: Option<i64>,
        "confirmOffset" => confirm_offset: Option<i64>,
        /// In ms; spelled so, unlike the one of REGISTER_BROKER.
        "heartbeatTimeoutMills" => heartbeat_timeout_millis: Option<i64>,
        "electionPriority" => election_priority: Option<i32>,
    }

    /// GET_BROKER_MEMBER_GROUP 901.
    pub struct BrokerMemberGroupRequest {
        "clusterName" => cluster_name: Text,
        "brokerName" => broker_name: Text,
    }

    /// WIPE_WRITE_PERM_OF_BROKER 205 and ADD_WRITE_PERM_OF_BROKER 327.
    pub struct BrokerNameRequest {
        "brokerName" => broker_name: Text,
    }

    /// Answer to WIPE_WRITE_PERM_OF_BROKER.
    pub struct WipeWritePermResponse {
        "wipeTopicCount" => wipe_topic_count: i32,
    }

    /// Answer to ADD_WRITE_PERM_OF_BROKER.
    pub struct AddWritePermResponse {
        "addTopicCount" => add_topic_count: i32,
    }

    /// NOTIFY_MIN_BROKER_ID_CHANGE 905, from a nameserver to the brokers of a group.
    pub struct MinBrokerIdChangeRequest {
        "minBrokerId" => min_broker_id: Option<i64>,
        "brokerName" => broker_name: Option<Text>,
        "minBrokerAddr" => min_broker_addr: Option<Text>,
        "offlineBrokerAddr" => offline_broker_addr: Option<Text>,
        "haBrokerAddr" => ha_broker_addr: Option<Text>,
    }
}
