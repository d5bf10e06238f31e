//! The broker: what its parts share, and how requests find their way to them.
//!
//! - [`service`]: which code goes where.
//! - [`send`], [`pull`]: the two hot roads, up to the queue actor.
//! - [`query`]: messages by key.
//! - [`send_back`], [`reply`]: what consumers hand back, and what they answer to requesters.
//! - [`admin`]: everything that operators and clients ask beside messages.

mod admin;
mod context;
mod pull;
mod query;
mod recall;
mod reply;
mod send;
mod send_back;
mod service;
mod start;

pub use context::{Broker, Identity, Live};
pub use start::{BrokerError, BrokerThreads, OpenBroker};
