//! Which request goes where (fact sheet: remoting 2.1). What only reads is answered here, from what was last
//! published; what changes something goes to the actor that owns it.

use std::{sync::Arc, time::Duration};

use super::{
    brokers,
    configuration::{self, ConfigurationMessage},
    kv::{self, KvMessage},
    refusal::Refusal,
    routes::RoutesMessage,
    state::State,
    table::UnitList,
    topics,
};
use crate::{
    actors::{
        remoting::{Peer, Request, Responder, Service},
        supervision::{Address, Message},
    },
    protocol::codes::{RequestCode, ResponseCode},
};

/// How long a connection waits for room in a mailbox before its request is answered with "busy".
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct NameService {
    pub(super) state: Arc<State>,
    pub(super) routes: Address<RoutesMessage>,
    pub(super) kv: Address<KvMessage>,
    pub(super) configuration: Address<ConfigurationMessage>,
}

impl Service for NameService {
    async fn serve(&self, requests: Vec<Request>) {
        for request in requests {
            self.serve_one(request).await;
        }
    }

    fn closed(&self, peer: &Arc<Peer>) {
        self.routes.complete(RoutesMessage::Closed(peer.clone()));
    }
}

impl NameService {
    async fn serve_one(&self, request: Request) {
        use RequestCode as Code;
        let state = &*self.state;
        match request.header.request_code() {
            Code::GET_ROUTEINFO_BY_TOPIC => answer(request, |asked| topics::route(state, asked)),
            Code::REGISTER_BROKER => {
                tell(&self.routes, RoutesMessage::Register, request, brokers::register).await
            }
            Code::UNREGISTER_BROKER => {
                tell(&self.routes, RoutesMessage::Unregister, request, brokers::identity).await
            }
            Code::BROKER_HEARTBEAT => brokers::heartbeat(state, request),
            Code::QUERY_DATA_VERSION => brokers::query_data_version(state, request),
            Code::GET_BROKER_MEMBER_GROUP => answer(request, |asked| brokers::member_group(state, asked)),
            Code::GET_BROKER_CLUSTER_INFO => answer(request, |_| brokers::cluster_info(state)),
            Code::WIPE_WRITE_PERM_OF_BROKER => {
                tell(&self.routes, RoutesMessage::WipeWritePerm, request, brokers::name).await
            }
            Code::ADD_WRITE_PERM_OF_BROKER => {
                tell(&self.routes, RoutesMessage::AddWritePerm, request, brokers::name).await
            }
            Code::REGISTER_TOPIC_IN_NAMESRV => {
                tell(&self.routes, RoutesMessage::RegisterTopic, request, topics::queues).await
            }
            Code::DELETE_TOPIC_IN_NAMESRV => {
                tell(&self.routes, RoutesMessage::DeleteTopic, request, topics::deletion).await
            }
            Code::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => answer(request, |_| topics::all(state)),
            Code::GET_TOPICS_BY_CLUSTER => answer(request, |asked| topics::of_cluster(state, asked)),
            Code::GET_SYSTEM_TOPIC_LIST_FROM_NS => answer(request, |_| topics::of_system(state)),
            Code::GET_UNIT_TOPIC_LIST => answer(request, |_| topics::of_units(state, UnitList::Unit)),
            Code::GET_HAS_UNIT_SUB_TOPIC_LIST => {
                answer(request, |_| topics::of_units(state, UnitList::Subscribed))
            }
            Code::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => {
                answer(request, |_| topics::of_units(state, UnitList::SubscribedFromOutside))
            }
            Code::PUT_KV_CONFIG => tell(&self.kv, KvMessage::Put, request, kv::entry).await,
            Code::DELETE_KV_CONFIG => tell(&self.kv, KvMessage::Delete, request, kv::key).await,
            Code::GET_KV_CONFIG => kv::get(state, request),
            Code::GET_KVLIST_BY_NAMESPACE => answer(request, |asked| kv::list(state, asked)),
            Code::UPDATE_NAMESRV_CONFIG => {
                tell(&self.configuration, ConfigurationMessage::Update, request, configuration::change).await
            }
            Code::GET_NAMESRV_CONFIG => answer(request, |_| configuration::text(state)),
            other => {
                let remark = format!(" request type {} not supported", other.as_i32());
                request.reply.refuse(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, &remark);
            }
        }
    }
}

/// Answers with what `find` gives: a body, or a refusal.
fn answer(request: Request, find: impl FnOnce(&Request) -> Result<Vec<u8>, Refusal>) {
    match find(&request) {
        Ok(body) => request.reply.body(body),
        Err(refusal) => refusal.send(request.reply),
    }
}

/// Hands what `read` makes of a request to the actor that owns what it changes.
async fn tell<M: Message, T>(
    owner: &Address<M>,
    message: impl FnOnce(T, Responder) -> M,
    request: Request,
    read: impl FnOnce(&Request) -> Result<T, Refusal>,
) {
    match read(&request) {
        // A request that finds no room is dropped, which answers it.
        Ok(change) => drop(owner.send_within(message(change, request.reply), PATIENCE).await),
        Err(refusal) => refusal.send(request.reply),
    }
}
