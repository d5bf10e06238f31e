//! A broker inside the test's process, and a client that counts on nothing but bytes.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use actix::System;
use bytes::{Bytes, BytesMut};
use castmq::{
    actors::{
        broker::{Broker, BrokerThreads, OpenBroker},
        process::Threads,
        supervision::{Branch, Clock, Exit, Node, Tree},
    },
    config::{self, BrokerConfig},
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::{Emit, Fields},
        frame::Frame,
        header::{Encoding, Header},
        heartbeat::{ConsumerData, HeartbeatData, ProducerData},
        json,
        record::{RecordView, records},
        requests::{
            pull::{PullFlags, PullMessageRequest, PullMessageResponse},
            send::{SendMessageRequest, SendMessageResponse},
            topic::CreateTopicRequest,
        },
    },
    store::disk::{Disk, LocalDisk},
};

/// A broker on threads of its own; dropped, it stops in order and closes its store.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) tree: Branch,
    /// Its parts, as its own requests reach them.
    pub(crate) broker: Arc<Broker>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<(Exit, Result<(), String>)>>,
    /// Whether its store may be unable to close.
    pub(crate) may_fail_to_close: bool,
}

impl Running {
    pub(crate) fn start(store: &Path) -> Self {
        Self::start_with(store, |_| {})
    }

    pub(crate) fn start_with(store: &Path, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        Self::start_in(store, Arc::new(LocalDisk), Clock::system(), change)
    }

    pub(crate) fn start_on(
        store: &Path,
        disk: Arc<dyn Disk>,
        change: impl FnOnce(&mut BrokerConfig),
    ) -> Self {
        Self::start_in(store, disk, Clock::system(), change)
    }

    /// On a clock that runs `factor` times as fast as real time.
    pub(crate) fn start_at(store: &Path, factor: u32, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let clock = if factor == 1 { Clock::system() } else { Clock::scaled(factor) };
        Self::start_in(store, Arc::new(LocalDisk), clock, change)
    }

    fn start_in(
        store: &Path,
        disk: Arc<dyn Disk>,
        clock: Clock,
        change: impl FnOnce(&mut BrokerConfig),
    ) -> Self {
        let mut config = BrokerConfig {
            listen_port: 0,
            bind_address: Ipv4Addr::LOCALHOST.into(),
            broker_ip1: "127.0.0.1".into(),
            store_path_root_dir: store.to_owned(),
            mapped_file_size_commit_log: config::Bytes(1 << 20),
            max_hash_slot_num: 100,
            max_index_num: 1000,
            ..BrokerConfig::default()
        };
        change(&mut config);
        let open = OpenBroker::open_on(config, disk).unwrap();
        let address = open.address();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (up, is_up) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            System::new().block_on(async move {
                let threads = Threads::default();
                let tree = Tree::new("broker", clock, &threads.start("root"));
                let close = open.closing();
                let broker = open.grow(tree.root(), &BrokerThreads::start(&threads, 0)).unwrap();
                tree.start();
                tree.started().await.unwrap();
                up.send((tree.root().clone(), broker)).unwrap();
                let _ = stopped.await;
                let exit = tree.stop().await;
                threads.end();
                (exit, close().map_err(|error| error.to_string()))
            })
        });
        let (tree, broker) = is_up.recv().unwrap();
        Self { address, tree, broker, stop: Some(stop), thread: Some(thread), may_fail_to_close: false }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Client { stream, buffer: BytesMut::new(), encoding: Encoding::Json, opaque: 0 }
    }

    /// The live tree.
    pub(crate) fn snapshot(&self) -> Node {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.tree.snapshot(Duration::from_secs(1)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                let (exit, closed) = ended.unwrap();
                assert_eq!(exit, Exit::Stopped);
                assert!(self.may_fail_to_close || closed.is_ok(), "{closed:?}");
            }
        }
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: BytesMut,
    pub(crate) encoding: Encoding,
    opaque: i32,
}

/// A message as a pull gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) queue_offset: i64,
    pub(crate) physical_offset: i64,
    pub(crate) sys_flag: i32,
    pub(crate) reconsume_times: i32,
    pub(crate) prepared_offset: i64,
    pub(crate) body: Vec<u8>,
    pub(crate) properties: Vec<(String, String)>,
}

impl Got {
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

impl Client {
    /// Writes a request and gives its number.
    pub(crate) fn tell(&mut self, code: RequestCode, fields: &impl Emit, body: &[u8]) -> i32 {
        let header = Header::request(code).with_fields(Fields::of(fields));
        self.tell_frame(header, body)
    }

    pub(crate) fn tell_frame(&mut self, header: Header, body: &[u8]) -> i32 {
        self.opaque += 1;
        let mut header = header.with_opaque(self.opaque);
        header.encoding = self.encoding;
        let mut bytes = BytesMut::new();
        Frame { header, body: Bytes::copy_from_slice(body) }.encode(&mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
        self.opaque
    }

    pub(crate) fn ask(&mut self, code: RequestCode, fields: &impl Emit, body: &[u8]) -> Frame {
        let opaque = self.tell(code, fields, body);
        let answer = self.read().expect("an answer");
        assert_eq!(answer.header.opaque, opaque);
        answer
    }

    /// The next frame, but for notices of changes in groups; none when the connection has ended.
    pub(crate) fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer).unwrap() {
                let is_notice = frame.header.request_code() == RequestCode::NOTIFY_CONSUMER_IDS_CHANGED;
                if frame.header.is_response() || !is_notice {
                    return Some(frame);
                }
                continue;
            }
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    pub(crate) fn create_topic(&mut self, topic: &str, queues: i32) {
        let request = CreateTopicRequest {
            topic: topic.into(),
            default_topic: Some("TBW102".into()),
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm: 6,
            topic_filter_type: Some("SINGLE_TAG".into()),
            topic_sys_flag: 0,
            order: false,
            attributes: None,
            force: false,
        };
        let answer = self.ask(RequestCode::UPDATE_AND_CREATE_TOPIC, &request, b"");
        assert_eq!(answer.header.response_code(), ResponseCode::SUCCESS, "{:?}", answer.header);
    }

