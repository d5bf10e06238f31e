//! What a group is subscribed to, read by every pull.

use std::{collections::BTreeMap, sync::Arc};

use dashmap::DashMap;

use crate::protocol::subscription::SubscriptionData;

/// The subscriptions of one group, by topic. A group has one set of them: the last heartbeat's.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(DashMap<String, Arc<SubscriptionData>>);

impl Subscriptions {
    pub(super) fn get(&self, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.0.get(topic).map(|entry| entry.value().clone())
    }

    /// Takes over what a heartbeat says: topics come and go, and a newer version replaces an older one.
    /// Whether topics came or went.
    pub(super) fn update(&self, heartbeat: Vec<SubscriptionData>) -> bool {
        let before = self.0.len();
        self.0.retain(|topic, _| heartbeat.iter().any(|one| one.topic == *topic));
        let mut changed = self.0.len() != before;
        for one in heartbeat {
            let known = self.get(&one.topic);
            changed |= known.is_none();
            if known.is_none_or(|known| one.sub_version > known.sub_version) {
                self.0.insert(one.topic.clone(), Arc::new(one));
            }
        }
        changed
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn to_map(&self) -> BTreeMap<String, SubscriptionData> {
        self.0.iter().map(|entry| (entry.key().clone(), SubscriptionData::clone(entry.value()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(topic: &str, sub_string: &str, sub_version: i64) -> SubscriptionData {
        SubscriptionData {
            topic: topic.into(),
            sub_string: sub_string.into(),
            sub_version,
            ..SubscriptionData::default()
        }
    }

    #[test]
    fn a_newer_expression_replaces_an_older_one_and_never_the_other_way() {
        let subscriptions = Subscriptions::default();
        assert!(subscriptions.update(vec![to("T", "A", 5)]));
        assert!(!subscriptions.update(vec![to("T", "B", 6)]), "the members need not share out anew");
        assert_eq!(subscriptions.get("T").unwrap().sub_string, "B");
        subscriptions.update(vec![to("T", "C", 4)]);
        assert_eq!(subscriptions.get("T").unwrap().sub_string, "B");
    }

    #[test]
    fn topics_come_and_go_with_heartbeats() {
        let subscriptions = Subscriptions::default();
        subscriptions.update(vec![to("T", "*", 1), to("U", "*", 1)]);
        assert!(subscriptions.update(vec![to("U", "*", 1)]));
        assert!(subscriptions.get("T").is_none() && subscriptions.get("U").is_some());
        assert!(!subscriptions.update(vec![to("U", "*", 1)]));
    }
}
