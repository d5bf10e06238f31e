//! One consumer of a group: its subscriptions, its queues, its offsets, and the tasks that serve them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc, watch},
};
use tracing::{debug, warn};

use super::{
    Filter, Start,
    delivery::Item,
    feed,
    offsets::Offsets,
    process::ProcessQueue,
    pull, rebalance,
    retry::Failure,
    settings::{Mode, Settings},
};
use crate::{
    client::{
        Error, Result,
        core::{Core, Member, Questions},
        now_millis,
        task::Task,
    },
    protocol::{
        heartbeat::{ConsumeType, ConsumerData},
        message::MessageQueue,
        subscription::SubscriptionData,
        topic::{self, RETRY_PREFIX, retry_topic, validate_group, validate_topic},
    },
};

/// A queue that is being read, and the tasks that do it.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) process: Arc<ProcessQueue>,
    /// None once the queue is being handed over.
    pub(super) feed: Option<Task>,
    pull: Task,
}

impl Reading {
    /// Whether the queue stays, and is not on its way to somebody else.
    pub(super) fn stays(&self) -> bool {
        self.feed.is_some()
    }

    /// Whether a task that serves the queue has ended by itself, as by a panic.
    pub(super) fn is_dead(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.is_over() || self.pull.is_over())
    }
}

/// From its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Stopping,
    Ended,
}

/// A consumer.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) core: Arc<Core>,
    pub(super) name: String,
    pub(super) settings: Settings,
    /// When it was made, ms since 1970.
    pub(super) started: i64,
    pub(super) offsets: Offsets,
    pub(super) wake: Arc<Notify>,
    pub(super) items: mpsc::Sender<Item>,
    pub(super) failures: mpsc::UnboundedSender<Failure>,
    /// How many messages the application has in its hands.
    pub(super) in_hand: watch::Sender<usize>,
    life: watch::Sender<Life>,
    /// Where it was started: it may be dropped elsewhere.
    runtime: Handle,
    subscriptions: Mutex<BTreeMap<String, SubscriptionData>>,
    reading: Mutex<HashMap<MessageQueue, Reading>>,
    tasks: Mutex<Vec<Task>>,
}

/// What a new [`Group`] leaves to its owner.
pub(super) type Receivers = (mpsc::Receiver<Item>, mpsc::UnboundedReceiver<Failure>);

impl Group {
    pub(super) fn open(
        core: Arc<Core>,
        name: String,
        settings: Settings,
        filters: BTreeMap<String, Filter>,
    ) -> Result<(Arc<Self>, Receivers)> {
        validate_group(&name).map_err(|error| Error::config(format!("consumer group {name:?}: {error}")))?;
        let version = now_millis();
        let mut subscriptions = BTreeMap::new();
        for (topic, filter) in filters {
            validate_topic(&topic).map_err(|error| Error::config(format!("topic {topic:?}: {error}")))?;
            subscriptions.insert(topic.clone(), filter.subscription(&topic, version));
        }
        if settings.mode != Mode::Lite && !settings.is_broadcast() {
            let retries = retry_topic(&name);
            subscriptions.insert(retries.clone(), Filter::all().subscription(&retries, version));
        }
        let offsets = match (&settings.offsets_file, settings.is_broadcast()) {
            (Some(file), true) => Offsets::in_file(file.clone()),
            (None, true) => {
                Offsets::in_file(super::offsets::default_file(&format!("{}@DEFAULT", core.host), &name))
            }
            _ => Offsets::at_brokers(),
        };
        let (items, received) = mpsc::channel(settings.buffer);
        let (failures, failed) = mpsc::unbounded_channel();
        let group = Arc::new(Self {
            core,
            name,
            started: version,
            offsets,
            wake: Arc::default(),
            items,
            failures,
            in_hand: watch::Sender::new(0),
            life: watch::Sender::new(Life::Running),
            runtime: Handle::current(),
            subscriptions: Mutex::new(subscriptions),
            reading: Mutex::default(),
            tasks: Mutex::default(),
            settings,
        });
        Ok((group, (received, failed)))
    }

    /// Tells the brokers of this consumer.
    pub(super) async fn register(self: &Arc<Self>) -> Result<()> {
        let data = ConsumerData {
            group_name: self.name.clone(),
            consume_type: match self.settings.mode {
                Mode::Lite => ConsumeType::Actively,
                Mode::Concurrent | Mode::Ordered => ConsumeType::Passively,
            },
            message_model: self.settings.model,
            consume_from_where: self.settings.start.into(),
            subscription_data_set: self.subscriptions().values().cloned().collect(),
            unit_mode: false,
        };
        let consumer: Arc<dyn Questions> = self.clone();
        let questions = Arc::downgrade(&consumer);
        self.core.add_consumer(&self.name, Member { data, wake: self.wake.clone(), questions })?;
        for topic in self.topics() {
            if let Err(error) = self.core.routes.route(&self.core.pool, &topic).await
                && !topic.starts_with(RETRY_PREFIX)
            {
                warn!(group = self.name, topic, %error, "no route yet: it is asked for again");
            }
        }
        self.core.heartbeat().await;
        Ok(())
    }

