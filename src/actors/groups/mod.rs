//! Consumer and producer groups: who belongs to them, what they read, and how far they are.
//!
//! Each consumer group has an actor below `groups/consumers`, made by its first member, which alone changes
//! what [`Group`] shows to everybody else. Members, subscriptions, locks and offsets outlive the actors: one
//! that crashes forgets nobody.

mod actor;
mod filters;
mod group;
mod heartbeat;
mod keeper;
mod locks;
mod members;
mod offsets;
mod producers;
mod subscriptions;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use actix::ArbiterHandle;
use dashmap::DashMap;

use self::{
    actor::{GroupActor, GroupMessage, Settings},
    filters::Filters,
    group::Beat,
    heartbeat::Answer,
    keeper::{Files, Keeper},
    offsets::Offsets,
    producers::{Forgetter, Producers},
};
use crate::{
    actors::{
        remoting::{Peer, Responder},
        supervision::{Address, Branch, Clock, Restart, Spec, Strategy},
        topics::Topics,
    },
    config::BrokerConfig,
    filter::SharedFilter,
    protocol::{
        codes::ResponseCode,
        heartbeat::{HeartbeatData, MessageModel},
        lock::LockBatchRequest,
        offsets::ConsumerOffsets,
        subscription::SubscriptionData,
    },
    store::{Store, StoreError},
};

pub use group::Group;
pub use members::{Client, Member};
pub use offsets::QueueOffsets;

/// The groups of a broker. Cheap to clone.
#[derive(Clone)]
pub struct Groups {
    shared: Arc<Shared>,
    topics: Topics,
    settings: Arc<Settings>,
    consumers: Branch,
    arbiter: ArbiterHandle,
    clock: Clock,
}

/// How long the last save of offsets may take.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// What outlives every actor here.
#[derive(Debug, Default)]
struct Shared {
    groups: DashMap<String, Seat>,
    producers: Producers,
    offsets: Offsets,
    filters: Arc<Filters>,
    /// The groups of each connection, so that its end need not be told to all groups.
    belongs: DashMap<u64, Belongs>,
}

/// A consumer group and its actor.
#[derive(Debug, Clone)]
struct Seat {
    group: Arc<Group>,
    actor: Address<GroupMessage>,
}

/// The groups of one connection.
#[derive(Debug, Default)]
struct Belongs {
    consumers: BTreeSet<String>,
    producers: BTreeSet<String>,
}

/// Reads the offsets below the store's root and grows the branch `groups` below `parent`. The actors of groups
/// live on `arbiter`, which may serve connections too; the one that saves offsets lives on `file_arbiter`, since
/// it writes files.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn grow(
    parent: &Branch,
    arbiter: &ArbiterHandle,
    file_arbiter: &ArbiterHandle,
    config: &BrokerConfig,
    store: &Store,
    topics: &Topics,
) -> Result<Groups, StoreError> {
    let files = Files::of(store.options());
    let filters = Arc::new(files.load_filters(parent.clock().now())?);
    let shared = Arc::new(Shared { offsets: files.load()?, filters, ..Shared::default() });
    let settings = Arc::new(Settings::new(config));
    let groups = parent.branch(Spec::new("groups", arbiter).shutdown(SHUTDOWN), Strategy::OneForOne);
    // First in, last out: what the groups commit while they stop is saved.
    let (own, interval) = (shared.clone(), config.flush_consumer_offset_interval.duration());
    groups.child(Spec::new("offsets", file_arbiter).shutdown(SHUTDOWN), move || {
        let (shared, files) = (own.clone(), files.clone());
        Ok(Keeper { shared, files, interval, saved: None, saved_filters: 0 })
    });
    let (own, same) = (shared.clone(), settings.clone());
    groups.child(Spec::new("producers", arbiter), move || {
        Ok(Forgetter { shared: own.clone(), settings: same.clone() })
    });
    let consumers = groups.branch(Spec::new("consumers", arbiter), Strategy::Dynamic);
    let clock = parent.clock().clone();
    Ok(Groups { shared, topics: topics.clone(), settings, consumers, arbiter: arbiter.clone(), clock })
}

impl Groups {
    /// Takes over the keys that decide here, after a change at run time.
    pub fn configure(&self, config: &BrokerConfig) {
        self.settings.set(config);
    }

    // What pulls ask.

    /// The group, if it has or had members.
    pub fn live(&self, group: &str) -> Option<Arc<Group>> {
        self.shared.groups.get(group).map(|seat| seat.group.clone())
    }

    /// The group's subscription to a topic.
    pub fn subscription(&self, group: &str, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.shared.groups.get(group)?.group.subscription(topic)
    }

