//! What the handles of one client share: connections, routes, groups, and the tasks that keep them fresh.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
};
use tracing::{debug, info, warn};

use super::{
    Client, ClientBuilder, Error, MessageQueue, ReceivedMessage, Result,
    inbound::{self, Asked},
    net::Pool,
    routes::Routes,
    task::Task,
    trace::{self, Tracer},
};
use crate::protocol::{
    codes::{RequestCode, ResponseCode},
    fields::{Emit, Fields},
    frame::Frame,
    header::Header,
    heartbeat::{ConsumerData, HeartbeatData, ProducerData},
    json,
    message_id::UniqueIds,
    requests::client::UnregisterClientRequest,
};

/// Requests of servers that may wait to be looked at.
const INBOUND: usize = 1024;

/// The shared part of a [`Client`].
#[derive(Debug)]
pub(super) struct Core {
    pub(super) client_id: String,
    pub(super) host: IpAddr,
    pub(super) request_timeout: Duration,
    pub(super) pool: Pool,
    pub(super) routes: Routes,
    pub(super) unique_ids: UniqueIds,
    pub(super) tracer: Option<Tracer>,
    groups: Mutex<Groups>,
    pub(super) replies: super::inbound::Replies,
    tasks: Mutex<Vec<Task>>,
}

/// Who is here, as brokers are told.
#[derive(Debug, Default)]
struct Groups {
    producers: HashMap<String, Listed>,
    consumers: HashMap<String, Member>,
}

/// A producer of this client.
#[derive(Debug)]
struct Listed {
    /// Tells it from one of the same group that comes after it.
    place: Place,
    /// Gets the brokers' questions about transactions.
    checks: Option<mpsc::Sender<Asked>>,
}

/// A producer's own place in the list.
pub(super) type Place = Arc<()>;

/// A consumer of this client.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) data: ConsumerData,
    /// Woken when the members of the group have changed.
    pub(super) wake: Arc<Notify>,
    /// Who answers questions about it.
    pub(super) questions: Weak<dyn Questions>,
}

/// What operators ask of a consumer; nothing here waits.
pub(super) trait Questions: std::fmt::Debug + Send + Sync {
    /// How it runs, as JSON (code 307).
    fn running(&self) -> Option<Vec<u8>>;

    /// How far it is in the queues of a topic, as JSON (code 221).
    fn offsets(&self, topic: &str) -> Option<Vec<u8>>;

    /// Goes on elsewhere in these queues (code 220).
    fn reset(self: Arc<Self>, offsets: BTreeMap<MessageQueue, i64>);

    /// Consumes a message out of turn, and answers with the result as JSON (code 309).
    fn consume(self: Arc<Self>, message: ReceivedMessage, answer: oneshot::Sender<Vec<u8>>);
}

impl Core {
    pub(super) async fn open(builder: ClientBuilder) -> Result<Arc<Self>> {
        let (inbound, asked) = mpsc::channel(INBOUND);
        let pool = Pool::new(&builder, inbound);
        let (tracer, records) = builder.trace_topic.map(Tracer::new).unzip();
        let host = reachable_host(&pool, &builder.nameservers).await?;
        let process = std::process::id();
        let instance = builder.instance_name.unwrap_or_else(|| format!("{process}#{}", nanos()));
        let core = Arc::new(Self {
            client_id: format!("{host}@{instance}"),
            host,
            request_timeout: builder.request_timeout,
            routes: Routes::new(builder.nameservers, builder.request_timeout),
            unique_ids: UniqueIds::new(host, process, fastrand::u32(..)),
            pool,
            tracer,
            groups: Mutex::default(),
            replies: Default::default(),
            tasks: Mutex::default(),
        });
        let weak = Arc::downgrade(&core);
        *core.tasks.lock().unwrap_or_else(PoisonError::into_inner) = vec![
            Task::spawn(keep_routes(weak.clone(), builder.route_interval)),
            Task::spawn(keep_alive(weak.clone(), builder.heartbeat_interval)),
            Task::spawn(inbound::serve(weak.clone(), asked)),
        ];
        if let Some(records) = records {
            let mut tasks = core.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.push(Task::spawn(trace::run(weak, records)));
        }
        info!(client_id = core.client_id, "client started");
        Ok(core)
    }

    fn groups(&self) -> std::sync::MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new unique message id.
    pub(super) fn unique_id(&self) -> crate::protocol::message_id::IdText {
        self.unique_ids.next_id(super::now_millis())
    }

