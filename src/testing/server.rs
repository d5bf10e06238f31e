//! Trees inside the test's process, each on threads of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    path::Path,
    sync::{Arc, Once, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use actix::System;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::Connection;
use crate::{
    actors::{
        broker::{Broker, BrokerThreads, OpenBroker},
        nameserver::Nameserver,
        process::{Closing, Threads},
        supervision::{Branch, Clock, Exit, Node, Tree, install_panic_hook},
    },
    client::Client,
    config::{Addresses, BrokerConfig, Bytes, NamesrvConfig},
    store::disk::{Disk, LocalDisk},
};

/// A tree that serves on an address. Dropped, it stops in order, and closes its store.
#[derive(Debug)]
pub struct Server {
    /// Where clients connect to.
    pub address: SocketAddr,
    /// The root of its tree.
    pub tree: Branch,
    /// Whether its store may be unable to close.
    may_fail_to_close: bool,
    end: Option<oneshot::Sender<End>>,
    thread: Option<JoinHandle<Ended>>,
}

#[derive(Debug)]
enum End {
    InOrder,
    AtOnce,
}

/// How the tree ended, and whether its files could be closed.
type Ended = (Exit, Result<(), String>);

impl Server {
    /// Grows a tree called `name`, and starts it. `grow` gives what others need of it, and what closes its files.
    fn start<T: Send + 'static>(
        name: &'static str,
        address: SocketAddr,
        clock: Clock,
        grow: impl FnOnce(&Tree, &Threads) -> (T, Option<Closing>) + Send + 'static,
    ) -> (Self, T) {
        // Panics that the kernel catches are none of the test's.
        static HOOK: Once = Once::new();
        HOOK.call_once(install_panic_hook);
        let (end, ends) = oneshot::channel();
        let (up, is_up) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            System::new().block_on(async move {
                let threads = Threads::default();
                let tree = Tree::new(name, clock, &threads.start("root"));
                let (parts, close) = grow(&tree, &threads);
                tree.start();
                tree.started().await.unwrap();
                up.send((tree.root().clone(), parts)).unwrap();
                if let Ok(End::AtOnce) = ends.await {
                    threads.end();
                    return (Exit::Stopped, Ok(()));
                }
                let exit = tree.stop().await;
                threads.end();
                let closed = close.map_or(Ok(()), |close| close());
                (exit, closed.map_err(|error| error.to_string()))
            })
        });
        let (tree, parts) = is_up.recv().unwrap();
        (Self { address, tree, may_fail_to_close: false, end: Some(end), thread: Some(thread) }, parts)
    }

    /// Connects to it.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).unwrap()
    }

    /// The live tree.
    pub fn snapshot(&self) -> Node {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.tree.snapshot(Duration::from_secs(1)))
    }

    /// Makes the actor at `path`, below the root, fail, and waits until it is back.
    ///
    /// # Panics
    /// When the fault does not strike or the actor is not back within 5 s.
    #[cfg(feature = "chaos")]
    pub fn strike(&self, path: &str, fault: &super::Fault) {
        use crate::actors::supervision::{Phase, chaos};
        let path = format!("{}/{path}", self.tree.path());
        let before = self.snapshot().find(&path).unwrap_or_else(|| panic!("no {path}")).restarts;
        chaos::inject(&self.tree, &path, fault.clone()).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        let is_back = |node: &Node| node.restarts > before && node.phase == Phase::Running;
        while !self.snapshot().find(&path).is_some_and(is_back) {
            let late = std::time::Instant::now() > deadline;
            assert!(
                !late,
                "{fault:?} at {path} did not strike, or it did not come back:\n{}",
                self.snapshot()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        // Not so fast that a budget is spent.
        std::thread::sleep(Duration::from_millis(20));
    }

    /// Ends it as kill -9 would end a process, as far as threads can: nothing is said to anybody, nothing is
    /// flushed or closed.
    pub fn kill(mut self) {
        self.finish(End::AtOnce);
    }

    /// Stops it in order, and says how the tree ended and whether the store could be closed.
    pub fn stop(mut self) -> (Exit, Result<(), String>) {
        self.finish(End::InOrder).unwrap().unwrap()
    }

    fn finish(&mut self, end: End) -> Option<std::thread::Result<Ended>> {
        if let Some(sender) = self.end.take() {
            // It may have ended by a panic of the test's own.
            let _ = sender.send(end);
        }
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.finish(End::InOrder);
        if let (Some(ended), false) = (ended, std::thread::panicking()) {
            let (exit, closed) = ended.unwrap();
            assert_eq!(exit, Exit::Stopped);
            assert!(self.may_fail_to_close || closed.is_ok(), "{closed:?}");
        }
    }
}

/// A nameserver. It serves for as long as it is kept.
#[derive(Debug)]
pub struct RunningNameserver {
    server: Server,
    _dir: TempDir,
}

impl RunningNameserver {
    /// Starts one on a free port of the loopback, on a clock that runs `factor` times as fast as real time.
    pub fn start_at(factor: u32, change: impl FnOnce(&mut NamesrvConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = NamesrvConfig {
            listen_port: 0,
            bind_address: Ipv4Addr::LOCALHOST.into(),
            kv_config_path: dir.path().join("kvConfig.json"),
            config_store_path: dir.path().join("namesrv.properties"),
            ..NamesrvConfig::default()
        };
        change(&mut config);
        let bound = Nameserver::bind(config, None).unwrap();
        let (server, ()) = Server::start("nameserver", bound.address(), clock(factor), |tree, threads| {
            bound.grow(tree.root(), &[threads.start("names"), threads.start("names-io")]).unwrap();
            ((), None)
        });
        Self { server, _dir: dir }
    }
}

impl Deref for RunningNameserver {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// A broker.
#[derive(Debug)]
pub struct RunningBroker {
    server: Server,
    /// Its parts, as its own requests reach them.
    pub broker: Arc<Broker>,
}

impl RunningBroker {
    /// Starts one on a free port of the loopback, with its data in `store`.
    pub fn start(store: &Path) -> Self {
        Self::start_with(store, |_| {})
    }

    /// [`RunningBroker::start`] with a configuration that `change` changes.
    pub fn start_with(store: &Path, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        Self::start_in(store, Arc::new(LocalDisk), 1, change)
    }

    /// On a disk of one's own.
    pub fn start_on(store: &Path, disk: Arc<dyn Disk>, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        Self::start_in(store, disk, 1, change)
    }

    /// On a clock that runs `factor` times as fast as real time.
    pub fn start_at(store: &Path, factor: u32, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        Self::start_in(store, Arc::new(LocalDisk), factor, change)
    }

    /// All of these.
    pub fn start_in(
        store: &Path,
        disk: Arc<dyn Disk>,
        factor: u32,
        change: impl FnOnce(&mut BrokerConfig),
    ) -> Self {
        let mut config = BrokerConfig {
            listen_port: 0,
            bind_address: Ipv4Addr::LOCALHOST.into(),
            broker_ip1: "127.0.0.1".into(),
            store_path_root_dir: store.to_owned(),
            mapped_file_size_commit_log: Bytes(1 << 20),
            max_hash_slot_num: 100,
            max_index_num: 1000,
            ..BrokerConfig::default()
        };
        change(&mut config);
        let open = OpenBroker::open_on(config, disk).unwrap();
        let (server, broker) =
            Server::start("broker", open.address(), clock(factor), move |tree, threads| {
                let close = open.closing();
                let broker = open.grow(tree.root(), &BrokerThreads::start(threads, 0)).unwrap();
                (broker, Some(close))
            });
        Self { server, broker }
    }

    /// See [`Server::kill`].
    pub fn kill(self) {
        let Self { server, broker } = self;
        drop(broker);
        server.kill();
    }

    /// See [`Server::stop`].
    pub fn stop(self) -> (Exit, Result<(), String>) {
        self.server.stop()
    }

    /// Lets its store be unable to close.
    pub fn may_fail_to_close(&mut self) {
        self.server.may_fail_to_close = true;
    }
}

impl Deref for RunningBroker {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

fn clock(factor: u32) -> Clock {
    if factor == 1 { Clock::system() } else { Clock::scaled(factor) }
}

/// Waits until something holds.
///
/// # Panics
/// After 20 s.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain for {what}");
}

/// A nameserver and a broker that registers with it, in a directory that vanishes with them. The broker serves
/// subscriptions by SQL92 expression.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they are to be stopped.
    broker: Option<RunningBroker>,
    nameserver: RunningNameserver,
    address: SocketAddr,
    factor: u32,
    disk: Arc<dyn Disk>,
    /// What the broker was told, for its next life.
    config: BrokerConfig,
    dir: TempDir,
}

impl Cluster {
    /// Starts both.
    pub fn start() -> Self {
        Self::start_at(1, |_| {})
    }

    /// Starts both on clocks that run `factor` times as fast as real time.
    pub fn start_at(factor: u32, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        Self::start_in(factor, Arc::new(LocalDisk), change)
    }

    /// With a disk of one's own for the broker.
    pub fn start_in(factor: u32, disk: Arc<dyn Disk>, change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let nameserver = RunningNameserver::start_at(factor, |_| {});
        let mut config = BrokerConfig {
            broker_name: "broker-a".into(),
            namesrv_addr: Addresses(vec![nameserver.address.to_string()]),
            mapped_file_size_commit_log: Bytes(8 << 20),
            enable_property_filter: true,
            ..BrokerConfig::default()
        };
        change(&mut config);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut cluster = Self { broker: None, nameserver, address, factor, disk, config, dir };
        cluster.restart_broker();
        cluster
    }

    /// The nameserver.
    pub fn nameserver(&self) -> &RunningNameserver {
        &self.nameserver
    }

    /// The broker.
    ///
    /// # Panics
    /// While there is none.
    pub fn broker(&self) -> &RunningBroker {
        self.broker.as_ref().expect("the broker runs")
    }

    /// The broker, to be ended as the caller likes.
    ///
    /// # Panics
    /// While there is none.
    pub fn take_broker(&mut self) -> RunningBroker {
        self.broker.take().expect("the broker runs")
    }

    /// Stops the broker in order.
    pub fn stop_broker(&mut self) {
        self.broker = None;
    }

    /// Ends the broker without a word, see [`Server::kill`].
    pub fn kill_broker(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.kill();
        }
    }

    /// Starts the broker on the port and the store that it had.
    pub fn restart_broker(&mut self) {
        self.broker = None;
        let (port, config) = (self.address.port(), self.config.clone());
        let store = self.dir.path().join("store");
        let broker = RunningBroker::start_in(&store, self.disk.clone(), self.factor, |fresh| {
            *fresh = BrokerConfig {
                listen_port: port,
                bind_address: fresh.bind_address,
                broker_ip1: fresh.broker_ip1.clone(),
                store_path_root_dir: fresh.store_path_root_dir.clone(),
                max_hash_slot_num: fresh.max_hash_slot_num,
                max_index_num: fresh.max_index_num,
                ..config
            };
        });
        self.address = broker.address;
        self.broker = Some(broker);
    }

    /// A client of the cluster.
    pub async fn client(&self) -> Client {
        Client::connect(self.nameserver.address.to_string()).await.unwrap()
    }
}
