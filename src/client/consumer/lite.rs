//! The consumer that takes messages at its own pace (fact sheet: client 5).

use std::{
    collections::BTreeMap,
    future::{Future, IntoFuture},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::{Mutex, mpsc};

use super::{
    Allocation, Filter, Limits, Start,
    delivery::Item,
    group::Group,
    rebalance,
    settings::{Mode, Settings},
};
use crate::{
    client::{Error, MessageQueue, ReceivedMessage, Result, core::Core, task::Task},
    protocol::heartbeat::MessageModel,
};

/// Where to go on in a queue.
///
/// ```no_run
/// # async fn f(consumer: castmq::client::LiteConsumer) -> Result<(), castmq::client::Error> {
/// use castmq::client::Seek;
/// for queue in consumer.queues() {
///     consumer.seek(&queue, Seek::Begin).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seek {
    /// At its first message.
    Begin,
    /// Behind its last message.
    End,
    /// At this offset.
    Offset(i64),
    /// At the first message stored at this time or later.
    Time(SystemTime),
}

/// A lite consumer to be set up; awaiting it starts it. With [`subscribe`](Self::subscribe) queues are shared
/// in the group, with [`assign`](Self::assign) they are chosen by hand; never both.
///
/// ```no_run
/// # async fn f(client: castmq::client::Client, queue: castmq::client::MessageQueue)
/// # -> Result<(), castmq::client::Error> {
/// use std::time::Duration;
/// use castmq::client::Seek;
/// let mut limits = castmq::client::Limits::default();
/// limits.messages = 5000;
/// let consumer = client
///     .lite_consumer("audit")
///     .assign([queue.clone()])
///     .auto_commit(false)
///     .limits(limits)
///     .pull_batch(100)
///     .poll_batch(500)
///     .await?;
/// consumer.seek(&queue, Seek::Begin).await?;
/// for message in consumer.poll(Duration::from_secs(1)).await? {
///     println!("{:?}", message.body());
/// }
/// consumer.commit().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is awaited"]
pub struct LiteConsumerBuilder {
    core: Arc<Core>,
    group: String,
    filters: BTreeMap<String, Filter>,
    assigned: Vec<MessageQueue>,
    settings: Settings,
    poll_batch: usize,
}

impl LiteConsumerBuilder {
    pub(in crate::client) fn new(core: Arc<Core>, group: String) -> Self {
        let mut settings = Settings::new(Mode::Lite);
        settings.batch = 10;
        settings.buffer = 1024;
        Self { core, group, filters: BTreeMap::new(), assigned: Vec::new(), settings, poll_batch: 32 }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Adds a topic whose queues are shared in the group.
    pub fn subscribe(mut self, topic: impl Into<String>, filter: impl Into<Filter>) -> Self {
        self.filters.insert(topic.into(), filter.into());
        self
    }

    /// Adds queues to read, whatever other members do.
    pub fn assign(mut self, queues: impl IntoIterator<Item = MessageQueue>) -> Self {
        self.assigned.extend(queues);
        self
    }

    /// Where a group starts that was never here, [`Start::Last`] by default.
    pub fn start_from(self, start: Start) -> Self {
        self.with(|settings| settings.start = start)
    }

    /// Gives every member all queues of its topics; progress is kept in a file of this host.
    pub fn broadcast(self) -> Self {
        self.with(|settings| settings.model = MessageModel::Broadcasting)
    }

    /// Where a broadcast consumer keeps its progress; by default as
    /// [`PushConsumerBuilder::offsets_file`](super::PushConsumerBuilder::offsets_file).
    pub fn offsets_file(self, file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        self.with(|settings| settings.offsets_file = Some(file))
    }

    /// How subscribed queues are shared, [`Allocation::Average`] by default.
    pub fn allocation(self, allocation: Allocation) -> Self {
        self.with(|settings| settings.allocation = allocation)
    }

    /// How much a queue may hold that was not polled yet.
    pub fn limits(self, limits: Limits) -> Self {
        self.with(|settings| settings.limits = limits)
    }

    /// How many messages a pull asks for, 10 by default.
    pub fn pull_batch(self, messages: u16) -> Self {
        self.with(|settings| settings.batch = i32::from(messages.clamp(1, 1024)))
    }

    /// How many messages a poll gives at most, 32 by default.
    pub fn poll_batch(self, messages: usize) -> Self {
        Self { poll_batch: messages.max(1), ..self }
    }

    /// Whether what was polled counts as consumed by itself, once more is polled or the consumer is shut down; yes
    /// by default. It is stored every 5 s.
    pub fn auto_commit(self, auto_commit: bool) -> Self {
        self.with(|settings| settings.auto_commit = auto_commit)
    }

    /// Starts the consumer. Awaiting the builder does the same.
    ///
    /// # Errors
    /// [`Error::Config`] for names that brokers would refuse, a second consumer of the group in this client, or
    /// both topics and queues; with queues also what asking for their offsets comes to.
    pub async fn start(self) -> Result<LiteConsumer> {
        let Self { core, group, filters, assigned, settings, poll_batch } = self;
        if !filters.is_empty() && !assigned.is_empty() {
            return Err(Error::config("a consumer subscribes to topics or is assigned queues, not both"));
        }
        let shares = !filters.is_empty();
        let (group, (items, _)) = Group::open(core, group, settings, filters)?;
        // From here on a start that fails or is dropped leaves nothing behind.
        let handle = Handle { group, items: Mutex::new(items), poll_batch, shares: OnceLock::new() };
        let consumer = LiteConsumer { handle: Arc::new(handle) };
        let group = &consumer.handle.group;
        group.register().await?;
        if shares {
            consumer.must_share(true)?;
        }
        if group.settings.auto_commit {
            group.add_task(Task::spawn(group.clone().keep_offsets()));
        }
        if !assigned.is_empty() {
            consumer.assign(assigned).await?;
        }
        Ok(consumer)
    }
}

impl IntoFuture for LiteConsumerBuilder {
    type Output = Result<LiteConsumer>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<LiteConsumer>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

/// Takes messages when it wants to; what was polled counts as consumed with the next poll, or when it is
/// committed. Clones are the same consumer.
///
/// ```no_run
/// # async fn f(client: castmq::client::Client) -> Result<(), castmq::client::Error> {
/// use castmq::client::Allocation;
/// let consumer = client.lite_consumer("audit").subscribe("bills", "*").allocation(Allocation::Circle).await?;
/// for queue in consumer.queues() {
///     let (at, stored) = (consumer.position(&queue), consumer.committed(&queue).await?);
///     println!("{} in {queue:?}: at {at:?}, stored {stored:?}", consumer.group());
///     consumer.pause([&queue]);
///     consumer.resume([&queue]);
///     consumer.commit_to([(queue, 5)]).await?;
/// }
/// consumer.subscribe("invoices", "paid").await?;
/// consumer.unsubscribe("bills").await?;
/// let all = client.lite_consumer("everything").subscribe("bills", "*").broadcast().offsets_file("b.json").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LiteConsumer {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    group: Arc<Group>,
    items: Mutex<mpsc::Receiver<Item>>,
    poll_batch: usize,
    /// Whether it shares the queues of its topics, or is assigned queues, once that is decided.
    shares: OnceLock<bool>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.group.end_without_waiting();
    }
}

