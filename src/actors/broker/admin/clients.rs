//! Clients: heartbeats, and who is there (fact sheet: remoting 4.1, 9.3).

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Answered, error, refuse, respond};
use crate::{
    actors::{broker::Broker, groups::Client, remoting::Request, store::Refusal},
    filter,
    protocol::{
        codes::ResponseCode,
        connection::{ConsumerList, ProducerConnection},
        heartbeat::HeartbeatData,
        json,
        requests::client::{ConsumerGroupRequest, ProducerGroupRequest, UnregisterClientRequest},
        subscription::{EXPRESSION_TAG, SubscriptionData},
    },
};

/// HEART_BEAT 34.
pub(super) fn heartbeat(broker: &Arc<Broker>, request: Request) {
    let data: HeartbeatData = match json::from_slice(&request.body) {
        Ok(data) => data,
        Err(cause) => {
            tracing::warn!(peer = %request.peer.remote(), %cause, "a heartbeat that cannot be read");
            return respond(request.reply, Err(error(cause)));
        }
    };
    let client = Client {
        client_id: data.client_id.clone(),
        peer: request.peer,
        language: request.header.language,
        version: request.header.version,
    };
    broker.groups.heartbeat(client, data, request.reply);
}

/// UNREGISTER_CLIENT 35.
pub(super) fn unregister(broker: &Arc<Broker>, request: Request) {
    match UnregisterClientRequest::from_fields(&request.header.fields) {
        Ok(asked) => {
            let (producers, consumers) = (asked.producer_group.as_deref(), asked.consumer_group.as_deref());
            broker.groups.unregister(&request.peer, producers, consumers, request.reply);
        }
        Err(cause) => respond(request.reply, Err(error(cause))),
    }
}

/// GET_CONSUMER_LIST_BY_GROUP 38. Clients share out the queues by it: it is never empty.
pub(super) fn member_ids(broker: &Broker, request: &Request) -> Answered {
    let group = ConsumerGroupRequest::from_fields(&request.header.fields)?.consumer_group;
    let ids = broker.groups.live(&group).map(|group| group.member_ids()).unwrap_or_default();
    if ids.is_empty() {
        return refuse(ResponseCode::SYSTEM_ERROR, format!("no consumer for this group, {group}"));
    }
    Answer::json(&ConsumerList { consumer_id_list: ids })
}

/// GET_CONSUMER_CONNECTION_LIST 203.
pub(super) fn consumers(broker: &Broker, request: &Request) -> Answered {
    let group = ConsumerGroupRequest::from_fields(&request.header.fields)?.consumer_group;
    match broker.groups.live(&group).filter(|live| live.is_online()) {
        Some(live) => Answer::json(&live.to_connection()),
        None => {
            let remark = format!("the consumer group[{group}] not online");
            refuse(ResponseCode::CONSUMER_NOT_ONLINE, remark)
        }
    }
}

/// GET_PRODUCER_CONNECTION_LIST 204.
pub(super) fn producers(broker: &Broker, request: &Request) -> Answered {
    let group = ProducerGroupRequest::from_fields(&request.header.fields)?.producer_group;
    let producers = broker.groups.producers(&group);
    if producers.is_empty() {
        return refuse(ResponseCode::SYSTEM_ERROR, format!("the producer group[{group}] not exist"));
    }
    let connection_set = producers.iter().map(Client::to_connection).collect();
    Answer::json(&ProducerConnection { connection_set })
}

/// Answer to GET_ALL_PRODUCER_INFO.
#[derive(Debug, Serialize)]
struct ProducerTable {
    data: BTreeMap<String, Vec<ProducerInfo>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProducerInfo {
    client_id: String,
    language: &'static str,
    last_update_timestamp: i64,
    /// As Java prints an address: `/ip:port`.
    #[serde(rename = "remoteIP")]
    remote_ip: String,
    version: i32,
}

/// GET_ALL_PRODUCER_INFO 328.
pub(super) fn all_producers(broker: &Broker, _request: &Request) -> Answered {
    let info = |member: crate::actors::groups::Member| ProducerInfo {
        remote_ip: format!("/{}", member.client.peer.remote()),
        client_id: member.client.client_id,
        language: member.client.language.name(),
        last_update_timestamp: member.heard,
        version: member.client.version,
    };
    let groups = broker.groups.all_producers().into_iter();
    let data = groups.map(|(group, members)| (group, members.into_iter().map(info).collect())).collect();
    Answer::json(&ProducerTable { data })
}

/// Body of CHECK_CLIENT_CONFIG.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClientCheck {
    subscription_data: Option<SubscriptionData>,
}

/// CHECK_CLIENT_CONFIG 46: whether this broker can filter as a client wants it.
pub(super) fn check(broker: &Broker, request: &Request) -> Answered {
    let body: ClientCheck = json::from_slice(&request.body)?;
    let Some(wanted) = body.subscription_data else { return Ok(Answer::ok()) };
    let kind = wanted.expression_type.as_str();
    if kind.is_empty() || kind == EXPRESSION_TAG {
        return Ok(Answer::ok());
    }
    if !broker.config.get().enable_property_filter {
        let remark = format!("The broker does not support consumer to filter message by {kind}");
        return refuse(ResponseCode::SYSTEM_ERROR, remark);
    }
    filter::of(&wanted).map_err(|cause| Refusal {
        code: ResponseCode::SUBSCRIPTION_PARSE_FAILED,
        remark: cause.to_string(),
    })?;
    Ok(Answer::ok())
}
