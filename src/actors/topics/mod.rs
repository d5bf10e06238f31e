//! Topics and subscription groups of a broker: their configuration, and the two files that hold it.
//!
//! The tables are read, and changed, from any thread without a hop; the one actor here, `topics`, writes
//! `config/topics.json` and `config/subscriptionGroup.json` and calls whoever waits for that. The tables
//! outlive it.

mod attributes;
mod defaults;
mod keeper;
mod state;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use actix::ArbiterHandle;

use self::{
    attributes::{OF_GROUPS, OF_TOPICS, alter},
    defaults::after_the_model,
    keeper::{Keeper, KeeperMessage},
    state::State,
};
use crate::{
    actors::supervision::{Address, Branch, Clock, Spec},
    config::BrokerConfig,
    protocol::{
        data_version::DataVersion,
        subscription::{SubscriptionGroupConfig, SubscriptionGroupWrapper},
        topic::{
            Perm, RETRY_PREFIX, TopicConfig, dlq_topic, is_storable, is_system_topic, retry_topic,
            validate_group,
        },
    },
    store::{StoreError, StoreOptions},
};

pub use attributes::{AttributeError, Attributes, parse as parse_attributes};

/// The bit of a forbidden table that keeps a group from reading a topic: that of [`Perm::READ`].
const FORBIDDEN_TO_READ: i32 = Perm::READ.0;
/// How long the last save may take.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// The topics and groups of a broker. Cheap to clone.
#[derive(Clone)]
pub struct Topics {
    state: Arc<State>,
    keeper: Address<KeeperMessage>,
    clock: Clock,
}

/// Reads the files under `options.root` and grows the actor `topics` below `parent`. It writes files: its
/// thread should serve no connections. `on_change` is called there with every topic that was made or changed,
/// once it is saved, and the version of the table.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn grow(
    parent: &Branch,
    arbiter: &ArbiterHandle,
    config: &BrokerConfig,
    options: &StoreOptions,
    on_change: impl Fn(&[Arc<TopicConfig>], DataVersion) + Send + Sync + 'static,
) -> Result<Topics, StoreError> {
    let clock = parent.clock().clone();
    let state = Arc::new(State::load(config, options, clock.now(), Box::new(on_change))?);
    let own = state.clone();
    let spec = Spec::new("topics", arbiter).shutdown(SHUTDOWN);
    let keeper = parent.child(spec, move || Ok(Keeper::new(own.clone())));
    Ok(Topics { state, keeper, clock })
}

impl Topics {
    /// Takes over the keys that decide here, after a change at run time.
    pub fn configure(&self, config: &BrokerConfig) {
        self.state.policy.set(config);
    }

    /// Calls `then` when all that was changed before is in the files, or with the reason why it is not.
    pub fn saved(&self, then: impl FnOnce(Result<(), &str>) + Send + 'static) {
        self.keeper.complete(KeeperMessage::Save(Some(Box::new(then))));
    }

    fn save(&self) {
        self.keeper.complete(KeeperMessage::Save(None));
    }

    // Topics.

    /// The topic's configuration.
    pub fn get(&self, topic: &str) -> Option<Arc<TopicConfig>> {
        self.state.topics.get(topic)
    }

    /// All topics, in no order.
    pub fn all(&self) -> Vec<Arc<TopicConfig>> {
        self.state.topics.all()
    }

    /// All topics by name.
    pub fn table(&self) -> BTreeMap<String, TopicConfig> {
        self.state.topics.to_map()
    }

    /// The version of the topics.
    pub fn version(&self) -> DataVersion {
        self.state.topics.version()
    }

    /// The topic of a first message to it (fact sheet: remoting 5.1): made after `default_topic` where that
    /// may be a model, a retry topic always, else `None`. The name must have been checked. `then` is called
    /// once the topic is saved; those who come together get the same one.
    pub fn create_for_send(
        &self,
        topic: &str,
        default_topic: &str,
        queue_nums: i32,
        then: Box<dyn FnOnce(Option<Arc<TopicConfig>>) + Send>,
    ) {
        let made = match self.get(topic) {
            Some(there) => Some(there),
            None if topic.starts_with(RETRY_PREFIX) => {
                Some(self.ensure(TopicConfig::new(topic, 1, Perm::READ_WRITE)))
            }
            None => self.modelled(topic, default_topic, queue_nums),
        };
        match made {
            Some(topic) => self.saved(move |_| then(Some(topic))),
            None => then(None),
        }
    }

    fn modelled(&self, topic: &str, default_topic: &str, queue_nums: i32) -> Option<Arc<TopicConfig>> {
        if self.is_leaving(topic) {
            return None;
        }
        let model = self.get(default_topic).filter(|_| self.state.policy.allows_model(default_topic))?;
        let made = after_the_model(&model, topic, queue_nums)?;
        tracing::info!(
            topic,
            after = default_topic,
            queues = made.write_queue_nums,
            "a first message makes a topic"
        );
        Some(self.ensure(made))
    }

    /// The group's retry topic, made if there is none.
    pub fn create_retry(&self, group: &str, queues: i32) -> Arc<TopicConfig> {
        let topic = retry_topic(group);
        self.get(&topic).unwrap_or_else(|| self.ensure(TopicConfig::new(topic, queues, Perm::READ_WRITE)))
    }

    /// The group's topic of dead letters, made if there is none.
    pub fn create_dead_letters(&self, group: &str) -> Arc<TopicConfig> {
        let topic = dlq_topic(group);
        self.get(&topic).unwrap_or_else(|| self.ensure(TopicConfig::new(topic, 1, Perm::READ_WRITE)))
    }

