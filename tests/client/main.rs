//! The Rust client against a nameserver and a broker in this process.

#![allow(clippy::unwrap_used, clippy::expect_used)] // These are tests, helpers included.

mod administration;
mod consuming;
mod harness;
mod lite;
mod ordered;
mod scripted;
mod sending;
