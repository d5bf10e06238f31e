//! Connections: one per server, shared by all requests, made again when it breaks.

mod connection;
mod pool;
mod signature;
#[cfg(feature = "tls")]
mod tls;

pub(super) use connection::{Connection, Inbound};
pub(super) use pool::Pool;
pub use signature::Credentials;
#[cfg(feature = "tls")]
pub use tls::Tls;
