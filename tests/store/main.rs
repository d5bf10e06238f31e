//! What a store survives: power cuts, torn files, flipped bits, devices that fail or are full.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

mod faults;
mod inspector;
mod manifests;
mod messages;
mod power_cut;
mod reach;
mod torn;
mod traps;
