//! Requests of every family, over and over: what makes the messages of each actor flow. A new kind of message
//! needs a family here, or the matrix says that nothing brings it about.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use castmq::{
    config::{self, BrokerConfig, FlushDiskType, Millis},
    protocol::{
        codes::RequestCode as Code,
        fields::Fields,
        frame::Frame,
        heartbeat::{ConsumerData, HeartbeatData, ProducerData},
        json,
        message_id::OffsetMessageId,
        requests::{
            send::SendMessageRequest,
            transaction::{EndTransactionRequest, Outcome},
        },
    },
    testing::{Cluster, Connection, message, pull, receipt},
};

/// How many times as fast as real time the servers live.
pub(crate) const FACTOR: u32 = 50;

/// The pause between two rounds of a family.
const PAUSE: Duration = Duration::from_millis(5);

/// Small files, so that they end; short periods, so that they pass.
pub(crate) fn configure(config: &mut BrokerConfig) {
    config.flush_disk_type = FlushDiskType::SyncFlush;
    config.sync_flush_timeout = Millis(20_000);
    config.mapped_file_size_commit_log = config::Bytes(256 << 10);
    config.mapped_file_size_consume_queue = config::Bytes(20 * 500);
    config.warm_maped_file_enable = true;
    config.delete_commit_log_files_interval = Millis(1);
    config.file_reserved_time = config::Hours(1000);
    config.delete_when = config::HoursOfDay((0..24).collect());
    config.transaction_check_interval = Millis(1000);
    config.transaction_time_out = Millis(50);
    config.transaction_check_max = 2;
    config.transaction_op_batch_interval = Millis(2000);
    config.transaction_op_msg_max_size = config::Bytes(16);
}

/// One round, with its number.
type Family = fn(&mut Caller, usize);

/// Threads, one for each family, until it is dropped.
pub(crate) struct Traffic {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let (broker, names) = (cluster.broker().address, cluster.nameserver().address);
        let families: [(SocketAddr, Family); 6] = [
            (broker, delays),
            (broker, transactions),
            (broker, groups),
            (broker, topics),
            (broker, lookups),
            (names, routes),
        ];
        let end = Arc::new(AtomicBool::new(false));
        let threads = families.map(|(address, round)| {
            let end = end.clone();
            thread::spawn(move || {
                let mut caller = Caller { address, connection: None };
                for number in 0.. {
                    if end.load(Ordering::Relaxed) {
                        return;
                    }
                    round(&mut caller, number);
                    thread::sleep(PAUSE);
                }
            })
        });
        Self { end, threads: threads.into() }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a family of the traffic failed");
        }
    }
}

/// Asks, and connects again when its connection was struck.
struct Caller {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Caller {
    fn ask(&mut self, code: Code, fields: impl Into<Fields>, body: &[u8]) -> Option<Frame> {
        if self.connection.is_none() {
            self.connection = Connection::open(self.address).ok();
        }
        let answer = self.connection.as_mut()?.try_ask(code, fields, body);
        if answer.is_err() {
            self.connection = None;
        }
        answer.ok()
    }

    /// With fields that are text.
    fn tell(&mut self, code: Code, fields: &[(&str, &str)]) {
        self.ask(code, with(fields), b"");
    }

    fn send(&mut self, request: &SendMessageRequest, body: &[u8]) -> Option<Frame> {
        self.ask(Code::SEND_MESSAGE_V2, Fields::of(&request.compact()), body)
    }

