//! How a producer is made (fact sheet: client 3.1).

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

use tokio::sync::{OnceCell, Semaphore, mpsc};

use super::{Producer, Shared, TransactionListener, TransactionProducer, latency::Latencies, transaction};
use crate::{
    client::{
        Compression, Error, Result,
        core::{Core, Place},
        inbound::Asked,
    },
    protocol::topic::validate_group,
};

/// Questions about transactions that may wait.
const CHECKS: usize = 2000;

/// What a producer does, unless told otherwise.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) send_timeout: Duration,
    pub(super) retries: u32,
    pub(super) retry_unless_stored: bool,
    pub(super) compress_over: usize,
    pub(super) compression: Compression,
    pub(super) max_message_size: usize,
    pub(super) default_queues: i32,
    pub(super) max_in_flight: usize,
    pub(super) max_in_flight_bytes: usize,
    pub(super) avoids_latency: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            send_timeout: Duration::from_secs(3),
            retries: 2,
            retry_unless_stored: false,
            compress_over: 4096,
            compression: Compression::default(),
            max_message_size: 4 << 20,
            default_queues: 4,
            max_in_flight: 1024,
            max_in_flight_bytes: 100 << 20,
            avoids_latency: false,
        }
    }
}

/// A producer to be set up; awaiting it starts it.
///
/// ```no_run
/// # async fn f(client: castmq::client::Client) -> Result<(), castmq::client::Error> {
/// use std::time::Duration;
/// let producer = client
///     .producer("billing")
///     .send_timeout(Duration::from_secs(5))
///     .retries(3)
///     .retry_unless_safe(true)
///     .avoid_latency(true)
///     .max_message_size(1 << 20)
///     .max_in_flight(100)
///     .max_in_flight_bytes(10 << 20)
///     .default_queues(8)
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is awaited"]
pub struct ProducerBuilder {
    core: Arc<Core>,
    group: String,
    settings: Settings,
}

impl ProducerBuilder {
    pub(in crate::client) fn new(core: Arc<Core>, group: String) -> Self {
        Self { core, group, settings: Settings::default() }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// How long a send may take with all its tries, 3 s by default.
    pub fn send_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.send_timeout = timeout)
    }

    /// How often a send is tried again, 2 times by default.
    pub fn retries(self, retries: u32) -> Self {
        self.with(|settings| settings.retries = retries)
    }

    /// Whether a message that was stored, but neither flushed nor copied in time, is sent again elsewhere;
    /// no by default. Consumers may then see it twice.
    pub fn retry_unless_safe(self, retry: bool) -> Self {
        self.with(|settings| settings.retry_unless_stored = retry)
    }

    /// From how many bytes on bodies are compressed, 4096 by default; `None` for never.
    pub fn compress_over(self, bytes: impl Into<Option<usize>>) -> Self {
        let bytes = bytes.into().unwrap_or(usize::MAX);
        self.with(|settings| settings.compress_over = bytes)
    }

    /// How bodies are compressed, zlib by default.
    pub fn compression(self, compression: Compression) -> Self {
        self.with(|settings| settings.compression = compression)
    }

    /// Largest body, 4 MiB by default; brokers have a limit of their own.
    pub fn max_message_size(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_message_size = bytes)
    }

    /// How many queues a topic gets that does not exist yet, on each broker, 4 by default.
    pub fn default_queues(self, queues: u16) -> Self {
        self.with(|settings| settings.default_queues = i32::from(queues.max(1)))
    }

    /// How many messages may be under way before sending waits, 1024 by default.
    pub fn max_in_flight(self, messages: usize) -> Self {
        self.with(|settings| settings.max_in_flight = messages.clamp(1, u32::MAX as usize))
    }

    /// How many bytes may be under way before sending waits, 100 MiB by default.
    pub fn max_in_flight_bytes(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_in_flight_bytes = bytes.clamp(1, u32::MAX as usize))
    }

    /// Keeps away from brokers that failed or were slow, for a while; no by default.
    pub fn avoid_latency(self, avoid: bool) -> Self {
        self.with(|settings| settings.avoids_latency = avoid)
    }

    /// Starts the producer. Awaiting the builder does the same.
    ///
    /// # Errors
    /// [`Error::Config`] for a group that brokers would refuse, or that this client has a producer of.
    pub async fn start(self) -> Result<Producer> {
        self.start_with(None)
    }

    /// Starts a producer of transactions, which brokers ask how they ended.
    ///
    /// # Errors
    /// As [`ProducerBuilder::start`].
    pub async fn transactional(self, listener: impl TransactionListener) -> Result<TransactionProducer> {
        let (checks, asked) = mpsc::channel(CHECKS);
        let producer = self.start_with(Some(checks))?;
        Ok(transaction::start(producer, Arc::new(listener), asked))
    }

    fn start_with(self, checks: Option<mpsc::Sender<Asked>>) -> Result<Producer> {
        let group = &self.group;
        validate_group(group).map_err(|error| Error::config(format!("producer group {group:?}: {error}")))?;
        let place = self.core.add_producer(group, checks)?;
        Ok(self.build(Some(place)))
    }

    pub(super) fn build(self, place: Option<Place>) -> Producer {
        let Self { core, group, settings } = self;
        let shared = Shared {
            latencies: settings.avoids_latency.then(Latencies::default),
            turn: AtomicUsize::new(fastrand::usize(..)),
            messages: Semaphore::new(settings.max_in_flight),
            bytes: Semaphore::new(settings.max_in_flight_bytes),
            closed: AtomicBool::new(false),
            announced: OnceCell::new(),
            place,
            core,
            group,
            settings,
        };
        Producer { shared: Arc::new(shared) }
    }
}

impl IntoFuture for ProducerBuilder {
    type Output = Result<Producer>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Producer>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}
