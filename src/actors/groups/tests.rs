use actix::{Arbiter, System};

use super::*;
use crate::{
    actors::{remoting::Request, supervision::Tree, topics},
    protocol::{
        codes::RequestCode,
        header::Header,
        heartbeat::{ConsumerData, ProducerData},
        json,
        language::Language,
        lock::LockBatchResponse,
        message::MessageQueue,
    },
    store::StoreOptions,
};

struct Stand {
    tree: Tree,
    topics: Topics,
    groups: Groups,
}

impl Stand {
    async fn at(root: &std::path::Path) -> Self {
        let arbiter = Arbiter::current();
        let tree = Tree::new("test", Clock::scaled(100), &arbiter);
        let config = BrokerConfig::default();
        let options = StoreOptions { commit_log_file_size: 1 << 16, ..StoreOptions::at(root) };
        let store = Store::open(options).unwrap();
        let topics = topics::grow(tree.root(), &arbiter, &config, store.options(), |_, _| {}).unwrap();
        let groups = grow(tree.root(), &arbiter, &arbiter, &config, &store, &topics).unwrap();
        tree.start();
        tree.started().await.unwrap();
        Self { tree, topics, groups }
    }

    fn heartbeat(&self, peer: &Arc<Peer>, client_id: &str, topics: &[&str]) {
        let to = |topic: &&str| SubscriptionData { topic: (*topic).into(), ..SubscriptionData::default() };
        let consumer = ConsumerData {
            group_name: "g".into(),
            subscription_data_set: topics.iter().map(to).collect(),
            ..ConsumerData::default()
        };
        let data = HeartbeatData {
            client_id: client_id.into(),
            consumer_data_set: vec![consumer],
            producer_data_set: vec![ProducerData { group_name: "p".into() }],
            ..HeartbeatData::default()
        };
        let request = Request::of(peer, Header::request(RequestCode::HEART_BEAT), "");
        let client = Client {
            client_id: client_id.into(),
            peer: peer.clone(),
            language: Language::Java,
            version: 493,
        };
        self.groups.heartbeat(client, data, request.reply);
    }
}

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() });
}

#[test]
fn members_are_told_of_each_other_at_once() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let stand = Stand::at(dir.path()).await;
        let (one, mut to_one) = Peer::unconnected();
        stand.heartbeat(&one, "a", &["T"]);
        let answer = to_one.next().await;
        assert_eq!(answer.header.response_code(), ResponseCode::SUCCESS);
        assert_eq!(answer.header.fields.get("IS_SUPPORT_HEART_BEAT_V2"), Some("true"));
        assert!(stand.groups.subscription("g", "T").is_some(), "known when the answer comes");
        assert!(stand.topics.get("%RETRY%g").is_some());
        let notice = to_one.next().await;
        assert_eq!(notice.header.request_code(), RequestCode::NOTIFY_CONSUMER_IDS_CHANGED);
        assert_eq!(notice.header.fields.get("consumerGroup"), Some("g"));
        assert!(notice.header.is_oneway());

        let (two, mut to_two) = Peer::unconnected();
        stand.heartbeat(&two, "b", &["T"]);
        to_two.next().await;
        assert_eq!(to_two.next().await.header.request_code(), RequestCode::NOTIFY_CONSUMER_IDS_CHANGED);
        to_one.next().await;
        assert_eq!(stand.groups.live("g").unwrap().member_ids(), ["a", "b"]);
        assert_eq!(stand.groups.producers("p").len(), 2);

        stand.heartbeat(&one, "a", &["T"]);
        to_one.next().await;
        two.disconnect();
        stand.groups.closed(&two);
        to_one.next().await;
        assert_eq!(stand.groups.live("g").unwrap().member_ids(), ["a"]);
        assert_eq!(stand.groups.producers("p").len(), 1);
        assert!(to_one.try_next().is_none(), "an unchanged heartbeat is no news");
        stand.tree.stop().await;
    });
}

#[test]
fn silent_members_are_forgotten_and_their_connection_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let stand = Stand::at(dir.path()).await;
        let (one, mut to_one) = Peer::unconnected();
        stand.heartbeat(&one, "a", &["T"]);
        to_one.next().await;
        while stand.groups.is_online("g") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(stand.groups.subscription("g", "T").is_none());
        stand.tree.stop().await;
    });
}

#[test]
fn a_queue_is_locked_by_one_member_and_offsets_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let stand = Stand::at(dir.path()).await;
        let (peer, mut sent) = Peer::unconnected();
        let lock = |client_id: &str| {
            let queue = MessageQueue { broker_name: "b".into(), queue_id: 0, topic: "T".into() };
            let request = Request::of(&peer, Header::request(RequestCode::LOCK_BATCH_MQ), "");
            let body = LockBatchRequest {
                client_id: client_id.into(),
                consumer_group: "g".into(),
                mq_set: vec![queue],
                only_this_broker: false,
            };
            stand.groups.lock(body, request.reply);
        };
        lock("a");
        let locked = |frame: crate::protocol::frame::Frame| {
            json::from_slice::<LockBatchResponse>(&frame.body).unwrap().lock_ok_mq_set.len()
        };
        assert_eq!(locked(sent.next().await), 1);
        lock("b");
        assert_eq!(locked(sent.next().await), 0);
        assert!(stand.groups.commit_offset("g", "T", 3, 42));
        stand.tree.stop().await;

        let stand = Stand::at(dir.path()).await;
        assert_eq!(stand.groups.offset("g", "T", 3), Some(42));
        stand.groups.remove_group("g", true);
        assert_eq!(stand.groups.offset("g", "T", 3), None);
        stand.tree.stop().await;
    });
}

#[cfg(feature = "chaos")]
#[test]
fn a_group_that_crashes_forgets_nobody() {
    use crate::actors::supervision::chaos::{Fault, inject};

    let dir = tempfile::tempdir().unwrap();
    run(async {
        let stand = Stand::at(dir.path()).await;
        let (one, mut to_one) = Peer::unconnected();
        stand.heartbeat(&one, "a", &["T"]);
        to_one.next().await;
        inject(stand.tree.root(), "test/groups/consumers/g", Fault::PanicBefore(Some("Heartbeat".into())))
            .unwrap();
        let (two, mut to_two) = Peer::unconnected();
        stand.heartbeat(&two, "b", &["T"]);
        let answer = to_two.next().await;
        assert_eq!(answer.header.response_code(), ResponseCode::SYSTEM_BUSY, "the client tries again");
        assert_eq!(stand.groups.live("g").unwrap().member_ids(), ["a"]);
        assert!(stand.groups.subscription("g", "T").is_some());
        stand.heartbeat(&two, "b", &["T"]);
        assert_eq!(to_two.next().await.header.response_code(), ResponseCode::SUCCESS);
        assert_eq!(stand.groups.live("g").unwrap().member_ids(), ["a", "b"]);
        stand.tree.stop().await;
    });
}