    /// Lists a producer group, and has the brokers told soon: they ask only whom they know about transactions.
    pub(super) fn add_producer(&self, group: &str, checks: Option<mpsc::Sender<Asked>>) -> Result<Place> {
        match self.groups().producers.entry(group.to_owned()) {
            std::collections::hash_map::Entry::Occupied(_) => Err(twice("producer", group)),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let place = Place::default();
                entry.insert(Listed { place: place.clone(), checks });
                self.pool.connected.notify_one();
                Ok(place)
            }
        }
    }

    /// Lists a consumer, or lists it anew.
    pub(super) fn add_consumer(&self, group: &str, member: Member) -> Result<()> {
        match self.groups().consumers.entry(group.to_owned()) {
            std::collections::hash_map::Entry::Occupied(_) => Err(twice("consumer", group)),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(member);
                Ok(())
            }
        }
    }

    /// Changes what brokers are told of the consumer that `wake` wakes.
    pub(super) fn update_consumer(
        &self,
        group: &str,
        wake: &Arc<Notify>,
        change: impl FnOnce(&mut ConsumerData),
    ) {
        let mut groups = self.groups();
        if let Some(member) = groups.consumers.get_mut(group).filter(|it| Arc::ptr_eq(&it.wake, wake)) {
            change(&mut member.data);
        }
    }

    /// Takes a producer off the list and tells the brokers.
    pub(super) async fn remove_producer(&self, group: &str, place: &Place) {
        if self.forget(group, place) {
            self.unregister(Some(group), None).await;
        }
    }

    /// Takes the consumer that `wake` wakes off the list, not one of the same group that came after it; gives
    /// whether it was there.
    pub(super) fn remove_consumer(&self, group: &str, wake: &Arc<Notify>) -> bool {
        let mut groups = self.groups();
        let is_listed = groups.consumers.get(group).is_some_and(|it| Arc::ptr_eq(&it.wake, wake));
        is_listed && groups.consumers.remove(group).is_some()
    }

    /// Forgets a producer without a word to the brokers, who notice by themselves; gives whether it was there.
    pub(super) fn forget(&self, producer: &str, place: &Place) -> bool {
        let mut groups = self.groups();
        let is_listed = groups.producers.get(producer).is_some_and(|it| Arc::ptr_eq(&it.place, place));
        is_listed && groups.producers.remove(producer).is_some()
    }

    /// Tells all brokers that a group has left.
    pub(super) async fn unregister(&self, producer: Option<&str>, consumer: Option<&str>) {
        let request = UnregisterClientRequest {
            client_id: self.client_id.as_str().into(),
            producer_group: producer.map(Into::into),
            consumer_group: consumer.map(Into::into),
        };
        for address in self.routes.brokers(consumer.is_some()) {
            if let Err(error) = self.call(&address, RequestCode::UNREGISTER_CLIENT, &request, vec![]).await {
                debug!(address, %error, "a broker was not told that a group left");
            }
        }
    }

    /// Wakes a consumer whose group has changed; all of them when none is named.
    pub(super) fn wake_consumer(&self, group: Option<&str>) {
        let groups = self.groups();
        let named = groups.consumers.iter().filter(|(name, _)| group.is_none_or(|group| *name == group));
        named.for_each(|(_, member)| member.wake.notify_one());
    }

    /// Who answers questions about a consumer.
    pub(super) fn consumer(&self, group: &str) -> Option<Arc<dyn Questions>> {
        self.groups().consumers.get(group)?.questions.upgrade()
    }

    /// Who answers questions about transactions of a group.
    pub(super) fn checker(&self, group: &str) -> Option<mpsc::Sender<Asked>> {
        self.groups().producers.get(group)?.checks.clone()
    }

    /// Asks a server; any code but success is an error.
    pub(super) async fn call(
        &self,
        address: &str,
        code: RequestCode,
        fields: &impl Emit,
        body: impl Into<bytes::Bytes>,
    ) -> Result<Frame> {
        self.call_within(address, code, fields, body, self.request_timeout).await
    }

    /// As [`Core::call`], with a time limit of its own.
    pub(super) async fn call_within(
        &self,
        address: &str,
        code: RequestCode,
        fields: &impl Emit,
        body: impl Into<bytes::Bytes>,
        timeout: Duration,
    ) -> Result<Frame> {
        let answer = self.pool.call(address, request(code, fields, body), timeout).await?;
        succeeded(address, answer)
    }

    /// Tells all brokers who is here.
    pub(super) async fn heartbeat(self: &Arc<Self>) {
        let Some((body, with_slaves)) = self.heartbeat_body() else { return };
        let mut beats = JoinSet::new();
        for address in self.routes.brokers(with_slaves) {
            let (core, body) = (self.clone(), body.clone());
            beats.spawn(async move { core.beat(&address, body).await });
        }
        while beats.join_next().await.is_some() {}
    }

    async fn beat(&self, address: &str, body: bytes::Bytes) {
        let beat = request(RequestCode::HEART_BEAT, &(), body);
        let answer = self.pool.call_or_close(address, beat, self.request_timeout).await;
        match answer.and_then(|answer| succeeded(address, answer)) {
            Ok(_) => {}
            Err(Error::Timeout { .. }) => {
                warn!(address, "a broker does not answer heartbeats: its connection is made anew");
            }
            Err(error) => debug!(address, %error, "no heartbeat"),
        }
    }

    fn heartbeat_body(&self) -> Option<(bytes::Bytes, bool)> {
        let groups = self.groups();
        if groups.producers.is_empty() && groups.consumers.is_empty() {
            return None;
        }
        let data = HeartbeatData {
            client_id: self.client_id.clone(),
            producer_data_set: groups
                .producers
                .keys()
                .map(|group| ProducerData { group_name: group.clone() })
                .collect(),
            consumer_data_set: groups.consumers.values().map(|member| member.data.clone()).collect(),
            ..HeartbeatData::default()
        };
        Some((json::to_vec(&data).ok()?.into(), !groups.consumers.is_empty()))
    }
}

