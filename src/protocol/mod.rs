//! The wire: frames, headers, codes, typed requests and responses, message and body formats.

#![warn(clippy::indexing_slicing)]

pub mod base64;
pub mod batch;
pub mod cluster;
pub mod codes;
pub mod connection;
pub mod data_version;
pub mod fields;
pub mod frame;
pub mod header;
pub mod heartbeat;
pub mod json;
pub mod kv;
pub mod language;
pub mod lock;
pub mod mapping;
pub mod message;
pub mod message_id;
pub mod offsets;
pub mod properties;
pub mod recall;
pub mod record;
pub mod register;
pub mod requests;
pub mod route;
pub mod stats;
pub mod subscription;
pub mod sys_flag;
pub mod topic;
