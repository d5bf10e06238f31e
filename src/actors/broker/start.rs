//! From a configuration to a running broker: what can fail fails before the tree starts, with the reason.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Instant,
};

use actix::ArbiterHandle;
use bytes::Bytes;

use super::{Broker, Identity, Live, service::BrokerService};
use crate::{
    actors::{
        delivery, groups,
        process::{Closing, Threads},
        registration::{self, Registration, RegistrationData},
        remoting::{self, Doors, Origin},
        statistics,
        store::{self, StoreThreads},
        supervision::Branch,
        topics,
    },
    config::{BrokerConfig, BrokerRole, FlushDiskType},
    protocol::{
        data_version::DataVersion, message_id::UniqueIds, properties::name,
        register::TopicConfigSerializeWrapper, topic::TopicConfig,
    },
    store::{
        PoolOptions, Store, StoreError, StoreOptions,
        disk::{Disk, LocalDisk},
        dispatch::DispatchRules,
        store::Closed,
    },
};

/// Old clients connect to the port two below (fact sheet: remoting 1.8).
const VIP_DISTANCE: u16 = 2;
/// Up to so many cores, connections share the thread of the queues.
const SHARED_UP_TO: usize = 2;
/// A recovery that has more than this to read tells how far it is.
const TELL_FROM: u64 = 256 << 20;

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Its address is taken, or not this machine's.
    #[error(
        "cannot listen on {address}: {source}; end what listens there, or set listenPort and bindAddress"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// `brokerIP1` is no address.
    #[error("brokerIP1 is {value:?}: set it to an IP address that clients can reach")]
    Advertised {
        /// The configured value.
        value: String,
    },
    /// It is to be a slave.
    #[error("brokerRole is SLAVE: replication is not served by this version of CastMQ")]
    Slave,
    /// Its store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its sockets cannot be served.
    #[error("cannot serve connections: {0}")]
    Serve(#[from] io::Error),
}

/// A broker whose store is open and whose sockets are bound: clients can connect, and are served once it has
/// grown into a tree.
pub struct OpenBroker {
    config: BrokerConfig,
    sockets: Vec<TcpListener>,
    identity: Identity,
    store: Arc<Store>,
}

/// The threads of a broker.
#[derive(Debug, Clone)]
pub struct BrokerThreads {
    /// Those of the store; supervisors live on its `control`.
    pub store: StoreThreads,
    /// Those of the connections.
    pub connections: Vec<ArbiterHandle>,
}

impl BrokerThreads {
    /// Starts them. `connections` is `remotingThreads`: with 0, a machine of one or two cores serves
    /// connections on the thread of the queues, which saves a wake-up on every hop; a larger one gives half of
    /// its cores to them.
    pub fn start(threads: &Threads, connections: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let hot = threads.start("hot");
        let connections = match connections {
            0 if cores <= SHARED_UP_TO => vec![hot.clone()],
            0 => threads.start_many("io", (cores / 2) as u32),
            count => threads.start_many("io", count),
        };
        let store = StoreThreads {
            hot,
            flush: threads.start("flush"),
            background: threads.start("background"),
            delivery: threads.start("delivery"),
            control: threads.start("control"),
        };
        Self { store, connections }
    }
}

impl OpenBroker {
    /// Binds the sockets and opens the store, which recovers what an exit has left.
    ///
    /// # Errors
    /// [`BrokerError`], before anything was started.
    pub fn open(config: BrokerConfig) -> Result<Self, BrokerError> {
        Self::open_on(config, Arc::new(LocalDisk))
    }

    /// [`OpenBroker::open`] on a file system of one's own.
    ///
    /// # Errors
    /// As [`OpenBroker::open`].
    pub fn open_on(mut config: BrokerConfig, disk: Arc<dyn Disk>) -> Result<Self, BrokerError> {
        if config.broker_role == BrokerRole::Slave {
            return Err(BrokerError::Slave);
        }
        let advertised: IpAddr = config
            .broker_ip1
            .parse()
            .map_err(|_| BrokerError::Advertised { value: config.broker_ip1.clone() })?;
        // First, since a store that was opened for nothing recovers at its next start.
        let (sockets, port) = bind(config.bind_address, config.listen_port)?;
        let store = Arc::new(open_store(&config, disk)?);
        config.listen_port = port;
        let identity = Identity {
            cluster: config.broker_cluster_name.clone(),
            name: config.broker_name.clone(),
            id: i64::try_from(config.broker_id).unwrap_or(i64::MAX),
            address: SocketAddr::new(advertised, port),
        };
        Ok(Self { config, sockets, identity, store })
    }

