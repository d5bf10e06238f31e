//! A client that counts on nothing but bytes: what a test says to a server, and what it hears.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use crate::protocol::{
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
};

/// A connection. Its questions wait at most 10 s for an answer; what goes wrong panics, as in a test, unless a
/// method says otherwise.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: TcpStream,
    buffer: BytesMut,
    /// How headers are written.
    pub encoding: Encoding,
    opaque: i32,
}

/// A message as a pull gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    /// Its place in the queue.
    pub queue_offset: i64,
    /// Its place in the log, bytes.
    pub physical_offset: i64,
    /// As in the record.
    pub sys_flag: i32,
    /// As in the record.
    pub reconsume_times: i32,
    /// As in the record.
    pub prepared_offset: i64,
    /// What was sent.
    pub body: Vec<u8>,
    /// Names and values, in order.
    pub properties: Vec<(String, String)>,
}

impl Got {
    /// The first property of that name.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens, or no descriptor is left.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream, buffer: BytesMut::new(), encoding: Encoding::Json, opaque: 0 })
    }

    /// Writes a request and gives its number.
    pub fn tell(&mut self, code: RequestCode, fields: &impl Emit, body: &[u8]) -> i32 {
        let header = Header::request(code).with_fields(Fields::of(fields));
        self.tell_frame(header, body)
    }

    /// Writes a request with this header, under a number of its own, which it gives.
    pub fn tell_frame(&mut self, header: Header, body: &[u8]) -> i32 {
        self.try_tell(header, body).unwrap()
    }

    /// [`Connection::tell_frame`], unless the connection is gone.
    pub fn try_tell(&mut self, header: Header, body: &[u8]) -> io::Result<i32> {
        self.opaque += 1;
        let mut header = header.with_opaque(self.opaque);
        header.encoding = self.encoding;
        let mut bytes = BytesMut::new();
        Frame { header, body: Bytes::copy_from_slice(body) }.encode(&mut bytes).unwrap();
        self.stream.write_all(&bytes)?;
        Ok(self.opaque)
    }

    /// Asks, and waits for the answer. An error when the connection has ended or says nothing for 10 s.
    pub fn try_ask(
        &mut self,
        code: RequestCode,
        fields: impl Into<Fields>,
        body: &[u8],
    ) -> io::Result<Frame> {
        let opaque = self.try_tell(Header::request(code).with_fields(fields), body)?;
        loop {
            let frame = self.try_read()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if frame.header.is_response() && frame.header.opaque == opaque {
                return Ok(frame);
            }
        }
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, code: RequestCode, fields: &impl Emit, body: &[u8]) -> Frame {
        let opaque = self.tell(code, fields, body);
        let answer = self.read().expect("an answer");
        assert_eq!(answer.header.opaque, opaque);
        answer
    }

    /// The next frame, but for notices of changes in groups; none when the connection has ended.
    pub fn read(&mut self) -> Option<Frame> {
        match self.try_read() {
            Ok(frame) => frame,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    fn try_read(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer).map_err(io::Error::other)? {
                let is_notice = frame.header.request_code() == RequestCode::NOTIFY_CONSUMER_IDS_CHANGED;
                if frame.header.is_response() || !is_notice {
                    return Ok(Some(frame));
                }
                continue;
            }
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk)? {
                0 => return Ok(None),
                count => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// Creates a topic, or changes it.
    pub fn create_topic(&mut self, topic: &str, queues: i32) {
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
    pub fn heartbeat(&mut self, client_id: &str, producers: &str, consumers: &str) {
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
    pub fn answer(&mut self, request: &Frame) {
        let mut bytes = BytesMut::new();
        request.header.reply_to().answer(ResponseCode::SUCCESS).encode(b"", &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// Waits for the messages of a queue from `offset` on.
    pub fn wait_for(&mut self, topic: &str, queue: i32, offset: i64) -> Vec<Got> {
        self.tell(RequestCode::PULL_MESSAGE, &pull(topic, queue, offset, "*", 9_000), b"");
        let (code, _, got) = pulled(&self.read().unwrap());
        assert_eq!(code, ResponseCode::SUCCESS, "{topic}:{queue} from {offset} on");
        got
    }

    /// Sends a message; the code when it is not acknowledged.
    pub fn send(
        &mut self,
        topic: &str,
        queue: i32,
        body: &[u8],
    ) -> Result<SendMessageResponse, ResponseCode> {
        self.send_with(topic, queue, body, "")
    }

    /// Sends a message with properties, `name=value;name=value;`.
    pub fn send_with(
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
    pub fn pull(
        &mut self,
        topic: &str,
        queue: i32,
        offset: i64,
    ) -> (ResponseCode, PullMessageResponse, Vec<Got>) {
        let answer = self.ask(RequestCode::PULL_MESSAGE, &pull(topic, queue, offset, "*", 0), b"");
        pulled(&answer)
    }

    /// All messages of a queue, which must be `expected` at least; waits for them to become visible.
    pub fn drain(&mut self, topic: &str, queue: i32, expected: usize) -> Vec<Got> {
        let (mut all, mut offset) = (Vec::new(), 0);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let (code, header, got) = self.pull(topic, queue, offset);
            all.extend(got);
            offset = header.next_begin_offset;
            if code != ResponseCode::SUCCESS {
                if all.len() >= expected {
                    return all;
                }
                assert!(Instant::now() < deadline, "{} of {expected} messages", all.len());
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// A send of group `p`; properties as `name=value;name=value;`.
pub fn message(topic: &str, queue: i32, properties: &str) -> SendMessageRequest {
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

/// A pull of group `g` that waits `suspend` ms at the broker when there is nothing; 0: not at all.
pub fn pull(topic: &str, queue: i32, offset: i64, subscription: &str, suspend: i64) -> PullMessageRequest {
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

/// What a send was answered with.
pub fn receipt(answer: &Frame) -> Result<SendMessageResponse, ResponseCode> {
    match answer.header.response_code() {
        ResponseCode::SUCCESS => Ok(SendMessageResponse::from_fields(&answer.header.fields).unwrap()),
        code => Err(code),
    }
}

/// What a pull was answered with.
pub fn pulled(answer: &Frame) -> (ResponseCode, PullMessageResponse, Vec<Got>) {
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
