//! CastMQ inside a test: nameserver and brokers in the test's own process, faults by path, time that runs faster,
//! and a ledger that knows what a broker owes. Feature `testing`; faults need the feature `chaos` too.
//!
//! ```
//! use castmq::testing::{Cluster, Ledger, Load};
//!
//! // A nameserver and a broker, on free ports, with stores that vanish with them; time runs 20 times as fast.
//! let mut cluster = Cluster::start_at(20, |_config| {});
//! let broker = cluster.broker();
//! broker.connect().create_topic("orders", 2);
//!
//! // Producers and consumers, whose ledger notes what was acknowledged and what came.
//! let ledger = Ledger::default();
//! let load = Load::start(broker.address, "orders", 2, 2, &ledger);
//! load.flows();
//!
//! // One part crashes; nobody else notices.
//! # #[cfg(feature = "chaos")]
//! broker.strike("store/commit-log", &castmq::testing::Fault::PanicBefore(None));
//! load.flows();
//! assert_eq!(load.reconnects(), 0);
//! load.stop();
//! ledger.check().expect("nothing is lost, offsets are dense, everything was delivered in order");
//!
//! // The whole broker dies without a word, and is opened again on what it left.
//! cluster.kill_broker();
//! cluster.restart_broker();
//! let load = Load::start(cluster.broker().address, "orders", 2, 2, &ledger);
//! load.flows();
//! load.stop();
//! ledger.check().expect("what was acknowledged before is there");
//! ```
//!
//! What goes wrong in a harness is a failure of the test, so its functions panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod ledger;
mod load;
mod server;
mod wire;

pub use ledger::{Ledger, Totals};
pub use load::Load;
pub use server::{Cluster, RunningBroker, RunningNameserver, Server, eventually};
pub use wire::{Connection, Got, message, pull, pulled, receipt};

#[cfg(feature = "chaos")]
pub use crate::actors::supervision::chaos::Fault;
