//! The client: producers, consumers and administration, for CastMQ and Apache RocketMQ alike.
//!
//! A [`Client`] holds connections and routes; its handles share them. Everything is `Send + Sync`, clones are
//! cheap, futures may be dropped at any time, and nothing is global.
//! ```no_run
//! # async fn f() -> Result<(), castmq::client::Error> {
//! use castmq::client::{Client, Filter, Message};
//!
//! let client = Client::builder().nameserver("127.0.0.1:9876").await?;
//! let producer = client.producer("orders-p").start().await?;
//! let receipt = producer.send(Message::new("orders", "new order").tag("new").key("42")).await?;
//! println!("stored as {} in queue {}", receipt.message_id, receipt.queue.queue_id);
//!
//! let consumer = client.push_consumer("orders-c").subscribe("orders", Filter::tags(["new", "paid"])).await?;
//! while let Some(delivery) = consumer.recv().await {
//!     println!("{:?}", delivery.body());
//!     delivery.ack();
//! }
//! # Ok(()) }
//! ```
//!
//! Alone (`default-features = false, features = ["client"]`) it is built from 48 packages, none of them a server's.
//!
//! # Layout
//! `net` holds connections, `routes` what the nameservers say, `core` what a client's handles share; `producer`
//! and `consumer` are what users came for. Log and spans go to `tracing`; whoever wants to see them
//! subscribes.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod admin;
mod builder;
mod calls;
mod compression;
mod consumer;
mod core;
mod error;
mod inbound;
mod message;
mod net;
mod producer;
mod received;
mod route;
mod routes;
mod task;
mod trace;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

pub use admin::{Admin, Topic};
pub use builder::ClientBuilder;
pub use compression::Compression;
pub use consumer::{
    Allocation, Deliveries, Delivery, Filter, Limits, LiteConsumer, LiteConsumerBuilder, Outcome,
    PushConsumer, PushConsumerBuilder, Seek, Start,
};
pub use error::{Error, Result};
pub use message::{Delay, Message};
pub use net::Credentials;
#[cfg(feature = "tls")]
pub use net::Tls;
pub use producer::{
    Producer, ProducerBuilder, Receipt, Request, SendStatus, Sending, TransactionListener,
    TransactionProducer, TransactionState,
};
pub use received::ReceivedMessage;
pub use trace::TRACE_TOPIC;

pub use crate::protocol::{codes::ResponseCode, message::MessageQueue};

use self::core::Core;

/// A client of a cluster; clones share connections and routes. It ends when its last handle is gone.
///
/// ```no_run
/// # async fn f() -> Result<(), castmq::client::Error> {
/// let client = castmq::client::Client::connect("127.0.0.1:9876").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    core: Arc<Core>,
}

impl Client {
    /// A client to be set up.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client on defaults, for these nameservers: `a:9876;b:9876`.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect(nameservers: impl AsRef<str>) -> Result<Self> {
        Self::builder().nameserver(nameservers).await
    }

    /// What brokers know this client by.
    pub fn id(&self) -> &str {
        &self.core.client_id
    }

    /// A producer of a group, to be set up.
    pub fn producer(&self, group: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder::new(self.core.clone(), group.into())
    }

    /// A consumer that is handed messages, to be set up.
    pub fn push_consumer(&self, group: impl Into<String>) -> PushConsumerBuilder {
        PushConsumerBuilder::new(self.core.clone(), group.into())
    }

    /// A consumer that takes messages at its own pace, to be set up.
    pub fn lite_consumer(&self, group: impl Into<String>) -> LiteConsumerBuilder {
        LiteConsumerBuilder::new(self.core.clone(), group.into())
    }

    /// Topics, groups, offsets and messages.
    pub fn admin(&self) -> Admin {
        Admin::new(self.core.clone())
    }
}

/// Milliseconds since 1970.
fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
