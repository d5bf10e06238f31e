//! The wire: frames, headers, codes, typed requests and responses, message and body formats.

#![warn(clippy::indexing_slicing)]

pub mod codes;
pub mod fields;
pub mod frame;
pub mod header;
pub mod language;
pub mod requests;