    pub(super) fn add_task(&self, task: Task) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    fn subscriptions(&self) -> MutexGuard<'_, BTreeMap<String, SubscriptionData>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reading(&self) -> MutexGuard<'_, HashMap<MessageQueue, Reading>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn topics(&self) -> Vec<String> {
        self.subscriptions().keys().cloned().collect()
    }

    pub(super) fn subscription(&self, topic: &str) -> Option<SubscriptionData> {
        self.subscriptions().get(topic).cloned()
    }

    /// Adds, changes or (without a filter) ends a subscription.
    pub(super) async fn subscribe(&self, topic: &str, filter: Option<Filter>) -> Result<()> {
        validate_topic(topic).map_err(|error| Error::config(format!("topic {topic:?}: {error}")))?;
        {
            let mut subscriptions = self.subscriptions();
            match filter {
                Some(filter) => {
                    subscriptions.insert(topic.to_owned(), filter.subscription(topic, now_millis()));
                }
                None => {
                    subscriptions.remove(topic);
                }
            }
            let all = subscriptions.values().cloned().collect();
            self.core.update_consumer(&self.name, &self.wake, |data| data.subscription_data_set = all);
        }
        self.core.heartbeat().await;
        self.wake.notify_one();
        Ok(())
    }

    /// Where to start with a queue.
    pub(super) async fn start_offset(&self, queue: &MessageQueue) -> Result<i64> {
        self.offsets.remove(queue);
        if let Some(stored) = self.offsets.load(&self.core, &self.name, queue).await? {
            return Ok(stored);
        }
        let offset = self.first_offset(queue).await?;
        if self.settings.mode != Mode::Lite {
            // Stored before the first message is done with: who comes next must not start elsewhere.
            self.offsets.set(queue, offset);
        }
        Ok(offset)
    }

    /// Where to start with a queue that the group never read (fact sheet: client 4.6).
    async fn first_offset(&self, queue: &MessageQueue) -> Result<i64> {
        let is_retry = queue.topic.starts_with(RETRY_PREFIX);
        match self.settings.start {
            Start::Last if is_retry => Ok(0),
            Start::Last => self.core.max_offset(queue).await,
            Start::First => Ok(0),
            Start::At(_) if is_retry => self.core.max_offset(queue).await,
            Start::At(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                self.core.offset_of_time(queue, i64::try_from(since).unwrap_or(i64::MAX)).await
            }
        }
    }

    /// Reads a queue from `offset` on, unless it is read already; not once the consumer is stopping.
    pub(super) fn read(self: &Arc<Self>, queue: MessageQueue, offset: i64) {
        // Looked at under the lock, since the shutdown stops what it finds there.
        let mut all = self.reading();
        if !self.is_stopping() && !all.contains_key(&queue) {
            let reading = self.start(ProcessQueue::new(queue.clone()), offset, None);
            all.insert(queue, reading);
        }
    }

    /// Goes on elsewhere in a queue that is read and stays; gives whether it is.
    pub(super) fn go_on(self: &Arc<Self>, queue: &MessageQueue, offset: i64) -> bool {
        let mut all = self.reading();
        let Some(reading) = all.get_mut(queue).filter(|it| it.stays() && !self.is_stopping()) else {
            return false;
        };
        // From here on nothing that was pulled before counts.
        reading.process.abandon();
        let process = ProcessQueue::new(queue.clone());
        process.pause(reading.process.is_paused());
        match self.settings.mode {
            Mode::Lite => process.set_reached(offset),
            Mode::Concurrent | Mode::Ordered => self.offsets.set(queue, offset),
        }
        let before = reading.feed.take();
        *reading = self.start(process, offset, before);
        true
    }

    /// Starts the tasks of a queue; in order, after the message that was handed out `before` is done with.
    fn start(self: &Arc<Self>, process: ProcessQueue, offset: i64, before: Option<Task>) -> Reading {
        debug!(group = self.name, queue = ?process.queue, offset, "reading");
        process.set_locked(self.settings.locks());
        let process = Arc::new(process);
        let before = before.filter(|_| self.settings.mode == Mode::Ordered);
        let feeding = feed::run(self.clone(), process.clone());
        let feed = Task::spawn(async move {
            if let Some(mut before) = before {
                before.ended().await;
            }
            feeding.await;
        });
        let pull = Task::spawn(pull::run(self.clone(), process.clone(), offset));
        Reading { process, feed: Some(feed), pull }
    }

