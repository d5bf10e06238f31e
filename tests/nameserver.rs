//! The nameserver over real sockets, spoken to byte by byte as clients do.

#![cfg(feature = "server")]
// The exemption for tests covers test functions, not what they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use castmq::{
    actors::nameserver::{Nameserver, NameserverError},
    config::NamesrvConfig,
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::{Emit, Fields},
        frame::Frame,
        header::{Encoding, Header},
        json,
        register::{RegisterBrokerBody, TopicConfigSerializeWrapper, body_crc32},
        route::TopicRouteData,
        topic::{Perm, TopicConfig},
    },
    testing::RunningNameserver,
};

/// A nameserver inside the test's process.
struct Running(RunningNameserver);

impl Running {
    fn start(change: impl FnOnce(&mut NamesrvConfig)) -> Self {
        Self::start_at(1, change)
    }

    /// With a clock that runs `pace` times as fast.
    fn start_at(pace: u32, change: impl FnOnce(&mut NamesrvConfig)) -> Self {
        Self(RunningNameserver::start_at(pace, change))
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.0.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Client { stream, buffer: BytesMut::new(), encoding: Encoding::Json, version: 493 }
    }
}

struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    encoding: Encoding,
    version: i32,
}

impl Client {
    fn frame(&self, code: RequestCode, fields: &impl Emit, body: &[u8]) -> BytesMut {
        let mut header = Header::request(code).with_fields(Fields::of(fields)).with_opaque(7);
        header.encoding = self.encoding;
        header.version = self.version;
        let mut bytes = BytesMut::new();
        Frame { header, body: Bytes::copy_from_slice(body) }.encode(&mut bytes).unwrap();
        bytes
    }

    fn ask(&mut self, code: RequestCode, fields: &impl Emit, body: &[u8]) -> Frame {
        let bytes = self.frame(code, fields, body);
        self.stream.write_all(&bytes).unwrap();
        self.read().expect("an answer")
    }

