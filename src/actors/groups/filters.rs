//! Expressions other than tags with which groups have subscribed: compiled once, and kept over restarts
//! (fact sheet: store 7), so that an older version of one never takes the place of a newer one.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use crate::{
    actors::supervision::Millis,
    filter::{self, SharedFilter},
    protocol::{
        subscription::{EXPRESSION_TAG, SubscriptionData},
        topic::is_storable,
    },
};

/// What is known of a group that has gone is forgotten after this time (`filterDataCleanTimeSpan`), ms.
const KEPT: Millis = 24 * 3_600_000;
/// Groups of the file have gone this long before a start, ms.
const GONE_BEFORE_START: Millis = 30_000;

/// One expression, as the file has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FilterData {
    /// RocketMQ's own; kept as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    bloom_filter_data: Option<serde_json::Value>,
    born_time: Millis,
    client_version: i64,
    consumer_group: String,
    dead: bool,
    /// When the group's last member left; 0 while it is there.
    dead_time: Millis,
    expression: String,
    expression_type: String,
    topic: String,
    #[serde(skip)]
    compiled: Option<SharedFilter>,
}

impl FilterData {
    fn live(&mut self) {
        (self.dead, self.dead_time) = (false, 0);
    }

    fn die(&mut self, at: Millis) {
        (self.dead, self.dead_time) = (true, at.max(self.born_time));
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TopicFilters {
    group_filter_data: BTreeMap<String, FilterData>,
    topic: String,
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FilterFile {
    filter_data_by_topic: BTreeMap<String, TopicFilters>,
}

/// All expressions, by topic and group.
#[derive(Debug, Default)]
pub(super) struct Filters {
    topics: DashMap<String, BTreeMap<String, FilterData>>,
    changes: AtomicU64,
}

impl Filters {
    /// Those of the file; an expression that is none any more is left out.
    pub(super) fn load(file: FilterFile, now: Millis) -> Self {
        let filters = Self::default();
        for (topic, groups) in file.filter_data_by_topic {
            for (group, mut data) in groups.group_filter_data {
                data.compiled = filter::parse(Some(&data.expression_type), &data.expression).ok();
                if data.dead_time == 0 {
                    data.die(now - GONE_BEFORE_START);
                }
                if data.compiled.is_some() {
                    filters.topics.entry(topic.clone()).or_default().insert(group, data);
                }
            }
        }
        filters
    }

    /// Everything, as the file has it, apart from what is gone for too long.
    pub(super) fn to_file(&self, now: Millis) -> FilterFile {
        self.topics.retain(|_, groups| {
            groups.retain(|_, data| !data.dead || now - data.dead_time < KEPT);
            !groups.is_empty()
        });
        let of = |topic: &String, groups: &BTreeMap<String, FilterData>| TopicFilters {
            group_filter_data: groups.clone(),
            topic: topic.clone(),
        };
        let topics = self.topics.iter().map(|one| (one.key().clone(), of(one.key(), one.value())));
        FilterFile { filter_data_by_topic: topics.collect() }
    }

    /// Counts the changes: equal counts mean that nothing is new.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The group's filter for a topic, and the version of the subscription that it belongs to.
    pub(super) fn get(&self, group: &str, topic: &str) -> Option<(i64, SharedFilter)> {
        let topics = self.topics.get(topic)?;
        let data = topics.get(group)?;
        Some((data.client_version, data.compiled.clone()?))
    }

    /// The same as JSON; `null` when there is none.
    pub(super) fn text(&self, group: &str, topic: &str) -> String {
        let topics = self.topics.get(topic);
        let data = topics.as_ref().and_then(|groups| groups.get(group));
        serde_json::to_string_pretty(&data).unwrap_or_default()
    }

    /// A member of the group is subscribed so.
    pub(super) fn register(&self, group: &str, subscriptions: &[SubscriptionData], now: Millis) {
        for one in subscriptions {
            let is_other =
                !matches!(&*one.expression_type, "" | EXPRESSION_TAG) && !one.sub_string.is_empty();
            if is_other && is_storable(&one.topic) {
                self.register_one(group, one, now);
            }
        }
        self.end(group, now, |topic| !subscriptions.iter().any(|one| one.topic == topic));
    }

    fn register_one(&self, group: &str, subscription: &SubscriptionData, now: Millis) {
        let SubscriptionData { topic, sub_string, expression_type, sub_version, .. } = subscription;
        let mut groups = self.topics.entry(topic.clone()).or_default();
        if let Some(known) = groups.get_mut(group) {
            let is_same = known.expression == *sub_string && known.expression_type == *expression_type;
            if *sub_version < known.client_version || (*sub_version == known.client_version && !known.dead) {
                return;
            }
            if is_same || *sub_version == known.client_version {
                known.client_version = *sub_version;
                known.live();
                self.changes.fetch_add(1, Ordering::AcqRel);
                return;
            }
        }
        self.changes.fetch_add(1, Ordering::AcqRel);
        let Ok(compiled) = filter::parse(Some(expression_type), sub_string) else {
            // The client is told at its next pull.
            groups.remove(group);
            return;
        };
        let data = FilterData {
            born_time: now,
            client_version: *sub_version,
            consumer_group: group.to_owned(),
            expression: sub_string.clone(),
            expression_type: expression_type.clone(),
            topic: topic.clone(),
            compiled: Some(compiled),
            ..FilterData::default()
        };
        groups.insert(group.to_owned(), data);
    }

    /// The group is not subscribed so any more: to the topics that `has_ended` names.
    pub(super) fn end(&self, group: &str, now: Millis, has_ended: impl Fn(&str) -> bool) {
        for mut topic in self.topics.iter_mut() {
            let ended = has_ended(topic.key());
            if let Some(data) = topic.get_mut(group).filter(|data| ended && !data.dead) {
                data.die(now);
                self.changes.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    fn to(topic: &str, expression: &str, version: i64) -> SubscriptionData {
        SubscriptionData {
            topic: topic.into(),
            sub_string: expression.into(),
            expression_type: "SQL92".into(),
            sub_version: version,
            ..SubscriptionData::default()
        }
    }

    fn known(filters: &Filters) -> Option<(i64, bool)> {
        filters.get("g", "T").map(|(version, filter)| (version, filter.accepts_properties(b"a\x015\x02")))
    }

    #[test]
    fn an_older_version_never_takes_the_place_of_a_newer_one() {
        let filters = Filters::default();
        filters.register("g", &[to("T", "a > 3", 5)], 1);
        filters.register("g", &[to("T", "a > 7", 4)], 2);
        filters.register("g", &[to("T", "a > 7", 5)], 2);
        assert_eq!(known(&filters), Some((5, true)));
        filters.register("g", &[to("T", "a > 7", 6)], 3);
        assert_eq!(known(&filters), Some((6, false)));
        filters.register("g", &[to("T", "a >", 7)], 4);
        assert_eq!(known(&filters), None, "the client hears of it");
        filters.register("g", &[SubscriptionData { topic: "T".into(), ..SubscriptionData::default() }], 5);
        assert_eq!(known(&filters), None, "tags need no data");
    }

    #[test]
    fn a_file_reads_back_and_what_is_gone_for_a_day_is_forgotten() {
        let filters = Filters::default();
        filters.register("g", &[to("T", "a > 3", 5)], 1);
        let text = json::to_config(&filters.to_file(1)).unwrap();
        let again = |now| Filters::load(json::from_slice(&text).unwrap(), now);
        let filters = again(40_000);
        assert_eq!(known(&filters), Some((5, true)));
        filters.register("g", &[to("T", "a > 9", 4)], 50_000);
        assert_eq!(known(&filters), Some((5, true)), "from before the start, and still the newest");
        assert!(filters.to_file(40_000 + KEPT).filter_data_by_topic.is_empty(), "nobody came");
        let filters = again(40_000);
        filters.register("g", &[to("T", "a > 3", 5)], 50_000);
        assert_eq!(filters.to_file(60_000 + KEPT).filter_data_by_topic.len(), 1, "it lives again");
        filters.end("g", 60_000, |_| true);
        assert!(filters.text("g", "T").contains("\"dead\": true"));
    }
}
