//! Let it crash: every actor and every message of it is struck under load, and nobody but its client notices.
//!
//!     cargo test --release --features chaos,testing --test supervision -- --nocapture
//!     CASTMQ_STORM_SECONDS=180 CASTMQ_SEED=7 cargo test ... --test supervision storms:: -- --nocapture
//!
//! Time runs faster here, so that timers and budgets are soon over; what crosses sockets and disks does not. The
//! tests take the machine one after the other: they measure.
#![allow(clippy::unwrap_used, clippy::expect_used)] // These are tests, helpers included.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[path = "../broker/faulty_disk.rs"]
#[allow(dead_code)] // Each of the two programs uses a part of it.
mod faulty_disk;
mod hostile;
mod matrix;
mod pressure;
mod process;
mod storms;
mod traffic;

static MACHINE: Mutex<()> = Mutex::new(());

/// One test at a time.
fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number from the environment, or `default`.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The value at this share, in percent, of sorted values.
fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * percent / 100).min(last)).copied().unwrap_or_default()
}