impl LiteConsumer {
    /// The group.
    pub fn group(&self) -> &str {
        &self.handle.group.name
    }

    /// What has arrived, after waiting up to `timeout` for the first message. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] after the shutdown.
    pub async fn poll(&self, timeout: Duration) -> Result<Vec<ReceivedMessage>> {
        let group = &self.handle.group;
        if group.settings.auto_commit {
            group.settle();
        }
        tokio::select! {
            biased;
            () = group.stopped() => Err(Error::Closed),
            polled = tokio::time::timeout(timeout, self.take()) => polled.unwrap_or(Ok(vec![])),
        }
    }

    async fn take(&self) -> Result<Vec<ReceivedMessage>> {
        let Handle { group, items, poll_batch, .. } = &*self.handle;
        let mut polled = Vec::new();
        let mut items = items.lock().await;
        while polled.is_empty() {
            // From here on nothing waits: what was taken is given.
            let mut next = Some(items.recv().await.ok_or(Error::Closed)?);
            while let Some(Item { message, process, .. }) = next {
                if !process.is_abandoned() {
                    group.finish(&process, message.queue_offset());
                    polled.push(message);
                }
                next = if polled.len() < *poll_batch { items.try_recv().ok() } else { None };
            }
        }
        Ok(polled)
    }

    /// The queues that are read at the moment.
    pub fn queues(&self) -> Vec<MessageQueue> {
        self.handle.group.queues()
    }

    /// The queues of a topic.
    ///
    /// # Errors
    /// No route to the topic.
    pub async fn queues_of(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        let core = &self.handle.group.core;
        Ok(core.routes.update(&core.pool, topic).await?.subscribe.clone())
    }

    /// Reads these queues and no others, each from where the group has come to.
    ///
    /// # Errors
    /// [`Error::Config`] for a consumer that subscribes; else what asking for an offset comes to.
    pub async fn assign(&self, queues: impl IntoIterator<Item = MessageQueue>) -> Result<()> {
        let group = &self.handle.group;
        self.must_share(false)?;
        let wanted: Vec<MessageQueue> = queues.into_iter().collect();
        let gone: Vec<MessageQueue> =
            group.reading().keys().filter(|queue| !wanted.contains(queue)).cloned().collect();
        rebalance::drop_queues(group, gone).await;
        for queue in wanted {
            let is_read = group.reading().contains_key(&queue);
            if !is_read {
                group.core.routes.route(&group.core.pool, &queue.topic).await?;
                let offset = group.start_offset(&queue).await?;
                group.read(queue, offset);
            }
        }
        Ok(())
    }

