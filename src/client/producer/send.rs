//! One message to one queue, and the tries until it is there (fact sheet: client 3.2).

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use tracing::{Instrument, debug, debug_span};

use super::{Deadline, Shared, latency::Outcome, select};
use crate::{
    client::{
        Error, Message, Result, compression::compressed, core, error::AnsweredBy, now_millis, route::Route,
    },
    protocol::{
        codes::{RequestCode, ResponseCode},
        frame::Frame,
        message::MessageQueue,
        properties::name,
        requests::send::{SendMessageRequest, SendMessageResponse},
        sys_flag::{SysFlag, TransactionType},
        topic::AUTO_CREATE,
    },
};

/// Rest before the only broker there is is tried again.
const REST: Duration = Duration::from_millis(100);

/// How safe a stored message is.
///
/// ```no_run
/// # async fn f(producer: castmq::client::Producer) -> Result<(), castmq::client::Error> {
/// use castmq::client::{Message, SendStatus};
/// if producer.send(Message::new("orders", "…")).await?.status != SendStatus::Ok {
///     println!("stored, but not yet as safe as it should be");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendStatus {
    /// As the broker's policy wants it.
    Ok,
    /// Stored, but not flushed in time.
    FlushDiskTimeout,
    /// Stored, but not copied in time.
    FlushSlaveTimeout,
    /// Stored, but there is no slave to copy it to.
    SlaveNotAvailable,
}

impl SendStatus {
    fn of(code: ResponseCode) -> Option<Self> {
        match code {
            ResponseCode::SUCCESS => Some(Self::Ok),
            ResponseCode::FLUSH_DISK_TIMEOUT => Some(Self::FlushDiskTimeout),
            ResponseCode::FLUSH_SLAVE_TIMEOUT => Some(Self::FlushSlaveTimeout),
            ResponseCode::SLAVE_NOT_AVAILABLE => Some(Self::SlaveNotAvailable),
            _ => None,
        }
    }
}

/// Where a message was stored.
///
/// ```no_run
/// # async fn f(producer: castmq::client::Producer) -> Result<(), castmq::client::Error> {
/// use std::time::Duration;
/// use castmq::client::{Delay, Message};
/// let reminder = Message::new("mails", "buy milk").delay(Delay::After(Duration::from_secs(3600)));
/// if let Some(handle) = producer.send(reminder).await?.recall_handle {
///     producer.recall("mails", &handle).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The id that the producer gave it; of a batch all ids, comma separated.
    pub message_id: String,
    /// The id that says where it lies; of a batch all of them.
    pub offset_message_id: String,
    /// The queue.
    pub queue: MessageQueue,
    /// Its place in the queue; of a batch the first one's.
    pub queue_offset: i64,
    /// How safe it is.
    pub status: SendStatus,
    /// Of a delayed message: what [`recall`](super::Producer::recall) takes it back with.
    pub recall_handle: Option<String>,
    /// The broker's region.
    pub region: Option<String>,
    /// The broker wants no trace of it.
    pub(in crate::client) untraced: bool,
}

type Selector<'a> = Box<dyn FnOnce(&[MessageQueue]) -> usize + Send + 'a>;

/// How the queue is chosen.
enum Choice<'a> {
    InTurn,
    Queue(MessageQueue),
    Key(String),
    Selector(Selector<'a>),
}

/// A message on its way; awaiting it sends it.
///
/// ```no_run
/// # async fn f(producer: castmq::client::Producer) -> Result<(), castmq::client::Error> {
/// use std::time::Duration;
/// use castmq::client::Message;
/// let receipt = producer.send(Message::new("orders", "…")).timeout(Duration::from_secs(1)).await?;
/// producer.send(Message::new("orders", "…")).select(|queues| queues.len() - 1).await?;
/// producer.send(Message::new("orders", "…")).to(&receipt.queue).oneway().await?;
/// # Ok(()) }
/// ```
#[must_use = "a message is sent by awaiting this"]
pub struct Sending<'a> {
    shared: &'a Arc<Shared>,
    message: Message,
    choice: Choice<'a>,
    timeout: Duration,
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("message", &self.message).finish_non_exhaustive()
    }
}

