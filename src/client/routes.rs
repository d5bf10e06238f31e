//! All routes that a client has asked for, and the nameservers that it asks.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    Error, Result,
    net::Pool,
    route::{Addresses, Route},
};
use crate::protocol::{
    codes::{RequestCode, ResponseCode},
    fields::{Emit, Fields},
    frame::Frame,
    header::Header,
    json,
    requests::route::RouteInfoRequest,
    route::{MASTER_ID, TopicRouteData},
    topic::AUTO_CREATE,
};

/// How long a provisional route is used before the nameserver is asked for the real one.
const PROVISIONAL_FOR: Duration = Duration::from_secs(1);

/// How long the nameservers may say that a topic does not exist before its route is forgotten: one that has just started
/// knows no topics until the brokers have registered with it.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// Topics and where they lie.
#[derive(Debug)]
pub(super) struct Routes {
    nameservers: Vec<String>,
    /// The nameserver that answered last.
    current: AtomicUsize,
    timeout: Duration,
    table: Mutex<Table>,
    /// Held while a nameserver is asked, so that many callers ask once.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Table {
    topics: HashMap<String, (Arc<Route>, Instant)>,
    /// Addresses by broker name, of all routes.
    brokers: HashMap<String, Addresses>,
}

impl Table {
    fn put(&mut self, topic: &str, route: Arc<Route>) {
        self.topics.insert(topic.to_owned(), (route, Instant::now()));
        self.list_brokers();
    }

    /// The nameservers know nothing of a topic, as of `now`.
    fn missing(&mut self, topic: &str, now: Instant) {
        let is_over = |(route, since): &(Arc<Route>, Instant)| {
            now.duration_since(*since) >= if route.provisional { PROVISIONAL_FOR } else { REMEMBERED_FOR }
        };
        if self.topics.get(topic).is_some_and(is_over) {
            self.topics.remove(topic);
            self.list_brokers();
        }
    }

    fn list_brokers(&mut self) {
        // What was heard last counts, where routes name other addresses for a broker.
        let mut routes: Vec<_> = self.topics.values().collect();
        routes.sort_by_key(|(_, since)| *since);
        let brokers = routes.into_iter().flat_map(|(route, _)| &route.data.broker_datas);
        self.brokers =
            brokers.map(|broker| (broker.broker_name.clone(), broker.broker_addrs.clone())).collect();
    }
}

