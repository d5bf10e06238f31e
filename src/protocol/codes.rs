//! Every request and response code of the protocol, in one place.

mod request;
mod response;

pub use request::RequestCode;
pub use response::ResponseCode;

/// Declares a code type: a number that keeps values nobody has named, with a constant for each known one.
macro_rules! codes {
    ($(#[$doc:meta])* $type:ident { $($(#[$code_doc:meta])* $name:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(i32);

        impl $type {
            $($(#[$code_doc])* pub const $name: Self = Self($number);)*

            /// The name as RocketMQ writes it, of a known code.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The number on the wire.
            pub const fn as_i32(self) -> i32 {
                self.0
            }
        }

        impl From<i32> for $type {
            fn from(code: i32) -> Self {
                Self(code)
            }
        }

        impl From<$type> for i32 {
            fn from(code: $type) -> i32 {
                code.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{name} ({})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}
use codes;
