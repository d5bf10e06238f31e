//! The rules of remoting 2, one test each.

use std::time::Duration;

use super::*;
use crate::protocol::{
    register::TopicConfigSerializeWrapper,
    route::MASTER_ID,
    topic::{Perm, TopicConfig},
};

const NOW: Millis = 1_000_000;

fn identity(name: &str, id: i64, addr: &str) -> Identity {
    Identity { key: BrokerKey { cluster: "C".into(), addr: addr.into() }, name: name.into(), id }
}

fn wrapper(counter: i64, topics: &[&str]) -> TopicConfigSerializeWrapper {
    let topic = |name: &&str| ((*name).to_owned(), TopicConfig::new(*name, 4, Perm(7)));
    TopicConfigSerializeWrapper {
        data_version: DataVersion { counter, ..DataVersion::default() },
        topic_config_table: topics.iter().map(topic).collect(),
        ..TopicConfigSerializeWrapper::default()
    }
}

fn registration(broker: Identity, counter: i64, topics: &[&str]) -> Registration {
    Registration {
        ha_server_addr: format!("{}:ha", broker.key.addr),
        broker,
        expiry: None,
        enable_acting_master: Some(false),
        zone_name: None,
        topics: wrapper(counter, topics),
        peer: None,
    }
}

fn acting(broker: Identity, topics: &[&str]) -> Registration {
    Registration { enable_acting_master: Some(true), ..registration(broker, 1, topics) }
}

impl RouteTable {
    fn add(&mut self, registration: Registration) -> Registered {
        self.register(registration, Rules::default(), NOW)
    }

    fn perm(&self, topic: &str, broker: &str) -> Option<i32> {
        self.topics.get(topic)?.get(broker).map(|queues| queues.perm.0)
    }

    fn addr(&self, broker: &str, id: i64) -> Option<&str> {
        self.broker(broker)?.broker_addrs.get(&id).map(String::as_str)
    }

    fn names(&self) -> Vec<String> {
        self.all_topics().topic_list.into_iter().collect()
    }
}

/// A master `a` at `m` with the topics `T` and `U`.
fn table() -> RouteTable {
    let mut table = RouteTable::default();
    table.add(registration(identity("a", 0, "m"), 1, &["T", "U"]));
    table
}

#[test]
fn a_registered_broker_is_found_by_its_topics() {
    let table = table();
    let route = table.route("T", false).unwrap();
    assert_eq!(route.broker_datas[0].broker_addrs, BTreeMap::from([(0, "m".to_owned())]));
    assert_eq!((route.queue_datas[0].read_queue_nums, route.queue_datas[0].perm), (4, Perm(7)));
    assert_eq!(table.route("V", false), None);
    assert_eq!(table.cluster_info().cluster_addr_table["C"], BTreeSet::from(["a".to_owned()]));
}

#[test]
fn an_unknown_broker_with_a_single_topic_is_refused_and_leaves_empty_entries() {
    let mut table = RouteTable::default();
    assert_eq!(table.add(registration(identity("a", 0, "m"), 1, &["T"])), Registered::Unknown);
    assert_eq!(table.route("T", false), None);
    let info = table.cluster_info();
    assert!(info.broker_addr_table["a"].broker_addrs.is_empty());
    assert!(info.cluster_addr_table["C"].contains("a"));
    assert!(table.live(&identity("a", 0, "m").key).is_none());
}

#[test]
fn one_topic_more_from_a_known_broker_is_added() {
    let mut table = table();
    table.add(registration(identity("a", 0, "m"), 2, &["V"]));
    assert_eq!(table.names(), ["T", "U", "V"]);
}

#[test]
fn topics_that_are_no_longer_named_stay_unless_the_rules_say_otherwise() {
    let mut table = table();
    table.add(registration(identity("a", 0, "m"), 2, &["U", "V"]));
    assert_eq!(table.names(), ["T", "U", "V"]);
    let rules = Rules { delete_topics: true };
    table.register(registration(identity("a", 0, "m"), 3, &["U", "V"]), rules, NOW);
    assert_eq!(table.names(), ["U", "V"]);
}

#[test]
fn wiped_write_permission_lasts_until_the_data_version_changes() {
    let mut table = table();
    assert_eq!(table.wipe_write_perm("a"), 2);
    table.add(registration(identity("a", 0, "m"), 1, &["T", "U"]));
    assert_eq!(table.perm("T", "a"), Some(5));
    table.add(registration(identity("a", 0, "m"), 2, &["T", "U"]));
    assert_eq!(table.perm("T", "a"), Some(7));
    assert_eq!(table.wipe_write_perm("nobody"), 0);
}