    fn heartbeat(&mut self, client_id: &str, group: &str) {
        let data = HeartbeatData {
            client_id: client_id.into(),
            producer_data_set: vec![ProducerData { group_name: "p".into() }],
            consumer_data_set: vec![ConsumerData { group_name: group.into(), ..ConsumerData::default() }],
            ..HeartbeatData::default()
        };
        self.ask(Code::HEART_BEAT, Fields::new(), &json::to_vec(&data).unwrap());
    }
}

fn with(fields: &[(&str, &str)]) -> Fields {
    fields.iter().fold(Fields::new(), |fields, (key, value)| fields.with(key, *value))
}

fn delays(caller: &mut Caller, _round: usize) {
    caller.send(&message("Later", 0, "DELAY=1;"), b"later");
    caller.send(&message("Later", 0, "TIMER_DELAY_MS=700;"), b"at a time of its own");
}

/// One that is committed, one that its producer leaves open.
fn transactions(caller: &mut Caller, round: usize) {
    caller.heartbeat("transactions", "unused");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let half = |key: &str| SendMessageRequest {
        born_timestamp: now,
        sys_flag: 0x4,
        ..message("Halves", 0, &format!("TRAN_MSG=true;PGROUP=p;UNIQ_KEY={key};"))
    };
    let Some(answer) = caller.send(&half(&format!("C{round}")), b"half") else { return };
    if let Ok(receipt) = receipt(&answer) {
        let id: OffsetMessageId = receipt.msg_id.parse().unwrap();
        let end = EndTransactionRequest {
            topic: Some("Halves".into()),
            producer_group: "p".into(),
            tran_state_table_offset: receipt.queue_offset,
            commit_log_offset: id.offset,
            outcome: Outcome::Commit,
            from_transaction_check: false,
            msg_id: "U".into(),
            transaction_id: None,
        };
        caller.ask(Code::END_TRANSACTION, end, b"");
    }
    if round.is_multiple_of(20) {
        caller.send(&half(&format!("O{round}")), b"half");
    }
}

/// A group that stays, and one whose members come and go and which is deleted.
fn groups(caller: &mut Caller, round: usize) {
    caller.heartbeat("steady", "Steady");
    caller.heartbeat("passing", "Passing");
    let queues = br#"{"clientId":"passing","consumerGroup":"Passing","mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"T"}]}"#;
    caller.ask(Code::LOCK_BATCH_MQ, Fields::new(), queues);
    caller.ask(Code::UNLOCK_BATCH_MQ, Fields::new(), queues);
    caller.tell(Code::UNREGISTER_CLIENT, &[("clientID", "passing"), ("consumerGroup", "Passing")]);
    caller.tell(
        Code::UPDATE_CONSUMER_OFFSET,
        &[
            ("consumerGroup", "Steady"),
            ("topic", "T"),
            ("queueId", "0"),
            ("commitOffset", &round.to_string()),
        ],
    );
    if round % 4 == 3 {
        caller.tell(Code::DELETE_SUBSCRIPTIONGROUP, &[("groupName", "Passing")]);
        caller.connection = None;
    }
}

fn topics(caller: &mut Caller, _round: usize) {
    let create = [
        ("topic", "Gone"),
        ("readQueueNums", "1"),
        ("writeQueueNums", "1"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
    ];
    caller.tell(Code::UPDATE_AND_CREATE_TOPIC, &create);
    caller.send(&message("Gone", 0, ""), b"gone");
    caller.tell(Code::DELETE_TOPIC_IN_BROKER, &[("topic", "Gone")]);
}

fn lookups(caller: &mut Caller, _round: usize) {
    caller.tell(
        Code::SEARCH_OFFSET_BY_TIMESTAMP,
        &[("topic", "T"), ("queueId", "0"), ("timestamp", "1795217600000")],
    );
    let period = [("beginTimestamp", "0"), ("endTimestamp", "9223372036854775807")];
    caller.tell(
        Code::QUERY_MESSAGE,
        &[&[("topic", "T"), ("key", "none"), ("maxNum", "1")], &period[..]].concat(),
    );
    caller.tell(Code::DELETE_EXPIRED_COMMITLOG, &[]);
    caller.tell(Code::CLEAN_EXPIRED_CONSUMEQUEUE, &[]);
    // Held until it is due.
    caller.ask(Code::PULL_MESSAGE, pull("Empty", 0, 0, "*", 500), b"");
}

fn routes(caller: &mut Caller, _round: usize) {
    let entry = [("namespace", "n"), ("key", "k"), ("value", "v")];
    caller.tell(Code::PUT_KV_CONFIG, &entry);
    caller.tell(Code::DELETE_KV_CONFIG, &entry[..2]);
    caller.ask(Code::UPDATE_NAMESRV_CONFIG, Fields::new(), b"returnOrderTopicConfigToBroker=true");
    let broker =
        |number| [("brokerName", "other"), ("brokerAddr", number), ("clusterName", "c"), ("brokerId", "0")];
    let soon = [("heartbeatTimeoutMillis", "100")];
    // Its broker falls silent, on a connection of its own.
    let mut silent = Caller { address: caller.address, connection: None };
    silent.tell(Code::REGISTER_BROKER, &[&broker("127.0.0.1:1"), &soon[..]].concat());
    caller.tell(Code::REGISTER_BROKER, &broker("127.0.0.1:2"));
    caller.ask(
        Code::REGISTER_TOPIC_IN_NAMESRV,
        with(&[("topic", "Routed")]),
        br#"{"queueDatas":[{"brokerName":"other","perm":6,"readQueueNums":1,"topicSysFlag":0,"writeQueueNums":1}]}"#,
    );
    caller.tell(Code::WIPE_WRITE_PERM_OF_BROKER, &[("brokerName", "other")]);
    caller.tell(Code::ADD_WRITE_PERM_OF_BROKER, &[("brokerName", "other")]);
    caller.tell(Code::DELETE_TOPIC_IN_NAMESRV, &[("topic", "Routed")]);
    caller.tell(Code::UNREGISTER_BROKER, &broker("127.0.0.1:2"));
    // Long enough for the scan to find it: it looks every 5 s of this clock.
    thread::sleep(Duration::from_secs(6) / FACTOR);
}
