//! CastMQ: RocketMQ rebuilt in Rust as a tree of supervised actors.
//!
//! # Layout
//! Three layers, one direction; each may use only those named before it.
//! - [`protocol`]: frames, headers, codes, typed requests, message and body formats. No I/O, no clocks.
//! - [`filter`]: tag and SQL92 expressions. Pure; uses `protocol` alone.
//! - [`store`]: mapped files, commit log, consume queues, recovery. Plain types with one owner.
//! - [`actors`]: everything that lives: the supervision kernel, the nameserver, the broker.
//!
//! `client` (feature of that name) stands beside the last two and uses [`protocol`] alone.
//!
//! `testing` (feature of that name) starts all of it inside a test.
//!
//! [`config`] reads what the binaries under `bins/` are told, and `store_cli`, `tree_cli` and `bench_cli` are what
//! `castmq` does other than serve. The road of a message through these
//! files is told in ARCHITECTURE.md.

#[cfg(feature = "server")]
pub mod actors;
#[cfg(feature = "server")]
pub mod bench_cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod config;
pub mod filter;
pub mod protocol;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod store_cli;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "server")]
pub mod tree_cli;