    /// The next frame; none when the connection ends.
    fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer).unwrap() {
                assert_eq!(frame.header.opaque, 7);
                return Some(frame);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    fn register(&mut self, addr: &str, topics: &[&str], more: Fields) -> Frame {
        let table =
            topics.iter().map(|name| ((*name).to_owned(), TopicConfig::new(*name, 4, Perm::READ_WRITE)));
        let wrapper =
            TopicConfigSerializeWrapper { topic_config_table: table.collect(), ..Default::default() };
        let body = RegisterBrokerBody { topic_config_serialize_wrapper: wrapper, ..Default::default() };
        let body = body.encode(493, false).unwrap();
        let crc = i64::from(body_crc32(&body));
        let fields = broker(addr).with("bodyCrc32", crc).with("haServerAddr", "127.0.0.1:9");
        self.ask(RequestCode::REGISTER_BROKER, &(fields, more), &body)
    }

    fn route(&mut self, topic: &str) -> Frame {
        self.ask(RequestCode::GET_ROUTEINFO_BY_TOPIC, &Fields::new().with("topic", topic), b"")
    }

    fn until_gone(&mut self, topic: &str) {
        let start = Instant::now();
        while code(&self.route(topic)) == ResponseCode::SUCCESS {
            assert!(start.elapsed() < Duration::from_secs(10), "{topic} stays");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn broker(addr: &str) -> Fields {
    Fields::new()
        .with("brokerName", "a")
        .with("brokerAddr", addr)
        .with("clusterName", "C")
        .with("brokerId", 0)
}

fn code(frame: &Frame) -> ResponseCode {
    frame.header.response_code()
}

fn remark(frame: &Frame) -> &str {
    frame.header.remark.as_deref().unwrap_or_default()
}

fn text(frame: &Frame) -> &str {
    std::str::from_utf8(&frame.body).unwrap()
}

const ROUTE: &str = r#"{"brokerDatas":[{"brokerAddrs":{"0":"127.0.0.1:1"},"brokerName":"a","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;

#[test]
fn a_broker_registers_is_found_and_unregisters_in_both_encodings() {
    let running = Running::start(|_| {});
    for encoding in [Encoding::Json, Encoding::RocketMq] {
        let mut client = Client { encoding, ..running.connect() };
        assert_eq!(code(&client.register("127.0.0.1:1", &["T", "U"], Fields::new())), ResponseCode::SUCCESS);
        let route = client.route("T");
        assert_eq!(
            (code(&route), route.header.encoding, text(&route)),
            (ResponseCode::SUCCESS, encoding, ROUTE)
        );
        let old = Client { version: 317, ..client };
        let route = {
            client = old;
            client.route("T")
        };
        assert!(text(&route).contains(r#"{0:"127.0.0.1:1"}"#));
        client.ask(RequestCode::UNREGISTER_BROKER, &broker("127.0.0.1:1"), b"");
        let route = client.route("T");
        assert_eq!(code(&route), ResponseCode::TOPIC_NOT_EXIST);
        assert!(remark(&route).starts_with("No topic route info in name server for the topic: T\n"));
    }
}

#[test]
fn a_broker_goes_with_its_connection() {
    let running = Running::start(|_| {});
    let mut broker = running.connect();
    broker.register("127.0.0.1:1", &["T", "U"], Fields::new());
    let mut client = running.connect();
    assert_eq!(code(&client.route("T")), ResponseCode::SUCCESS);
    drop(broker);
    client.until_gone("T");
}

#[test]
fn a_silent_broker_expires_and_loses_its_connection_and_heartbeats_keep_one() {
    // 120 s pass in 0.6 s.
    let running = Running::start_at(200, |_| {});
    let mut silent = running.connect();
    silent.register("127.0.0.1:1", &["T", "U"], Fields::new());
    let mut loud = running.connect();
    let name = Fields::new().with("brokerName", "b");
    loud.register("127.0.0.1:2", &["V", "W"], name.clone());
    let start = Instant::now();
    let mut client = running.connect();
    while code(&client.route("T")) == ResponseCode::SUCCESS {
        assert!(start.elapsed() < Duration::from_secs(10));
        let identity = (broker("127.0.0.1:2"), name.clone());
        assert_eq!(code(&loud.ask(RequestCode::BROKER_HEARTBEAT, &identity, b"")), ResponseCode::SUCCESS);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() > Duration::from_millis(550));
    assert_eq!(code(&client.route("V")), ResponseCode::SUCCESS);
    assert!(silent.read().is_none(), "the connection stays open");
}

#[test]
fn faults_of_a_registration_are_named() {
    let running = Running::start(|_| {});
    let mut client = running.connect();
    let answer = client.register("127.0.0.1:1", &["T", "U"], Fields::new().with("bodyCrc32", 5));
    assert_eq!((code(&answer), remark(&answer)), (ResponseCode::SYSTEM_ERROR, "crc32 not match"));
    let answer = client.register("127.0.0.1:1", &["T"], Fields::new());
    assert_eq!((code(&answer), remark(&answer)), (ResponseCode::SYSTEM_ERROR, "register broker failed"));
    let answer = client.ask(RequestCode::REGISTER_BROKER, &broker("x"), b"{");
    assert_eq!(code(&answer), ResponseCode::SYSTEM_ERROR);
    let answer = client.ask(RequestCode::REGISTER_BROKER, &Fields::new(), b"");
    assert!(remark(&answer).contains("brokerName"), "{}", remark(&answer));
}

#[test]
fn data_versions_are_compared() {
    let running = Running::start(|_| {});
    let mut client = running.connect();
    let unknown = client.ask(RequestCode::QUERY_DATA_VERSION, &broker("127.0.0.1:1"), b"{}");
    assert_eq!((unknown.header.fields.get("changed"), text(&unknown)), (Some("true"), ""));
    client.register("127.0.0.1:1", &["T", "U"], Fields::new());
    let same = client.ask(RequestCode::QUERY_DATA_VERSION, &broker("127.0.0.1:1"), b"{}");
    assert_eq!(same.header.fields.get("changed"), Some("false"));
    assert_eq!(text(&same), r#"{"counter":0,"stateVersion":0,"timestamp":0}"#);
}

#[test]
fn clusters_groups_and_permissions_are_answered_as_observed() {
    let running = Running::start(|_| {});
    let mut client = running.connect();
    client.register("127.0.0.1:1", &["T", "U"], Fields::new());
    let info = client.ask(RequestCode::GET_BROKER_CLUSTER_INFO, &(), b"");
    assert_eq!(
        text(&info),
        r#"{"brokerAddrTable":{"a":{"brokerAddrs":{0:"127.0.0.1:1"},"brokerName":"a","cluster":"C","enableActingMaster":false}},"clusterAddrTable":{"C":["a"]}}"#
    );
    let group = client.ask(RequestCode::GET_BROKER_MEMBER_GROUP, &broker(""), b"");
    assert_eq!(
        text(&group),
        r#"{"brokerMemberGroup":{"brokerAddrs":{0:"127.0.0.1:1"},"brokerName":"a","cluster":"C"}}"#
    );
    let wiped = client.ask(RequestCode::WIPE_WRITE_PERM_OF_BROKER, &broker(""), b"");
    assert_eq!(wiped.header.fields.get("wipeTopicCount"), Some("2"));
    let route: TopicRouteData = json::from_slice(&client.route("T").body).unwrap();
    assert_eq!(route.queue_datas[0].perm, Perm::READ);
    let added = client.ask(RequestCode::ADD_WRITE_PERM_OF_BROKER, &broker(""), b"");
    assert_eq!(added.header.fields.get("addTopicCount"), Some("2"));
    let system = client.ask(RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_NS, &(), b"");
    assert_eq!(text(&system), r#"{"brokerAddr":"127.0.0.1:1","topicList":["C","a"]}"#);
    let topics = client.ask(RequestCode::GET_TOPICS_BY_CLUSTER, &Fields::new().with("cluster", "C"), b"");
    assert_eq!(text(&topics), r#"{"topicList":["T","U"]}"#);
    client.ask(RequestCode::DELETE_TOPIC_IN_NAMESRV, &Fields::new().with("topic", "T"), b"");
    assert_eq!(
        text(&client.ask(RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &(), b"")),
        r#"{"topicList":["U"]}"#
    );
}

#[test]
fn kv_entries_are_kept_over_a_restart_and_orders_reach_routes_and_brokers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kv/kvConfig.json");
    let entry = |key: &str| Fields::new().with("namespace", "ORDER_TOPIC_CONFIG").with("key", key);
    {
        let running = Running::start(|config| config.kv_config_path = path.clone());
        let mut client = running.connect();
        let put = client.ask(RequestCode::PUT_KV_CONFIG, &entry("T").with("value", "a:8"), b"");
        assert_eq!(code(&put), ResponseCode::SUCCESS);
        let none = client.ask(RequestCode::PUT_KV_CONFIG, &Fields::new().with("key", "T"), b"");
        assert_eq!((code(&none), remark(&none)), (ResponseCode::SYSTEM_ERROR, "namespace or key is null"));
    }
    let text_of_file = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text_of_file, r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"a:8"}}}"#);
    let running = Running::start(|config| {
        config.kv_config_path = path.clone();
        config.order_message_enable = true;
    });
    let mut client = running.connect();
    let found = client.ask(RequestCode::GET_KV_CONFIG, &entry("T"), b"");
    assert_eq!(found.header.fields.get("value"), Some("a:8"));
    assert_eq!(
        code(&client.ask(RequestCode::GET_KV_CONFIG, &entry("X"), b"")),
        ResponseCode::QUERY_NOT_FOUND
    );
    let list = client.ask(RequestCode::GET_KVLIST_BY_NAMESPACE, &entry("T"), b"");
    assert_eq!(text(&list), r#"{"table":{"T":"a:8"}}"#);
    let registered = client.register("127.0.0.1:1", &["T", "U"], Fields::new());
    assert_eq!(text(&registered), r#"{"table":{"T":"a:8"}}"#);
    assert!(text(&client.route("T")).contains(r#""orderTopicConf":"a:8""#));
    client.ask(RequestCode::DELETE_KV_CONFIG, &entry("T"), b"");
    let gone = client.ask(RequestCode::GET_KVLIST_BY_NAMESPACE, &entry("T"), b"");
    assert_eq!(code(&gone), ResponseCode::QUERY_NOT_FOUND);
}

#[test]
fn the_configuration_changes_at_run_time_within_limits_and_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("namesrv.properties");
    let running = Running::start(|config| config.config_store_path = path.clone());
    let mut client = running.connect();
    let mut update = |text: &str| code(&client.ask(RequestCode::UPDATE_NAMESRV_CONFIG, &(), text.as_bytes()));
    assert_eq!(update("kvConfigPath=/x\n"), ResponseCode::NO_PERMISSION);
    assert_eq!(update("enableTopicList=perhaps\n"), ResponseCode::SYSTEM_ERROR);
    assert_eq!(update("enableTopicList=false\nenableAllTopicList=false\n"), ResponseCode::SUCCESS);
    let list = client.ask(RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &(), b"");
    assert_eq!((code(&list), remark(&list)), (ResponseCode::SYSTEM_ERROR, "disable"));
    let listed = client.ask(RequestCode::GET_NAMESRV_CONFIG, &(), b"");
    assert!(text(&listed).contains("\nenableTopicList=false\n"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text(&listed));
}

#[test]
fn routes_are_refused_while_brokers_may_not_have_registered_yet() {
    let running = Running::start(|config| config.need_wait_for_service = true);
    let answer = running.connect().route("T");
    assert_eq!((code(&answer), remark(&answer)), (ResponseCode::SYSTEM_ERROR, "name server not ready"));
}

#[test]
fn unknown_codes_are_refused_and_oneway_requests_never_answered() {
    let running = Running::start(|_| {});
    let mut client = running.connect();
    let mut oneway = BytesMut::new();
    Frame::from(Header::request(RequestCode::from(9999)).oneway()).encode(&mut oneway).unwrap();
    client.stream.write_all(&oneway).unwrap();
    let answer = client.ask(RequestCode::SEND_MESSAGE, &(), b"");
    assert_eq!(code(&answer), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(remark(&answer), " request type 10 not supported");
}

#[test]
fn a_malformed_frame_ends_its_own_connection_and_half_a_frame_waits() {
    let running = Running::start(|_| {});
    let (mut broken, mut half, mut whole) = (running.connect(), running.connect(), running.connect());
    let frame = half.frame(RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &(), b"");
    let (first, second) = frame.split_at(9);
    half.stream.write_all(first).unwrap();
    broken.stream.write_all(&[0x7f; 64]).unwrap();
    assert!(broken.read().is_none());
    assert_eq!(code(&whole.route("T")), ResponseCode::TOPIC_NOT_EXIST);
    half.stream.write_all(second).unwrap();
    assert_eq!(code(&half.read().unwrap()), ResponseCode::SUCCESS);
}

#[test]
fn a_port_in_use_is_said_before_anything_starts() {
    let running = Running::start(|_| {});
    let config = NamesrvConfig {
        listen_port: running.0.address.port(),
        bind_address: Ipv4Addr::LOCALHOST.into(),
        kv_config_path: "/nonexistent/kv.json".into(),
        ..NamesrvConfig::default()
    };
    let error = Nameserver::bind(config, None).unwrap_err();
    assert!(matches!(error, NameserverError::Bind { address, .. } if address == running.0.address));
    assert!(error.to_string().contains("set listenPort"), "{error}");
}

/// The binary, which listens on a free port and keeps its files in `dir`.
fn binary(dir: &std::path::Path, more: &str) -> std::process::Child {
    let file = dir.join("namesrv.conf");
    let text = format!("kvConfigPath={}\nbindAddress=127.0.0.1\n{more}\n", dir.join("kv.json").display());
    std::fs::write(&file, text).unwrap();
    std::process::Command::new(env!("CARGO_BIN_EXE_mqnamesrv"))
        .arg("-c")
        .arg(file)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn the_binary_says_where_it_listens_and_ends_with_success_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = binary(dir.path(), "listenPort=0");
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut log, &mut line).unwrap(), 0, "it ended");
        if let Some((_, address)) = line.trim_end().split_once("listening on ") {
            break address.to_owned();
        }
    };
    TcpStream::connect(address).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.trim_end().ends_with("nameserver has stopped"), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_binary_fails_with_the_reason_in_its_last_line_when_it_cannot_start() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = binary(dir.path(), &format!("listenPort={port}")).wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let last = log.lines().last().unwrap();
    assert!(last.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{log}");
    assert_eq!(output.status.code(), Some(1));
}