    /// Reads a queue no more, if this is how it is read.
    pub(super) fn leave(&self, process: &Arc<ProcessQueue>) {
        let mut all = self.reading();
        if all.get(&process.queue).is_some_and(|reading| Arc::ptr_eq(&reading.process, process)) {
            all.remove(&process.queue);
        }
    }

    /// The queues that are read and stay.
    pub(super) fn queues(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> =
            self.reading().iter().filter(|(_, it)| it.stays()).map(|(queue, _)| queue.clone()).collect();
        queues.sort();
        queues
    }

    /// Notes that a message is done with.
    pub(super) fn finish(&self, process: &ProcessQueue, offset: i64) {
        process.finish(offset, |reached| {
            // What was polled is consumed only once the application says so, or comes for more.
            if self.settings.mode != Mode::Lite {
                self.offsets.raise(&process.queue, reached);
            }
        });
    }

    /// Notes that all that was polled is consumed.
    pub(super) fn settle(&self) {
        for (queue, reading) in self.reading().iter() {
            if let Some(reached) = reading.process.reached() {
                self.offsets.set_if_changed(queue, reached);
            }
        }
    }

    /// Stores offsets at their interval.
    pub(super) async fn keep_offsets(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.settings.persist_interval).await;
            // What failed is tried again next time.
            let _ = self.offsets.persist(&self.core, &self.name, None).await;
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.life.borrow() != Life::Running
    }

    /// Waits for the shutdown to begin.
    pub(super) async fn stopped(&self) {
        let _ = self.life.subscribe().wait_for(|life| *life != Life::Running).await;
    }

    /// Stops taking messages in, waits for those that the application has, stores offsets and leaves. It goes on
    /// when the future is dropped, and whoever calls it again waits too.
    pub(super) async fn shutdown(self: &Arc<Self>, wait: Duration) {
        let mut life = self.life.subscribe();
        if self.begin_to_stop() {
            self.runtime.spawn(self.clone().end(wait));
        }
        let _ = life.wait_for(|life| *life == Life::Ended).await;
    }

    /// Gives whether it was running.
    fn begin_to_stop(&self) -> bool {
        self.life.send_if_modified(|life| {
            let is_running = *life == Life::Running;
            if is_running {
                *life = Life::Stopping;
            }
            is_running
        })
    }

    async fn end(self: Arc<Self>, wait: Duration) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        // Nothing is pulled any more; what is handed out in order is still waited for.
        let reading: Vec<(Arc<ProcessQueue>, Option<Task>)> =
            self.reading().drain().map(|(_, reading)| (reading.process, reading.feed)).collect();
        let mut in_hand = self.in_hand.subscribe();
        if tokio::time::timeout(wait, in_hand.wait_for(|count| *count == 0)).await.is_err() {
            warn!(group = self.name, "messages are still being consumed: they will be delivered again");
        }
        if let Err(error) = self.offsets.persist(&self.core, &self.name, None).await {
            warn!(group = self.name, %error, "offsets were not stored: messages will be delivered again");
        }
        reading.iter().for_each(|(process, _)| process.abandon());
        if self.settings.locks() {
            self.unlock(reading.iter().map(|(process, _)| process.queue.clone())).await;
        }
        drop((reading, tasks));
        if let Some(tracer) = &self.core.tracer {
            tracer.flush().await;
        }
        if self.core.remove_consumer(&self.name, &self.wake) {
            self.core.unregister(None, Some(&self.name)).await;
        }
        self.life.send_replace(Life::Ended);
    }

    /// As [`Group::shutdown`], in the background; the group's name is free for another consumer at once.
    pub(super) fn end_without_waiting(self: &Arc<Self>) {
        // One that was refused was never here.
        if !self.begin_to_stop() || !self.core.remove_consumer(&self.name, &self.wake) {
            return;
        }
        let group = self.clone();
        self.runtime.spawn(async move {
            group.clone().end(Duration::ZERO).await;
            group.core.unregister(None, Some(&group.name)).await;
            // One of the same name may have come in the meantime.
            group.core.heartbeat().await;
        });
    }

    /// Gives locks back.
    pub(super) async fn unlock(&self, queues: impl IntoIterator<Item = MessageQueue>) {
        for (broker, queues) in rebalance::by_broker(queues) {
            if let Err(error) = self.core.unlock(&broker, &self.name, queues).await {
                debug!(group = self.name, broker, %error, "locks were not given back: they expire");
            }
        }
    }

    /// The topic that failed messages of this group end in.
    pub(super) fn dead_letters(&self) -> String {
        topic::dlq_topic(&self.name)
    }
}
