//! The actor of one consumer group: it lets members in and out, and tells them of each other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{
    filters::Filters,
    group::{Beat, Group},
    heartbeat::Part,
};
use crate::{
    actors::{
        remoting::{Responder, request},
        supervision::{Behaviour, Cx, Millis, Readiness},
        topics::Topics,
    },
    config::BrokerConfig,
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Text,
        json,
        lock::{LockBatchRequest, LockBatchResponse},
        requests::client::ConsumerGroupRequest,
    },
};

/// How often silent clients are looked for.
pub(super) const SCAN: Duration = Duration::from_secs(10);

crate::messages! {
    /// What a group is told.
    pub(super) enum GroupMessage {
        /// A member's heartbeat; the part of its answer that is this group's.
        Heartbeat(Beat, Part),
        /// The connection with this id leaves the group.
        Leave(u64, Option<Responder>),
        /// A member wants to consume queues in order.
        Lock(LockBatchRequest, Responder),
        /// A member gives such queues back.
        Unlock(LockBatchRequest, Responder),
        /// Time to look for silent members.
        Scan,
        /// The group was deleted.
        End,
    }
}

/// What of the configuration decides here; it changes at run time.
#[derive(Debug)]
pub(super) struct Settings {
    notify: AtomicBool,
    patience: AtomicI64,
}

impl Settings {
    pub(super) fn new(config: &BrokerConfig) -> Self {
        let settings = Self { notify: AtomicBool::new(true), patience: AtomicI64::new(0) };
        settings.set(config);
        settings
    }

    pub(super) fn set(&self, config: &BrokerConfig) {
        self.notify.store(config.notify_consumer_ids_changed_enable, Ordering::Relaxed);
        let patience = i64::try_from(config.channel_expired_timeout.0).unwrap_or(i64::MAX);
        self.patience.store(patience, Ordering::Relaxed);
    }

    /// How long a client may be silent, ms.
    pub(super) fn patience(&self) -> Millis {
        self.patience.load(Ordering::Relaxed)
    }
}

pub(super) struct GroupActor {
    pub(super) name: String,
    pub(super) group: Arc<Group>,
    pub(super) topics: Topics,
    pub(super) settings: Arc<Settings>,
    pub(super) filters: Arc<Filters>,
    /// The members are to be told that they share out the queues anew.
    pub(super) changed: bool,
}

impl GroupActor {
    fn scan(&mut self, now: Millis) {
        for client in self.group.expire(now, self.settings.patience()) {
            tracing::warn!(group = self.name, client = client.client_id, "no heartbeat: forgotten");
            client.peer.close();
            self.changed = true;
        }
        self.end_filters(now);
    }

    fn leave(&mut self, peer: u64, now: Millis) {
        self.changed |= self.group.leave(peer);
        self.end_filters(now);
    }

    /// The filters of a group without members are kept for some time only.
    fn end_filters(&self, now: Millis) {
        if !self.group.is_online() {
            self.filters.end(&self.name, now, |_| true);
        }
    }

    fn lock(&self, request: LockBatchRequest, reply: Responder, now: Millis) {
        let locked = self.group.locks().lock(&request.client_id, request.mq_set, now);
        match json::to_vec(&LockBatchResponse { lock_ok_mq_set: locked }) {
            Ok(body) => reply.body(body),
            Err(error) => reply.refuse(ResponseCode::SYSTEM_ERROR, &error.to_string()),
        }
    }

    /// Tells the members, unless the broker or the group wants it otherwise.
    fn notify(&self) {
        let wanted = self.settings.notify.load(Ordering::Relaxed)
            && self.topics.group(&self.name).is_none_or(|group| group.notify_consumer_ids_changed_enable);
        if !wanted {
            return;
        }
        let fields = ConsumerGroupRequest { consumer_group: Text::from(self.name.as_str()) };
        for client in self.group.clients() {
            client.peer.tell(request(RequestCode::NOTIFY_CONSUMER_IDS_CHANGED, &fields), Bytes::new());
        }
    }
}

impl Behaviour for GroupActor {
    type Message = GroupMessage;
    const KIND: &'static str = "group";
    const DRAINS: bool = true;

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(SCAN, GroupMessage::Scan);
        Readiness::Ready
    }

    fn handle(&mut self, message: GroupMessage, cx: &mut Cx<'_, Self>) {
        let now = cx.clock().now();
        match message {
            GroupMessage::Heartbeat(beat, part) => {
                let peer = beat.client.peer.clone();
                if !beat.without_sub {
                    self.filters.register(&self.name, &beat.data.subscription_data_set, now);
                }
                let heard = self.group.heard(beat, now);
                self.changed |= heard.rebalance;
                // It may have ended while its heartbeat waited here, and leaves only once.
                if peer.is_closed() {
                    self.leave(peer.id(), now);
                }
                part.done(heard.subscriptions_differ);
            }
            GroupMessage::Leave(peer, reply) => {
                self.leave(peer, now);
                if let Some(reply) = reply {
                    reply.ok();
                }
            }
            GroupMessage::Lock(request, reply) => self.lock(request, reply, now),
            GroupMessage::Unlock(request, reply) => {
                self.group.locks().unlock(&request.client_id, &request.mq_set);
                reply.ok();
            }
            GroupMessage::Scan => {
                self.scan(now);
                cx.after(SCAN, GroupMessage::Scan);
            }
            GroupMessage::End => cx.stop(),
        }
    }

    /// Once for all who came and went together.
    fn drained(&mut self, _cx: &mut Cx<'_, Self>) {
        if std::mem::take(&mut self.changed) {
            self.notify();
        }
    }

    fn observe(&self) -> String {
        self.group.observe()
    }
}
