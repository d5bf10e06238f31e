//! Enums that travel by name.

/// Declares an enum that JSON holds as a name, in the order of its Java ordinals. On reading, the ordinal
/// is taken too (the C++ client sends it), and anything unknown counts as the `#[default]` variant.
macro_rules! named_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        $vis enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The variant of this wire name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|variant| variant.as_str() == name)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let variant = match serde_json::Value::deserialize(deserializer)? {
                    serde_json::Value::String(name) => Self::from_name(&name),
                    serde_json::Value::Number(ordinal) => ordinal
                        .as_u64()
                        .and_then(|ordinal| Self::ALL.get(usize::try_from(ordinal).ok()?).copied()),
                    _ => None,
                };
                Ok(variant.unwrap_or_default())
            }
        }
    };
}

pub(crate) use named_enum;
