//! A broker's own configuration, and what master and slave tell each other.

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// Answer to GET_BROKER_CONFIG 26.
    pub struct BrokerConfigResponse {
        /// The data version, JSON.
        "version" => version: Text,
    }

    /// EXCHANGE_BROKER_HA_INFO 906, and its answer.
    pub struct HaInfo {
        "masterHaAddress" => master_ha_address: Option<Text>,
        "masterFlushOffset" => master_flush_offset: Option<i64>,
        "masterAddress" => master_address: Option<Text>,
    }

    /// RESET_MASTER_FLUSH_OFFSET 908.
    pub struct ResetMasterFlushOffsetRequest {
        "masterFlushOffset" => master_flush_offset: i64,
    }

    /// ADD_BROKER 902, to a broker container.
    pub struct AddBrokerRequest {
        "configPath" => config_path: Option<Text>,
    }

    /// REMOVE_BROKER 903, to a broker container.
    pub struct RemoveBrokerRequest {
        "brokerName" => broker_name: Text,
        "brokerClusterName" => broker_cluster_name: Text,
        "brokerId" => broker_id: i64,
    }

    /// SET_COMMITLOG_READ_MODE 2004.
    pub struct CommitLogReadModeRequest {
        /// 0 normal, 1 random.
        "READ_AHEAD_MODE" => read_ahead_mode: Option<i32>,
    }

    /// SWITCH_TIMER_ENGINE 5001.
    pub struct SwitchTimerEngineRequest {
        /// "R" or "F".
        "E_T" => engine: Option<Text>,
    }

    /// EXPORT_ROCKSDB_CONFIG_TO_JSON 355.
    pub struct ExportRocksdbConfigRequest {
        "configType" => config_type: Text,
    }
}
