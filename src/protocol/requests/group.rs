//! Subscription groups of a broker.

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// DELETE_SUBSCRIPTIONGROUP 207.
    pub struct DeleteSubscriptionGroupRequest {
        "groupName" => group_name: Text,
        /// Whether the group's offsets go too.
        "cleanOffset" => clean_offset: bool = false,
    }

    /// GET_ALL_SUBSCRIPTIONGROUP_CONFIG 201.
    pub struct AllSubscriptionGroupRequest {
        /// The first group of the page; absent for all of them.
        "groupSeq" => group_seq: Option<i32>,
        /// The data version that the pages before came from, JSON.
        "dataVersion" => data_version: Option<Text>,
        "maxGroupNum" => max_group_num: Option<i32>,
    }

    /// Answer to GET_ALL_SUBSCRIPTIONGROUP_CONFIG.
    pub struct AllSubscriptionGroupResponse {
        "totalGroupNum" => total_group_num: i32,
    }

    /// Requests that name a group and nothing else: GET_SUBSCRIPTIONGROUP_CONFIG 352,
    /// QUERY_TOPICS_BY_CONSUMER 343.
    pub struct GroupRequest {
        "group" => group: Text,
    }

    /// QUERY_SUBSCRIPTION_BY_CONSUMER 345 and QUERY_CONSUME_TIME_SPAN 303.
    pub struct GroupTopicRequest {
        "group" => group: Text,
        "topic" => topic: Option<Text>,
    }

    /// UPDATE_AND_GET_GROUP_FORBIDDEN 353.
    pub struct GroupForbiddenRequest {
        "group" => group: Text,
        "topic" => topic: Text,
        /// Absent to ask only.
        "readable" => readable: Option<bool>,
    }
}
