//! Registrars against nameservers in the same process, over real sockets.

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use actix::{Arbiter, System};

use super::*;
use crate::{
    actors::{
        nameserver::Nameserver,
        remoting::{self, NothingServed, Outbound, Peer},
        supervision::{Clock, Tree},
    },
    config::NamesrvConfig,
    protocol::{
        cluster::ClusterInfo,
        codes::{RequestCode, ResponseCode},
        data_version::DataVersion,
        json,
        kv::ORDER_TOPIC_CONFIG,
        requests::{kv::PutKvConfigRequest, route::RouteInfoRequest},
        topic::{Perm, TopicConfig},
    },
};

const PATIENCE: Duration = Duration::from_secs(10);

fn on_system(test: impl Future<Output = ()>) {
    System::new().block_on(async {
        tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test hangs");
    });
}

/// A nameserver in a tree of its own.
async fn nameserver(address: Option<SocketAddr>, dir: &std::path::Path) -> (Tree, SocketAddr) {
    let config = NamesrvConfig {
        listen_port: address.map_or(0, |address| address.port()),
        bind_address: std::net::Ipv4Addr::LOCALHOST.into(),
        kv_config_path: dir.join("kv.json"),
        ..NamesrvConfig::default()
    };
    let tree = Tree::new("nameserver", Clock::system(), &Arbiter::current());
    let bound = loop {
        // The port of the one before is free once its last connection is.
        match Nameserver::bind(config.clone(), None) {
            Ok(bound) => break bound,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let address = bound.address();
    bound.grow(tree.root(), &[Arbiter::current()]).unwrap();
    tree.start();
    tree.started().await.unwrap();
    (tree, address)
}

fn topics(counter: i64, names: &[&str]) -> TopicConfigSerializeWrapper {
    let topic = |name: &&str| ((*name).to_owned(), TopicConfig::new(*name, 4, Perm::READ_WRITE));
    TopicConfigSerializeWrapper {
        data_version: DataVersion { counter, ..DataVersion::default() },
        topic_config_table: names.iter().map(topic).collect(),
        ..TopicConfigSerializeWrapper::default()
    }
}

fn settings(nameservers: &[SocketAddr]) -> Settings {
    Settings {
        nameservers: nameservers.iter().map(SocketAddr::to_string).collect(),
        cluster: "C".into(),
        broker_name: "a".into(),
        broker_id: 0,
        broker_addr: "127.0.0.1:1".into(),
        ha_addr: "127.0.0.1:2".into(),
        period: Duration::from_secs(30),
        compressed: false,
        enable_acting_master: false,
        heartbeat_timeout: None,
    }
}

fn data() -> RegistrationData {
    RegistrationData { topics: topics(1, &["T", "U"]) }
}

async fn broker(settings: Settings, registrant: impl Registrant) -> (Tree, Registration) {
    let tree = Tree::new("broker", Clock::system(), &Arbiter::current());
    let registration = grow(tree.root(), &Arbiter::current(), settings, registrant);
    tree.start();
    tree.started().await.unwrap();
    (tree, registration)
}

async fn client(address: SocketAddr) -> Arc<Peer> {
    let clock = Clock::system();
    let connection = Outbound::connect(&address.to_string(), &clock, PATIENCE).await.unwrap();
    let peer = connection.peer().clone();
    actix_rt::spawn(async move { connection.run(&NothingServed, &clock).await });
    peer
}

async fn has_topic(peer: &Arc<Peer>, topic: &str) -> bool {
    let header = RouteInfoRequest {
        topic: Some(topic.into()),
        accept_standard_json_only: true,
        zone_mode: false,
        zone_name: None,
    };
    let request = remoting::request(RequestCode::GET_ROUTEINFO_BY_TOPIC, &header);
    let answer = peer.call(request, bytes::Bytes::new(), PATIENCE).await.unwrap();
    answer.header.response_code() == ResponseCode::SUCCESS
}

async fn brokers(peer: &Arc<Peer>) -> ClusterInfo {
    let request = remoting::request(RequestCode::GET_BROKER_CLUSTER_INFO, &());
    let answer = peer.call(request, bytes::Bytes::new(), PATIENCE).await.unwrap();
    json::from_slice(&answer.body).unwrap()
}

async fn until_topic(peer: &Arc<Peer>, topic: &str) {
    while !has_topic(peer, topic).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_broker_registers_at_once_everywhere_tells_of_changes_and_leaves() {
    on_system(async {
        let dir = tempfile::tempdir().unwrap();
        let (_one, first) = nameserver(None, dir.path()).await;
        let (_two, second) = nameserver(None, dir.path()).await;
        let (tree, registration) = broker(settings(&[first, second]), data).await;
        for address in [first, second] {
            let peer = client(address).await;
            until_topic(&peer, "T").await;
        }
        registration.topics_changed(topics(2, &["V"]));
        for address in [first, second] {
            let peer = client(address).await;
            until_topic(&peer, "V").await;
            assert!(has_topic(&peer, "T").await);
        }
        tree.stop().await;
        for address in [first, second] {
            assert_eq!(brokers(&client(address).await).await, ClusterInfo::default());
        }
    });
}

#[test]
fn a_compressed_registration_arrives_too() {
    on_system(async {
        let dir = tempfile::tempdir().unwrap();
        let (_nameserver, address) = nameserver(None, dir.path()).await;
        let (_broker, _) = broker(Settings { compressed: true, ..settings(&[address]) }, data).await;
        until_topic(&client(address).await, "U").await;
    });
}

#[test]
fn a_nameserver_that_is_down_at_start_and_one_that_restarts_get_the_broker() {
    on_system(async {
        let dir = tempfile::tempdir().unwrap();
        let (down, address) = nameserver(None, dir.path()).await;
        down.stop().await;
        let (broker, registration) = broker(settings(&[address]), data).await;
        registration.topics_changed(topics(2, &["V"]));
        let (first, _) = nameserver(Some(address), dir.path()).await;
        until_topic(&client(address).await, "T").await;
        first.stop().await;
        let (_second, _) = nameserver(Some(address), dir.path()).await;
        until_topic(&client(address).await, "T").await;
        let snapshot = broker.snapshot(PATIENCE).await;
        let registrar = snapshot.find(&format!("broker/registration/{address}")).unwrap();
        assert_eq!((registrar.restarts, registrar.says.as_str()), (0, "registered"));
    });
}

#[derive(Default)]
struct Slave {
    orders: Mutex<Option<KvTable>>,
    master: Mutex<Option<FoundMaster>>,
}

impl Registrant for Arc<Slave> {
    fn data(&self) -> RegistrationData {
        data()
    }

    fn order_topics(&self, table: &KvTable) {
        *self.orders.lock().unwrap() = Some(table.clone());
    }

    fn master_found(&self, master: &FoundMaster) {
        *self.master.lock().unwrap() = Some(master.clone());
    }
}

#[test]
fn a_slave_hears_of_its_master_and_of_topics_with_an_order() {
    on_system(async {
        let dir = tempfile::tempdir().unwrap();
        let (_nameserver, address) = nameserver(None, dir.path()).await;
        let peer = client(address).await;
        let header = PutKvConfigRequest {
            namespace: Some(ORDER_TOPIC_CONFIG.into()),
            key: Some("T".into()),
            value: Some("a:8".into()),
        };
        let request = remoting::request(RequestCode::PUT_KV_CONFIG, &header);
        peer.call(request, bytes::Bytes::new(), PATIENCE).await.unwrap();
        let (_master, _) = broker(settings(&[address]), data).await;
        until_topic(&peer, "T").await;

        let slave = Arc::new(Slave::default());
        let own = Settings { broker_id: 1, broker_addr: "127.0.0.1:3".into(), ..settings(&[address]) };
        let (_slave, _) = broker(own, slave.clone()).await;
        while slave.master.lock().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let master = FoundMaster { addr: "127.0.0.1:1".into(), ha_server_addr: "127.0.0.1:2".into() };
        assert_eq!(*slave.master.lock().unwrap(), Some(master));
        assert_eq!(slave.orders.lock().unwrap().as_ref().unwrap().table["T"], "a:8");
        assert_eq!(brokers(&peer).await.broker_addr_table["a"].broker_addrs.len(), 2);
    });
}

#[cfg(feature = "chaos")]
#[test]
fn whichever_actor_of_the_nameserver_crashes_its_table_stays_and_changes_go_on() {
    use crate::actors::supervision::chaos::{self, Fault};

    on_system(async {
        let dir = tempfile::tempdir().unwrap();
        let (nameserver, address) = nameserver(None, dir.path()).await;
        let (_broker, registration) = broker(settings(&[address]), data).await;
        let peer = client(address).await;
        until_topic(&peer, "T").await;
        for actor in ["routes", "liveness", "kv", "configuration", "remoting/listener"] {
            let path = format!("nameserver/{actor}");
            chaos::inject(nameserver.root(), &path, Fault::FailStart).unwrap();
            while nameserver.snapshot(PATIENCE).await.find(&path).is_none_or(|node| node.restarts == 0) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert!(has_topic(&peer, "T").await, "lost with {actor}");
        }
        for fault in [Fault::PanicBefore(Some("Register".into())), Fault::PanicAfter(Some("Register".into()))]
        {
            chaos::inject(nameserver.root(), "nameserver/routes", fault).unwrap();
            registration.topics_changed(topics(2, &["V"]));
            registration.register_now();
            until_topic(&client(address).await, "T").await;
        }
        registration.topics_changed(topics(3, &["W"]));
        until_topic(&client(address).await, "W").await;
    });
}