fn twice(what: &str, group: &str) -> Error {
    Error::config(format!(
        "this client has a {what} of group {group} already: use its handle, or another client"
    ))
}

/// A request on its way.
pub(super) fn request(code: RequestCode, fields: &impl Emit, body: impl Into<bytes::Bytes>) -> Frame {
    Frame { header: Header::request(code).with_fields(Fields::of(fields)), body: body.into() }
}

/// The answer if it says success, else the error that it is.
pub(super) fn succeeded(address: &str, answer: Frame) -> Result<Frame> {
    match answer.header.response_code() {
        ResponseCode::SUCCESS => Ok(answer),
        code => Err(refusal(address, code, answer)),
    }
}

/// The error that an answer is.
pub(super) fn refusal(address: &str, code: ResponseCode, answer: Frame) -> Error {
    let remark = answer.header.remark.map(String::from).unwrap_or_default();
    Error::Broker { address: address.to_owned(), code, remark }
}

/// Our own address, as the way to the first nameserver that can be reached shows it.
async fn reachable_host(pool: &Pool, nameservers: &[String]) -> Result<IpAddr> {
    let mut last = Error::config("the list of nameservers is empty");
    for address in nameservers {
        match pool.get(address).await {
            Ok(connection) => return Ok(connection.local().ip()),
            Err(cause) => last = Error::Nameservers { address: address.clone(), cause: cause.into() },
        }
    }
    Err(last)
}

fn nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

async fn keep_routes(core: Weak<Core>, interval: Duration) {
    loop {
        tokio::time::sleep(interval.mul_f64(0.9 + fastrand::f64() / 5.0)).await;
        let Some(core) = core.upgrade() else { return };
        if core.routes.refresh(&core.pool).await {
            core.wake_consumer(None);
        }
        let brokers = core.routes.brokers(true);
        let nameservers = core.routes.nameservers();
        core.pool.retain(|address| {
            brokers.contains(address) || nameservers.iter().any(|nameserver| nameserver == address)
        });
    }
}

/// Heartbeats at their interval, and soon after a connection was made: the broker does not know yet who is
/// at its other end.
async fn keep_alive(core: Weak<Core>, interval: Duration) {
    /// Connections made together share a heartbeat.
    const SETTLE: Duration = Duration::from_millis(50);
    let Some(connected) = core.upgrade().map(|core| core.pool.connected.clone()) else { return };
    loop {
        let Some(strong) = core.upgrade() else { return };
        strong.heartbeat().await;
        drop(strong);
        if tokio::time::timeout(interval, connected.notified()).await.is_ok() {
            tokio::time::sleep(SETTLE).await;
        }
    }
}

impl Client {
    pub(super) async fn open(builder: ClientBuilder) -> Result<Self> {
        Ok(Self { core: Core::open(builder).await? })
    }
}
