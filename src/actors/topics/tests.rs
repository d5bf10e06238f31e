use std::sync::Mutex;

use actix::{Arbiter, System};
use tokio::sync::oneshot;

use super::*;
use crate::actors::supervision::Tree;

type Announced = Arc<Mutex<Vec<String>>>;

struct Stand {
    tree: Tree,
    topics: Topics,
    announced: Announced,
}

impl Stand {
    async fn at(root: &std::path::Path) -> Self {
        let arbiter = Arbiter::current();
        let tree = Tree::new("test", Clock::system(), &arbiter);
        let announced = Announced::default();
        let heard = announced.clone();
        let config = BrokerConfig { broker_name: "b".into(), ..BrokerConfig::default() };
        let on_change = move |topics: &[Arc<TopicConfig>], _| {
            heard.lock().unwrap().extend(topics.iter().map(|topic| topic.topic_name.clone()));
        };
        let topics = grow(tree.root(), &arbiter, &config, &StoreOptions::at(root), on_change).unwrap();
        tree.start();
        tree.started().await.unwrap();
        Self { tree, topics, announced }
    }

    async fn send(&self, topic: &str, default: &str, queues: i32) -> Option<Arc<TopicConfig>> {
        let (reply, answer) = oneshot::channel();
        let then = Box::new(move |topic| drop(reply.send(topic)));
        self.topics.create_for_send(topic, default, queues, then);
        answer.await.unwrap()
    }
}

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() });
}

#[test]
fn a_first_message_makes_a_topic_that_is_announced_and_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let stand = Stand::at(dir.path()).await;
        let made = stand.send("T", "TBW102", 4).await.unwrap();
        assert_eq!(*made, TopicConfig::new("T", 4, Perm::READ_WRITE));
        assert_eq!(stand.send("%RETRY%g", "", 9).await.unwrap().write_queue_nums, 1);
        assert!(stand.send("U", "T", 4).await.is_none(), "not a model");
        assert!(stand.send("U", "nothing", 4).await.is_none());
        assert!(dir.path().join("config/topics.json").exists(), "saved before it is used");
        assert_eq!(*stand.announced.lock().unwrap(), ["T", "%RETRY%g"]);
        let version = stand.topics.version();
        stand.tree.stop().await;

        let stand = Stand::at(dir.path()).await;
        assert_eq!(stand.topics.get("T"), Some(made));
        assert_eq!(stand.topics.version(), version);
        assert!(stand.announced.lock().unwrap().is_empty());
        stand.tree.stop().await;
    });
}

#[test]
fn without_auto_creation_only_other_models_serve() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let stand = Stand::at(dir.path()).await;
        let config = BrokerConfig {
            auto_create_topic_enable: false,
            auto_create_subscription_group: false,
            ..BrokerConfig::default()
        };
        stand.topics.configure(&config);
        assert!(stand.send("T", "TBW102", 4).await.is_none());
        assert!(stand.send("T", "b", 4).await.is_some(), "the broker's own name is a model");
        assert!(stand.topics.group_or_create("g").is_none());
        assert!(stand.topics.group_or_create("CID_RMQ_SYS_X").is_some());
        assert!(stand.topics.group_or_create("TOOLS_CONSUMER").is_some());
        stand.tree.stop().await;
    });
}

#[test]
fn groups_and_what_is_forbidden_to_them_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let stand = Stand::at(dir.path()).await;
        assert!(stand.topics.group_or_create("a/b").is_none(), "an illegal name makes nothing");
        stand.topics.group_or_create("g").unwrap();
        let change = SubscriptionGroupConfig { retry_max_times: 3, ..SubscriptionGroupConfig::new("g") };
        stand.topics.update_group(change).unwrap();
        stand.topics.forbid("g", "T", true);
        stand.tree.stop().await;

        let stand = Stand::at(dir.path()).await;
        assert_eq!(stand.topics.group("g").unwrap().retry_max_times, 3);
        assert!(stand.topics.is_forbidden("g", "T") && !stand.topics.is_forbidden("g", "U"));
        stand.topics.forbid("g", "T", false);
        assert!(!stand.topics.is_forbidden("g", "T"));
        assert!(stand.topics.remove_group("g").is_some() && stand.topics.group("g").is_none());
        stand.tree.stop().await;
    });
}

#[test]
fn attributes_of_a_topic_change_by_name() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let stand = Stand::at(dir.path()).await;
        let with = |list| TopicConfig {
            attributes: parse_attributes(list).unwrap(),
            ..TopicConfig::new("T", 8, Perm::READ_WRITE)
        };
        let topic = stand.topics.update(with("+message.type=FIFO")).unwrap();
        assert_eq!(topic.attributes["message.type"], "FIFO");
        let topic = stand.topics.update(with("")).unwrap();
        assert_eq!(topic.attributes["message.type"], "FIFO", "what is not named stays");
        assert!(stand.topics.update(with("+queue.type=BatchCQ")).is_err());
        assert!(stand.topics.is_system("DefaultCluster") && !stand.topics.is_system("T"));
        assert!(stand.topics.remove("T").is_some() && stand.topics.get("T").is_none());
        stand.tree.stop().await;
    });
}
