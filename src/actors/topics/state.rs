//! Topics and groups, and what of them is not saved yet. It outlives the actor that saves it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    defaults::{is_system_group, system_groups, system_names, system_topics},
    table::Table,
};
use crate::{
    actors::supervision::Millis,
    config::BrokerConfig,
    protocol::{
        data_version::DataVersion,
        json,
        subscription::{SubscriptionGroupConfig, SubscriptionGroupWrapper},
        topic::{AUTO_CREATE, TopicConfig, TopicConfigTable},
    },
    store::{StoreError, StoreOptions, config_file, disk::Disk},
};

const DIR: &str = "config";
const TOPICS_FILE: &str = "topics.json";
const GROUPS_FILE: &str = "subscriptionGroup.json";

/// Bits by group and topic, as `subscriptionGroup.json` has them.
pub(super) type Forbidden = BTreeMap<String, BTreeMap<String, i32>>;

/// Told of every topic that was made or changed, once it is saved, with the version of the table.
pub(super) type OnChange = Box<dyn Fn(&[Arc<TopicConfig>], DataVersion) + Send + Sync>;

pub(super) struct State {
    pub(super) topics: Table<TopicConfig>,
    pub(super) groups: Table<SubscriptionGroupConfig>,
    pub(super) forbidden: RwLock<Forbidden>,
    pub(super) policy: Policy,
    system: BTreeSet<String>,
    /// Topics that are being deleted.
    leaving: Mutex<BTreeSet<String>>,
    unsaved: Mutex<Unsaved>,
    files: Files,
    on_change: OnChange,
}

/// What of the configuration decides here; it changes at run time.
#[derive(Debug)]
pub(super) struct Policy {
    auto_create_topics: AtomicBool,
    auto_create_groups: AtomicBool,
}

struct Files {
    disk: Arc<dyn Disk>,
    topics: PathBuf,
    groups: PathBuf,
}

/// What the files do not have yet.
#[derive(Debug, Default, Clone)]
struct Unsaved {
    topics: bool,
    groups: bool,
    /// Topics to announce once they are saved.
    announce: BTreeSet<String>,
}

impl Policy {
    fn new(config: &BrokerConfig) -> Self {
        Self {
            auto_create_topics: AtomicBool::new(config.auto_create_topic_enable),
            auto_create_groups: AtomicBool::new(config.auto_create_subscription_group),
        }
    }

    pub(super) fn set(&self, config: &BrokerConfig) {
        self.auto_create_topics.store(config.auto_create_topic_enable, Ordering::Relaxed);
        self.auto_create_groups.store(config.auto_create_subscription_group, Ordering::Relaxed);
    }

    /// Whether a first message may make a topic after this one. TBW102 is a model only while topics are to
    /// be made automatically; those named after cluster and broker always are.
    pub(super) fn allows_model(&self, model: &str) -> bool {
        model != AUTO_CREATE || self.auto_create_topics.load(Ordering::Relaxed)
    }

    pub(super) fn allows_group(&self, group: &str) -> bool {
        self.auto_create_groups.load(Ordering::Relaxed) || is_system_group(group)
    }
}

impl State {
    /// Reads the files and adds what a broker has by itself; what a file says counts.
    pub(super) fn load(
        config: &BrokerConfig,
        options: &StoreOptions,
        now: Millis,
        on_change: OnChange,
    ) -> Result<Self, StoreError> {
        let dir = options.root.join(DIR);
        let files = Files {
            disk: options.disk.clone(),
            topics: dir.join(TOPICS_FILE),
            groups: dir.join(GROUPS_FILE),
        };
        let fresh = DataVersion::new(now);
        let saved_topics =
            config_file::read_parsed(&files.topics, |text| json::from_slice(text.as_bytes()).ok())?;
        let saved_topics =
            saved_topics.unwrap_or(TopicConfigTable { data_version: fresh, ..TopicConfigTable::default() });
        let saved_groups =
            config_file::read_parsed(&files.groups, |text| json::from_slice(text.as_bytes()).ok())?;
        let saved_groups = saved_groups.unwrap_or(SubscriptionGroupWrapper {
            data_version: fresh,
            ..SubscriptionGroupWrapper::default()
        });
        let own_topics = system_topics(config).into_iter().map(|topic| (topic.topic_name.clone(), topic));
        let own_groups = system_groups().map(|group| (group.group_name.clone(), group));
        Ok(Self {
            topics: Table::new(own_topics.chain(saved_topics.topic_config_table), saved_topics.data_version),
            groups: Table::new(
                own_groups.chain(saved_groups.subscription_group_table),
                saved_groups.data_version,
            ),
            forbidden: RwLock::new(saved_groups.forbidden_table),
            policy: Policy::new(config),
            system: system_names(config),
            leaving: Mutex::default(),
            unsaved: Mutex::default(),
            files,
            on_change,
        })
    }

    pub(super) fn leaving(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn system(&self) -> &BTreeSet<String> {
        &self.system
    }

    pub(super) fn topic_changed(&self, topic: &str) {
        let mut unsaved = self.unsaved();
        unsaved.topics = true;
        unsaved.announce.insert(topic.to_owned());
    }

    pub(super) fn topic_removed(&self, topic: &str) {
        let mut unsaved = self.unsaved();
        unsaved.topics = true;
        unsaved.announce.remove(topic);
    }

    pub(super) fn groups_changed(&self) {
        self.unsaved().groups = true;
    }

    /// Marks everything unsaved: what the last save at the end writes, changed or not.
    pub(super) fn all_changed(&self) {
        let mut unsaved = self.unsaved();
        unsaved.topics = true;
        unsaved.groups = true;
    }

    /// Saves what is unsaved and then announces it. On a failure all of it stays unsaved.
    pub(super) fn save(&self) -> Result<(), StoreError> {
        // Taken before the tables are read: a change that comes between is saved once more, never missed.
        let taken = std::mem::take(&mut *self.unsaved());
        let outcome = self.write(&taken);
        if outcome.is_err() {
            let mut unsaved = self.unsaved();
            unsaved.topics |= taken.topics;
            unsaved.groups |= taken.groups;
            unsaved.announce.extend(taken.announce);
            return outcome;
        }
        let changed: Vec<_> = taken.announce.iter().filter_map(|topic| self.topics.get(topic)).collect();
        if !changed.is_empty() {
            (self.on_change)(&changed, self.topics.version());
        }
        Ok(())
    }

    fn write(&self, unsaved: &Unsaved) -> Result<(), StoreError> {
        let Files { disk, topics, groups } = &self.files;
        if unsaved.topics {
            let table = TopicConfigTable {
                data_version: self.topics.version(),
                topic_config_table: self.topics.to_map(),
            };
            config_file::write_text(disk.as_ref(), topics, &text_of(&table))?;
        }
        if unsaved.groups {
            config_file::write_text(disk.as_ref(), groups, &text_of(&self.group_table()))?;
        }
        Ok(())
    }

    pub(super) fn group_table(&self) -> SubscriptionGroupWrapper {
        SubscriptionGroupWrapper {
            data_version: self.groups.version(),
            forbidden_table: self.forbidden.read().unwrap_or_else(PoisonError::into_inner).clone(),
            subscription_group_table: self.groups.to_map(),
        }
    }

    fn unsaved(&self) -> MutexGuard<'_, Unsaved> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tables have text for keys and nothing else that JSON could not say.
fn text_of<T: serde::Serialize>(table: &T) -> String {
    json::to_config(table).ok().and_then(|text| String::from_utf8(text).ok()).unwrap_or_default()
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} topics, {} groups", self.topics.len(), self.groups.len())
    }
}