impl<'a> Sending<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, message: Message) -> Self {
        Self { shared, message, choice: Choice::InTurn, timeout: shared.settings.send_timeout }
    }

    /// To this queue and no other; tried once.
    pub fn to(self, queue: &MessageQueue) -> Self {
        Self { choice: Choice::Queue(queue.clone()), ..self }
    }

    /// To the queue of this key, so that messages with the same key stay in order while the topic keeps its
    /// queues; tried once. Java's `SelectMessageQueueByHash` chooses the same queue for a text.
    pub fn ordered_by(mut self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.message = self.message.set(name::SHARDING_KEY, key.clone());
        Self { choice: Choice::Key(key), ..self }
    }

    /// To the queue at the place that `select` gives, counted round; tried once.
    pub fn select(self, select: impl FnOnce(&[MessageQueue]) -> usize + Send + 'a) -> Self {
        Self { choice: Choice::Selector(Box::new(select)), ..self }
    }

    /// With a time limit of its own for all tries.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Hands the message to the connection and waits for no answer.
    ///
    /// # Errors
    /// As [`Producer::send_oneway`](super::Producer::send_oneway).
    pub async fn oneway(self) -> Result<()> {
        let Self { shared, message, choice, timeout } = self;
        message.check(shared.settings.max_message_size)?;
        let deadline = Deadline::within(timeout);
        let _room = shared.admit(message.body_len(), &deadline).await?;
        let outgoing = Outgoing::of(shared, &message, TransactionType::None, &[])?;
        let route = shared.route_by(&deadline, message.topic()).await?;
        let queue = shared.choose(choice, &route, message.topic())?.unwrap_or(shared.in_turn(&route, None)?);
        let address = shared.core.routes.master(&queue.broker_name)?;
        let told = shared.core.pool.tell(&address, outgoing.frame(shared, &queue));
        deadline.bound(&address, told).await
    }

    pub(super) async fn run(self, transaction: TransactionType, more: &[(&str, &str)]) -> Result<Receipt> {
        let deadline = Deadline::within(self.timeout);
        self.run_by(&deadline, transaction, more).await
    }

    /// As [`Sending::run`], with the deadline of something that this is a part of.
    pub(super) async fn run_by(
        self,
        deadline: &Deadline,
        transaction: TransactionType,
        more: &[(&str, &str)],
    ) -> Result<Receipt> {
        let Self { shared, message, choice, .. } = self;
        message.check(shared.settings.max_message_size)?;
        let started = Instant::now();
        let _room = shared.admit(message.body_len(), deadline).await?;
        let outgoing = Outgoing::of(shared, &message, transaction, more)?;
        let span = debug_span!("send", topic = message.topic(), id = outgoing.unique_id);
        let receipt = shared.deliver(outgoing, choice, deadline).instrument(span).await?;
        if let Some(tracer) = &shared.core.tracer {
            tracer.published(&shared.group, &message, &receipt, transaction, started.elapsed());
        }
        Ok(receipt)
    }
}

impl<'a> IntoFuture for Sending<'a> {
    type Output = Result<Receipt>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Receipt>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run(TransactionType::None, &[]))
    }
}

/// A message as it goes on the wire, the same in every try.
pub(super) struct Outgoing {
    pub(super) topic: String,
    pub(super) unique_id: String,
    pub(super) properties: Bytes,
    pub(super) body: Bytes,
    pub(super) sys_flag: SysFlag,
    pub(super) flag: i32,
    pub(super) code: RequestCode,
    pub(super) reconsume: Option<(i32, i32)>,
}

impl Outgoing {
    pub(super) fn of(
        shared: &Shared,
        message: &Message,
        transaction: TransactionType,
        more: &[(&str, &str)],
    ) -> Result<Self> {
        // A copy keeps the id of its original.
        let unique_id = match message.get(name::UNIQ_KEY) {
            Some(id) => id.to_owned(),
            None => shared.core.unique_id().as_str().to_owned(),
        };
        let properties = message.properties_with(&unique_id, more)?;
        let (body, sys_flag) = match message.body() {
            body if body.len() < shared.settings.compress_over => (body.clone(), SysFlag::default()),
            body => compressed(body, shared.settings.compression),
        };
        Ok(Self {
            topic: message.topic().to_owned(),
            unique_id,
            properties,
            body,
            sys_flag: sys_flag.with_transaction(transaction),
            flag: message.application_flag(),
            code: RequestCode::SEND_MESSAGE_V2,
            reconsume: None,
        })
    }

    fn frame(&self, shared: &Shared, queue: &MessageQueue) -> Frame {
        let header = SendMessageRequest {
            producer_group: shared.group.as_str().into(),
            topic: self.topic.as_str().into(),
            default_topic: AUTO_CREATE.into(),
            default_topic_queue_nums: shared.settings.default_queues,
            queue_id: queue.queue_id,
            sys_flag: self.sys_flag.0,
            born_timestamp: now_millis(),
            flag: self.flag,
            properties: Some(String::from_utf8_lossy(&self.properties).as_ref().into()),
            reconsume_times: Some(self.reconsume.map_or(0, |(times, _)| times)),
            unit_mode: false,
            max_reconsume_times: self.reconsume.map(|(_, max)| max),
            batch: self.code == RequestCode::SEND_BATCH_MESSAGE,
            broker_name: Some(queue.broker_name.as_str().into()),
        };
        core::request(self.code, &header.compact(), self.body.clone())
    }
}

