//! Messages that came from a broker.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use super::compression::decompressed;
use crate::protocol::{
    message::MessageQueue,
    properties::{self, name},
    record::{RecordError, RecordView, records},
    sys_flag::SysFlag,
    topic::RETRY_PREFIX,
};

/// A message as a consumer gets it. Clones share it.
///
/// ```no_run
/// # fn f(message: castmq::client::ReceivedMessage) {
/// let keys: Vec<&str> = message.keys().collect();
/// println!("{} in {} with {keys:?}, sent at {:?} by {}", message.id(), message.topic(), message.born_at(), message.born_host());
/// println!("{} at {} of {:?}", message.offset_id(), message.queue_offset(), message.queue());
/// println!("{} of {} since {:?}", message.physical_offset(), message.store_host(), message.stored_at());
/// println!("{:?}, try {}", message.properties().collect::<Vec<_>>(), message.reconsume_times() + 1);
/// assert!(message.flag() == 0 && !message.is_compressed());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReceivedMessage {
    parts: Arc<Parts>,
    reconsume_times: i32,
}

#[derive(Debug)]
struct Parts {
    topic: String,
    queue: MessageQueue,
    queue_offset: i64,
    physical_offset: i64,
    body: Bytes,
    properties: Bytes,
    flag: i32,
    sys_flag: SysFlag,
    born_timestamp: i64,
    born_host: SocketAddr,
    store_timestamp: i64,
    store_host: SocketAddr,
}

impl ReceivedMessage {
    /// The topic that it was sent to, also when it comes by way of a retry topic.
    pub fn topic(&self) -> &str {
        &self.parts.topic
    }

    /// The queue that it was read from; of a retried message, one of the retry topic.
    pub fn queue(&self) -> &MessageQueue {
        &self.parts.queue
    }

    /// Its place in the queue.
    pub fn queue_offset(&self) -> i64 {
        self.parts.queue_offset
    }

    /// Its place in the broker's commit log, bytes.
    pub fn physical_offset(&self) -> i64 {
        self.parts.physical_offset
    }

    /// The body, no longer compressed.
    pub fn body(&self) -> &Bytes {
        &self.parts.body
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.property(name::TAGS)
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.property(name::KEYS).unwrap_or_default().split_ascii_whitespace()
    }

    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        properties::get_str(&self.parts.properties, name)
    }

    /// All properties that are text, those of the system among them.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        properties::iter(&self.parts.properties).filter_map(|(name, value)| {
            Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
        })
    }

    /// The id that its producer gave it, else the one that says where it lies.
    pub fn id(&self) -> String {
        self.property(name::UNIQ_KEY).map_or_else(|| self.offset_id(), str::to_owned)
    }

    /// The id that says where it lies.
    pub fn offset_id(&self) -> String {
        let (host, offset) = (self.parts.store_host, self.parts.physical_offset);
        crate::protocol::message_id::OffsetMessageId { host, offset }.to_string()
    }

    /// The application's own flag.
    pub fn flag(&self) -> i32 {
        self.parts.flag
    }

    /// Whether the body is compressed in a way that nobody knows, or broken.
    pub fn is_compressed(&self) -> bool {
        self.parts.sys_flag.has(SysFlag::COMPRESSED)
    }

    /// How often it was consumed in vain.
    pub fn reconsume_times(&self) -> u32 {
        u32::try_from(self.reconsume_times).unwrap_or(0)
    }

    /// When its producer made it.
    pub fn born_at(&self) -> SystemTime {
        time(self.parts.born_timestamp)
    }

    /// Who sent it.
    pub fn born_host(&self) -> SocketAddr {
        self.parts.born_host
    }

    /// When the broker stored it.
    pub fn stored_at(&self) -> SystemTime {
        time(self.parts.store_timestamp)
    }

    /// The broker that stored it.
    pub fn store_host(&self) -> SocketAddr {
        self.parts.store_host
    }

    /// Memory that it holds, roughly, bytes.
    pub(super) fn size(&self) -> usize {
        self.parts.body.len() + self.parts.properties.len()
    }

    /// The message of a record that lies in `buffer`.
    fn of(record: &RecordView<'_>, buffer: &Bytes, broker_name: &str) -> Self {
        let stored_topic = String::from_utf8_lossy(record.topic).into_owned();
        let original =
            record.property_str(name::RETRY_TOPIC).filter(|_| stored_topic.starts_with(RETRY_PREFIX));
        let topic = original.map_or_else(|| stored_topic.clone(), str::to_owned);
        let (body, sys_flag) = decompressed(buffer.slice_ref(record.body), record.sys_flag);
        let parts = Parts {
            topic,
            queue: MessageQueue {
                broker_name: broker_name.to_owned(),
                queue_id: record.queue_id,
                topic: stored_topic,
            },
            queue_offset: record.queue_offset,
            physical_offset: record.physical_offset,
            body,
            properties: buffer.slice_ref(record.properties),
            flag: record.flag,
            sys_flag,
            born_timestamp: record.born_timestamp,
            born_host: record.born_host,
            store_timestamp: record.store_timestamp,
            store_host: record.store_host,
        };
        Self { parts: Arc::new(parts), reconsume_times: record.reconsume_times }
    }

    /// The same message, consumed in vain once more.
    pub(super) fn once_more(mut self) -> Self {
        self.reconsume_times = self.reconsume_times.saturating_add(1);
        self
    }

    /// The property text.
    pub(super) fn property_text(&self) -> &[u8] {
        &self.parts.properties
    }
}

/// The messages of an answer's body.
pub(super) fn messages(body: &Bytes, broker_name: &str) -> Result<Vec<ReceivedMessage>, RecordError> {
    records(body).map(|record| record.map(|record| ReceivedMessage::of(&record, body, broker_name))).collect()
}

fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
