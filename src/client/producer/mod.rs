//! Sending: one message, many, in order, in a transaction, as a question.

mod batch;
mod builder;
mod latency;
mod request;
mod select;
mod send;
mod transaction;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OnceCell, Semaphore, SemaphorePermit},
    time::Instant,
};

pub use builder::ProducerBuilder;
pub use request::Request;
pub use send::{Receipt, SendStatus, Sending};
pub use transaction::{TransactionListener, TransactionProducer, TransactionState};

use self::{builder::Settings, latency::Latencies};
use super::{
    Error, Message, Result,
    core::{Core, Place},
};
use crate::protocol::sys_flag::TransactionType;

/// What consumers send under (fact sheet: client 1).
const INTERNAL_GROUP: &str = "CLIENT_INNER_PRODUCER";

/// Sends messages. Clones are the same producer.
///
/// Memory is bounded: beyond [`ProducerBuilder::max_in_flight`] messages or
/// [`ProducerBuilder::max_in_flight_bytes`] bytes, sending waits.
/// ```no_run
/// # async fn f(client: castmq::client::Client) -> Result<(), castmq::client::Error> {
/// use castmq::client::Message;
/// let producer = client.producer("billing").retries(3).start().await?;
/// producer.send(Message::new("bills", "one")).await?;
/// producer.send(Message::new("bills", "the customer's second")).ordered_by("customer 7").await?;
/// producer.send_oneway(Message::new("bills", "not so important")).await?;
/// println!("{} is done", producer.group());
/// producer.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Producer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    core: Arc<Core>,
    group: String,
    settings: Settings,
    latencies: Option<Latencies>,
    /// Where the round robin is; starts at random so that many producers do not march in step.
    turn: AtomicUsize,
    messages: Semaphore,
    bytes: Semaphore,
    closed: AtomicBool,
    /// Set once brokers were told of this producer, which replies need.
    announced: OnceCell<()>,
    /// Among the client's producers; none for one that brokers are not told of.
    place: Option<Place>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            self.core.forget(&self.group, place);
        }
    }
}

/// As good as endless; clocks have no place for much more.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// When a send is over, with its wait for room, its look for a route and all its tries.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Instant,
    /// The time that there was.
    after: Duration,
}

impl Deadline {
    fn within(after: Duration) -> Self {
        Self { at: Instant::now() + after.min(FOR_EVER), after }
    }

    /// What the future comes to in time; `whom` it waits for.
    async fn bound<T>(&self, whom: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
        let late = |_| Error::Timeout { address: whom.to_owned(), after: self.after };
        tokio::time::timeout_at(self.at, future).await.map_err(late)?
    }
}

/// The room that a message takes while it is under way.
struct InFlight<'a> {
    _message: SemaphorePermit<'a>,
    _bytes: SemaphorePermit<'a>,
}

impl Shared {
    /// Waits for room.
    async fn admit(&self, bytes: usize, deadline: &Deadline) -> Result<InFlight<'_>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        let bytes = u32::try_from(bytes.min(self.settings.max_in_flight_bytes)).unwrap_or(u32::MAX);
        let room = async {
            let message = self.messages.acquire().await.map_err(|_| Error::Closed)?;
            let bytes = self.bytes.acquire_many(bytes).await.map_err(|_| Error::Closed)?;
            Ok(InFlight { _message: message, _bytes: bytes })
        };
        deadline.bound("the brokers, with as much under way as is allowed,", room).await
    }
}

impl Producer {
    /// One that no broker is told of, for what consumers send themselves.
    pub(super) fn internal(core: Arc<Core>) -> Self {
        // A retry topic that the nameservers do not know yet has one queue.
        ProducerBuilder::new(core, INTERNAL_GROUP.to_owned()).default_queues(1).build(None)
    }

    /// Sends without a trace; with `reconsume`, a copy of a message that was consumed in vain so many times, of so
    /// many.
    pub(super) async fn send_plain(
        &self,
        message: Message,
        reconsume: Option<(i32, i32)>,
    ) -> Result<Receipt> {
        let shared = &self.shared;
        let outgoing =
            send::Outgoing { reconsume, ..send::Outgoing::of(shared, &message, TransactionType::None, &[])? };
        shared.deliver_in_turn(&outgoing, &Deadline::within(shared.settings.send_timeout)).await
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.shared.group
    }

    /// Sends a message; the future may be told more before it is awaited.
    ///
    /// # Errors
    /// A message that no broker would take, no route, or what the last of the tries came to.
    pub fn send(&self, message: Message) -> Sending<'_> {
        Sending::new(&self.shared, message)
    }

    /// Sends a message without waiting for a word from the broker: one that is lost is lost.
    ///
    /// # Errors
    /// A message that no broker would take, or no connection to send it on.
    pub async fn send_oneway(&self, message: Message) -> Result<()> {
        self.send(message).oneway().await
    }

    /// Sends messages of one topic in one request, to one queue: all are stored or none.
    ///
    /// # Errors
    /// As [`Producer::send`]; also messages of several topics, with a delay, or too many bytes together.
    pub async fn send_batch(&self, messages: impl IntoIterator<Item = Message>) -> Result<Receipt> {
        batch::send(&self.shared, messages.into_iter().collect()).await
    }

    /// Sends a question and waits for the reply of whoever consumes it.
    ///
    /// # Errors
    /// As [`Producer::send`]; [`Error::Timeout`] when nobody replies in time.
    pub async fn request(&self, message: Message, timeout: Duration) -> Result<bytes::Bytes> {
        request::request(&self.shared, message, timeout).await
    }

    /// Answers a question that a consumer was handed.
    ///
    /// # Errors
    /// [`Error::Message`] when it is no question; else as [`Producer::send`].
    pub async fn reply(&self, question: &Request<'_>, body: impl Into<bytes::Bytes>) -> Result<Receipt> {
        request::reply(&self.shared, question, body.into()).await
    }

    /// Takes a delayed message back, by the handle in its receipt.
    ///
    /// # Errors
    /// [`Error::Config`] for a handle that cannot be read, [`Error::Broker`] when it is too late or not
    /// allowed there.
    pub async fn recall(&self, topic: &str, handle: &str) -> Result<String> {
        request::recall(&self.shared, topic, handle).await
    }

    /// Waits for what is under way, then tells the brokers that this producer is gone. What is sent later
    /// gives [`Error::Closed`].
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        if shared.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let all = u32::try_from(shared.settings.max_in_flight).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(shared.settings.send_timeout, shared.messages.acquire_many(all)).await;
        shared.messages.close();
        if let Some(tracer) = &shared.core.tracer {
            tracer.flush().await;
        }
        if let Some(place) = &shared.place {
            shared.core.remove_producer(&shared.group, place).await;
        }
    }
}
