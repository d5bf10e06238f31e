//! Nameservers and a broker inside the test's process, or wherever the tests are told to go.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use actix::System;
use castmq::{
    actors::{
        broker::{BrokerThreads, OpenBroker},
        nameserver::Nameserver,
        process::Threads,
        supervision::{Clock, Spec, Strategy, Tree},
    },
    client::{Client, Message, Producer, Topic},
    config::{self, Addresses, BrokerConfig, NamesrvConfig},
};

/// A process of its own, as far as the client can tell; dropped, it stops in order.
struct Server {
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Grows a tree on a thread of its own; `grow` gives what is to be done once the tree has stopped.
    fn start<C: FnOnce() + 'static>(
        name: &'static str,
        grow: impl FnOnce(&Tree, &Threads) -> C + Send + 'static,
    ) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (up, is_up) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            System::new().block_on(async move {
                let threads = Threads::default();
                let tree = Tree::new(name, Clock::system(), &threads.start("root"));
                let close = grow(&tree, &threads);
                tree.start();
                tree.started().await.unwrap();
                up.send(()).unwrap();
                let _ = stopped.await;
                tree.stop().await;
                threads.end();
                close();
            });
        });
        is_up.recv().unwrap();
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Where a test's clients go. Tests may share it: each has topics and groups of its own.
pub(crate) struct Cluster {
    pub(crate) nameservers: Vec<String>,
    own: Option<Own>,
}

/// Servers of one test.
struct Own {
    broker: SocketAddr,
    broker_server: Option<Server>,
    nameserver_servers: Vec<Option<Server>>,
    dir: tempfile::TempDir,
}

impl Cluster {
    /// The cluster of the nameserver that `CASTMQ_NAMESRV` names, else one of this test's own.
    pub(crate) fn start() -> Self {
        match std::env::var("CASTMQ_NAMESRV") {
            Ok(nameserver) => Self { nameservers: vec![nameserver], own: None },
            Err(_) => Self::with_nameservers(1),
        }
    }

    /// One of this test's own.
    pub(crate) fn with_nameservers(count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let started = (0..count).map(|number| start_nameserver(&dir.path().join(number.to_string())));
        let (nameservers, nameserver_servers): (Vec<_>, Vec<_>) = started.unzip();
        let (broker, broker_server) = start_broker(dir.path(), &nameservers, 0);
        let own = Own { broker, broker_server: Some(broker_server), nameserver_servers, dir };
        Self { nameservers, own: Some(own) }
    }

    fn own(&mut self) -> &mut Own {
        self.own.as_mut().expect("a cluster of one's own")
    }

    pub(crate) fn stop_nameserver(&mut self, number: usize) {
        self.own().nameserver_servers[number] = None;
    }

    pub(crate) fn stop_broker(&mut self) {
        self.own().broker_server = None;
    }

    /// On the same port and store.
    pub(crate) fn restart_broker(&mut self) {
        let nameservers = self.nameservers.clone();
        let own = self.own();
        own.broker_server = Some(start_broker(own.dir.path(), &nameservers, own.broker.port()).1);
    }

    pub(crate) fn nameserver(&self) -> String {
        self.nameservers.join(";")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.nameserver()).await.unwrap()
    }

    /// A client, and a topic that is known to the nameserver.
    pub(crate) async fn client_with_topic(&self, topic: &str, queues: u16) -> Client {
        let client = self.client().await;
        eventually("the broker to register", async || {
            client.admin().clusters().await.is_ok_and(|clusters| !clusters.broker_addr_table.is_empty())
        })
        .await;
        client.admin().create_topic(Topic::new(topic).queues(queues)).await.unwrap();
        eventually("the topic to be known", async || client.admin().route(topic).await.is_ok()).await;
        client
    }
}

fn start_nameserver(dir: &Path) -> (String, Option<Server>) {
    std::fs::create_dir_all(dir).unwrap();
    let config = NamesrvConfig {
        listen_port: 0,
        bind_address: Ipv4Addr::LOCALHOST.into(),
        kv_config_path: dir.join("kvConfig.json"),
        config_store_path: dir.join("namesrv.properties"),
        ..NamesrvConfig::default()
    };
    let bound = Nameserver::bind(config, None).unwrap();
    let address = bound.address();
    let server = Server::start("nameserver", move |tree, threads| {
        let handle = threads.start("nameserver");
        let spec = Spec::new("nameserver", &handle);
        bound.grow(&tree.root().branch(spec, Strategy::OneForOne), std::slice::from_ref(&handle)).unwrap();
        || ()
    });
    (address.to_string(), Some(server))
}

fn start_broker(dir: &Path, nameservers: &[String], port: u16) -> (SocketAddr, Server) {
    let config = BrokerConfig {
        listen_port: port,
        bind_address: Ipv4Addr::LOCALHOST.into(),
        broker_ip1: "127.0.0.1".into(),
        broker_name: "broker-a".into(),
        namesrv_addr: Addresses(nameservers.to_vec()),
        enable_property_filter: true,
        store_path_root_dir: dir.join("store"),
        mapped_file_size_commit_log: config::Bytes(8 << 20),
        ..BrokerConfig::default()
    };
    let open = OpenBroker::open(config).unwrap();
    let address = open.address();
    let server = Server::start("broker", move |tree, threads| {
        let close = open.closing();
        open.grow(tree.root(), &BrokerThreads::start(threads, 0)).unwrap();
        move || {
            close().unwrap();
        }
    });
    (address, server)
}

/// Waits until something holds, 20 s at most.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain for {what}");
}

/// Sends bodies `0` to `count - 1`.
pub(crate) async fn send_numbers(producer: &Producer, topic: &str, count: usize) {
    for number in 0..count {
        producer.send(Message::new(topic, number.to_string())).await.unwrap();
    }
}

pub(crate) fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}
