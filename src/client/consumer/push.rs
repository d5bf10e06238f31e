//! The consumer that is handed messages (fact sheet: client 4).

use std::{
    collections::BTreeMap,
    future::{Future, IntoFuture},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, Semaphore, mpsc},
    task::JoinSet,
};
use tracing::{Instrument, debug_span, warn};

use super::{
    Allocation, Deliveries, Delivery, Filter, Limits, Outcome, Start,
    delivery::Item,
    group::Group,
    rebalance, retry,
    settings::{Mode, Settings},
};
use crate::{
    client::{Error, ReceivedMessage, Result, core::Core, task::Task},
    protocol::heartbeat::MessageModel,
};

/// A push consumer to be set up; awaiting it starts it.
///
/// ```no_run
/// # async fn f(client: castmq::client::Client) -> Result<(), castmq::client::Error> {
/// use std::time::Duration;
/// use castmq::client::{Filter, Outcome, Start};
/// let consumer = client
///     .push_consumer("orders-c")
///     .subscribe("orders", Filter::tags(["new"]))
///     .start_from(Start::First)
///     .allocation(castmq::client::Allocation::Average)
///     .concurrency(8)
///     .handler_timeout(Duration::from_secs(60))
///     .max_reconsume_times(5)
///     .pull_batch(64)
///     .limits(castmq::client::Limits::default())
///     .persist_interval(Duration::from_secs(1))
///     .rebalance_interval(Duration::from_secs(10))
///     .await?;
/// consumer.run(async |message| {
///     println!("{:?}", message.body());
///     Outcome::Done
/// }).await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is awaited"]
pub struct PushConsumerBuilder {
    core: Arc<Core>,
    group: String,
    filters: BTreeMap<String, Filter>,
    settings: Settings,
    concurrency: usize,
    handler_timeout: Duration,
}

impl PushConsumerBuilder {
    pub(in crate::client) fn new(core: Arc<Core>, group: String) -> Self {
        let settings = Settings::new(Mode::Concurrent);
        let handler_timeout = Duration::from_secs(15 * 60);
        Self { core, group, filters: BTreeMap::new(), settings, concurrency: 20, handler_timeout }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Adds a topic. All members of a group must subscribe to the same.
    pub fn subscribe(mut self, topic: impl Into<String>, filter: impl Into<Filter>) -> Self {
        self.filters.insert(topic.into(), filter.into());
        self
    }

    /// Where a group starts that was never here, [`Start::Last`] by default.
    pub fn start_from(self, start: Start) -> Self {
        self.with(|settings| settings.start = start)
    }

    /// Hands out one message at a time of each queue, in order, and again until it is done with.
    pub fn ordered(self) -> Self {
        self.with(|settings| settings.mode = Mode::Ordered)
    }

    /// Gives every member every message; progress is kept in a file of this host.
    pub fn broadcast(self) -> Self {
        self.with(|settings| settings.model = MessageModel::Broadcasting)
    }

    /// Where a broadcast consumer keeps its progress; by default
    /// `$HOME/.rocketmq_offsets/<ip>@DEFAULT/<group>/offsets.json`, as Java does.
    pub fn offsets_file(self, file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        self.with(|settings| settings.offsets_file = Some(file))
    }

    /// How queues are shared, [`Allocation::Average`] by default; the same in all members.
    pub fn allocation(self, allocation: Allocation) -> Self {
        self.with(|settings| settings.allocation = allocation)
    }

    /// How many handlers of [`PushConsumer::run`] work at a time, 20 by default.
    pub fn concurrency(self, handlers: usize) -> Self {
        let handlers = handlers.clamp(1, 1000);
        Self { concurrency: handlers, ..self }.with(|settings| settings.buffer = handlers)
    }

    /// How long a handler of [`PushConsumer::run`] may take before its message counts as failed, 15 minutes by
    /// default.
    pub fn handler_timeout(self, timeout: Duration) -> Self {
        Self { handler_timeout: timeout, ..self }
    }

    /// How much a queue may hold that is not yet acknowledged.
    pub fn limits(self, limits: Limits) -> Self {
        self.with(|settings| settings.limits = limits)
    }

    /// How many messages a pull asks for, 1 to 1024, 32 by default.
    pub fn pull_batch(self, messages: u16) -> Self {
        self.with(|settings| settings.batch = i32::from(messages.clamp(1, 1024)))
    }

    /// After how many tries in vain a message is a dead letter: 16 by default, never when ordered.
    pub fn max_reconsume_times(self, times: u32) -> Self {
        let times = i32::try_from(times).unwrap_or(i32::MAX);
        self.with(|settings| settings.max_reconsume_times = Some(times))
    }

    /// How long an ordered queue rests before a message is tried again, 1 s by default.
    pub fn suspend(self, pause: Duration) -> Self {
        self.with(|settings| settings.suspend = pause)
    }

    /// How often progress is stored, 5 s by default.
    pub fn persist_interval(self, interval: Duration) -> Self {
        self.with(|settings| settings.persist_interval = interval.max(Duration::from_millis(10)))
    }

    /// How often queues are shared anew without being told of a change, 20 s by default.
    pub fn rebalance_interval(self, interval: Duration) -> Self {
        self.with(|settings| settings.rebalance_interval = interval.max(Duration::from_millis(10)))
    }

    /// Starts the consumer. Awaiting the builder does the same.
    ///
    /// # Errors
    /// [`Error::Config`] for names that brokers would refuse, a second consumer of the group in this client, or
    /// no subscription.
    pub async fn start(self) -> Result<PushConsumer> {
        let Self { core, group, filters, settings, concurrency, handler_timeout } = self;
        if filters.is_empty() {
            return Err(Error::config(format!("consumer group {group} has no subscription")));
        }
        let (group, (items, failures)) = Group::open(core, group, settings, filters)?;
        // From here on a start that fails or is dropped leaves nothing behind.
        let handle = Handle { group: group.clone(), items: Mutex::new(items), concurrency, handler_timeout };
        group.register().await?;
        group.add_task(Task::spawn(retry::run(group.clone(), failures)));
        group.add_task(Task::spawn(rebalance::run(group.clone())));
        group.add_task(Task::spawn(group.clone().keep_offsets()));
        if group.settings.locks() {
            group.add_task(Task::spawn(rebalance::keep_locks(group.clone())));
        }
        Ok(PushConsumer { handle: Arc::new(handle) })
    }
}

impl IntoFuture for PushConsumerBuilder {
    type Output = Result<PushConsumer>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<PushConsumer>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

/// Hands out the messages of its group's topics: [`recv`](Self::recv) one by one, as a
/// [`stream`](Self::stream), or to a handler that is [`run`](Self::run). Clones are the same consumer; several
/// tasks may receive from it.
///
/// Dropping the last clone ends it as [`shutdown`](Self::shutdown) does, without waiting.
/// ```no_run
/// # async fn f(client: castmq::client::Client) -> Result<(), castmq::client::Error> {
/// use std::time::Duration;
/// let in_order = client.push_consumer("a").subscribe("T", "*").ordered().suspend(Duration::from_secs(3)).await?;
/// let news = client.push_consumer("b").subscribe("T", "*").broadcast().offsets_file("b.json").await?;
/// news.subscribe("U", "red || green").await?;
/// news.unsubscribe("T").await?;
/// news.pause();
/// println!("{} rests, with {:?}", news.group(), news.queues());
/// news.resume();
/// news.shutdown(Duration::from_secs(10)).await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct PushConsumer {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    group: Arc<Group>,
    items: Mutex<mpsc::Receiver<Item>>,
    concurrency: usize,
    handler_timeout: Duration,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.group.end_without_waiting();
    }
}