    /// The topic of that name; `config` if there is none.
    pub fn ensure(&self, config: TopicConfig) -> Arc<TopicConfig> {
        let name = config.topic_name.clone();
        let (topic, made) = self.state.topics.get_or_insert(&name, self.clock.now(), || config);
        if made {
            self.state.topic_changed(&name);
            self.save();
        }
        topic
    }

    /// Makes or changes a topic; its attributes are changes, `+name` and `-name`.
    ///
    /// # Errors
    /// When an attribute cannot be changed so; the topic is as before.
    pub fn update(&self, mut config: TopicConfig) -> Result<Arc<TopicConfig>, AttributeError> {
        let name = config.topic_name.clone();
        let topic = self.state.topics.update(&name, self.clock.now(), |present| {
            let present = present.map(|topic| &topic.attributes);
            config.attributes = alter(OF_TOPICS, present, &config.attributes)?;
            Ok(config)
        })?;
        self.state.topic_changed(&name);
        self.save();
        Ok(topic)
    }

    /// Sets which topics keep an order, as a nameserver tells it.
    pub fn set_order(&self, ordered: &BTreeSet<String>) {
        for topic in self.all() {
            let order = ordered.contains(&topic.topic_name);
            if topic.order != order {
                let change =
                    TopicConfig { order, attributes: Attributes::new(), ..TopicConfig::clone(&topic) };
                // No attribute changes: nothing to refuse.
                let _ = self.update(change);
            }
        }
    }

    /// Forgets a topic, which cannot be made again before [`Topics::end_removal`]: its queues are to go first.
    pub fn begin_removal(&self, topic: &str) {
        self.state.leaving().insert(topic.to_owned());
        self.remove(topic);
    }

    /// Ends what [`Topics::begin_removal`] began.
    pub fn end_removal(&self, topic: &str) {
        self.state.leaving().remove(topic);
    }

    /// Whether the topic is being deleted.
    pub fn is_leaving(&self, topic: &str) -> bool {
        self.state.leaving().contains(topic)
    }

    /// Forgets a topic.
    pub fn remove(&self, topic: &str) -> Option<Arc<TopicConfig>> {
        let removed = self.state.topics.remove(topic, self.clock.now());
        if removed.is_some() {
            self.state.topic_removed(topic);
            self.save();
        }
        removed
    }

    /// Whether the topic belongs to the system.
    pub fn is_system(&self, topic: &str) -> bool {
        is_system_topic(topic) || self.state.system().contains(topic)
    }

    /// The names of this broker's system topics.
    pub fn system(&self) -> &BTreeSet<String> {
        self.state.system()
    }

    // Groups.

    /// The group's configuration.
    pub fn group(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        self.state.groups.get(group)
    }

    /// The group's configuration, made if there is none and the broker may make it.
    pub fn group_or_create(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(there) = self.group(group) {
            return Some(there);
        }
        if !self.state.policy.allows_group(group) || validate_group(group).is_err() {
            return None;
        }
        let make = || SubscriptionGroupConfig::new(group);
        let (config, made) = self.state.groups.get_or_insert(group, self.clock.now(), make);
        if made {
            tracing::info!(group, "a first member makes a group");
            self.groups_changed();
        }
        Some(config)
    }

    /// Makes or changes a group; its attributes are changes, `+name` and `-name`.
    ///
    /// # Errors
    /// When an attribute cannot be changed so; the group is as before.
    pub fn update_group(
        &self,
        mut config: SubscriptionGroupConfig,
    ) -> Result<Arc<SubscriptionGroupConfig>, AttributeError> {
        let name = config.group_name.clone();
        let group = self.state.groups.update(&name, self.clock.now(), |present| {
            let present = present.map(|group| &group.attributes);
            config.attributes = alter(OF_GROUPS, present, &config.attributes)?;
            Ok(config)
        })?;
        self.groups_changed();
        Ok(group)
    }

    /// Forgets a group.
    pub fn remove_group(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        self.state.forbidden.write().unwrap_or_else(PoisonError::into_inner).remove(group);
        let removed = self.state.groups.remove(group, self.clock.now());
        if removed.is_some() {
            self.groups_changed();
        }
        removed
    }

    /// All groups, in no order.
    pub fn groups(&self) -> Vec<Arc<SubscriptionGroupConfig>> {
        self.state.groups.all()
    }

    /// All groups by name, what is forbidden to them, and the version of both.
    pub fn group_table(&self) -> SubscriptionGroupWrapper {
        self.state.group_table()
    }

    /// Whether the group must not read the topic.
    pub fn is_forbidden(&self, group: &str, topic: &str) -> bool {
        let forbidden = self.state.forbidden.read().unwrap_or_else(PoisonError::into_inner);
        let bits = forbidden.get(group).and_then(|topics| topics.get(topic));
        bits.is_some_and(|bits| bits & FORBIDDEN_TO_READ != 0)
    }

    /// Forbids a group to read a topic, or allows it. Names that no group or topic may have are passed over.
    pub fn forbid(&self, group: &str, topic: &str, forbid: bool) {
        if validate_group(group).is_err() || !is_storable(topic) {
            return;
        }
        let mut forbidden = self.state.forbidden.write().unwrap_or_else(PoisonError::into_inner);
        let topics = forbidden.entry(group.to_owned()).or_default();
        let bits = topics.entry(topic.to_owned()).or_default();
        let before = *bits;
        *bits = if forbid { before | FORBIDDEN_TO_READ } else { before & !FORBIDDEN_TO_READ };
        let changed = *bits != before;
        topics.retain(|_, bits| *bits != 0);
        forbidden.retain(|_, topics| !topics.is_empty());
        drop(forbidden);
        if changed {
            self.state.groups.changed(self.clock.now());
            self.groups_changed();
        }
    }

    fn groups_changed(&self) {
        self.state.groups_changed();
        self.save();
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

#[cfg(test)]
mod tests;
