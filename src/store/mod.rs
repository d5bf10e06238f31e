//! The files: mapped files, commit log, consume queues, checkpoint, recovery.
//!
//! # Layout
//! From the device upwards; each file uses only those named before it.
//! - [`disk`]: what the store asks of a file system, the seam at which tests put a device that fails.
//! - [`mapped_file`], [`file_sequence`]: one fixed-size mapped file, and a directory of them named by offset.
//! - `transient_store_pool`: memory in which messages wait to be written to the log's files, as an option.
//! - [`watermarks`]: how far the log is appended, flushed, dispatched and replicated.
//! - [`commit_log`]: the one log of all topics, with its single writer and its many readers.
//! - [`scan`]: whether the bytes at an offset are a whole record, padding, or neither.
//! - [`dispatch`]: which consume queue unit a record becomes.
//! - [`queue_table`], [`queue_path`], [`consume_queue`], `queue_flush`, [`offset_by_time`]: the queues that point into the log.
//! - [`checkpoint`], [`lock`], [`config_file`], `queue_ends`: the small files.
//! - [`index`]: records by key.
//! - [`timer`]: messages that wait for a time of their own.
//! - [`retention`], [`local_time`]: which files may go and when, and when there is no room for messages.
//! - `rebuild`, [`recovery`], [`store`]: what a start makes of the files, and the owner of it all.
//! - [`inspect`]: a stopped store looked at from outside: what is whole, messages by filter, a rebuild.
//!
//! Nothing here waits, spawns or knows actors. What must survive a crashed actor lives in these types:
//! an actor borrows them, and its successor finds them as the last published state left them.
#![warn(clippy::indexing_slicing)]

pub mod checkpoint;
pub mod commit_log;
pub mod config_file;
pub mod consume_queue;
pub mod disk;
pub mod dispatch;
mod error;
pub mod file_sequence;
pub mod index;
pub mod inspect;
pub mod lease;
pub mod local_time;
pub mod lock;
pub mod mapped_file;
pub mod offset_by_time;
mod queue_ends;
mod queue_flush;
pub mod queue_path;
pub mod queue_table;
mod rebuild;
pub mod recovery;
pub mod retention;
pub mod scan;
#[allow(clippy::module_inception)]
pub mod store;
pub mod tally;
pub mod timer;
pub mod times;
mod transient_store_pool;
pub mod watermarks;

pub use error::StoreError;
pub use store::{Store, StoreOptions};
pub use transient_store_pool::PoolOptions;
pub use watermarks::{PhysicalOffset, QueueOffset, Watermarks};
