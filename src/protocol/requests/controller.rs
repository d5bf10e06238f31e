//! Brokers and their controller.

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// CONTROLLER_ALTER_SYNC_STATE_SET 1001.
    pub struct AlterSyncStateSetRequest {
        "brokerName" => broker_name: Option<Text>,
        "masterBrokerId" => master_broker_id: Option<i64>,
        "masterEpoch" => master_epoch: Option<i32>,
        /// In ms since 1970.
        "invokeTime" => invoke_time: i64 = 0,
    }

    /// Answer to CONTROLLER_ALTER_SYNC_STATE_SET.
    pub struct AlterSyncStateSetResponse {
        "newSyncStateSetEpoch" => new_sync_state_set_epoch: i32 = 0,
    }

    /// CONTROLLER_ELECT_MASTER 1002.
    pub struct ElectMasterRequest {
        "clusterName" => cluster_name: Text,
        "brokerName" => broker_name: Text,
        "brokerId" => broker_id: i64,
        /// Whether this very broker shall become master.
        "designateElect" => designate_elect: bool = false,
        /// In ms since 1970.
        "invokeTime" => invoke_time: Option<i64>,
    }

    /// Answer to CONTROLLER_ELECT_MASTER, and NOTIFY_BROKER_ROLE_CHANGED 1008 towards a broker.
    pub struct MasterElected {
        "masterBrokerId" => master_broker_id: Option<i64>,
        "masterAddress" => master_address: Option<Text>,
        "masterEpoch" => master_epoch: Option<i32>,
        "syncStateSetEpoch" => sync_state_set_epoch: Option<i32>,
    }

    /// CONTROLLER_REGISTER_BROKER 1003.
    pub struct RegisterBrokerToControllerRequest {
        "clusterName" => cluster_name: Option<Text>,
        "brokerName" => broker_name: Option<Text>,
        "brokerId" => broker_id: Option<i64>,
        "brokerAddress" => broker_address: Option<Text>,
        /// In ms since 1970.
        "invokeTime" => invoke_time: i64 = 0,
    }

    /// Answer to CONTROLLER_REGISTER_BROKER.
    pub struct RegisterBrokerToControllerResponse {
        "clusterName" => cluster_name: Option<Text>,
        "brokerName" => broker_name: Option<Text>,
        "masterBrokerId" => master_broker_id: Option<i64>,
        "masterAddress" => master_address: Option<Text>,
        "masterEpoch" => master_epoch: Option<i32>,
        "syncStateSetEpoch" => sync_state_set_epoch: Option<i32>,
    }

    /// CONTROLLER_GET_REPLICA_INFO 1004.
    pub struct ReplicaInfoRequest {
        "brokerName" => broker_name: Option<Text>,
    }

    /// Answer to CONTROLLER_GET_REPLICA_INFO.
    pub struct ReplicaInfoResponse {
        "masterBrokerId" => master_broker_id: Option<i64>,
        "masterAddress" => master_address: Option<Text>,
        "masterEpoch" => master_epoch: Option<i32>,
    }

    /// Answer to CONTROLLER_GET_METADATA_INFO 1005.
    pub struct ControllerMetadataResponse {
        "group" => group: Option<Text>,
        "controllerLeaderId" => controller_leader_id: Option<Text>,
        "controllerLeaderAddress" => controller_leader_address: Option<Text>,
        "isLeader" => is_leader: bool = false,
        "peers" => peers: Option<Text>,
    }

    /// CLEAN_BROKER_DATA 1011.
    pub struct CleanBrokerDataRequest {
        "clusterName" => cluster_name: Option<Text>,
        "brokerName" => broker_name: Text,
        /// Ids, separated by semicolons; absent for all.
        "brokerControllerIdsToClean" => ids_to_clean: Option<Text>,
        "isCleanLivingBroker" => clean_living_broker: bool = false,
        /// In ms since 1970.
        "invokeTime" => invoke_time: i64 = 0,
    }

    /// CONTROLLER_GET_NEXT_BROKER_ID 1012.
    pub struct NextBrokerIdRequest {
        "clusterName" => cluster_name: Option<Text>,
        "brokerName" => broker_name: Option<Text>,
    }

    /// Answer to CONTROLLER_GET_NEXT_BROKER_ID.
    pub struct NextBrokerIdResponse {
        "clusterName" => cluster_name: Option<Text>,
        "brokerName" => broker_name: Option<Text>,
        "nextBrokerId" => next_broker_id: Option<i64>,
    }

    /// CONTROLLER_APPLY_BROKER_ID 1013.
    pub struct ApplyBrokerIdRequest {
        "clusterName" => cluster_name: Option<Text>,
        "brokerName" => broker_name: Option<Text>,
        "appliedBrokerId" => applied_broker_id: Option<i64>,
        "registerCheckCode" => register_check_code: Option<Text>,
    }

    /// Answer to CONTROLLER_APPLY_BROKER_ID.
    pub struct ApplyBrokerIdResponse {
        "clusterName" => cluster_name: Option<Text>,
        "brokerName" => broker_name: Option<Text>,
    }
}