impl Shared {
    pub(super) async fn route(&self, topic: &str) -> Result<Arc<Route>> {
        let core = &self.core;
        let route = core.routes.route_to_publish(&core.pool, topic, self.settings.default_queues).await?;
        if route.publish.is_empty() {
            return Err(Error::Route { topic: topic.to_owned() });
        }
        Ok(route)
    }

    async fn route_by(&self, deadline: &Deadline, topic: &str) -> Result<Arc<Route>> {
        deadline.bound("the nameservers", self.route(topic)).await
    }

    fn in_turn(&self, route: &Route, failed: Option<&str>) -> Result<MessageQueue> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let queue = select::in_turn(&route.publish, turn, failed, self.latencies.as_ref());
        // Routes without queues have been refused.
        queue.cloned().ok_or_else(|| Error::Route { topic: String::new() })
    }

    /// The queue that the caller wants; none to go by turns.
    fn choose(&self, choice: Choice<'_>, route: &Route, topic: &str) -> Result<Option<MessageQueue>> {
        let queues = &route.publish;
        Ok(match choice {
            Choice::InTurn => None,
            Choice::Queue(queue) if queue.topic == topic => Some(queue),
            Choice::Queue(queue) => {
                return Err(Error::message(format!(
                    "the queue belongs to topic {}, not to {topic}",
                    queue.topic
                )));
            }
            Choice::Key(key) => select::by_key(queues, &key).cloned(),
            Choice::Selector(select) => {
                select(queues).checked_rem(queues.len()).and_then(|at| queues.get(at)).cloned()
            }
        })
    }

    /// Tries until the message is stored, the tries are used up, or the time is.
    async fn deliver(&self, outgoing: Outgoing, choice: Choice<'_>, deadline: &Deadline) -> Result<Receipt> {
        let route = self.route_by(deadline, &outgoing.topic).await?;
        if let Some(queue) = self.choose(choice, &route, &outgoing.topic)? {
            return self.try_once(&outgoing, &queue, deadline.at).await;
        }
        self.deliver_in_turn(&outgoing, deadline).await
    }

    /// As [`Shared::deliver`], to any queue.
    pub(super) async fn deliver_in_turn(&self, outgoing: &Outgoing, deadline: &Deadline) -> Result<Receipt> {
        let mut failed: Option<String> = None;
        let mut tries = 0;
        loop {
            let route = self.route_by(deadline, &outgoing.topic).await?;
            let queue = self.in_turn(&route, failed.as_deref())?;
            let outcome = self.try_once(outgoing, &queue, deadline.at).await;
            tries += 1;
            let is_last = tries > self.settings.retries || Instant::now() >= deadline.at;
            match &outcome {
                _ if is_last => return outcome,
                Ok(receipt) if receipt.status == SendStatus::Ok || !self.settings.retry_unless_stored => {
                    return outcome;
                }
                Err(error) if !error.is_retryable() => return outcome,
                Ok(_) => {}
                Err(error) => debug!(%error, broker = queue.broker_name, tries, "trying again"),
            }
            if failed.replace(queue.broker_name) == failed {
                tokio::time::sleep(REST).await;
            }
        }
    }

    async fn try_once(
        &self,
        outgoing: &Outgoing,
        queue: &MessageQueue,
        deadline: Instant,
    ) -> Result<Receipt> {
        let started = Instant::now();
        let outcome = self.exchange(outgoing, queue, deadline).await;
        if let Some(latencies) = &self.latencies {
            let went = match &outcome {
                Ok(_) => Outcome::Answered,
                Err(Error::Broker { .. }) => Outcome::Refused,
                Err(Error::Connect { .. } | Error::Disconnected { .. } | Error::Timeout { .. }) => {
                    Outcome::Silent
                }
                // Nothing that the broker is to blame for.
                Err(_) => Outcome::Answered,
            };
            latencies.note(&queue.broker_name, started.elapsed(), went, Instant::now());
        }
        outcome
    }

    async fn exchange(
        &self,
        outgoing: &Outgoing,
        queue: &MessageQueue,
        deadline: Instant,
    ) -> Result<Receipt> {
        let address = self.core.routes.master(&queue.broker_name)?;
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = self.core.pool.call(&address, outgoing.frame(self, queue), left).await?;
        let code = answer.header.response_code();
        let Some(status) = SendStatus::of(code) else { return Err(core::refusal(&address, code, answer)) };
        let response = SendMessageResponse::from_fields(&answer.header.fields).answered_by(&address)?;
        Ok(Receipt {
            message_id: outgoing.unique_id.clone(),
            offset_message_id: response.msg_id.into(),
            queue: MessageQueue { queue_id: response.queue_id, ..queue.clone() },
            queue_offset: response.queue_offset,
            status,
            recall_handle: response.recall_handle.map(String::from),
            region: response.region.map(String::from),
            untraced: response.trace_on == Some(false),
        })
    }
}
