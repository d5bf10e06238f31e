//! What a key is. One declaration of a key gives its field, its default, its documentation, what it allows,
//! how it is read from files, environment and run-time changes, and how it is listed.

use super::{error::KeyError, value::Value};

/// One key of the configuration `C`.
pub struct Key<C> {
    /// RocketMQ's name: `listenPort`.
    pub name: &'static str,
    /// Our name, in RON and, in capitals behind `CASTMQ_`, in the environment: `listen_port`.
    pub field: &'static str,
    /// The heading under which files list it.
    pub section: &'static str,
    /// Its documentation, line by line.
    pub doc: &'static [&'static str],
    /// The unit it counts in, "" if there is none to name.
    pub unit: &'static str,
    /// When a new value takes effect.
    pub effect: Effect,
    /// Whether the short listing (`-m`) shows it.
    pub important: bool,
    pub(super) allowed: fn() -> String,
    pub(super) set: fn(&mut C, &str) -> bool,
    pub(super) get: fn(&C) -> Option<String>,
}

/// When a new value of a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// At once: whoever needs it reads it each time.
    Live,
    /// At the next start.
    AtStart,
    /// Not yet: it is checked, and whoever sets it is told that nothing follows from it.
    NotYet,
}

/// What came of setting a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The configuration holds the value.
    Used,
    /// RocketMQ knows the key, and CastMQ does not act on it.
    NotUsed,
}

impl<C> Key<C> {
    /// The value in `config` as a file would write it; `None` if it is not set.
    pub fn text(&self, config: &C) -> Option<String> {
        (self.get)(config)
    }

    /// What the key takes, in words, with its unit.
    pub fn allowed(&self) -> String {
        (self.allowed)()
    }

    /// Sets the key from a text.
    ///
    /// # Errors
    /// [`KeyError::Invalid`]; `config` is as before then.
    pub fn put(&self, config: &mut C, value: &str) -> Result<Applied, KeyError> {
        let before = self.text(config);
        if !(self.set)(config, value.trim()) {
            return Err(KeyError::Invalid {
                key: self.name,
                value: value.to_owned(),
                allowed: self.allowed(),
            });
        }
        let idle = self.effect == Effect::NotYet && self.text(config) != before;
        Ok(if idle { Applied::NotUsed } else { Applied::Used })
    }
}

/// Which values of its type a key takes.
pub(super) enum Allowed {
    /// All.
    Any,
    /// Numbers from the first to the second.
    Between(u64, u64),
    /// Texts with at least one character.
    NotEmpty,
    /// One directory, not RocketMQ's list of several.
    OnePath,
}

impl Allowed {
    /// Reads a value, if it is allowed.
    pub(super) fn read<T: Value>(&self, text: &str) -> Option<T> {
        T::read(text).filter(|value| match self {
            Self::Any => true,
            Self::Between(least, most) => {
                value.number().is_none_or(|number| (*least..=*most).contains(&number))
            }
            Self::NotEmpty => !text.is_empty(),
            Self::OnePath => !text.contains(','),
        })
    }

    /// What is allowed, in words.
    pub(super) fn describe<T: Value>(&self) -> String {
        match self {
            Self::Any => T::KIND.to_owned(),
            Self::Between(least, most) => format!("{} from {least} to {most}", T::KIND),
            Self::NotEmpty => format!("{}, not empty", T::KIND),
            Self::OnePath => format!("{} (several paths separated by commas are not supported)", T::KIND),
        }
    }
}

/// Largest value of a Java `int`: what RocketMQ reads must stay readable to it.
pub(super) const INT_MAX: u64 = i32::MAX as u64;

/// Declares a configuration:
/// ```text
/// section "Heading";
/// /// Documentation.
/// field "rocketMqName": Type = default, what is allowed, when it takes effect[, important];
/// ```
macro_rules! config {
    (
        $(#[$meta:meta])*
        pub struct $config:ident;
        $(
            section $section:literal;
            $(
                $(#[doc = $doc:literal])+
                $field:ident $name:literal: $ty:ty = $default:expr, $allowed:expr, $effect:ident $(, $important:ident)?;
            )+
        )+
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $config {
            $($($(#[doc = $doc])+ pub $field: $ty,)+)+
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($($field: $default,)+)+ }
            }
        }

        impl $crate::config::Config for $config {
            fn keys() -> &'static [$crate::config::Key<Self>] {
                static KEYS: &[$crate::config::Key<$config>] = &[$($(
                    $crate::config::Key {
                        name: $name,
                        field: stringify!($field),
                        section: $section,
                        doc: &[$($doc),+],
                        unit: <$ty as $crate::config::Value>::UNIT,
                        effect: $crate::config::Effect::$effect,
                        important: !concat!("", $(stringify!($important))?).is_empty(),
                        allowed: || $allowed.describe::<$ty>(),
                        set: |config, text| match $allowed.read::<$ty>(text) {
                            Some(value) => {
                                config.$field = value;
                                true
                            }
                            None => false,
                        },
                        get: |config| $crate::config::Value::text(&config.$field),
                    },
                )+)+];
                KEYS
            }

            fn settle(&mut self) -> Result<(), $crate::config::ConfigError> {
                self.settle_together()
            }
        }

        impl<'de> serde::Deserialize<'de> for $config {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::config::ron::deserialize(deserializer)
            }
        }
    };
}
pub(super) use config;
