//! Routes at a nameserver (fact sheet: remoting 2.5, 2.6).

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// GET_ROUTEINFO_BY_TOPIC 105.
    pub struct RouteInfoRequest {
        /// Without one the answer is 17 for the topic `null`.
        "topic" => topic: Option<Text>,
        /// Integer keys in quotes, whatever the client's version.
        "acceptStandardJsonOnly" => accept_standard_json_only: bool = false,
        /// Whether only brokers of `zone_name` are wanted.
        "__ZONE_MODE" => zone_mode: bool = false,
        "__ZONE_NAME" => zone_name: Option<Text>,
    }

    /// GET_TOPICS_BY_CLUSTER 224.
    pub struct TopicsByClusterRequest {
        "cluster" => cluster: Text,
    }
}
