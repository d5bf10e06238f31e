//! How a single ext field is read as a type, and written.

use thiserror::Error;

use crate::protocol::fields::{Raw, Text, Value, is_true};

/// A required field that is absent, or is not of its type. The answer to such a request is code 1 with this
/// text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{header}: the field \"{field}\" is missing or malformed")]
pub struct FieldError {
    /// The typed header that was read.
    pub header: &'static str,
    /// The field's name on the wire.
    pub field: &'static str,
}

/// A type that an ext field can have.
pub trait Field: Sized {
    /// Reads what was found under the field's name; `None` when it is absent or of another type.
    fn read(found: Option<Raw<'_>>) -> Option<Self>;

    /// What to write, if anything.
    fn value(&self) -> Option<Value<'_>>;
}

impl<T: Field> Field for Option<T> {
    fn read(found: Option<Raw<'_>>) -> Option<Self> {
        Some(T::read(found))
    }

    fn value(&self) -> Option<Value<'_>> {
        self.as_ref().and_then(T::value)
    }
}

impl Field for Text {
    fn read(found: Option<Raw<'_>>) -> Option<Self> {
        found.map(Raw::text)
    }

    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Text(self))
    }
}

impl Field for i32 {
    fn read(found: Option<Raw<'_>>) -> Option<Self> {
        found?.as_str().parse().ok()
    }

    fn value(&self) -> Option<Value<'_>> {
        Some((*self).into())
    }
}

impl Field for i64 {
    fn read(found: Option<Raw<'_>>) -> Option<Self> {
        found?.as_str().parse().ok()
    }

    fn value(&self) -> Option<Value<'_>> {
        Some((*self).into())
    }
}

impl Field for bool {
    fn read(found: Option<Raw<'_>>) -> Option<Self> {
        found.map(|raw| is_true(raw.as_bytes()))
    }

    fn value(&self) -> Option<Value<'_>> {
        Some((*self).into())
    }
}
