//! Nameserver and broker in one process: both configurations, on defaults for the first minute.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use super::{
    BrokerConfig, Config, NamesrvConfig,
    error::{ConfigError, KeyError},
    key::Applied,
    known,
    layers::{self, Target},
    value::Addresses,
};

/// Where `castmq` keeps its data unless it is told otherwise.
pub const DATA_DIR: &str = "./castmq-data";

/// The one key that both parts have and that cannot mean both: two servers, two ports.
const LISTEN_PORT: &str = "listenPort";

/// What `castmq` is told.
///
/// In RON each part has its section: `(namesrv: (...), broker: (...))`. In properties, in the environment and
/// in run-time changes a key means every part that has it, but `listenPort` means the broker's.
#[derive(Clone, Debug, PartialEq)]
pub struct CastmqConfig {
    /// The nameserver's part.
    pub namesrv: NamesrvConfig,
    /// The broker's part.
    pub broker: BrokerConfig,
}

/// Data in [`DATA_DIR`]; a broker that says "127.0.0.1", so that clients on this machine reach it at once.
impl Default for CastmqConfig {
    fn default() -> Self {
        let loopback = Ipv4Addr::LOCALHOST.to_string();
        let broker =
            BrokerConfig { broker_ip1: loopback.clone(), broker_ip2: loopback, ..Default::default() };
        let mut config = Self { namesrv: NamesrvConfig::default(), broker };
        config.put_data_in(Path::new(DATA_DIR));
        config
    }
}

impl CastmqConfig {
    /// The store lies in `dir` itself, the nameserver's files in its folder `namesrv`.
    pub fn put_data_in(&mut self, dir: &Path) {
        self.broker.store_path_root_dir = dir.to_owned();
        self.namesrv.kv_config_path = dir.join("namesrv/kvConfig.json");
        self.namesrv.config_store_path = dir.join("namesrv/namesrv.properties");
    }

    /// Both parts as `key=value` lines, each under its heading.
    pub fn properties_text(&self) -> String {
        both(&self.namesrv.properties_text(), &self.broker.properties_text())
    }

    /// As [`CastmqConfig::properties_text`], the important keys only.
    pub fn important_text(&self) -> String {
        both(&self.namesrv.important_text(), &self.broker.important_text())
    }
}

fn both(namesrv: &str, broker: &str) -> String {
    format!("# nameserver\n{namesrv}# broker\n{broker}")
}

impl Target for CastmqConfig {
    fn put(&mut self, key: &str, value: &str) -> Result<Applied, KeyError> {
        let broker = BrokerConfig::key(key);
        let namesrv = NamesrvConfig::key(key).filter(|key| key.name != LISTEN_PORT);
        let at_namesrv = namesrv.map(|key| key.put(&mut self.namesrv, value)).transpose()?;
        let at_broker = broker.map(|key| key.put(&mut self.broker, value)).transpose()?;
        match (at_namesrv, at_broker) {
            (None, None) if known::is_known(key) => Ok(Applied::NotUsed),
            (None, None) => Err(layers::unknown::<BrokerConfig>(key)),
            (Some(Applied::Used), _) | (_, Some(Applied::Used)) => Ok(Applied::Used),
            _ => Ok(Applied::NotUsed),
        }
    }

    fn section(&mut self, name: &str) -> Option<&mut dyn Target> {
        match name {
            "namesrv" => Some(&mut self.namesrv),
            "broker" => Some(&mut self.broker),
            _ => None,
        }
    }

    /// Without NAMESRV_ADDR: users set it for their clients, and our broker has a nameserver of its own.
    fn rocketmq_variables(&self) -> &'static [(&'static str, &'static str)] {
        &[("ROCKETMQ_HOME", "rocketmqHome")]
    }

    fn settle(&mut self) -> Result<(), ConfigError> {
        Config::settle(&mut self.namesrv)?;
        Config::settle(&mut self.broker)?;
        if self.broker.namesrv_addr.0.is_empty() {
            let bound = self.namesrv.bind_address;
            let ip = if bound.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { bound };
            let own = SocketAddr::new(ip, self.namesrv.listen_port);
            self.broker.namesrv_addr = Addresses(vec![own.to_string()]);
        }
        Ok(())
    }
}