#[test]
fn added_write_permission_is_exactly_read_and_write() {
    let mut table = table();
    assert_eq!(table.add_write_perm("a"), 2);
    assert_eq!(table.perm("T", "a"), Some(6));
}

#[test]
fn a_slave_learns_of_its_living_master_and_changes_no_queues() {
    let mut table = table();
    let answer = table.add(registration(identity("a", 1, "s"), 1, &["X", "Y"]));
    let Registered::Accepted { master: Some(master), change: None } = answer else { panic!("{answer:?}") };
    assert_eq!((master.addr.as_str(), master.ha_server_addr.as_str()), ("m", "m:ha"));
    assert_eq!(table.names(), ["T", "U"]);
    assert_eq!(table.addr("a", 1), Some("s"));
}

#[test]
fn an_address_has_one_id() {
    let mut table = table();
    table.add(registration(identity("a", 1, "s"), 1, &["T", "U"]));
    table.unregister(&identity("a", 0, "m"));
    table.add(registration(identity("a", 0, "s"), 1, &["T", "U"]));
    assert_eq!(table.broker("a").unwrap().broker_addrs, BTreeMap::from([(0, "s".to_owned())]));
}

#[test]
fn a_broker_of_an_earlier_election_is_ignored() {
    let mut table = RouteTable::default();
    let mut elected = registration(identity("a", 0, "new"), 1, &["T", "U"]);
    elected.topics.data_version.state_version = 2;
    table.add(elected);
    let mut late = registration(identity("a", 0, "old"), 9, &["T", "U"]);
    late.topics.data_version.state_version = 1;
    assert_eq!(table.add(late), Registered::Outdated);
    assert_eq!(table.addr("a", MASTER_ID), Some("new"));
}

#[test]
fn the_last_broker_of_a_name_takes_its_topics_along() {
    let mut table = table();
    table.add(registration(identity("b", 0, "n"), 1, &["T", "W"]));
    assert_eq!(table.unregister(&identity("a", 0, "m")), None);
    assert_eq!(table.names(), ["T", "W"]);
    assert!(table.broker("a").is_none());
    table.unregister(&identity("b", 0, "n"));
    assert_eq!(table.cluster_info(), Default::default());
    assert_eq!(table.sizes(), (0, 0, 0));
}

#[test]
fn without_master_the_smallest_slave_acts_for_it_if_both_sides_want_that() {
    let mut table = RouteTable::default();
    for (id, addr) in [(0, "m"), (1, "s1"), (2, "s2")] {
        table.add(acting(identity("a", id, addr), &["T", "U"]));
    }
    let change = table.unregister(&identity("a", 0, "m")).unwrap();
    assert_eq!((change.min_id, change.min_addr.as_str()), (1, "s1"));
    assert_eq!(change.tell, ["s1", "s2"]);
    assert_eq!(change.offline_addr.as_deref(), Some("m"));
    assert_eq!(table.perm("T", "a"), Some(5), "nobody may write to a slave");
    let shown = table.route("T", true).unwrap();
    assert_eq!(shown.broker_datas[0].broker_addrs, BTreeMap::from([(0, "s1".into()), (2, "s2".into())]));
    let plain = table.route("T", false).unwrap();
    assert!(!plain.broker_datas[0].broker_addrs.contains_key(&MASTER_ID));
}

#[test]
fn the_smallest_slave_registers_topics_read_only_and_the_master_s_return_is_told() {
    let mut table = RouteTable::default();
    table.add(acting(identity("a", 1, "s"), &["T", "U"]));
    assert_eq!(table.perm("T", "a"), Some(5));
    let answer = table.add(acting(identity("a", 0, "m"), &["T", "U"]));
    let Registered::Accepted { master: None, change: Some(change) } = answer else { panic!("{answer:?}") };
    assert_eq!(change.tell, ["s"]);
    assert_eq!((change.min_id, change.ha_addr.as_deref()), (0, Some("m:ha")));
    assert_eq!(table.perm("T", "a"), Some(7));
}

#[test]
fn brokers_expire_after_their_own_time_and_heartbeats_put_that_off() {
    let mut table = table();
    let hasty = registration(identity("b", 0, "n"), 1, &["T", "U"]);
    table.add(Registration { expiry: Some(Duration::from_secs(10)), ..hasty });
    let gone = |table: &RouteTable, after: i64| -> Vec<String> {
        table.expired(NOW + after).map(|live| live.broker.name.clone()).collect()
    };
    assert!(gone(&table, 10_000).is_empty());
    assert_eq!(gone(&table, 10_001), ["b"]);
    assert_eq!(gone(&table, 120_001), ["a", "b"]);
    table.live(&identity("b", 0, "n").key).unwrap().touch(NOW + 200_000);
    assert_eq!(gone(&table, 120_001), ["a"]);
}

