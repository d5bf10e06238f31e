//! A blocking connection to a broker, and the few requests that every case needs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;

use super::{Common, Fault};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::fields::Fields;
use crate::protocol::frame::Frame;
use crate::protocol::header::{Encoding, Header};
use crate::protocol::requests::topic::{CreateTopicRequest, TopicRequest};

/// A broker that says nothing for so long is given up on; longer than any wait that a case asks for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes asked of a read.
const READ: usize = 256 << 10;

pub(super) struct Wire {
    stream: TcpStream,
    arrived: BytesMut,
    out: BytesMut,
    read: Vec<u8>,
    encoding: Encoding,
}

impl Wire {
    pub(super) fn connect(common: &Common) -> Result<Self, Fault> {
        let unreachable = |source| Fault::Connect { broker: common.broker.clone(), source };
        let stream = TcpStream::connect(&common.broker).map_err(unreachable)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let encoding = if common.json_headers { Encoding::Json } else { Encoding::RocketMq };
        Ok(Self { stream, arrived: BytesMut::new(), out: BytesMut::new(), read: vec![0; READ], encoding })
    }

    /// A header in the connection's encoding.
    pub(super) fn header(&self, code: RequestCode, fields: impl Into<Fields>) -> Header {
        Header { encoding: self.encoding, ..Header::request(code).with_fields(fields) }
    }

    /// Adds a request to what is written next.
    pub(super) fn put(&mut self, request: &Frame) -> Result<(), Fault> {
        Ok(request.encode(&mut self.out)?)
    }

    pub(super) fn write(&mut self) -> Result<(), Fault> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// The next answer of those that have arrived.
    pub(super) fn arrived(&mut self) -> Result<Option<Frame>, Fault> {
        Ok(Frame::decode(&mut self.arrived)?)
    }

    /// Waits until more has arrived.
    pub(super) fn wait(&mut self) -> Result<(), Fault> {
        let count = self.stream.read(&mut self.read)?;
        if count == 0 {
            return Err(Fault::Closed);
        }
        self.arrived.extend_from_slice(self.read.get(..count).unwrap_or_default());
        Ok(())
    }

    /// One request, and its answer.
    pub(super) fn call(&mut self, request: &Frame) -> Result<Frame, Fault> {
        self.put(request)?;
        self.write()?;
        loop {
            match self.arrived()? {
                // A broker asks too, for example whether a transaction ended; that is not for us.
                Some(frame) if frame.header.is_response() => return Ok(frame),
                Some(_) => {}
                None => self.wait()?,
            }
        }
    }

    /// Sees that the topic is there.
    pub(super) fn ensure_topic(&mut self, common: &Common) -> Result<(), Fault> {
        let asked = TopicRequest { topic: common.topic.as_str().into() };
        let known = self.call(&self.header(RequestCode::GET_TOPIC_CONFIG, asked).into())?;
        if known.header.response_code() == ResponseCode::SUCCESS {
            return Ok(());
        }
        let wanted = CreateTopicRequest {
            topic: common.topic.as_str().into(),
            default_topic: Some("TBW102".into()),
            read_queue_nums: common.queues,
            write_queue_nums: common.queues,
            perm: 6,
            topic_filter_type: Some("SINGLE_TAG".into()),
            topic_sys_flag: 0,
            order: false,
            attributes: None,
            force: false,
        };
        let made = self.call(&self.header(RequestCode::UPDATE_AND_CREATE_TOPIC, wanted).into())?;
        taken("make the topic", &made)
    }

    /// The offset behind the last message of queue 0.
    pub(super) fn max_offset(&mut self, topic: &str) -> Result<i64, Fault> {
        let fields = Fields::new().with("topic", topic).with("queueId", 0);
        let answer = self.call(&self.header(RequestCode::GET_MAX_OFFSET, fields).into())?;
        taken("ask for the queue's end", &answer)?;
        Ok(answer.header.fields.number("offset").unwrap_or(0))
    }
}

/// Fails unless the answer says success.
pub(super) fn taken(what: &'static str, answer: &Frame) -> Result<(), Fault> {
    match answer.header.response_code() {
        ResponseCode::SUCCESS => Ok(()),
        code => Err(Fault::Refused { what, code: code.as_i32(), remark: remark(answer) }),
    }
}

pub(super) fn remark(answer: &Frame) -> String {
    answer.header.remark.as_deref().unwrap_or_default().to_owned()
}
