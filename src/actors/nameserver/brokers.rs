//! Requests of and about brokers (fact sheet: remoting 2.2, 2.3).

use std::time::Duration;

use super::{
    refusal::Refusal,
    state::State,
    table::{BrokerKey, Identity, Registration},
};
use crate::{
    actors::remoting::Request,
    protocol::{
        cluster::BrokerMemberGroupBody,
        codes::ResponseCode,
        data_version::DataVersion,
        fields::Text,
        json,
        register::{RegisterBrokerBody, TopicConfigSerializeWrapper, body_crc32},
        requests::registration::{
            BrokerHeartbeatRequest, BrokerIdentityRequest, BrokerMemberGroupRequest, BrokerNameRequest,
            QueryDataVersionResponse, RegisterBrokerRequest,
        },
    },
};

/// REGISTER_BROKER 103.
pub(super) async fn register(request: &Request) -> Result<Box<Registration>, Refusal> {
    let asked = RegisterBrokerRequest::from_fields(&request.header.fields)?;
    let (body, version, crc) = (request.body.clone(), request.header.version, asked.body_crc32);
    // A few bytes may unfold to many topics: that is no work for a thread that serves connections.
    let reading = tokio::task::spawn_blocking(move || topics_of(&body, version, crc));
    let topics = reading.await.map_err(Refusal::error)??;
    let expiry = asked.heartbeat_timeout_millis.and_then(|millis| u64::try_from(millis).ok());
    Ok(Box::new(Registration {
        broker: identity_of(asked.cluster_name, asked.broker_addr, asked.broker_name, asked.broker_id),
        ha_server_addr: asked.ha_server_addr.map(String::from).unwrap_or_default(),
        expiry: expiry.map(Duration::from_millis),
        enable_acting_master: asked.enable_acting_master,
        zone_name: asked.zone_name.map(String::from),
        topics,
        peer: Some(request.peer.clone()),
    }))
}

fn topics_of(body: &[u8], version: i32, crc: i32) -> Result<TopicConfigSerializeWrapper, Refusal> {
    if crc != 0 && u32::try_from(crc) != Ok(body_crc32(body)) {
        return Err(Refusal::error("crc32 not match"));
    }
    if body.is_empty() {
        return Ok(TopicConfigSerializeWrapper::default());
    }
    Ok(RegisterBrokerBody::decode(body, version)?.topic_config_serialize_wrapper)
}

/// UNREGISTER_BROKER 104.
pub(super) fn identity(request: &Request) -> Result<Identity, Refusal> {
    let asked = BrokerIdentityRequest::from_fields(&request.header.fields)?;
    Ok(identity_of(asked.cluster_name, asked.broker_addr, asked.broker_name, asked.broker_id))
}

/// WIPE_WRITE_PERM_OF_BROKER 205, ADD_WRITE_PERM_OF_BROKER 327.
pub(super) fn name(request: &Request) -> Result<String, Refusal> {
    Ok(BrokerNameRequest::from_fields(&request.header.fields)?.broker_name.into())
}

/// BROKER_HEARTBEAT 904: keeps a broker alive, and says yes to strangers too.
pub(super) fn heartbeat(state: &State, request: Request) {
    match BrokerHeartbeatRequest::from_fields(&request.header.fields) {
        Ok(asked) => {
            let key = key_of(asked.cluster_name, asked.broker_addr);
            if let Some(live) = state.routes.load().live(&key) {
                live.touch(state.clock.now());
            }
            request.reply.ok();
        }
        Err(error) => Refusal::from(error).send(request.reply),
    }
}

/// QUERY_DATA_VERSION 322: keeps a broker alive, and tells it whether to register again.
pub(super) fn query_data_version(state: &State, request: Request) {
    match compare(state, &request) {
        Ok((answer, known)) => {
            let answer = request.reply.answer(ResponseCode::SUCCESS).fields(answer);
            request.reply.send(answer, known.map(|body| vec![body.into()]).unwrap_or_default());
        }
        Err(refusal) => refusal.send(request.reply),
    }
}

fn compare(state: &State, request: &Request) -> Result<(QueryDataVersionResponse, Option<Vec<u8>>), Refusal> {
    let asked = BrokerIdentityRequest::from_fields(&request.header.fields)?;
    let key = key_of(asked.cluster_name, asked.broker_addr);
    let version: DataVersion = json::from_slice(&request.body)?;
    let routes = state.routes.load();
    let changed = routes.has_changed(&key, &version);
    let known = routes.live(&key).map(|live| {
        live.touch(state.clock.now());
        json::to_vec(&live.data_version)
    });
    Ok((QueryDataVersionResponse { changed }, known.transpose()?))
}

/// GET_BROKER_MEMBER_GROUP 901.
pub(super) fn member_group(state: &State, request: &Request) -> Result<Vec<u8>, Refusal> {
    let asked = BrokerMemberGroupRequest::from_fields(&request.header.fields)?;
    let broker_member_group = state.routes.load().member_group(&asked.cluster_name, &asked.broker_name);
    Ok(json::to_vec(&BrokerMemberGroupBody { broker_member_group })?)
}

/// GET_BROKER_CLUSTER_INFO 106.
pub(super) fn cluster_info(state: &State) -> Result<Vec<u8>, Refusal> {
    Ok(json::to_vec(&state.routes.load().cluster_info())?)
}

fn key_of(cluster: Text, addr: Text) -> BrokerKey {
    BrokerKey { cluster: cluster.into(), addr: addr.into() }
}

fn identity_of(cluster: Text, addr: Text, name: Text, id: i64) -> Identity {
    Identity { key: key_of(cluster, addr), name: name.into(), id }
}
