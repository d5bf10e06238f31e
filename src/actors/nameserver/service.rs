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
        live,
        remoting::{Peer, Request, Responder, Service},
        supervision::{Address, Branch, Message},
    },
    protocol::codes::RequestCode,
};

/// How long a connection waits for room in a mailbox before its request is answered with "busy".
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct NameService {
    pub(super) state: Arc<State>,
    pub(super) routes: Address<RoutesMessage>,
    pub(super) kv: Address<KvMessage>,
    pub(super) configuration: Address<ConfigurationMessage>,
    /// The tree that all this lives in.
    pub(super) tree: Branch,
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
        let (state, routes) = (&*self.state, &self.routes);
        match request.header.request_code() {
            Code::GET_ROUTEINFO_BY_TOPIC => answer(topics::route(state, &request), request.reply),
            Code::REGISTER_BROKER => {
                tell(routes, RoutesMessage::Register, brokers::register(&request).await, request.reply).await
            }
            Code::UNREGISTER_BROKER => {
                tell(routes, RoutesMessage::Unregister, brokers::identity(&request), request.reply).await
            }
            Code::BROKER_HEARTBEAT => brokers::heartbeat(state, request),
            Code::QUERY_DATA_VERSION => brokers::query_data_version(state, request),
            Code::GET_BROKER_MEMBER_GROUP => answer(brokers::member_group(state, &request), request.reply),
            Code::GET_BROKER_CLUSTER_INFO => answer(brokers::cluster_info(state), request.reply),
            Code::WIPE_WRITE_PERM_OF_BROKER => {
                tell(routes, RoutesMessage::WipeWritePerm, brokers::name(&request), request.reply).await
            }
            Code::ADD_WRITE_PERM_OF_BROKER => {
                tell(routes, RoutesMessage::AddWritePerm, brokers::name(&request), request.reply).await
            }
            Code::REGISTER_TOPIC_IN_NAMESRV => {
                tell(routes, RoutesMessage::RegisterTopic, topics::queues(&request), request.reply).await
            }
            Code::DELETE_TOPIC_IN_NAMESRV => {
                tell(routes, RoutesMessage::DeleteTopic, topics::deletion(&request), request.reply).await
            }
            Code::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => answer(topics::all(state), request.reply),
            Code::GET_TOPICS_BY_CLUSTER => answer(topics::of_cluster(state, &request), request.reply),
            Code::GET_SYSTEM_TOPIC_LIST_FROM_NS => answer(topics::of_system(state), request.reply),
            Code::GET_UNIT_TOPIC_LIST => answer(topics::of_units(state, UnitList::Unit), request.reply),
            Code::GET_HAS_UNIT_SUB_TOPIC_LIST => {
                answer(topics::of_units(state, UnitList::Subscribed), request.reply)
            }
            Code::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => {
                answer(topics::of_units(state, UnitList::SubscribedFromOutside), request.reply)
            }
            Code::PUT_KV_CONFIG => tell(&self.kv, KvMessage::Put, kv::entry(&request), request.reply).await,
            Code::DELETE_KV_CONFIG => {
                tell(&self.kv, KvMessage::Delete, kv::key(&request), request.reply).await
            }
            Code::GET_KV_CONFIG => kv::get(state, request),
            Code::GET_KVLIST_BY_NAMESPACE => answer(kv::list(state, &request), request.reply),
            Code::UPDATE_NAMESRV_CONFIG => {
                tell(
                    &self.configuration,
                    ConfigurationMessage::Update,
                    configuration::change(&request),
                    request.reply,
                )
                .await
            }
            Code::GET_NAMESRV_CONFIG => answer(configuration::text(state), request.reply),
            _ => live::serve(&self.tree, request),
        }
    }
}

/// Answers with what was found: a body, or a refusal.
fn answer(found: Result<Vec<u8>, Refusal>, reply: Responder) {
    match found {
        Ok(body) => reply.body(body),
        Err(refusal) => refusal.send(reply),
    }
}

/// Hands a change that was read from a request to the actor that owns what it changes.
async fn tell<M: Message, T>(
    owner: &Address<M>,
    message: impl FnOnce(T, Responder) -> M,
    change: Result<T, Refusal>,
    reply: Responder,
) {
    match change {
        // A request that finds no room is dropped, which answers it.
        Ok(change) => drop(owner.send_within(message(change, reply), PATIENCE).await),
        Err(refusal) => refusal.send(reply),
    }
}