    /// A heartbeat of a client that produces and consumes for one group each.
    pub(crate) fn heartbeat(&mut self, client_id: &str, producers: &str, consumers: &str) {
        let data = HeartbeatData {
            client_id: client_id.into(),
            producer_data_set: vec![ProducerData { group_name: producers.into() }],
            consumer_data_set: vec![ConsumerData { group_name: consumers.into(), ..ConsumerData::default() }],
            ..HeartbeatData::default()
        };
        let answer = self.ask(RequestCode::HEART_BEAT, &(), &json::to_vec(&data).unwrap());
        assert_eq!(answer.header.response_code(), ResponseCode::SUCCESS);
    }

    /// Answers a request of the broker with success.
    pub(crate) fn answer(&mut self, request: &Frame) {
        let mut bytes = BytesMut::new();
        request.header.reply_to().answer(ResponseCode::SUCCESS).encode(b"", &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// Waits for the messages of a queue from `offset` on.
    pub(crate) fn wait_for(&mut self, topic: &str, queue: i32, offset: i64) -> Vec<Got> {
        self.tell(RequestCode::PULL_MESSAGE, &pull(topic, queue, offset, "*", 9_000), b"");
        let (code, _, got) = pulled(&self.read().unwrap());
        assert_eq!(code, ResponseCode::SUCCESS, "{topic}:{queue} from {offset} on");
        got
    }

    pub(crate) fn send(
        &mut self,
        topic: &str,
        queue: i32,
        body: &[u8],
    ) -> Result<SendMessageResponse, ResponseCode> {
        self.send_with(topic, queue, body, "")
    }

    pub(crate) fn send_with(
        &mut self,
        topic: &str,
        queue: i32,
        body: &[u8],
        properties: &str,
    ) -> Result<SendMessageResponse, ResponseCode> {
        let answer =
            self.ask(RequestCode::SEND_MESSAGE_V2, &message(topic, queue, properties).compact(), body);
        receipt(&answer)
    }

    /// Pulls once, without waiting.
    pub(crate) fn pull(
        &mut self,
        topic: &str,
        queue: i32,
        offset: i64,
    ) -> (ResponseCode, PullMessageResponse, Vec<Got>) {
        let answer = self.ask(RequestCode::PULL_MESSAGE, &pull(topic, queue, offset, "*", 0), b"");
        pulled(&answer)
    }

    /// All messages of a queue, which must be `expected` at least; waits for them to become visible.
    pub(crate) fn drain(&mut self, topic: &str, queue: i32, expected: usize) -> Vec<Got> {
        let (mut all, mut offset) = (Vec::new(), 0);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            let (code, header, got) = self.pull(topic, queue, offset);
            all.extend(got);
            offset = header.next_begin_offset;
            if code != ResponseCode::SUCCESS {
                if all.len() >= expected {
                    return all;
                }
                assert!(std::time::Instant::now() < deadline, "{} of {expected} messages", all.len());
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

pub(crate) fn message(topic: &str, queue: i32, properties: &str) -> SendMessageRequest {
    SendMessageRequest {
        producer_group: "p".into(),
        topic: topic.into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: queue,
        sys_flag: 0,
        born_timestamp: 1_795_217_600_000,
        flag: 0,
        properties: Some(properties.replace('=', "\u{1}").replace(';', "\u{2}").into()),
        reconsume_times: Some(0),
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: None,
    }
}

pub(crate) fn pull(
    topic: &str,
    queue: i32,
    offset: i64,
    subscription: &str,
    suspend: i64,
) -> PullMessageRequest {
    let suspends = if suspend > 0 { PullFlags::SUSPEND } else { 0 };
    PullMessageRequest {
        consumer_group: "g".into(),
        topic: topic.into(),
        queue_id: queue,
        queue_offset: offset,
        max_msg_nums: 32,
        sys_flag: PullFlags(PullFlags::SUBSCRIPTION | suspends),
        commit_offset: 0,
        suspend_timeout_millis: suspend,
        subscription: Some(subscription.into()),
        sub_version: 0,
        expression_type: Some("TAG".into()),
        max_msg_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
        broker_name: None,
    }
}

pub(crate) fn receipt(answer: &Frame) -> Result<SendMessageResponse, ResponseCode> {
    match answer.header.response_code() {
        ResponseCode::SUCCESS => Ok(SendMessageResponse::from_fields(&answer.header.fields).unwrap()),
        code => Err(code),
    }
}

pub(crate) fn pulled(answer: &Frame) -> (ResponseCode, PullMessageResponse, Vec<Got>) {
    let header = PullMessageResponse::from_fields(&answer.header.fields).unwrap();
    let got = records(&answer.body).map(|record| got(&record.unwrap())).collect();
    (answer.header.response_code(), header, got)
}

fn got(record: &RecordView<'_>) -> Got {
    record.check_crc().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Got {
        queue_offset: record.queue_offset,
        physical_offset: record.physical_offset,
        sys_flag: record.sys_flag.0,
        reconsume_times: record.reconsume_times,
        prepared_offset: record.prepared_transaction_offset,
        body: record.body.to_vec(),
        properties: record.iter_properties().map(|(name, value)| (text(name), text(value))).collect(),
    }
}