impl Routes {
    pub(super) fn new(nameservers: Vec<String>, timeout: Duration) -> Self {
        let current = AtomicUsize::new(fastrand::usize(..nameservers.len().max(1)));
        Self {
            nameservers,
            current,
            timeout,
            table: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nameservers of this client.
    pub(super) fn nameservers(&self) -> &[String] {
        &self.nameservers
    }

    /// Asks the nameservers in turn, from the one that answered last, until one answers.
    pub(super) async fn ask(&self, pool: &Pool, code: RequestCode, fields: &impl Emit) -> Result<Frame> {
        let count = self.nameservers.len();
        let first = self.current.load(Ordering::Relaxed);
        let mut last = Error::config("the list of nameservers is empty");
        // One that is alone is asked twice: its name may stand for several.
        for at in (first..first + count.max(2)).map(|at| at.checked_rem(count).unwrap_or(0)) {
            let Some(address) = self.nameservers.get(at) else { break };
            let frame = Frame::from(Header::request(code).with_fields(Fields::of(fields)));
            match pool.call_or_close(address, frame, self.timeout).await {
                Ok(answer) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(cause) => {
                    debug!(address, %cause, "a nameserver does not answer");
                    last = Error::Nameservers { address: address.clone(), cause: cause.into() };
                }
            }
        }
        Err(last)
    }

    async fn fetch(&self, pool: &Pool, topic: &str) -> Result<TopicRouteData> {
        let request = RouteInfoRequest {
            topic: Some(topic.into()),
            accept_standard_json_only: true,
            zone_mode: false,
            zone_name: None,
        };
        let answer = self.ask(pool, RequestCode::GET_ROUTEINFO_BY_TOPIC, &request).await?;
        match answer.header.response_code() {
            ResponseCode::SUCCESS => {
                json::from_slice(&answer.body).map_err(|error| Error::protocol("a nameserver", error))
            }
            ResponseCode::TOPIC_NOT_EXIST => Err(Error::Route { topic: topic.to_owned() }),
            code => Err(Error::Broker {
                address: "a nameserver".to_owned(),
                code,
                remark: answer.header.remark.map(String::from).unwrap_or_default(),
            }),
        }
    }

    fn known(&self, topic: &str) -> Option<Arc<Route>> {
        let table = self.table();
        let (route, since) = table.topics.get(topic)?;
        (!route.provisional || since.elapsed() < PROVISIONAL_FOR).then(|| route.clone())
    }

    /// Whether somebody has asked for the topic already.
    pub(super) fn is_known(&self, topic: &str) -> bool {
        self.known(topic).is_some()
    }

    /// The route of a topic that exists.
    pub(super) async fn route(&self, pool: &Pool, topic: &str) -> Result<Arc<Route>> {
        if let Some(route) = self.known(topic).filter(|route| !route.provisional) {
            return Ok(route);
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(route) = self.known(topic).filter(|route| !route.provisional) {
            return Ok(route);
        }
        self.update(pool, topic).await
    }

    /// The route of a topic that the brokers make when the first message comes, if need be, with at most
    /// `queues` queues on each.
    pub(super) async fn route_to_publish(&self, pool: &Pool, topic: &str, queues: i32) -> Result<Arc<Route>> {
        if let Some(route) = self.known(topic) {
            return Ok(route);
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(route) = self.known(topic) {
            return Ok(route);
        }
        let missing = match self.update(pool, topic).await {
            Err(Error::Route { topic }) => Error::Route { topic },
            known_or_failed => return known_or_failed,
        };
        let default = self.fetch(pool, AUTO_CREATE).await.map_err(|_| missing)?;
        let route = Arc::new(Route::provisional(topic, default, queues));
        self.table().put(topic, route.clone());
        Ok(route)
    }

    /// Asks for a route, whether it is known or not.
    pub(super) async fn update(&self, pool: &Pool, topic: &str) -> Result<Arc<Route>> {
        let route = Arc::new(Route::of(topic, self.fetch(pool, topic).await?));
        self.table().put(topic, route.clone());
        Ok(route)
    }

    /// Asks again for all topics; gives whether any of them has changed.
    pub(super) async fn refresh(&self, pool: &Pool) -> bool {
        let topics: Vec<(String, Arc<Route>)> =
            self.table().topics.iter().map(|(topic, (route, _))| (topic.clone(), route.clone())).collect();
        let mut changed = false;
        for (topic, old) in topics {
            match self.update(pool, &topic).await {
                Ok(new) => changed |= new.data != old.data,
                Err(Error::Route { .. }) => {
                    debug!(topic, "the nameservers do not know the topic");
                    self.table().missing(&topic, Instant::now());
                }
                Err(error) => warn!(topic, %error, "cannot refresh the route"),
            }
        }
        changed
    }

    /// The address of a broker: the one with this id, else its master unless only that id will do.
    pub(super) fn address(&self, broker: &str, id: i64) -> Result<String> {
        let table = self.table();
        let addresses = table.brokers.get(broker);
        addresses
            .and_then(|addresses| addresses.get(&id).or_else(|| addresses.values().next()))
            .cloned()
            .ok_or_else(|| Error::UnknownBroker { name: broker.to_owned() })
    }

    /// The address of a broker's master.
    pub(super) fn master(&self, broker: &str) -> Result<String> {
        let table = self.table();
        let master = table.brokers.get(broker).and_then(|addresses| addresses.get(&MASTER_ID));
        master.cloned().ok_or_else(|| Error::UnknownBroker { name: broker.to_owned() })
    }

    /// Every broker of every route; slaves only on request.
    pub(super) fn brokers(&self, with_slaves: bool) -> BTreeSet<String> {
        let table = self.table();
        let addresses = table.brokers.values().flatten();
        addresses
            .filter(|(id, _)| with_slaves || **id == MASTER_ID)
            .map(|(_, address)| address.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::route::BrokerData;

    fn data(port: u16) -> TopicRouteData {
        let broker = BrokerData {
            broker_name: "b".into(),
            broker_addrs: [(MASTER_ID, format!("h:{port}"))].into(),
            ..BrokerData::default()
        };
        TopicRouteData { broker_datas: vec![broker], ..Default::default() }
    }

    fn route(port: u16) -> Arc<Route> {
        Arc::new(Route::of("T", data(port)))
    }

    #[test]
    fn a_topic_that_is_gone_is_forgotten_but_not_at_once() {
        let mut table = Table::default();
        table.put("T", route(1));
        table.put("new", Arc::new(Route::provisional("new", data(1), 4)));
        let began = Instant::now();
        for (after, left) in [(0, 2), (2, 1), (299, 1), (301, 0)] {
            let now = began + Duration::from_secs(after);
            table.missing("T", now);
            table.missing("new", now);
            assert_eq!(table.topics.len(), left, "after {after} s");
            assert_eq!(table.brokers.is_empty(), left == 0, "after {after} s");
        }
    }

    #[test]
    fn the_address_heard_last_counts() {
        let mut table = Table::default();
        // Many, as the order of a map is anybody's guess.
        for port in 0..20 {
            table.put(&format!("T{port}"), route(port));
            assert_eq!(table.brokers["b"][&MASTER_ID], format!("h:{port}"));
        }
    }
}
