//! The Rust client against nameservers and a broker in this process, or those that `CASTMQ_NAMESRV` names.

#![allow(clippy::unwrap_used, clippy::expect_used)] // These are tests, helpers included.

mod administration;
mod consuming;
mod faults;
mod harness;
mod limits;
mod lite;
mod ordered;
mod scripted;
mod sending;
mod signed;
mod surface;
#[cfg(feature = "tls")]
mod tls;
mod traces;
