//! Configuration in RON: `(listen_port: 10911, broker_name: "a")`, or a section within a section.

use std::fmt;

use ron::{Options, extensions::Extensions};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, MapAccess, Visitor},
};

use super::{
    Config,
    error::{ConfigError, KeyError, Place},
    key::Applied,
    layers::Target,
};

/// Puts what the text says into `target`; adds the keys that are not used to `unused`.
pub(super) fn read(
    text: &str,
    target: &mut dyn Target,
    unused: &mut Vec<String>,
    place: impl FnOnce(usize) -> Place,
) -> Result<(), ConfigError> {
    let mut wrong = None;
    let section = Section { target, unused, wrong: &mut wrong };
    Options::default().with_default_extension(Extensions::IMPLICIT_SOME).from_str_seed(text, section).map_err(
        |error| {
            let place = place(error.span.start.line);
            match wrong {
                Some(error) => ConfigError::Setting { place, error },
                None => ConfigError::Syntax { place, problem: error.code.to_string() },
            }
        },
    )
}

/// A whole configuration from any self-describing format: the same keys, checks and defaults.
pub(super) fn deserialize<'de, C: Config, D: Deserializer<'de>>(deserializer: D) -> Result<C, D::Error> {
    let mut config = C::default();
    Section { target: &mut config, unused: &mut Vec::new(), wrong: &mut None }.deserialize(deserializer)?;
    config.settle().map_err(de::Error::custom)?;
    Ok(config)
}

struct Section<'a> {
    target: &'a mut dyn Target,
    unused: &'a mut Vec<String>,
    /// The typed form of the error that stopped the reading, if a key did.
    wrong: &'a mut Option<KeyError>,
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys and values: (key: value, ...)")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { target, unused, wrong } = self;
        while let Some(key) = map.next_key::<String>()? {
            if let Some(target) = target.section(&key) {
                map.next_value_seed(Section { target, unused: &mut *unused, wrong: &mut *wrong })?;
                continue;
            }
            let Scalar(value) = map.next_value()?;
            match target.put(&key, &value) {
                Ok(Applied::Used) => {}
                Ok(Applied::NotUsed) => unused.push(key),
                Err(error) => {
                    let message = de::Error::custom(&error);
                    *wrong = Some(error);
                    return Err(message);
                }
            }
        }
        Ok(())
    }
}

/// One value as the text that a properties file would hold; `None` is the empty one.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one text, number, true, false or None")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar(value.to_owned()))
    }

    fn visit_none<E>(self) -> Result<Scalar, E> {
        Ok(Scalar(String::new()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Scalar, D::Error> {
        Scalar::deserialize(deserializer)
    }
}
