//! What a group reads, and how a broker treats it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use super::data_version::DataVersion;
use super::json::named_enum;

/// Groups made at start, with default settings (fact sheet: store 7.2).
pub const SYSTEM_GROUPS: [&str; 8] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
];
/// Expression type: tags.
pub const EXPRESSION_TAG: &str = "TAG";
/// Expression type: SQL over properties.
pub const EXPRESSION_SQL92: &str = "SQL92";
/// Expression that lets everything pass.
pub const SUBSCRIBE_ALL: &str = "*";

/// A subscription of a group to a topic (fact sheet: remoting 4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Whether a filter class is meant; not served any more.
    pub class_filter_mode: bool,
    /// Hashes of the tags, as Java computes them. The Go client sends them as strings.
    #[serde(deserialize_with = "codes")]
    pub code_set: BTreeSet<i32>,
    /// [`EXPRESSION_TAG`] or [`EXPRESSION_SQL92`].
    pub expression_type: String,
    /// Expression.
    pub sub_string: String,
    /// When the client subscribed, milliseconds since 1970: the greater one is the newer.
    pub sub_version: i64,
    /// Tags.
    pub tags_set: BTreeSet<String>,
    /// Topic.
    pub topic: String,
}

/// Numbers, or their text; what is neither says nothing.
fn codes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<i32>, D::Error> {
    let codes = Vec::<serde_json::Value>::deserialize(deserializer)?;
    let number = |code: &serde_json::Value| match code {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_i64().and_then(|number| i32::try_from(number).ok()),
    };
    Ok(codes.iter().filter_map(number).collect())
}

impl Default for SubscriptionData {
    fn default() -> Self {
        Self {
            class_filter_mode: false,
            code_set: BTreeSet::new(),
            expression_type: EXPRESSION_TAG.to_owned(),
            sub_string: String::new(),
            sub_version: 0,
            tags_set: BTreeSet::new(),
            topic: String::new(),
        }
    }
}

named_enum! {
    /// How the delays between retries are chosen.
    pub enum RetryPolicyType {
        /// They grow by a factor.
        Exponential = "EXPONENTIAL",
        /// They are listed.
        #[default]
        Customized = "CUSTOMIZED",
    }
}

/// The delays between retries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupRetryPolicy {
    /// Listed delays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customized_retry_policy: Option<serde_json::Value>,
    /// Growing delays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_retry_policy: Option<serde_json::Value>,
    /// Which of them counts.
    #[serde(rename = "type")]
    pub policy_type: RetryPolicyType,
}

/// A subscription that a group's configuration names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct SimpleSubscriptionData {
    /// Expression.
    pub expression: String,
    /// Kind of the expression.
    #[serde(rename = "expressionType")]
    pub expression_type: String,
    /// Topic.
    pub topic: String,
    /// When it was made, milliseconds since 1970.
    pub version: i64,
}

/// How a broker treats a group; what a body leaves out has these defaults (fact sheet: remoting 9.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupConfig {
    /// Attributes.
    pub attributes: BTreeMap<String, String>,
    /// Broker that consumers are sent to: 0, the master.
    pub broker_id: i64,
    /// Whether members may consume as broadcast: true.
    pub consume_broadcast_enable: bool,
    /// Whether the group may consume: true.
    pub consume_enable: bool,
    /// Whether it may begin at the start: true.
    pub consume_from_min_enable: bool,
    /// Whether it consumes in order: false.
    pub consume_message_orderly: bool,
    /// How long a message may take: 15 minutes.
    pub consume_timeout_minute: i32,
    /// Group.
    pub group_name: String,
    /// Delays between retries.
    pub group_retry_policy: GroupRetryPolicy,
    /// Flags: 0.
    pub group_sys_flag: i32,
    /// Whether members are told of each other: true.
    pub notify_consumer_ids_changed_enable: bool,
    /// Most retries: 16.
    pub retry_max_times: i32,
    /// Queues of the retry topic: 1.
    pub retry_queue_nums: i32,
    /// Subscriptions that the group is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data_set: Option<BTreeSet<SimpleSubscriptionData>>,
    /// Broker for those who lag behind: 1, a slave.
    pub which_broker_when_consume_slowly: i64,
}

impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: false,
            consume_timeout_minute: 15,
            group_name: String::new(),
            group_retry_policy: GroupRetryPolicy::default(),
            group_sys_flag: 0,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            subscription_data_set: None,
            which_broker_when_consume_slowly: 1,
        }
    }
}

impl SubscriptionGroupConfig {
    /// A group with default settings.
    pub fn new(group_name: impl Into<String>) -> Self {
        Self { group_name: group_name.into(), ..Self::default() }
    }
}

/// All groups: answer to code 201 and the file `subscriptionGroup.json` (fact sheet: store 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupWrapper {
    /// Version of the table.
    pub data_version: DataVersion,
    /// What is forbidden, as bits, by group and topic.
    pub forbidden_table: BTreeMap<String, BTreeMap<String, i32>>,
    /// Groups by name.
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    #[test]
    fn what_a_body_leaves_out_has_its_default() {
        let config: SubscriptionGroupConfig = json::from_slice(br#"{"groupName":"g"}"#).unwrap();
        assert_eq!(config, SubscriptionGroupConfig::new("g"));
        let text = r#"{"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"g","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#;
        assert_eq!(json::to_vec(&config).unwrap(), text.as_bytes());
    }

    #[test]
    fn the_file_is_standard_json_and_reads_back() {
        let mut groups = SubscriptionGroupWrapper::default();
        let mut config = SubscriptionGroupConfig::new("g");
        config.group_retry_policy.exponential_retry_policy = Some(serde_json::json!({"initial": 5000}));
        groups.subscription_group_table.insert("g".into(), config);
        groups.forbidden_table.insert("g".into(), [("T".to_owned(), 2)].into());
        let file = json::to_config(&groups).unwrap();
        assert_eq!(json::from_slice::<SubscriptionGroupWrapper>(&file).unwrap(), groups);
        assert_eq!(serde_json::from_slice::<SubscriptionGroupWrapper>(&file).unwrap(), groups);
    }
}