    /// The filter of a subscription that names no tags, and the version of the subscription that it was last
    /// registered with.
    pub fn filter(&self, group: &str, topic: &str) -> Option<(i64, SharedFilter)> {
        self.shared.filters.get(group, topic)
    }

    /// What is kept of that filter, as JSON.
    pub fn filter_text(&self, group: &str, topic: &str) -> String {
        self.shared.filters.text(group, topic)
    }

    /// Whether the group has members.
    pub fn is_online(&self, group: &str) -> bool {
        self.shared.groups.get(group).is_some_and(|seat| seat.group.is_online())
    }

    /// Whether each member of the group gets every message.
    pub fn is_broadcasting(&self, group: &str) -> bool {
        self.shared
            .groups
            .get(group)
            .is_some_and(|seat| seat.group.message_model() == MessageModel::Broadcasting)
    }

    /// Groups with members that are subscribed to the topic.
    pub fn subscribed_to(&self, topic: &str) -> BTreeSet<String> {
        let groups = self.shared.groups.iter();
        let subscribed = groups.filter(|seat| seat.group.subscription(topic).is_some());
        subscribed.map(|seat| seat.key().clone()).collect()
    }

    /// Whether any queue is locked by a member, so that the group consumes in order.
    pub fn holds_locks(&self, group: &str) -> bool {
        let now = self.clock.now();
        self.shared.groups.get(group).is_some_and(|seat| seat.group.holds_locks(now))
    }

    // Clients.

    /// A heartbeat: its groups are made if need be, with their retry topics. Answered when all of them know.
    pub fn heartbeat(&self, client: Client, data: HeartbeatData, reply: Responder) {
        let now = self.clock.now();
        let fingerprint = Some(data.heartbeat_fingerprint).filter(|fingerprint| *fingerprint != 0);
        let answer = Answer::new(reply, fingerprint.is_none());
        let mut belongs = self.shared.belongs.entry(client.peer.id()).or_default();
        belongs.producers.extend(data.producer_data_set.iter().map(|one| one.group_name.clone()));
        belongs.consumers.extend(data.consumer_data_set.iter().map(|one| one.group_name.clone()));
        drop(belongs);
        for producer in data.producer_data_set {
            self.shared.producers.heard(&producer.group_name, client.clone(), now);
        }
        for consumer in data.consumer_data_set {
            // As in RocketMQ, a group that may not be made is passed over: its pulls are told why.
            let Some(config) = self.topics.group_or_create(&consumer.group_name) else { continue };
            self.topics.create_retry(&config.group_name, config.retry_queue_nums);
            let seat = self.seat(&consumer.group_name);
            let beat = Beat {
                client: client.clone(),
                data: consumer,
                fingerprint,
                without_sub: fingerprint.is_some() && data.without_sub,
            };
            // Refused, it is dropped with its part of the answer, which then asks for another try.
            let _ = seat.actor.send(GroupMessage::Heartbeat(beat, answer.part()));
        }
    }

    /// A client leaves one of its groups, or one of each kind.
    pub fn unregister(
        &self,
        peer: &Arc<Peer>,
        producer_group: Option<&str>,
        consumer_group: Option<&str>,
        reply: Responder,
    ) {
        if let Some(group) = producer_group {
            self.shared.producers.leave(group, peer.id());
        }
        let seat = consumer_group.and_then(|group| self.known_seat(group));
        match seat {
            Some(seat) => seat.actor.complete(GroupMessage::Leave(peer.id(), Some(reply))),
            None => reply.ok(),
        }
    }

    /// A connection ended: its client leaves all its groups.
    pub fn closed(&self, peer: &Arc<Peer>) {
        let Some((_, belongs)) = self.shared.belongs.remove(&peer.id()) else { return };
        for group in belongs.producers {
            self.shared.producers.leave(&group, peer.id());
        }
        for seat in belongs.consumers.iter().filter_map(|group| self.known_seat(group)) {
            seat.actor.complete(GroupMessage::Leave(peer.id(), None));
        }
    }

    /// Locks queues for consumption in order, and answers which are the client's now.
    pub fn lock(&self, request: LockBatchRequest, reply: Responder) {
        self.ask(request, reply, GroupMessage::Lock);
    }

    /// Unlocks queues.
    pub fn unlock(&self, request: LockBatchRequest, reply: Responder) {
        self.ask(request, reply, GroupMessage::Unlock);
    }