#[test]
fn a_topic_is_deleted_from_one_cluster_or_from_all() {
    let mut table = table();
    let mut other = registration(identity("b", 0, "n"), 1, &["T", "U"]);
    other.broker.key.cluster = "D".into();
    table.add(other);
    table.delete_topic("T", Some("C"));
    assert_eq!((table.perm("T", "a"), table.perm("T", "b")), (None, Some(7)));
    table.delete_topic("U", None);
    assert_eq!(table.names(), ["T"]);
    table.delete_topic("T", Some("D"));
    assert!(table.names().is_empty());
}

#[test]
fn queues_are_registered_for_known_brokers_only() {
    let mut table = table();
    let queues = |broker: &str| QueueData { broker_name: broker.into(), ..QueueData::default() };
    table.register_topic("N", vec![queues("a"), queues("nobody")]);
    assert_eq!(table.perm("N", "a"), None);
    table.register_topic("N", vec![queues("a")]);
    assert!(table.perm("N", "a").is_some());
}

#[test]
fn lists_are_by_cluster_system_and_unit() {
    let mut table = table();
    let mut units = registration(identity("b", 0, "n"), 1, &["N", "S", "US", "X"]);
    units.broker.key.cluster = "D".into();
    for (name, flag) in [("N", 1), ("S", 2), ("US", 3)] {
        units.topics.topic_config_table.get_mut(name).unwrap().topic_sys_flag = flag;
    }
    table.add(units);
    let list = |list: crate::protocol::cluster::TopicList| list.topic_list.into_iter().collect::<Vec<_>>();
    assert_eq!(list(table.topics_of_cluster("C")), ["T", "U"]);
    assert!(list(table.topics_of_cluster("E")).is_empty());
    assert_eq!(list(table.unit_topics(UnitList::Unit)), ["N", "US"]);
    assert_eq!(list(table.unit_topics(UnitList::Subscribed)), ["S", "US"]);
    assert_eq!(list(table.unit_topics(UnitList::SubscribedFromOutside)), ["S"]);
    let system = table.system_topics();
    assert!(system.broker_addr.is_some());
    assert_eq!(list(system), ["C", "D", "a", "b"]);
    assert_eq!(table.member_group("C", "a").broker_addrs[&0], "m");
    assert!(table.member_group("C", "nobody").broker_addrs.is_empty());
}

#[test]
fn a_zone_hides_the_masters_of_others() {
    let mut table = RouteTable::default();
    for (name, id, zone) in [("a", 0, "z1"), ("b", 0, "z2"), ("c", 1, "z2")] {
        let plain = acting(identity(name, id, name), &["T", "U"]);
        table.add(Registration { zone_name: Some(zone.into()), ..plain });
    }
    let mut route = table.route("T", false).unwrap();
    within_zone(&mut route, "Z1");
    let names: Vec<_> = route.queue_datas.iter().map(|queues| queues.broker_name.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(route.broker_datas.len(), 2);
}

#[test]
fn static_topics_are_shown_by_broker() {
    let mut table = table();
    let mut again = registration(identity("a", 0, "m"), 2, &["T", "U"]);
    let mapping = TopicQueueMappingInfo { bname: "a".into(), topic: "T".into(), ..Default::default() };
    again.topics.topic_queue_mapping_info_map.insert("T".into(), mapping);
    table.add(again);
    assert!(table.route("T", false).unwrap().topic_queue_mapping_by_broker.unwrap().contains_key("a"));
    assert_eq!(table.route("U", false).unwrap().topic_queue_mapping_by_broker, None);
}

#[test]
fn versions_are_compared_with_what_was_registered() {
    let table = table();
    let key = identity("a", 0, "m").key;
    assert!(!table.has_changed(&key, &wrapper(1, &[]).data_version));
    assert!(table.has_changed(&key, &wrapper(2, &[]).data_version));
    assert!(table.has_changed(&identity("x", 0, "x").key, &wrapper(1, &[]).data_version));
}

#[test]
fn a_copy_shares_its_topics_until_one_changes() {
    let table = table();
    let mut copy = table.clone();
    copy.add(registration(identity("a", 0, "m"), 2, &["T", "U"]));
    assert!(Arc::ptr_eq(&table.topics, &copy.topics));
    copy.wipe_write_perm("a");
    assert_eq!(table.perm("T", "a"), Some(7));
}
