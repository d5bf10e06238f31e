//! The nameserver: it knows which brokers there are and which topics they hold, and tells clients.
//!
//! # Layout
//! - `table`: the route table and its rules, plain data; `state`: what outlives the actors, and how readers
//!   see it without asking anyone.
//! - Actors: `routes`, the only one who changes the table; `liveness`, which looks for silent brokers; `kv`
//!   and `configuration`, which change and save theirs.
//! - `service`: which request goes where; `brokers`, `topics`, and the lower halves of `kv` and
//!   `configuration`: how requests are read and answered.

mod brokers;
mod configuration;
mod kv;
mod liveness;
mod refusal;
mod routes;
mod service;
mod state;
mod table;
mod topics;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use actix::ArbiterHandle;

use self::{
    configuration::Configuration,
    kv::Kv,
    liveness::Liveness,
    routes::Routes,
    service::NameService,
    state::{Published, State},
};
use super::{
    remoting::{self, Doors},
    supervision::{Branch, Spec},
};
use crate::{config::NamesrvConfig, protocol::kv::KvConfig, store::StoreError};

/// Why a nameserver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NameserverError {
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
    /// Its key-value configuration cannot be read.
    #[error("cannot read the key-value configuration (kvConfigPath): {0}")]
    Kv(#[from] StoreError),
    /// Its sockets cannot be served.
    #[error("cannot serve connections: {0}")]
    Serve(#[from] io::Error),
}

/// A nameserver whose socket is bound: clients can connect, and are served once it has grown into a tree.
#[derive(Debug)]
pub struct Nameserver {
    config: NamesrvConfig,
    file: Option<PathBuf>,
    kv: KvConfig,
    socket: TcpListener,
    address: SocketAddr,
}

impl Nameserver {
    /// Reads its files and binds its socket. `file` is that of `-c`, into which run-time changes go.
    ///
    /// # Errors
    /// [`NameserverError`], before anything was started.
    pub fn bind(config: NamesrvConfig, file: Option<PathBuf>) -> Result<Self, NameserverError> {
        let kv = kv::read(&config.kv_config_path)?;
        let address = SocketAddr::new(config.bind_address, config.listen_port);
        let socket =
            TcpListener::bind(address).map_err(|source| NameserverError::Bind { address, source })?;
        let address = socket.local_addr()?;
        Ok(Self { config, file, kv, socket, address })
    }

    /// Where it listens; with port 0 in its configuration, the one that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds its actors below `parent`. The first thread is that of the table and of its files; connections are
    /// spread over the others, or share it when there is no other.
    ///
    /// # Errors
    /// [`NameserverError::Serve`], also without any thread.
    pub fn grow(self, parent: &Branch, threads: &[ArbiterHandle]) -> Result<(), NameserverError> {
        let Some((own, others)) = threads.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no thread to run on").into());
        };
        let Self { config, file, kv, socket, .. } = self;
        let wait = i64::try_from(config.wait_seconds_for_service.duration().as_millis()).unwrap_or(i64::MAX);
        let doors = Doors {
            sockets: vec![socket],
            arbiters: if others.is_empty() { vec![own.clone()] } else { others.to_vec() },
            max_connections: usize::try_from(config.max_connections).unwrap_or(usize::MAX),
            memory: config.max_connection_memory.len(),
            idle: config.server_channel_max_idle_time_seconds.duration(),
        };
        let every = config.scan_not_active_broker_interval.duration();
        let path = config.kv_config_path.clone();
        let room = usize::try_from(config.mailbox_capacity).unwrap_or(usize::MAX);
        let spec = |name: &str| Spec::new(name, own).capacity(room);
        let clock = parent.clock().clone();
        let state = Arc::new(State {
            routes: Published::default(),
            kv: Published::new(kv),
            config: Published::new(config),
            ready_at: clock.now().saturating_add(wait),
            clock,
        });

        let held = state.clone();
        let routes = parent.child(spec("routes"), move || Ok(Routes { state: held.clone() }));
        let (held, owner) = (state.clone(), routes.clone());
        parent.child(spec("liveness"), move || {
            Ok(Liveness { state: held.clone(), routes: owner.clone(), every })
        });
        let held = state.clone();
        let kv = parent.child(spec("kv"), move || Ok(Kv { state: held.clone(), path: path.clone() }));
        let held = state.clone();
        let configuration = parent.child(spec("configuration"), move || {
            Ok(Configuration { state: held.clone(), file: file.clone() })
        });
        remoting::open(
            parent,
            doors,
            Arc::new(NameService { state, routes, kv, configuration, tree: parent.root() }),
        )?;
        Ok(())
    }
}
