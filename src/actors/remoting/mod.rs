//! Sockets: one actor per connection, and what a request carries so that whoever finishes it answers straight
//! there.
//!
//! A [`Connection`](connection::Connection) decodes every frame that has arrived and hands them to its
//! [`Service`] together. Each [`Request`] carries a [`Responder`], which ends up wherever the answer is known;
//! answers of all origins meet in the connection's outbox and leave in one write.

mod connection;
mod listener;
mod outbound;
mod outbox;
mod peer;
mod responder;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
pub(crate) use stand_in::Sent;

use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::header::Header;

pub use listener::{Doors, open};
pub use outbound::{NothingServed, Outbound, tell_once};
pub use outbox::{Origin, SendReceipt};
pub use peer::{CallError, Peer, request};
pub use responder::Responder;

/// A request that arrived, with the way back.
#[derive(Debug)]
pub struct Request {
    /// Its header.
    pub header: Header,
    /// Its body; empty when it has none.
    pub body: Bytes,
    /// Who sent it.
    pub peer: Arc<Peer>,
    /// Where its answer goes. Dropped unanswered it says SYSTEM_BUSY.
    pub reply: Responder,
}

/// What serves the requests of connections: the nameserver or the broker.
pub trait Service: Send + Sync + 'static {
    /// Serves the requests that arrived together on one connection, in order. It may wait for room in a
    /// mailbox: then this connection reads no further, which is how a busy actor slows its senders down.
    fn serve(&self, requests: Vec<Request>) -> impl Future<Output = ()>;

    /// A connection ended: everything that depended on it goes.
    fn closed(&self, peer: &Arc<Peer>);
}
