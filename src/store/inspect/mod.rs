//! A stopped store, looked at from outside.
//!
//! - [`layout`]: whose store it is, that nobody uses it, and how its files are cut.
//! - `log_reader`, `queue_reader`: log and consume queues read without being mapped, made or changed.
//! - [`finding`]: what is said about a file.
//! - [`verify`], with `queues`, `keys` and `small_files`: what is whole and what is not.
//! - [`dump`]: messages by filter.
//! - [`rebuild`]: consume queues and index made again from the log.
//!
//! [`verify`] and [`dump`] write nothing at all, not even a lock.

pub mod dump;
pub mod finding;
mod keys;
pub mod layout;
mod log_reader;
mod queue_reader;
mod queues;
pub mod rebuild;
mod small_files;
pub mod verify;

/// How far a long piece of work is: bytes done, bytes in all.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;
