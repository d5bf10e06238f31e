//! Requests about topics (fact sheet: remoting 2.3, 2.5, 2.6).

use super::{
    refusal::Refusal,
    state::State,
    table::{UnitList, within_zone},
};
use crate::{
    actors::remoting::Request,
    config::NamesrvConfig,
    protocol::{
        cluster::TopicList,
        codes::ResponseCode,
        json::{self, Style},
        kv::ORDER_TOPIC_CONFIG,
        requests::{
            route::{RouteInfoRequest, TopicsByClusterRequest},
            topic::{DeleteTopicFromNamesrvRequest, TopicRequest},
        },
        route::{QueueData, TopicRouteData},
    },
};

/// What the answer for an unknown topic ends with; tools know it from RocketMQ.
const HELP: &str = "See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

/// GET_ROUTEINFO_BY_TOPIC 105.
pub(super) fn route(state: &State, request: &Request) -> Result<Vec<u8>, Refusal> {
    let config = state.config.load();
    if config.need_wait_for_service && state.clock.now() < state.ready_at {
        return Err(Refusal::error("name server not ready"));
    }
    let asked = RouteInfoRequest::from_fields(&request.header.fields)?;
    let topic = asked.topic.as_deref().unwrap_or("null");
    let Some(mut route) = state.routes.load().route(topic, config.support_acting_master) else {
        let remark = format!("No topic route info in name server for the topic: {topic}\n{HELP}");
        return Err(Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark));
    };
    if config.order_message_enable {
        let kv = state.kv.load();
        let orders = kv.config_table.get(ORDER_TOPIC_CONFIG);
        route.order_topic_conf = orders.and_then(|table| table.get(topic)).cloned();
    }
    if let Some(zone) = asked.zone_name.as_deref().filter(|zone| asked.zone_mode && !zone.trim().is_empty()) {
        within_zone(&mut route, zone);
    }
    Ok(route.encode(Style::of_route(request.header.version, asked.accept_standard_json_only))?)
}

/// REGISTER_TOPIC_IN_NAMESRV 217.
pub(super) fn queues(request: &Request) -> Result<(String, Vec<QueueData>), Refusal> {
    let topic = TopicRequest::from_fields(&request.header.fields)?.topic.into();
    let route: TopicRouteData = json::from_slice(&request.body)?;
    Ok((topic, route.queue_datas))
}

/// DELETE_TOPIC_IN_NAMESRV 216: the topic, and the cluster if it goes from that one only.
pub(super) fn deletion(request: &Request) -> Result<(String, Option<String>), Refusal> {
    let asked = DeleteTopicFromNamesrvRequest::from_fields(&request.header.fields)?;
    let cluster = asked.cluster_name.filter(|cluster| !cluster.is_empty());
    Ok((asked.topic.into(), cluster.map(String::from)))
}

/// GET_ALL_TOPIC_LIST_FROM_NAMESERVER 206.
pub(super) fn all(state: &State) -> Result<Vec<u8>, Refusal> {
    list(state, |config| config.enable_all_topic_list, || state.routes.load().all_topics())
}

/// GET_TOPICS_BY_CLUSTER 224.
pub(super) fn of_cluster(state: &State, request: &Request) -> Result<Vec<u8>, Refusal> {
    let cluster = TopicsByClusterRequest::from_fields(&request.header.fields)?.cluster;
    list(state, |config| config.enable_topic_list, || state.routes.load().topics_of_cluster(&cluster))
}

/// GET_SYSTEM_TOPIC_LIST_FROM_NS 304.
pub(super) fn of_system(state: &State) -> Result<Vec<u8>, Refusal> {
    list(state, |_| true, || state.routes.load().system_topics())
}

/// The lists of topics of units, 311 to 313.
pub(super) fn of_units(state: &State, which: UnitList) -> Result<Vec<u8>, Refusal> {
    list(state, |config| config.enable_topic_list, || state.routes.load().unit_topics(which))
}

fn list(
    state: &State,
    is_enabled: fn(&NamesrvConfig) -> bool,
    topics: impl FnOnce() -> TopicList,
) -> Result<Vec<u8>, Refusal> {
    if !is_enabled(&state.config.load()) {
        return Err(Refusal::error("disable"));
    }
    Ok(json::to_vec(&topics())?)
}
