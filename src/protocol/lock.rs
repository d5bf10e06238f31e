//! Locking queues for consumption in order (codes 41, 42; fact sheet: remoting 6.3).

use serde::{Deserialize, Serialize};

use super::message::MessageQueue;

/// Which queues a client wants to lock or unlock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct LockBatchRequest {
    /// Client.
    pub client_id: String,
    /// Group.
    pub consumer_group: String,
    /// Queues.
    pub mq_set: Vec<MessageQueue>,
    /// Whether the other brokers of the name are not to be asked.
    pub only_this_broker: bool,
}

/// Which queues were locked; the others belong to another client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct LockBatchResponse {
    /// Queues.
    #[serde(rename = "lockOKMQSet")]
    pub lock_ok_mq_set: Vec<MessageQueue>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    #[test]
    fn bodies_are_written_as_observed() {
        let text = br#"{"clientId":"id","consumerGroup":"g","mqSet":[{"brokerName":"b","queueId":0,"topic":"t"}],"onlyThisBroker":false}"#;
        let request: LockBatchRequest = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&request).unwrap(), text);
        let response = LockBatchResponse { lock_ok_mq_set: request.mq_set };
        let expected = br#"{"lockOKMQSet":[{"brokerName":"b","queueId":0,"topic":"t"}]}"#;
        assert_eq!(json::to_vec(&response).unwrap(), expected);
    }
}
