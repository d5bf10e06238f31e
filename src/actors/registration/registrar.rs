//! The actor that keeps a broker registered at one nameserver.

use std::{sync::Arc, time::Duration};

use super::{
    Registrant, Settings,
    requests::{Heard, heard},
};
use crate::{
    actors::{
        remoting::{CallError, NothingServed, Outbound, Peer},
        supervision::{Behaviour, Cx, Readiness},
    },
    protocol::{frame::Frame, register::TopicConfigSerializeWrapper},
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take before the connection counts as dead (RocketMQ waits 24 s).
const ANSWER: Duration = Duration::from_secs(24);
/// How long a nameserver may take to say that the broker is out.
const GOODBYE: Duration = Duration::from_secs(1);
/// The wait before the next try to connect, or to register where a nameserver was busy.
const RETRY: Duration = Duration::from_secs(1);

crate::messages! {
    /// What a registrar is told, mostly by its own futures.
    pub(super) enum RegistrarMessage {
        /// The period is over.
        Period,
        /// Register in full.
        RegisterNow,
        /// These topics changed.
        TopicsChanged(Arc<TopicConfigSerializeWrapper>),
        /// Try to connect again.
        Retry,
        /// A try to connect came to its end.
        Connected(std::io::Result<Outbound>),
        /// The nameserver answered a registration, of this scope, or did not.
        Answered(Scope, Result<Frame, CallError>),
        /// The connection with this number ended.
        Ended(u64),
        /// The nameserver was told that the broker leaves, as far as that was possible.
        Left,
    }
}

/// How much a registration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All topics.
    Full,
    /// Some that changed.
    Changed,
}

enum Link {
    Down,
    Up(Arc<Peer>),
}

pub(super) struct Registrar {
    nameserver: String,
    settings: Arc<Settings>,
    registrant: Arc<dyn Registrant>,
    link: Link,
    /// Whether it was warned of since it last worked: once is enough.
    warned: bool,
    registered: bool,
}

impl Registrar {
    pub(super) fn new(nameserver: String, settings: Arc<Settings>, registrant: Arc<dyn Registrant>) -> Self {
        Self { nameserver, settings, registrant, link: Link::Down, warned: false, registered: false }
    }

    fn connect(&self, cx: &mut Cx<'_, Self>) {
        let (address, clock) = (self.nameserver.clone(), cx.clock().clone());
        cx.spawn(
            async move { RegistrarMessage::Connected(Outbound::connect(&address, &clock, CONNECT).await) },
        );
    }

    fn serve(&mut self, connection: Outbound, cx: &mut Cx<'_, Self>) {
        self.link = Link::Up(connection.peer().clone());
        let clock = cx.clock().clone();
        cx.spawn(async move {
            let id = connection.peer().id();
            connection.run(&NothingServed, &clock).await;
            RegistrarMessage::Ended(id)
        });
        self.register_all(cx);
    }

    fn register_all(&self, cx: &mut Cx<'_, Self>) {
        self.register(Scope::Full, self.registrant.data().topics, cx);
    }

    /// Without a connection there is nothing to do: everything is told when there is one.
    fn register(&self, scope: Scope, topics: TopicConfigSerializeWrapper, cx: &mut Cx<'_, Self>) {
        let Link::Up(peer) = &self.link else { return };
        match self.settings.registration(topics) {
            Ok((header, body)) => {
                let peer = peer.clone();
                cx.spawn(
                    async move { RegistrarMessage::Answered(scope, peer.call(header, body, ANSWER).await) },
                );
            }
            Err(error) => tracing::error!(%error, "cannot write the registration"),
        }
    }

    fn answered(&mut self, scope: Scope, answer: Result<Frame, CallError>, cx: &mut Cx<'_, Self>) {
        match answer.as_ref().map(heard) {
            Ok(Heard::Registered { master, orders }) => {
                if !std::mem::replace(&mut self.registered, true) {
                    tracing::info!(nameserver = self.nameserver, "registered");
                }
                self.warned = false;
                if let Some(orders) = orders {
                    self.registrant.order_topics(&orders);
                }
                if let Some(master) = master {
                    self.registrant.master_found(&master);
                }
            }
            Ok(Heard::Busy) => cx.after(RETRY, RegistrarMessage::RegisterNow),
            // It does not know us any more, and takes single topics only from whom it knows.
            Ok(Heard::Refused(_)) if scope == Scope::Changed => self.register_all(cx),
            Ok(Heard::Refused(why)) => self.failed(&why),
            Err(CallError::Closed) => {}
            Err(CallError::TimedOut) => {
                self.failed("no answer");
                if let Link::Up(peer) = &self.link {
                    peer.close();
                }
            }
        }
    }

    fn failed(&mut self, why: &str) {
        self.registered = false;
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(nameserver = self.nameserver, why, "not registered, trying on");
        }
    }
}

impl Behaviour for Registrar {
    type Message = RegistrarMessage;
    const KIND: &'static str = "registrar";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.connect(cx);
        cx.after(self.settings.period, RegistrarMessage::Period);
        Readiness::Ready
    }

    fn handle(&mut self, message: RegistrarMessage, cx: &mut Cx<'_, Self>) {
        match message {
            RegistrarMessage::Period => {
                self.register_all(cx);
                cx.after(self.settings.period, RegistrarMessage::Period);
            }
            RegistrarMessage::RegisterNow => self.register_all(cx),
            RegistrarMessage::TopicsChanged(topics) => {
                self.register(Scope::Changed, Arc::unwrap_or_clone(topics), cx);
            }
            RegistrarMessage::Retry => self.connect(cx),
            RegistrarMessage::Connected(Ok(connection)) => self.serve(connection, cx),
            RegistrarMessage::Connected(Err(error)) => {
                self.failed(&error.to_string());
                cx.after(RETRY, RegistrarMessage::Retry);
            }
            RegistrarMessage::Answered(scope, answer) => self.answered(scope, answer, cx),
            RegistrarMessage::Ended(id) => {
                if matches!(&self.link, Link::Up(peer) if peer.id() == id) {
                    self.link = Link::Down;
                    self.failed("the connection ended");
                    cx.after(RETRY, RegistrarMessage::Retry);
                }
            }
            RegistrarMessage::Left => cx.stop(),
        }
    }

    fn stop(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        let Link::Up(peer) = &self.link else { return Readiness::Ready };
        let (peer, request) = (peer.clone(), self.settings.unregistration());
        cx.spawn(async move {
            // It would notice the end of the connection too.
            let _ = peer.call(request, bytes::Bytes::new(), GOODBYE).await;
            RegistrarMessage::Left
        });
        Readiness::Later
    }

    fn observe(&self) -> String {
        if self.registered { "registered" } else { "not registered" }.to_owned()
    }
}
