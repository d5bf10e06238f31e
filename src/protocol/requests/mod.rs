//! Typed request and response headers: views on the ext fields, one declaration each.
//!
//! A declaration names the wire name, the Rust field and its type. `T` is required, `Option<T>` may be
//! absent, and `T = x` reads as `x` when absent. A number that does not parse is absent (fact sheet: remoting
//! 1.6). RocketMQ only logs a missing required field and then fails with code 1 when it needs it:
//! [`FieldError`] is that failure, said in words.
//!
//! What requests have in common beyond their own fields is a view of its own, [`RpcContext`].
//!
//! A server reads frames, views each as its typed request, and answers without a frame in between:
//! ```
//! use bytes::BytesMut;
//! use castmq::protocol::codes::{RequestCode, ResponseCode};
//! use castmq::protocol::frame::{Frame, FrameError};
//! use castmq::protocol::requests::offset::{MaxOffsetRequest, OffsetResponse};
//!
//! fn serve(arrived: &mut BytesMut, out: &mut BytesMut) -> Result<(), FrameError> {
//!     while let Some(Frame { header, body: _ }) = Frame::decode(arrived)? {
//!         let to = header.reply_to();
//!         match header.request_code() {
//!             RequestCode::GET_MAX_OFFSET => match MaxOffsetRequest::from_fields(&header.fields) {
//!                 Ok(_request) => {
//!                     to.answer(ResponseCode::SUCCESS).fields(OffsetResponse { offset: 7 }).encode(b"", out)?
//!                 }
//!                 Err(error) => {
//!                     to.answer(ResponseCode::SYSTEM_ERROR).remark(&error.to_string()).encode(b"", out)?
//!                 }
//!             },
//!             code => {
//!                 let remark = format!(" request type {} not supported", code.as_i32());
//!                 to.answer(ResponseCode::REQUEST_CODE_NOT_SUPPORTED).remark(&remark).encode(b"", out)?
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! # serve(&mut BytesMut::new(), &mut BytesMut::new()).expect("nothing to serve");
//! ```

mod field;

pub mod acl;
pub mod broker;
pub mod client;
pub mod controller;
pub mod group;
pub mod kv;
pub mod message;
pub mod offset;
pub mod pop;
pub mod pull;
pub mod registration;
pub mod route;
pub mod send;
pub mod stats;
pub mod topic;
pub mod transaction;

pub use field::{Field, FieldError};

/// Declares typed headers; see the module's documentation.
macro_rules! headers {
    ($(
        $(#[$doc:meta])*
        pub struct $name:ident {
            $($(#[$field_doc:meta])* $wire:literal => $field:ident: $type:ty $(= $default:expr)?,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[doc = ""]
                #[doc = concat!("On the wire: `", $wire, "`.")]
                pub $field: $type,
            )*
        }

        impl $name {
            $crate::protocol::requests::reader! {
                /// Reads the typed header from ext fields; unknown ones are ignored.
                ///
                /// # Errors
                /// Names the first required field that is absent or of another type.
                $name, from_fields, $($wire => $field $(= $default)?,)*
            }

            /// The header as ext fields. An answer is written without this detour, see
            /// [`Answer::fields`](crate::protocol::frame::Answer::fields).
            pub fn to_fields(&self) -> $crate::protocol::fields::Fields {
                $crate::protocol::fields::Fields::of(self)
            }
        }

        $crate::protocol::requests::writer! { $name, header => header, $($wire => $field,)* }

        impl From<$name> for $crate::protocol::fields::Fields {
            fn from(header: $name) -> Self {
                header.to_fields()
            }
        }
    )*};
}

/// The reading half of a header: one pass over the fields, the last value of a key counts.
macro_rules! reader {
    ($(#[$doc:meta])* $name:ident, $from_fields:ident, $($wire:literal => $field:ident $(= $default:expr)?,)*) => {
        $(#[$doc])*
        pub fn $from_fields(
            fields: &$crate::protocol::fields::Fields,
        ) -> Result<Self, $crate::protocol::requests::FieldError> {
            $(let mut $field = None;)*
            for (key, raw) in fields.raw() {
                $(
                    if key == $wire.as_bytes() {
                        $field = Some(raw);
                        continue;
                    }
                )*
            }
            Ok(Self { $($field: $crate::protocol::requests::read!($name, $wire, $field $(, $default)?),)* })
        }
    };
}

/// One field out of what was found for it.
macro_rules! read {
    ($name:ident, $wire:literal, $found:ident) => {
        match $crate::protocol::requests::Field::read($found) {
            Some(value) => value,
            None => {
                return Err($crate::protocol::requests::FieldError { header: stringify!($name), field: $wire })
            }
        }
    };
    ($name:ident, $wire:literal, $found:ident, $default:expr) => {
        $crate::protocol::requests::Field::read($found).unwrap_or($default)
    };
}

/// The writing half of a header, for a type that the pattern takes it out of.
macro_rules! writer {
    ($type:ty, $pattern:pat => $header:ident, $($wire:literal => $field:ident,)*) => {
        impl $crate::protocol::fields::Emit for $type {
            fn emit(&self, put: &mut impl FnMut(&str, $crate::protocol::fields::Value<'_>)) {
                let $pattern = self;
                $(
                    if let Some(value) = $crate::protocol::requests::Field::value(&$header.$field) {
                        put($wire, value);
                    }
                )*
            }
        }
    };
}

use {headers, read, reader, writer};

use crate::protocol::fields::Text;

headers! {
    /// Fields that any request to a broker may carry beside its own.
    pub struct RpcContext {
        /// The client's namespace; normally absent, since names arrive with their prefix.
        "ns" => namespace: Option<Text>,
        /// Whether names already carry the namespace.
        "nsd" => namespaced: Option<bool>,
        /// The broker that the client means; Java 5 sends it with nearly every request.
        "bname" => broker_name: Option<Text>,
        /// Whether the request is oneway; `flag` is what counts.
        "oway" => oneway: Option<bool>,
        /// Whether queue ids are the logical ones of a static topic.
        "lo" => logical: Option<bool>,
    }
}

#[cfg(test)]
mod tests;
