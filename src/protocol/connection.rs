//! Who is online in a group (codes 38, 203, 204; fact sheet: remoting 9.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel};
use super::subscription::SubscriptionData;

/// The members of a consumer group (code 38); an empty list is never sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerList {
    /// Client ids.
    pub consumer_id_list: Vec<String>,
}

/// A client that is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// `ip:port`.
    pub client_addr: String,
    /// Client id.
    pub client_id: String,
    /// Name of its language, as in the header.
    pub language: String,
    /// Version, as in the header.
    pub version: i32,
}

/// A consumer group (code 203).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnection {
    /// Members.
    pub connection_set: Vec<Connection>,
    /// Where a new group begins.
    pub consume_from_where: ConsumeFromWhere,
    /// How members get their messages.
    pub consume_type: ConsumeType,
    /// Who gets a message.
    pub message_model: MessageModel,
    /// Subscriptions by topic.
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// A producer group (code 204).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerConnection {
    /// Members.
    pub connection_set: Vec<Connection>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    #[test]
    fn bodies_are_written_as_observed() {
        let text = br#"{"connectionSet":[{"clientAddr":"ip:port","clientId":"c","language":"JAVA","version":493}],"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{}}"#;
        let connection: ConsumerConnection = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&connection).unwrap(), text);
        let list = ConsumerList { consumer_id_list: vec!["ip@inst".into()] };
        assert_eq!(json::to_vec(&list).unwrap(), br#"{"consumerIdList":["ip@inst"]}"#);
    }
}
