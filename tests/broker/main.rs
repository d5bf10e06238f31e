//! The broker over real sockets, spoken to byte by byte as clients do.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // These are tests, helpers included.

#[cfg(feature = "chaos")]
mod crashes;
mod delays;
mod durability;
mod harness;
mod hostile;
mod messages;
mod replies;
mod retries;
mod transactions;