    /// Where clients are told to connect to; with port 0 in its configuration, with the one that it got.
    pub fn address(&self) -> SocketAddr {
        self.identity.address
    }

    /// What it has to say at its start: what listens where, and where the data lies.
    pub fn lines(&self) -> Vec<String> {
        let Self { config, sockets, identity, store } = self;
        let listening: Vec<_> =
            sockets.iter().filter_map(|socket| socket.local_addr().ok()).map(|at| at.to_string()).collect();
        let Identity { cluster, name, id, address } = identity;
        let log = store.log();
        let nameservers = config.namesrv_addr.to_string();
        vec![
            format!(
                "broker {name} ({id}) of {cluster}: listening on {}, known as {address}",
                listening.join(" and ")
            ),
            format!(
                "data in {}: {} bytes of messages, {} queues, {:?}",
                config.store_path_root_dir.display(),
                log.max_offset().since(log.min_offset()),
                store.queues().snapshot().len(),
                config.flush_disk_type,
            ),
            if nameservers.is_empty() {
                "registers with no nameserver: set namesrvAddr, -n or NAMESRV_ADDR".to_owned()
            } else {
                format!("registers with {nameservers}")
            },
        ]
    }

    /// What closes the store when the tree has stopped. If something cannot be flushed then, the next start
    /// recovers.
    pub fn closing(&self) -> Closing {
        let store = self.store.clone();
        Box::new(move || Ok(close(&store)?))
    }

    /// Adds its actors below `parent`.
    ///
    /// # Errors
    /// [`BrokerError`] when a file of its configuration cannot be read, or a socket not be served.
    pub fn grow(self, parent: &Branch, threads: &BrokerThreads) -> Result<Arc<Broker>, BrokerError> {
        let Self { config, sockets, identity, store } = self;
        let doors = Doors {
            sockets,
            arbiters: threads.connections.clone(),
            max_connections: config.max_connections as usize,
            memory: config.max_connection_memory.len(),
            idle: config.server_channel_max_idle_time_seconds.duration(),
        };
        let StoreThreads { background, control, .. } = &threads.store;
        let stored = store::grow(parent, &store, &config, &threads.store);
        let registration: Arc<OnceLock<Registration>> = Arc::default();
        let announced = registration.clone();
        let topics = topics::grow(parent, background, &config, store.options(), move |changed, version| {
            if let Some(registration) = announced.get() {
                registration.topics_changed(wrapper(changed.iter().map(|topic| (**topic).clone()), version));
            }
        })?;
        let groups = groups::grow(parent, control, background, &config, &store, &topics)?;
        let statistics = statistics::grow(parent, control, &store, &identity.cluster);
        let settings = registration_settings(&config, &identity);
        let (added_properties, origin) = (added_properties(&config), origin(&config, &identity));
        let config = Arc::new(Live::new(config));
        let parts = delivery::Parts {
            store: &store,
            queues: &stored.queues,
            topics: &topics,
            groups: &groups,
            config: &config,
            identity: &identity,
        };
        let delivery = delivery::grow(parent, &threads.store, &parts)?;
        let known = topics.clone();
        let register = registration::grow(parent, control, settings, move || {
            let version = known.version();
            RegistrationData { topics: wrapper(known.table().into_values(), version) }
        });
        // Set once, before any topic can change.
        let _ = registration.set(register.clone());
        let clock = parent.clock().clone();
        let broker = Arc::new(Broker {
            origin: Arc::new(origin),
            added_properties,
            unique_ids: UniqueIds::new(identity.address.ip(), std::process::id(), fastrand::u32(..)),
            started: clock.now(),
            memory: memory(),
            identity,
            config,
            store,
            topics,
            queues: stored.queues.clone(),
            stored,
            groups,
            delivery,
            registration: register,
            statistics,
            tree: parent.root(),
            clock,
        });
        remoting::open(parent, doors, Arc::new(BrokerService(broker.clone())))?;
        Ok(broker)
    }
}

fn memory() -> u64 {
    let system = rustix::system::sysinfo();
    (system.totalram as u64).saturating_mul(u64::from(system.mem_unit))
}

