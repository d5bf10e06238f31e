//! The broker over real sockets, spoken to byte by byte as clients do.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // These are tests, helpers included.

mod cold_reads;
#[cfg(feature = "chaos")]
mod crashes;
mod delays;
mod deleting;
mod durability;
mod faulty_disk;
mod filters;
mod full_disk;
mod harness;
mod hostile;
mod index;
mod load_tool;
mod messages;
mod names;
#[cfg(feature = "chaos")]
mod ordered_groups;
mod replies;
mod retention;
mod retries;
mod statistics;
mod sync_flush;
mod timers;
mod transactions;
mod transient_store_pool;
