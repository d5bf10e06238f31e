use std::path::Path;

use actix::{Arbiter, System};
use bytes::Bytes;

use super::*;
use crate::{
    actors::{
        broker::{BrokerThreads, OpenBroker, service::BrokerService},
        remoting::{Peer, Sent, Service},
        store::StoreThreads,
        supervision::{Clock, Tree},
    },
    config::{BrokerConfig, Bytes as Size},
    protocol::{
        codes::ResponseCode,
        fields::Fields,
        frame::Frame,
        header::Header,
        heartbeat::{ConsumerData, HeartbeatData},
        json,
        kv::KvTable,
        offsets::ResetOffsetBody,
        record::RecordView,
        stats::{ConsumeStats, TopicStatsTable},
        subscription::SubscriptionData,
    },
};

/// A broker of its own, and one client of it.
struct Stand {
    tree: Tree,
    broker: Arc<Broker>,
    peer: Arc<Peer>,
    sent: Sent,
}

impl Stand {
    async fn at(root: &Path) -> Self {
        let config = BrokerConfig {
            broker_name: "b".into(),
            broker_ip1: "127.0.0.1".into(),
            listen_port: 0,
            store_path_root_dir: root.to_owned(),
            mapped_file_size_commit_log: Size(1 << 20),
            mapped_file_size_consume_queue: Size(20_000),
            ..BrokerConfig::default()
        };
        let here = Arbiter::current();
        let store = StoreThreads {
            hot: here.clone(),
            flush: here.clone(),
            background: here.clone(),
            delivery: here.clone(),
            control: here.clone(),
        };
        let threads = BrokerThreads { store, connections: vec![here.clone()] };
        let tree = Tree::new("test", Clock::system(), &here);
        let broker = OpenBroker::open(config).unwrap().grow(tree.root(), &threads).unwrap();
        tree.start();
        tree.started().await.unwrap();
        let (peer, sent) = Peer::unconnected();
        Self { tree, broker, peer, sent }
    }

    async fn ask(&mut self, code: RequestCode, fields: &[(&str, &str)], body: impl Into<Bytes>) -> Frame {
        let mut all = Fields::new();
        fields.iter().for_each(|(key, value)| all.push(key, *value));
        let request = Request::of(&self.peer, Header::request(code).with_fields(all), body);
        BrokerService(self.broker.clone()).serve(vec![request]).await;
        loop {
            let frame = self.sent.next().await;
            if frame.header.is_response() {
                return frame;
            }
        }
    }

    /// [`Stand::ask`] for what must succeed.
    async fn get(&mut self, code: RequestCode, fields: &[(&str, &str)]) -> Frame {
        let frame = self.ask(code, fields, "").await;
        assert_eq!(frame.header.response_code(), ResponseCode::SUCCESS, "{code}: {:?}", frame.header.remark);
        frame
    }