    /// Adds a topic whose queues are shared in the group, or changes its filter.
    ///
    /// # Errors
    /// [`Error::Config`] for a consumer that is assigned queues, or a name that brokers would refuse.
    pub async fn subscribe(&self, topic: &str, filter: impl Into<Filter>) -> Result<()> {
        self.must_share(true)?;
        self.handle.group.subscribe(topic, Some(filter.into())).await
    }

    /// Ends the subscription of a topic.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn unsubscribe(&self, topic: &str) -> Result<()> {
        self.must_share(true)?;
        self.handle.group.subscribe(topic, None).await
    }

    /// Decides whether queues are shared or assigned, unless that is decided.
    fn must_share(&self, shares: bool) -> Result<()> {
        let Handle { group, shares: decided, .. } = &*self.handle;
        if decided.set(shares).is_ok() && shares {
            group.add_task(Task::spawn(rebalance::run(group.clone())));
        }
        match (shares, decided.get() == Some(&shares)) {
            (_, true) => Ok(()),
            (false, _) => {
                Err(Error::config("this consumer subscribes to topics: its queues cannot be assigned"))
            }
            (true, _) => {
                Err(Error::config("this consumer is assigned queues: it cannot subscribe to topics"))
            }
        }
    }

    /// Goes on elsewhere in a queue that is read; what was pulled of it and not polled is forgotten.
    ///
    /// # Errors
    /// [`Error::Config`] for a queue that is not read, or an offset that it does not have; else what asking for
    /// its offsets comes to.
    pub async fn seek(&self, queue: &MessageQueue, to: Seek) -> Result<()> {
        let group = &self.handle.group;
        let core = &group.core;
        self.must_read(queue)?;
        let (min, max) = (core.min_offset(queue).await?, core.max_offset(queue).await?);
        let offset = match to {
            Seek::Begin => min,
            Seek::End => max,
            Seek::Offset(offset) if (min..=max).contains(&offset) => offset,
            Seek::Offset(offset) => {
                return Err(Error::config(format!("offset {offset} is not within {min} to {max}")));
            }
            Seek::Time(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                core.offset_of_time(queue, i64::try_from(since).unwrap_or(i64::MAX)).await?
            }
        };
        if group.go_on(queue, offset) { Ok(()) } else { self.must_read(queue) }
    }

    fn must_read(&self, queue: &MessageQueue) -> Result<()> {
        match self.handle.group.reading().contains_key(queue) {
            true => Ok(()),
            false => Err(Error::config(format!("queue {queue:?} is not read by this consumer"))),
        }
    }

    /// Stops pulling from these queues; what was pulled can still be polled.
    pub fn pause<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>) {
        self.set_paused(queues, true);
    }

    /// Goes on pulling from these queues.
    pub fn resume<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>) {
        self.set_paused(queues, false);
    }

    fn set_paused<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>, paused: bool) {
        let reading = self.handle.group.reading();
        queues.into_iter().filter_map(|queue| reading.get(queue)).for_each(|it| it.process.pause(paused));
    }

    /// Stores what was polled as consumed.
    ///
    /// # Errors
    /// The first failure; all queues are tried.
    pub async fn commit(&self) -> Result<()> {
        let group = &self.handle.group;
        group.settle();
        group.offsets.persist(&group.core, &group.name, None).await
    }

    /// Stores these offsets, each that of the next message to be consumed of a queue, whatever was polled.
    ///
    /// # Errors
    /// [`Error::Config`] for a queue that is not read, before anything is stored; else as [`commit`](Self::commit).
    pub async fn commit_to(&self, offsets: impl IntoIterator<Item = (MessageQueue, i64)>) -> Result<()> {
        let group = &self.handle.group;
        let offsets: Vec<_> = offsets.into_iter().collect();
        offsets.iter().try_for_each(|(queue, _)| self.must_read(queue))?;
        offsets.iter().for_each(|(queue, offset)| group.offsets.set(queue, *offset));
        group.offsets.persist(&group.core, &group.name, None).await
    }

    /// Where the next poll of a queue goes on, if anything was polled or sought yet.
    pub fn position(&self, queue: &MessageQueue) -> Option<i64> {
        self.handle.group.reading().get(queue)?.process.reached()
    }

    /// How far the group is, as its broker or the file of offsets knows it.
    ///
    /// # Errors
    /// What asking the broker comes to.
    pub async fn committed(&self, queue: &MessageQueue) -> Result<Option<i64>> {
        let group = &self.handle.group;
        group.core.routes.route(&group.core.pool, &queue.topic).await?;
        group.offsets.load(&group.core, &group.name, queue).await
    }

    /// Stops, stores what was polled if it does so by itself, and leaves the group.
    pub async fn shutdown(&self) {
        let group = &self.handle.group;
        if group.settings.auto_commit {
            group.settle();
        }
        group.shutdown(Duration::ZERO).await;
    }
}
