//! Clients of a broker: heartbeats and membership (fact sheet: remoting 4.1, 4.2).

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// Answer to HEART_BEAT 34; the request has a body only.
    pub struct HeartbeatResponse {
        /// Whether a heartbeat may leave its subscriptions out.
        "IS_SUPPORT_HEART_BEAT_V2" => supports_v2: bool,
        /// Whether the subscriptions differ from those known.
        "IS_SUB_CHANGE" => subscription_changed: bool,
    }

    /// UNREGISTER_CLIENT 35; one group per request.
    pub struct UnregisterClientRequest {
        "clientID" => client_id: Text,
        "producerGroup" => producer_group: Option<Text>,
        "consumerGroup" => consumer_group: Option<Text>,
    }

    /// GET_CONSUMER_LIST_BY_GROUP 38, GET_CONSUMER_CONNECTION_LIST 203, and NOTIFY_CONSUMER_IDS_CHANGED 40
    /// from the broker to a consumer.
    pub struct ConsumerGroupRequest {
        "consumerGroup" => consumer_group: Text,
    }

    /// GET_PRODUCER_CONNECTION_LIST 204.
    pub struct ProducerGroupRequest {
        "producerGroup" => producer_group: Text,
    }

    /// GET_CONSUMER_RUNNING_INFO 307, relayed to the client.
    pub struct ConsumerRunningInfoRequest {
        "consumerGroup" => consumer_group: Text,
        "clientId" => client_id: Text,
        /// Whether to add the client's thread dump.
        "jstackEnable" => jstack_enable: bool = false,
    }

    /// CONSUME_MESSAGE_DIRECTLY 309, relayed to the client.
    pub struct ConsumeDirectlyRequest {
        "consumerGroup" => consumer_group: Text,
        "clientId" => client_id: Option<Text>,
        "msgId" => msg_id: Option<Text>,
        /// Added by the broker.
        "brokerName" => broker_name: Option<Text>,
        "topic" => topic: Option<Text>,
        /// Added by the broker.
        "topicSysFlag" => topic_sys_flag: Option<i32>,
        /// Added by the broker.
        "groupSysFlag" => group_sys_flag: Option<i32>,
    }

    /// INVOKE_BROKER_TO_GET_CONSUMER_STATUS 223, and GET_CONSUMER_STATUS_FROM_CLIENT 221 towards the client.
    pub struct ConsumerStatusRequest {
        "topic" => topic: Text,
        "group" => group: Text,
        "clientAddr" => client_addr: Option<Text>,
    }
}