    async fn send(&mut self, topic: &str) {
        let fields = [
            ("producerGroup", "p"),
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("defaultTopicQueueNums", "4"),
            ("queueId", "0"),
            ("sysFlag", "0"),
            ("bornTimestamp", "1"),
            ("flag", "0"),
        ];
        let frame = self.ask(RequestCode::SEND_MESSAGE, &fields, "hello").await;
        assert_eq!(frame.header.response_code(), ResponseCode::SUCCESS, "{:?}", frame.header.remark);
        while self.broker.store.watermarks().dispatched.get() < self.broker.store.log().max_offset() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    async fn join(&mut self, group: &str, topic: &str) {
        let to =
            SubscriptionData { topic: topic.into(), sub_string: "*".into(), ..SubscriptionData::default() };
        let consumer = ConsumerData {
            group_name: group.into(),
            subscription_data_set: vec![to],
            ..ConsumerData::default()
        };
        let data = HeartbeatData {
            client_id: "client".into(),
            consumer_data_set: vec![consumer],
            ..HeartbeatData::default()
        };
        let frame = self.ask(RequestCode::HEART_BEAT, &[], json::to_vec(&data).unwrap()).await;
        assert_eq!(frame.header.fields.get("IS_SUB_CHANGE"), Some("true"));
    }
}

fn run(test: impl AsyncFnOnce(Stand)) {
    let dir = tempfile::tempdir().unwrap();
    System::new().block_on(async {
        let test = async { test(Stand::at(dir.path()).await).await };
        tokio::time::timeout(std::time::Duration::from_secs(30), test).await.unwrap()
    });
}

fn offset(frame: &Frame) -> i64 {
    frame.header.fields.number("offset").unwrap()
}

const QUEUE: [(&str, &str); 2] = [("topic", "T"), ("queueId", "0")];

#[test]
fn offsets_and_messages_of_a_queue_are_found() {
    run(async |mut stand| {
        let before = stand.broker.clock.now();
        stand.send("T").await;
        stand.send("T").await;
        assert_eq!(offset(&stand.get(RequestCode::GET_MAX_OFFSET, &QUEUE).await), 2);
        assert_eq!(offset(&stand.get(RequestCode::GET_MIN_OFFSET, &QUEUE).await), 0);
        let unknown = [("topic", "nothing"), ("queueId", "0")];
        assert_eq!(offset(&stand.get(RequestCode::GET_MAX_OFFSET, &unknown).await), 0);
        let by_time =
            |time: String| [("topic", "T".to_owned()), ("queueId", "0".into()), ("timestamp", time)];
        for (time, expected) in [(before - 1, 0), (before + 60_000, 2)] {
            let fields = by_time(time.to_string());
            let fields = fields.each_ref().map(|(key, value)| (*key, value.as_str()));
            assert_eq!(offset(&stand.get(RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, &fields).await), expected);
        }
        let earliest = stand.get(RequestCode::GET_EARLIEST_MSG_STORETIME, &QUEUE).await;
        assert!(earliest.header.fields.number::<i64>("timestamp").unwrap() >= before);
        let first = stand.get(RequestCode::VIEW_MESSAGE_BY_ID, &[("offset", "0")]).await;
        assert_eq!(RecordView::parse(&first.body).unwrap().body, b"hello");
        let nothing = stand.ask(RequestCode::VIEW_MESSAGE_BY_ID, &[("offset", "7")], "").await;
        assert_eq!(nothing.header.remark.as_deref(), Some("can not find message by the offset, 7"));
        stand.tree.stop().await;
    });
}

#[test]
fn a_group_is_shown_with_its_members_and_its_progress() {
    run(async |mut stand| {
        let group = [("consumerGroup", "g")];
        let none = stand.ask(RequestCode::GET_CONSUMER_LIST_BY_GROUP, &group, "").await;
        assert_eq!(none.header.response_code(), ResponseCode::SYSTEM_ERROR);
        assert_eq!(none.header.remark.as_deref(), Some("no consumer for this group, g"));
        let offline = stand.ask(RequestCode::GET_CONSUMER_CONNECTION_LIST, &group, "").await;
        assert_eq!(offline.header.response_code(), ResponseCode::CONSUMER_NOT_ONLINE);

        stand.send("T").await;
        stand.join("g", "T").await;
        let list = stand.get(RequestCode::GET_CONSUMER_LIST_BY_GROUP, &group).await;
        assert_eq!(&list.body[..], br#"{"consumerIdList":["client"]}"#);
        let whole = [("consumerGroup", "g"), ("topic", "T"), ("queueId", "0")];
        assert_eq!(offset(&stand.get(RequestCode::QUERY_CONSUMER_OFFSET, &whole).await), 0, "a young queue");
        let asked = [whole.as_slice(), &[("setZeroIfNotFound", "false")]].concat();
        let not_found = stand.ask(RequestCode::QUERY_CONSUMER_OFFSET, &asked, "").await;
        assert_eq!(not_found.header.response_code(), ResponseCode::QUERY_NOT_FOUND);

        let commit = [whole.as_slice(), &[("commitOffset", "1")]].concat();
        stand.get(RequestCode::UPDATE_CONSUMER_OFFSET, &commit).await;
        let stats = stand.get(RequestCode::GET_CONSUME_STATS, &group).await;
        let stats: ConsumeStats = json::from_slice(&stats.body).unwrap();
        let (_, first) = stats.offset_table.first_key_value().unwrap();
        assert_eq!((first.broker_offset, first.consumer_offset), (1, 1));
        assert!(first.last_timestamp > 0);
        for (key, code) in [
            ("consumerGroup", ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST),
            ("topic", ResponseCode::TOPIC_NOT_EXIST),
        ] {
            let wrong: Vec<_> =
                commit.iter().map(|(k, v)| (*k, if *k == key { "nothing" } else { v })).collect();
            let frame = stand.ask(RequestCode::UPDATE_CONSUMER_OFFSET, &wrong, "").await;
            assert_eq!(frame.header.response_code(), code);
        }
        let who = stand.get(RequestCode::QUERY_TOPIC_CONSUME_BY_WHO, &[("topic", "T")]).await;
        assert_eq!(&who.body[..], br#"{"groupList":["g"]}"#);
        stand.tree.stop().await;
    });
}

#[test]
fn a_reset_sends_the_next_pull_elsewhere() {
    run(async |mut stand| {
        stand.send("T").await;
        stand.join("g", "T").await;
        let commit = [("consumerGroup", "g"), ("topic", "T"), ("queueId", "0"), ("commitOffset", "1")];
        stand.get(RequestCode::UPDATE_CONSUMER_OFFSET, &commit).await;
        let asked = [("group", "g"), ("topic", "T"), ("timestamp", "0"), ("isForce", "true")];
        let body = stand.get(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &asked).await.body;
        let body: ResetOffsetBody = json::from_slice(&body).unwrap();
        assert_eq!(body.offset_table.values().collect::<Vec<_>>(), [&0, &0, &0, &0]);
        let ignored = stand.get(RequestCode::UPDATE_CONSUMER_OFFSET, &commit).await;
        assert_eq!(ignored.header.remark.as_deref(), Some("Offset has been previously reset"));
        let pull = [
            ("consumerGroup", "g"),
            ("topic", "T"),
            ("queueId", "0"),
            ("queueOffset", "1"),
            ("maxMsgNums", "32"),
            ("sysFlag", "0"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "0"),
            ("subVersion", "0"),
        ];
        let moved = stand.ask(RequestCode::PULL_MESSAGE, &pull, "").await;
        assert_eq!(moved.header.response_code(), ResponseCode::PULL_OFFSET_MOVED);
        assert_eq!(moved.header.fields.get("nextBeginOffset"), Some("0"));
        let outside = [("group", "g"), ("topic", "T"), ("timestamp", "0"), ("queueId", "0"), ("offset", "9")];
        let refused = stand.ask(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &outside, "").await;
        assert_eq!(refused.header.response_code(), ResponseCode::SYSTEM_ERROR);
        stand.tree.stop().await;
    });
}

#[test]
fn topics_are_made_shown_and_deleted_with_all_that_is_theirs() {
    run(async |mut stand| {
        let asked = |topic| {
            [
                ("topic", topic),
                ("defaultTopic", "TBW102"),
                ("readQueueNums", "2"),
                ("writeQueueNums", "2"),
                ("perm", "6"),
                ("topicFilterType", "SINGLE_TAG"),
                ("order", "false"),
                ("attributes", "+message.type=NORMAL"),
            ]
        };
        for topic in ["a.b", "TBW102", ""] {
            let refused = stand.ask(RequestCode::UPDATE_AND_CREATE_TOPIC, &asked(topic), "").await;
            assert_eq!(refused.header.response_code(), ResponseCode::INVALID_PARAMETER, "{topic}");
        }
        stand.get(RequestCode::UPDATE_AND_CREATE_TOPIC, &asked("T")).await;
        let shown = stand.get(RequestCode::GET_TOPIC_CONFIG, &[("topic", "T")]).await;
        assert!(String::from_utf8_lossy(&shown.body).contains(r#""attributes":{"message.type":"NORMAL"}"#));
        stand.send("T").await;
        stand.broker.groups.commit_offset("g", "T", 0, 1);
        let stats = stand.get(RequestCode::GET_TOPIC_STATS_INFO, &[("topic", "T")]).await;
        let stats: TopicStatsTable = json::from_slice(&stats.body).unwrap();
        assert_eq!(stats.offset_table.values().map(|queue| queue.max_offset).collect::<Vec<_>>(), [1, 0]);

        stand.get(RequestCode::DELETE_TOPIC_IN_BROKER, &[("topic", "T")]).await;
        let gone = stand.ask(RequestCode::GET_TOPIC_CONFIG, &[("topic", "T")], "").await;
        assert_eq!(gone.header.response_code(), ResponseCode::TOPIC_NOT_EXIST);
        assert_eq!(stand.broker.groups.offset("g", "T", 0), None);
        let list = r#"{"topicConfigList":[{"topicName":"U","readQueueNums":3,"writeQueueNums":3}]}"#;
        let made = stand.ask(RequestCode::UPDATE_AND_CREATE_TOPIC_LIST, &[], list).await;
        assert_eq!(made.header.response_code(), ResponseCode::SUCCESS);
        assert_eq!(stand.broker.topics.get("U").unwrap().write_queue_nums, 3);
        stand.tree.stop().await;
    });
}

#[test]
fn a_deleted_topic_leaves_no_queue_behind() {
    run(async |mut stand| {
        stand.send("T").await;
        stand.get(RequestCode::DELETE_TOPIC_IN_BROKER, &[("topic", "T")]).await;
        assert_eq!(offset(&stand.get(RequestCode::GET_MAX_OFFSET, &QUEUE).await), 0);
        stand.send("T").await;
        assert_eq!(offset(&stand.get(RequestCode::GET_MAX_OFFSET, &QUEUE).await), 1);
        stand.tree.stop().await;
    });
}

#[test]
fn groups_are_made_shown_and_deleted() {
    run(async |mut stand| {
        let body = r#"{"groupName":"g","retryMaxTimes":3}"#;
        let made = stand.ask(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, &[], body).await;
        assert_eq!(made.header.response_code(), ResponseCode::SUCCESS);
        let all = stand.get(RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, &[]).await;
        assert_eq!(all.header.fields.get("totalGroupNum"), Some("9"));
        let shown = stand.get(RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG, &[("group", "g")]).await;
        assert!(String::from_utf8_lossy(&shown.body).contains(r#""retryMaxTimes":3"#));
        stand.send("T").await;
        let forbid = [("group", "g"), ("topic", "T"), ("readable", "false")];
        let told = stand.get(RequestCode::UPDATE_AND_GET_GROUP_FORBIDDEN, &forbid).await;
        assert_eq!(&told.body[..], br#"{"group":"g","readable":false,"topic":"T"}"#);
        stand.broker.groups.commit_offset("g", "T", 0, 1);
        let delete = [("groupName", "g"), ("cleanOffset", "true")];
        stand.get(RequestCode::DELETE_SUBSCRIPTIONGROUP, &delete).await;
        assert!(stand.broker.topics.group("g").is_none());
        assert_eq!(stand.broker.groups.offset("g", "T", 0), None);
        stand.tree.stop().await;
    });
}

#[test]
fn an_operators_question_is_relayed_and_the_answer_comes_back_as_it_is() {
    run(async |mut stand| {
        let asked = [("consumerGroup", "g"), ("clientId", "client"), ("jstackEnable", "true")];
        let offline = stand.ask(RequestCode::GET_CONSUMER_RUNNING_INFO, &asked, "").await;
        assert_eq!(offline.header.remark.as_deref(), Some("The Consumer <g> <client> not online"));
        stand.join("g", "T").await;
        let (operator, mut to_operator) = Peer::unconnected();
        let fields = asked.iter().fold(Fields::new(), |fields, (key, value)| fields.with(key, *value));
        let header = Header::request(RequestCode::GET_CONSUMER_RUNNING_INFO).with_fields(fields);
        assert!(serve(&stand.broker, Request::of(&operator, header, "")).is_none());
        let question = loop {
            let frame = stand.sent.next().await;
            if frame.header.request_code() == RequestCode::GET_CONSUMER_RUNNING_INFO {
                break frame;
            }
        };
        assert_eq!(question.header.fields.get("jstackEnable"), Some("true"));
        let mut answer = Frame::response(&question.header, ResponseCode::SUCCESS);
        answer.body = Bytes::from_static(br#"{"properties":{}}"#);
        stand.peer.answers(answer);
        assert_eq!(&to_operator.next().await.body[..], br#"{"properties":{}}"#);
        stand.tree.stop().await;
    });
}

#[test]
fn the_broker_shows_itself_and_its_configuration_changes_at_run_time() {
    run(async |mut stand| {
        stand.send("T").await;
        let info = stand.get(RequestCode::GET_BROKER_RUNTIME_INFO, &[]).await;
        let info: KvTable = json::from_slice(&info.body).unwrap();
        assert_eq!(info.table["brokerVersionDesc"], "V5_4_0");
        assert_eq!(info.table["msgPutTotalTodayNow"], "1");
        assert_eq!(info.table.len(), 59, "beside one for each delay level in use");

        let change = "autoCreateTopicEnable=false\n";
        let changed = stand.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], change).await;
        assert_eq!(changed.header.response_code(), ResponseCode::SUCCESS);
        let text = stand.get(RequestCode::GET_BROKER_CONFIG, &[]).await;
        assert!(text.header.fields.get("version").unwrap().starts_with(r#"{"counter":0"#));
        assert!(String::from_utf8_lossy(&text.body).contains("autoCreateTopicEnable=false\n"));
        let refused = stand.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], "configBlackList=x\n").await;
        assert_eq!(refused.header.response_code(), ResponseCode::NO_PERMISSION);
        let wrong = stand.ask(RequestCode::UPDATE_BROKER_CONFIG, &[], "noSuchKey=1\n").await;
        assert_eq!(wrong.header.response_code(), ResponseCode::SYSTEM_ERROR);
        let alone = stand.get(RequestCode::GET_BROKER_HA_STATUS, &[]).await;
        assert!(
            String::from_utf8_lossy(&alone.body).contains(r#""haConnectionInfo":[],"inSyncSlaveNums":0"#)
        );
        stand.tree.stop().await;
    });
}
