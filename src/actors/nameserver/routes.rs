//! The owner of the route table: the only one who changes it.

use std::{sync::Arc, time::Duration};

use super::{
    kv,
    state::State,
    table::{Identity, MinIdChange, Registered, Registration, RouteTable, Rules},
};
use crate::{
    actors::{
        remoting::{self, Peer, Responder},
        supervision::{Behaviour, Cx, Readiness},
    },
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Text,
        json,
        kv::ORDER_TOPIC_CONFIG,
        requests::registration::{
            AddWritePermResponse, MinBrokerIdChangeRequest, RegisterBrokerResponse, WipeWritePermResponse,
        },
        route::QueueData,
    },
};

/// How long a connection to a broker may take, just to tell it something.
const CONNECT: Duration = Duration::from_secs(3);

crate::messages! {
    /// What the owner of the route table is told.
    pub(super) enum RoutesMessage {
        /// A broker registers.
        Register(Box<Registration>, Responder),
        /// A broker leaves.
        Unregister(Identity, Responder),
        /// A connection ended, and with it the brokers that registered on it.
        Closed(Arc<Peer>),
        /// A broker was not heard of for too long.
        Expired(Identity),
        /// Nobody may write to a broker.
        WipeWritePerm(String, Responder),
        /// All may read from and write to a broker.
        AddWritePerm(String, Responder),
        /// Brokers get queues of a topic.
        RegisterTopic((String, Vec<QueueData>), Responder),
        /// A topic goes, from one cluster or altogether.
        DeleteTopic((String, Option<String>), Responder),
    }
}

pub(super) struct Routes {
    pub(super) state: Arc<State>,
}

impl Behaviour for Routes {
    type Message = RoutesMessage;
    const KIND: &'static str = "routes";

    /// Does what a predecessor that crashed may not have come to.
    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        for broker in self.state.routes.load().cut_off() {
            self.unregister(&broker, cx);
        }
        Readiness::Ready
    }

    fn handle(&mut self, message: RoutesMessage, cx: &mut Cx<'_, Self>) {
        match message {
            RoutesMessage::Register(registration, reply) => self.register(*registration, reply, cx),
            RoutesMessage::Unregister(broker, reply) => {
                tracing::info!(broker = broker.name, id = broker.id, addr = broker.key.addr, "unregistered");
                self.unregister(&broker, cx);
                reply.ok();
            }
            RoutesMessage::Closed(peer) => {
                for broker in self.state.routes.load().on_peer(peer.id()) {
                    tracing::warn!(
                        broker = broker.name,
                        id = broker.id,
                        addr = broker.key.addr,
                        "connection lost"
                    );
                    self.unregister(&broker, cx);
                }
            }
            RoutesMessage::Expired(broker) => {
                let now = cx.clock().now();
                if self.state.routes.load().live(&broker.key).is_some_and(|live| live.is_expired(now)) {
                    tracing::warn!(
                        broker = broker.name,
                        id = broker.id,
                        addr = broker.key.addr,
                        "not heard of"
                    );
                    self.unregister(&broker, cx);
                }
            }
            RoutesMessage::WipeWritePerm(broker, reply) => {
                let count = self.change(|table| table.wipe_write_perm(&broker));
                reply.fields(WipeWritePermResponse { wipe_topic_count: saturated(count) });
            }
            RoutesMessage::AddWritePerm(broker, reply) => {
                let count = self.change(|table| table.add_write_perm(&broker));
                reply.fields(AddWritePermResponse { add_topic_count: saturated(count) });
            }
            RoutesMessage::RegisterTopic((topic, queues), reply) => {
                self.change(|table| table.register_topic(&topic, queues));
                reply.ok();
            }
            RoutesMessage::DeleteTopic((topic, cluster), reply) => {
                self.change(|table| table.delete_topic(&topic, cluster.as_deref()));
                reply.ok();
            }
        }
    }

    fn observe(&self) -> String {
        let (topics, brokers, live) = self.state.routes.load().sizes();
        format!("{topics} topics, {brokers} broker names, {live} brokers")
    }
}

impl Routes {
    fn change<R>(&self, change: impl FnOnce(&mut RouteTable) -> R) -> R {
        self.state.routes.change(change)
    }

    fn register(&self, registration: Registration, reply: Responder, cx: &mut Cx<'_, Self>) {
        let config = self.state.config.load();
        let rules = Rules { delete_topics: config.delete_topic_with_broker_registration };
        let broker = registration.broker.clone();
        let is_new = self.state.routes.load().live(&broker.key).is_none();
        let now = cx.clock().now();
        let registered = self.change(|table| table.register(registration, rules, now));
        let mut header = RegisterBrokerResponse { ha_server_addr: None, master_addr: None };
        match registered {
            Registered::Accepted { master, change } => {
                if is_new {
                    tracing::info!(
                        broker = broker.name,
                        id = broker.id,
                        addr = broker.key.addr,
                        "registered"
                    );
                }
                if let Some(master) = master {
                    header.master_addr = Some(master.addr.into());
                    header.ha_server_addr = Some(master.ha_server_addr.into());
                }
                self.tell(change, cx);
            }
            Registered::Outdated => {
                tracing::warn!(
                    broker = broker.name,
                    addr = broker.key.addr,
                    "outdated: another holds its id"
                );
            }
            Registered::Unknown => {
                return reply.refuse(ResponseCode::SYSTEM_ERROR, "register broker failed");
            }
        }
        // The connection may have ended while this waited; nobody would say so again.
        if reply.peer().is_closed() {
            self.unregister(&broker, cx);
        }
        let orders = config
            .return_order_topic_config_to_broker
            .then(|| kv::table(&self.state, ORDER_TOPIC_CONFIG))
            .flatten()
            .and_then(|table| json::to_vec(&table).ok());
        let answer = reply.answer(ResponseCode::SUCCESS).fields(header);
        reply.send(answer, orders.map(|body| vec![body.into()]).unwrap_or_default());
    }

    fn unregister(&self, broker: &Identity, cx: &mut Cx<'_, Self>) {
        let change = self.change(|table| table.unregister(broker));
        self.tell(change, cx);
    }

    /// Tells the members of a group that its smallest id is another one now, if that is wanted.
    fn tell(&self, change: Option<MinIdChange>, cx: &mut Cx<'_, Self>) {
        let Some(change) = change.filter(|_| self.state.config.load().notify_min_broker_id_changed) else {
            return;
        };
        let header = MinBrokerIdChangeRequest {
            min_broker_id: Some(change.min_id),
            broker_name: Some(change.broker_name.into()),
            min_broker_addr: Some(change.min_addr.into()),
            offline_broker_addr: change.offline_addr.map(Text::from),
            ha_broker_addr: change.ha_addr.map(Text::from),
        };
        for addr in change.tell {
            let request = remoting::request(RequestCode::NOTIFY_MIN_BROKER_ID_CHANGE, &header);
            cx.run(async move {
                if let Err(error) = remoting::tell_once(&addr, request, CONNECT).await {
                    tracing::warn!(addr, %error, "could not be told of the smallest broker id");
                }
            });
        }
    }
}

fn saturated(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