impl PushConsumer {
    /// The group.
    pub fn group(&self) -> &str {
        &self.handle.group.name
    }

    /// The next message; none once the consumer is shut down. Dropping the future loses nothing.
    pub async fn recv(&self) -> Option<Delivery> {
        let group = &self.handle.group;
        let stopped = group.stopped();
        tokio::pin!(stopped);
        loop {
            let mut items = self.handle.items.lock().await;
            let item = tokio::select! {
                biased;
                () = &mut stopped => return None,
                item = items.recv() => item?,
            };
            if !item.process.is_leaving() {
                return Some(Delivery::of(item, group));
            }
        }
    }

    /// The messages as a stream.
    pub fn stream(&self) -> Deliveries {
        Deliveries::of(self.clone())
    }

    /// Hands messages to `handler`, as many at a time as the builder was told, until the consumer is shut down.
    /// What it returns says what becomes of the message: an [`Outcome`], `()` for done, or a `Result` whose
    /// error means later. A panic means later too, and so does a handler that takes too long.
    pub async fn run<H, F>(&self, handler: H)
    where
        H: Fn(ReceivedMessage) -> F,
        F: Future<Output: Into<Outcome> + Send> + Send + 'static,
    {
        let Handle { concurrency, handler_timeout, .. } = *self.handle;
        let free = Arc::new(Semaphore::new(concurrency));
        let mut working = JoinSet::new();
        while let Ok(place) = free.clone().acquire_owned().await {
            let Some(delivery) = self.recv().await else { break };
            let span = debug_span!("consume", topic = delivery.topic(), id = delivery.id());
            let message = delivery.message().clone();
            let Ok(handling) = catch_unwind(AssertUnwindSafe(|| handler(message))) else {
                warn!(id = delivery.id(), "a handler panicked: the message comes again");
                continue;
            };
            let work = async move {
                match tokio::time::timeout(handler_timeout, handling).await {
                    Ok(outcome) => delivery.settle(outcome.into()),
                    Err(_) => {
                        warn!(id = delivery.id(), "a handler takes too long: the message comes again");
                        delivery.retry_later();
                    }
                }
                drop(place);
            };
            working.spawn(work.instrument(span));
            while working.try_join_next().is_some() {}
        }
        while working.join_next().await.is_some() {}
    }

    /// Adds a topic or changes its filter.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that brokers would refuse.
    pub async fn subscribe(&self, topic: &str, filter: impl Into<Filter>) -> Result<()> {
        self.handle.group.subscribe(topic, Some(filter.into())).await
    }

    /// Ends the subscription of a topic.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that brokers would refuse.
    pub async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.handle.group.subscribe(topic, None).await
    }

    /// The queues that this member reads at the moment.
    pub fn queues(&self) -> Vec<crate::client::MessageQueue> {
        self.handle.group.queues()
    }

    /// Pulls no more from the queues that it reads; what was pulled is still handed out.
    pub fn pause(&self) {
        self.handle.group.reading().values().for_each(|reading| reading.process.pause(true));
    }

    /// Goes on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.handle.group.reading().values().for_each(|reading| reading.process.pause(false));
    }

    /// Hands out nothing more, waits up to `wait` for what is being consumed, stores progress, gives locks back
    /// and leaves the group.
    pub async fn shutdown(&self, wait: Duration) {
        self.handle.group.shutdown(wait).await;
    }
}
