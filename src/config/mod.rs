//! What the binaries are told: files, environment, command line, and changes at run time.
//!
//! - `key`: what a key is. `broker` and `namesrv` declare theirs, `castmq` puts both together.
//! - `layers`: defaults, then the file of `-c` (`ron` or Java [`properties`]), then the environment, then
//!   the command line ([`args`]). Keys keep RocketMQ's names, so that its files and scripts work.
//! - `change`: reading the configuration as text, and changing it at run time.

pub mod args;
mod broker;
mod castmq;
mod change;
#[cfg(test)]
mod documented;
mod error;
mod host;
mod key;
mod known;
mod layers;
mod namesrv;
pub mod properties;
mod ron;
#[cfg(test)]
mod tests;
mod value;

pub use broker::BrokerConfig;
pub use castmq::{CastmqConfig, DATA_DIR};
pub use change::Config;
pub use error::{ConfigError, KeyError, Place};
pub use key::{Applied, Effect, Key};
pub use layers::Loaded;
pub use namesrv::NamesrvConfig;
pub use value::{
    Addresses, BrokerRole, Bytes, DelayLevels, FlushDiskType, Hours, HoursOfDay, Malformed, Millis, Pages,
    Percent, Seconds, Value,
};
