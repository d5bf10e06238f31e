//! Nameservers and a broker inside the test's process, or wherever the tests are told to go.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

use castmq::{
    client::{Client, Message, Producer, Topic},
    config::{self, Addresses},
    testing::{RunningBroker, RunningNameserver},
};

pub(crate) use castmq::testing::eventually;

/// Where a test's clients go. Tests may share it: each has topics and groups of its own.
pub(crate) struct Cluster {
    pub(crate) nameservers: Vec<String>,
    own: Option<Own>,
}

/// Servers of one test.
struct Own {
    // In the order in which they are to be stopped.
    broker: Option<RunningBroker>,
    nameservers: Vec<Option<RunningNameserver>>,
    address: SocketAddr,
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
        let servers: Vec<_> = (0..count).map(|_| RunningNameserver::start_at(1, |_| {})).collect();
        let nameservers: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
        let broker = start_broker(dir.path(), &nameservers, 0);
        let (address, servers) = (broker.address, servers.into_iter().map(Some).collect());
        Self { nameservers, own: Some(Own { broker: Some(broker), nameservers: servers, address, dir }) }
    }

    fn own(&mut self) -> &mut Own {
        self.own.as_mut().expect("a cluster of one's own")
    }

    pub(crate) fn stop_nameserver(&mut self, number: usize) {
        self.own().nameservers[number] = None;
    }

    pub(crate) fn stop_broker(&mut self) {
        self.own().broker = None;
    }

    /// On the same port and store.
    pub(crate) fn restart_broker(&mut self) {
        let nameservers = self.nameservers.clone();
        let own = self.own();
        own.broker = Some(start_broker(own.dir.path(), &nameservers, own.address.port()));
    }

    /// The broker that runs.
    #[cfg(feature = "chaos")]
    pub(crate) fn broker(&self) -> &RunningBroker {
        self.own.as_ref().and_then(|own| own.broker.as_ref()).expect("a broker of one's own")
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
        await_broker(&client).await;
        make_topic(&client, topic, queues).await;
        client
    }
}

pub(crate) async fn await_broker(client: &Client) {
    eventually("the broker to register", async || {
        client.admin().clusters().await.is_ok_and(|clusters| !clusters.broker_addr_table.is_empty())
    })
    .await;
}

/// Makes a topic that is then known to the nameserver.
pub(crate) async fn make_topic(client: &Client, topic: &str, queues: u16) {
    client.admin().create_topic(Topic::new(topic).queues(queues)).await.unwrap();
    eventually("the topic to be known", async || client.admin().route(topic).await.is_ok()).await;
}

fn start_broker(dir: &Path, nameservers: &[String], port: u16) -> RunningBroker {
    RunningBroker::start_with(&dir.join("store"), |config| {
        config.listen_port = port;
        config.broker_name = "broker-a".into();
        config.namesrv_addr = Addresses(nameservers.to_vec());
        config.enable_property_filter = true;
        config.mapped_file_size_commit_log = config::Bytes(8 << 20);
    })
}

/// Sends bodies `0` to `count - 1`.
pub(crate) async fn send_numbers(producer: &Producer, topic: &str, count: usize) {
    for number in 0..count {
        producer.send(Message::new(topic, number.to_string())).await.unwrap();
    }
}

/// Topics (`"T1"`) and groups (`"c1"`) that the test named by the first line of `source` writes out.
fn names(source: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        word.strip_prefix(['T', 'c']).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    source.split('"').skip(1).step_by(2).filter(is_name).collect()
}

#[test]
fn tests_that_may_share_a_cluster_share_no_topic_and_no_group() {
    let mut seen = BTreeMap::new();
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client")).unwrap();
    let sources =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "rs"));
    for source in sources.map(|path| std::fs::read_to_string(path).unwrap()) {
        for test in source.split("\nasync fn ").skip(1).filter(|test| test.contains("Cluster::start()")) {
            let title = test.lines().next().unwrap().to_owned();
            for name in names(test) {
                let other = seen.insert(name.to_owned(), title.clone());
                assert_eq!(other, None, "{name} is used by {title}, too");
            }
        }
    }
    assert!(seen.len() > 50, "only {} names were found", seen.len());
}

pub(crate) fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}
