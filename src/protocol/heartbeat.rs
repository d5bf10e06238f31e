//! What a client tells of itself (fact sheet: remoting 4.1).

use serde::{Deserialize, Serialize};

use super::json::named_enum;
use super::subscription::SubscriptionData;

named_enum! {
    /// How a consumer gets its messages.
    pub enum ConsumeType {
        /// It pulls by itself.
        #[default]
        Actively = "CONSUME_ACTIVELY",
        /// The client pushes to a listener.
        Passively = "CONSUME_PASSIVELY",
        /// The broker hands out messages.
        Pop = "CONSUME_POP",
    }
}

named_enum! {
    /// Who of a group gets a message.
    pub enum MessageModel {
        /// Every member.
        Broadcasting = "BROADCASTING",
        /// One member.
        #[default]
        Clustering = "CLUSTERING",
    }
}

named_enum! {
    /// Where a new group begins.
    pub enum ConsumeFromWhere {
        /// At the end.
        #[default]
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// Deprecated.
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// Deprecated.
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        /// Deprecated.
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        /// At the start.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// At a time.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

/// The heartbeat of a client (code 34).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    /// Client.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Groups that it consumes for.
    pub consumer_data_set: Vec<ConsumerData>,
    /// Hash over the content for heartbeats of version 2, else 0; opaque.
    pub heartbeat_fingerprint: i32,
    /// Groups that it produces for.
    pub producer_data_set: Vec<ProducerData>,
    /// Whether the subscriptions are left out and the known ones stay.
    pub without_sub: bool,
}

/// A group that a client consumes for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// Where a new group begins.
    pub consume_from_where: ConsumeFromWhere,
    /// How it gets its messages.
    pub consume_type: ConsumeType,
    /// Group.
    pub group_name: String,
    /// Who gets a message.
    pub message_model: MessageModel,
    /// What it subscribed to.
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Whether it consumes by units.
    pub unit_mode: bool,
}

/// A group that a client produces for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// Group.
    pub group_name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    #[test]
    fn a_heartbeat_is_written_as_observed() {
        let text = br#"{"clientID":"127.0.0.1@c1","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"CG","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[2598919],"expressionType":"TAG","subString":"TagA || TagB","subVersion":1795216722620,"tagsSet":["TagA"],"topic":"T"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"PG"}],"withoutSub":false}"#;
        let heartbeat: HeartbeatData = json::from_slice(text).unwrap();
        assert_eq!(json::to_vec(&heartbeat).unwrap(), text);
    }

    #[test]
    fn other_clients_are_tolerated() {
        let text = br#"{"clientID":"@20760","producerDataSet":null,"more":[1],"consumerDataSet":[
            {"groupName":"g","consumeType":1,"messageModel":0,"consumeFromWhere":"new","subscriptionDataSet":null}]}"#;
        let heartbeat: HeartbeatData = json::from_slice(text).unwrap();
        let [group] = heartbeat.consumer_data_set.as_slice() else { panic!("one group") };
        assert_eq!(group.consume_type, ConsumeType::Passively);
        assert_eq!(group.message_model, MessageModel::Broadcasting);
        assert_eq!(group.consume_from_where, ConsumeFromWhere::LastOffset);
    }
}