    fn ask(
        &self,
        request: LockBatchRequest,
        reply: Responder,
        message: impl FnOnce(LockBatchRequest, Responder) -> GroupMessage,
    ) {
        if self.topics.group_or_create(&request.consumer_group).is_none() {
            let remark = format!("subscription group not exist, {}", request.consumer_group);
            return reply.refuse(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, &remark);
        }
        let seat = self.seat(&request.consumer_group);
        // Refused, the responder is dropped and asks for another try.
        let _ = seat.actor.send(message(request, reply));
    }

    /// Any producer of the group whose connection is there, to be asked how a transaction ended.
    pub fn producer(&self, group: &str) -> Option<Client> {
        self.shared.producers.any(group)
    }

    /// The producer with this client id, of whatever group.
    pub fn producer_client(&self, client_id: &str) -> Option<Client> {
        self.shared.producers.client(client_id)
    }

    /// The producers of a group.
    pub fn producers(&self, group: &str) -> Vec<Client> {
        self.shared.producers.of(group)
    }

    /// All producers by group.
    pub fn all_producers(&self) -> BTreeMap<String, Vec<Member>> {
        self.shared.producers.all()
    }

    fn known_seat(&self, group: &str) -> Option<Seat> {
        self.shared.groups.get(group).map(|seat| seat.clone())
    }

    fn seat(&self, group: &str) -> Seat {
        if let Some(seat) = self.known_seat(group) {
            return seat;
        }
        self.shared.groups.entry(group.to_owned()).or_insert_with(|| self.grow_group(group)).clone()
    }

    fn grow_group(&self, name: &str) -> Seat {
        let group = Arc::new(Group::default());
        let (own, topics, settings) = (group.clone(), self.topics.clone(), self.settings.clone());
        let filters = self.shared.filters.clone();
        let name = name.to_owned();
        let spec = Spec::new(name.clone(), &self.arbiter).restart(Restart::Transient);
        let actor = self.consumers.child(spec, move || {
            Ok(GroupActor {
                name: name.clone(),
                group: own.clone(),
                topics: topics.clone(),
                settings: settings.clone(),
                filters: filters.clone(),
                // After a crash once too often rather than once too little.
                changed: true,
            })
        });
        Seat { group, actor }
    }

    /// Forgets a group that was deleted, and its offsets if they are to go too.
    pub fn remove_group(&self, group: &str, clean_offsets: bool) {
        if let Some((_, seat)) = self.shared.groups.remove(group) {
            seat.actor.finish(GroupMessage::End);
        }
        if clean_offsets {
            self.shared.offsets.remove_group(group, self.clock.now());
        }
    }

    // Offsets.

    /// Sets how far a group is in a queue: the next offset that it will consume. False when it is ignored,
    /// because the queue was reset and no pull has seen that yet.
    pub fn commit_offset(&self, group: &str, topic: &str, queue_id: i32, offset: i64) -> bool {
        self.shared.offsets.commit(group, topic, queue_id, offset, self.clock.now())
    }

    /// How far a group is in a queue.
    pub fn offset(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.shared.offsets.get(group, topic, queue_id)
    }

    /// How far a group is in the queues of a topic.
    pub fn offsets(&self, group: &str, topic: &str) -> QueueOffsets {
        self.shared.offsets.queues(group, topic)
    }

    /// Topics in which the group has offsets.
    pub fn topics_consumed_by(&self, group: &str) -> BTreeSet<String> {
        self.shared.offsets.topics_of(group)
    }

    /// Groups that have offsets in the topic.
    pub fn consumers_of(&self, topic: &str) -> BTreeSet<String> {
        self.shared.offsets.groups_of(topic)
    }

    /// Gives the group `to` the offsets of `from` in a topic.
    pub fn copy_offsets(&self, from: &str, to: &str, topic: &str) {
        self.shared.offsets.copy(from, to, topic, self.clock.now());
    }

    /// Sends a group elsewhere in a queue: its next pull is told so by [`Groups::take_reset`], and what it
    /// commits until then is ignored.
    pub fn reset_offset(&self, group: &str, topic: &str, queue_id: i32, offset: i64) {
        self.shared.offsets.reset(group, topic, queue_id, offset, self.clock.now());
    }

    /// Where a reset sends the next pull; asked once, it is done. Costs one load while there are none.
    pub fn take_reset(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.shared.offsets.take_reset(group, topic, queue_id)
    }

    /// Forgets the offsets in a topic that was deleted.
    pub fn remove_topic(&self, topic: &str) {
        self.shared.offsets.remove_topic(topic, self.clock.now());
    }

    /// All offsets, as the file and code 43 have them.
    pub fn offset_table(&self) -> ConsumerOffsets {
        self.shared.offsets.to_file()
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} consumer groups", self.shared.groups.len())
    }
}

#[cfg(test)]
mod tests;