fn close(store: &Store) -> Result<(), StoreError> {
    match store.close()? {
        Closed::Doubted => tracing::warn!("a part could not be flushed: the next start recovers"),
        Closed::Clean => tracing::info!("the store is closed: everything is on the device"),
        Closed::Behind(bytes) => {
            tracing::warn!(bytes, "the queues are behind the log: the next start recovers")
        }
    }
    Ok(())
}

fn open_store(config: &BrokerConfig, disk: Arc<dyn Disk>) -> Result<Store, StoreError> {
    let delays = config.message_delay_level.delays();
    let options = StoreOptions {
        commit_log_dir: config.store_path_commit_log.clone(),
        commit_log_file_size: config.mapped_file_size_commit_log.len(),
        consume_queue_file_size: config.mapped_file_size_consume_queue.len(),
        rules: DispatchRules {
            delay_levels: delays.iter().map(|delay| delay.as_millis() as i64).collect(),
            ..DispatchRules::default()
        },
        // With synchronous flush nobody is answered before the device has it, so that memory in between gains nothing.
        pool: (config.transient_store_pool_enable && config.flush_disk_type == FlushDiskType::AsyncFlush)
            .then_some(PoolOptions {
                size: config.transient_store_pool_size as usize,
                fails_fast: config.fast_fail_if_no_buffer_in_store_pool,
            }),
        disk,
        ..StoreOptions::at(PathBuf::from(&config.store_path_root_dir))
    };
    let (began, mut told) = (Instant::now(), Instant::now());
    let store = Store::open_with_progress(options, &mut |done, all| {
        if all >= TELL_FROM && told.elapsed().as_secs() >= 1 {
            told = Instant::now();
            let left = began.elapsed().as_secs_f64() * (all - done.min(all)) as f64 / done.max(1) as f64;
            tracing::info!("recovering: {} of {} MiB checked, {left:.0} s to go", done >> 20, all >> 20);
        }
    })?;
    let report = store.recovery();
    if report.was_abnormal {
        tracing::warn!(
            from = report.start.0,
            to = report.end.0,
            records = report.records,
            took_ms = began.elapsed().as_millis() as u64,
            "the last exit was no orderly one: recovered"
        );
    }
    Ok(store)
}

/// Binds the port and, when it can be had, the one for old clients; gives the port too, since 0 means any.
fn bind(ip: IpAddr, port: u16) -> Result<(Vec<TcpListener>, u16), BrokerError> {
    let address = SocketAddr::new(ip, port);
    let main = TcpListener::bind(address).map_err(|source| BrokerError::Bind { address, source })?;
    let bound = main.local_addr()?.port();
    let mut sockets = vec![main];
    if let Some(vip) = port.checked_sub(VIP_DISTANCE).filter(|vip| *vip > 0) {
        match TcpListener::bind(SocketAddr::new(ip, vip)) {
            Ok(socket) => sockets.push(socket),
            Err(error) => tracing::warn!(port = vip, %error, "no second port for old clients"),
        }
    }
    Ok((sockets, bound))
}

fn registration_settings(config: &BrokerConfig, identity: &Identity) -> registration::Settings {
    registration::Settings {
        nameservers: config.namesrv_addr.0.clone(),
        cluster: identity.cluster.clone(),
        broker_name: identity.name.clone(),
        broker_id: identity.id,
        broker_addr: identity.address.to_string(),
        ha_addr: format!("{}:{}", config.broker_ip2, config.ha_listen_port),
        period: config.register_name_server_period.duration(),
        compressed: config.compressed_register,
        enable_acting_master: false,
        heartbeat_timeout: None,
    }
}

/// Topics in the form in which they are registered.
fn wrapper(
    topics: impl Iterator<Item = TopicConfig>,
    data_version: DataVersion,
) -> TopicConfigSerializeWrapper {
    TopicConfigSerializeWrapper {
        topic_config_table: topics.map(|topic| (topic.topic_name.clone(), topic)).collect(),
        data_version,
        ..TopicConfigSerializeWrapper::default()
    }
}

fn origin(config: &BrokerConfig, identity: &Identity) -> Origin {
    Origin { store_host: identity.address, region: config.region_id.clone(), trace_on: config.trace_on }
}

fn added_properties(config: &BrokerConfig) -> Bytes {
    let (region, trace, cluster) = (&config.region_id, config.trace_on, &config.broker_cluster_name);
    format!(
        "{}\u{1}{region}\u{2}{}\u{1}{trace}\u{2}{}\u{1}{cluster}\u{2}",
        name::MSG_REGION,
        name::TRACE_ON,
        name::CLUSTER
    )
    .into()
}
