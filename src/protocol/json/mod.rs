//! RocketMQ's JSON: what bodies and `config/*.json` files hold.
//!
//! It is JSON except for the keys of maps (fact sheet: remoting 9.1): an integer key is printed bare,
//! `{0:"a"}`, and a map keyed by message queue prints the key as an object,
//! `{{"brokerName":"b","queueId":3,"topic":"T"}:5}`. Reading goes through [`to_standard`], which turns
//! such text into JSON that any parser takes; writing through [`to_vec`], where a key is printed like any
//! other value.

mod names;
mod standard;
mod writer;

pub(crate) use names::named_enum;
pub use standard::{MAX_DEPTH, to_standard};
pub use writer::{to_vec, to_vec_styled};

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use std::collections::BTreeMap;

use crate::protocol::message::MessageQueue;

/// The version of a requester from which on it takes quoted integer keys in a route (fact sheet: remoting 1.7).
const STANDARD_KEYS_SINCE: i32 = 401;

/// How the keys of maps, and characters beyond ASCII, are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Style {
    /// Keys as they are, text as UTF-8: what every RocketMQ client takes.
    #[default]
    RocketMq,
    /// Every key a string, characters beyond ASCII escaped: the route answer for newer clients.
    Standard,
}

impl Style {
    /// The style of a route answer to a requester of this `version` (fact sheet: remoting 2.5).
    pub fn of_route(version: i32, accept_standard_json_only: bool) -> Self {
        if accept_standard_json_only || version >= STANDARD_KEYS_SINCE {
            Self::Standard
        } else {
            Self::RocketMq
        }
    }
}

/// Why a body could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The text is not even RocketMQ's JSON.
    #[error("cannot read the JSON text: {problem} at byte {at}")]
    Syntax {
        /// What was missing or out of place.
        problem: &'static str,
        /// Position in the text, in bytes from its start.
        at: usize,
    },
    /// Deeper than [`MAX_DEPTH`]; no body of the protocol is.
    #[error("cannot read the JSON text: nested deeper than {MAX_DEPTH} levels at byte {at}")]
    TooDeep {
        /// Position in the text, in bytes from its start.
        at: usize,
    },
    /// Well-formed, but not the members that were expected.
    #[error("the JSON text does not have the expected shape: {0}")]
    Shape(#[source] serde_json::Error),
    /// The value has a part that JSON cannot express.
    #[error("cannot write the value as JSON: {0}")]
    Encode(String),
}

/// Reads a body or a config file, tolerating what RocketMQ writes; unknown members are ignored and a
/// member that is `null` counts as absent.
///
/// # Errors
/// Broken or too deeply nested text, or a member of another type than expected.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    serde_json::from_slice(&to_standard(text)?).map_err(JsonError::Shape)
}

/// Writes a config file: indented, integer keys quoted, as RocketMQ takes them too (fact sheet: store 7).
///
/// # Errors
/// [`JsonError::Encode`] when the value has a map whose keys are neither text nor integers.
pub fn to_config<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    serde_json::to_vec_pretty(value).map_err(|error| JsonError::Encode(error.to_string()))
}

/// Reads a map keyed by message queue, whose keys [`to_standard`] has turned into strings.
pub(crate) fn queue_map<'de, D, V>(deserializer: D) -> Result<BTreeMap<MessageQueue, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    BTreeMap::<String, V>::deserialize(deserializer)?
        .into_iter()
        .map(|(key, value)| Ok((serde_json::from_str(&key).map_err(D::Error::custom)?, value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn standard(text: &str) -> String {
        String::from_utf8(to_standard(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn integer_keys_are_quoted_at_any_depth() {
        assert_eq!(standard(r#"{0:"a", -1 : {10:[{2:3}]}}"#), r#"{"0":"a","-1":{"10":[{"2":3}]}}"#);
    }

    #[test]
    fn object_keys_become_strings() {
        let text = r#"{"offsetTable":{{"brokerName":"b","queueId":3,"topic":"T"}:5}}"#;
        let expected = r#"{"offsetTable":{"{\"brokerName\":\"b\",\"queueId\":3,\"topic\":\"T\"}":5}}"#;
        assert_eq!(standard(text), expected);
    }

    #[test]
    fn what_looks_like_a_key_inside_a_string_is_left_alone() {
        let text = r#"{"a":"{0:\"x\"}","b\\":"\\\"{1:2"}"#;
        assert_eq!(standard(text), text);
    }

    #[test]
    fn null_members_count_as_absent() {
        assert_eq!(standard(r#"{"a":null,"b":1,"c":null}"#), r#"{"b":1}"#);
        assert_eq!(standard(r#"{"a":[null],"c":null}"#), r#"{"a":[null]}"#);
    }

    #[test]
    fn broken_text_is_an_error_and_depth_is_bounded() {
        for text in [
            "",
            "{",
            "{0",
            "{0:",
            "{0:1",
            "{0:1,}",
            "{a:1}",
            "[1",
            "[1,]",
            "\"a",
            "{}x",
            "{{0:1:2}:3}",
            "nul l",
            "\"\\\u{12}\"",
        ] {
            assert!(to_standard(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(to_standard(deep.as_bytes()), Err(JsonError::TooDeep { .. })));
        let keys = "{".repeat(40);
        assert!(to_standard(keys.as_bytes()).is_err());
    }

    #[test]
    fn keys_are_printed_as_the_style_says() {
        let map = BTreeMap::from([(0, "ä\u{1F600}\n"), (-1, "b")]);
        assert_eq!(to_vec(&map).unwrap(), "{-1:\"b\",0:\"ä\u{1F600}\\n\"}".as_bytes());
        assert_eq!(
            to_vec_styled(&map, Style::Standard).unwrap(),
            br#"{"-1":"b","0":"\u00E4\uD83D\uDE00\n"}"#
        );
        let queue = MessageQueue { broker_name: "b".into(), queue_id: 3, topic: "T".into() };
        let map = BTreeMap::from([(queue, 5)]);
        assert_eq!(to_vec(&map).unwrap(), br#"{{"brokerName":"b","queueId":3,"topic":"T"}:5}"#);
    }

    #[test]
    fn the_route_style_follows_the_version() {
        assert_eq!(Style::of_route(400, false), Style::RocketMq);
        assert_eq!(Style::of_route(401, false), Style::Standard);
        assert_eq!(Style::of_route(0, true), Style::Standard);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn written_values_read_back_in_both_styles(value in any_value()) {
            for style in [Style::RocketMq, Style::Standard] {
                let text = to_vec_styled(&value, style).unwrap();
                prop_assert_eq!(&from_slice::<Value>(&text).unwrap(), &value);
            }
            let text = to_vec_styled(&value, Style::Standard).unwrap();
            prop_assert!(text.is_ascii());
        }

        #[test]
        fn integer_keyed_maps_read_back(
            map in prop::collection::btree_map(
                any::<i64>(), prop::collection::btree_map(any::<i32>(), any::<String>(), 0..4), 0..4)
        ) {
            for style in [Style::RocketMq, Style::Standard] {
                let text = to_vec_styled(&map, style).unwrap();
                let read: BTreeMap<i64, BTreeMap<i32, String>> = from_slice(&text).unwrap();
                prop_assert_eq!(&read, &map);
            }
        }

        #[test]
        fn normalising_is_idempotent_and_never_panics(text in r#"[{}\[\]:,"\\0-9a-z \x12\-]{0,40}"#) {
            if let Ok(once) = to_standard(text.as_bytes()) {
                prop_assert_eq!(&to_standard(&once).unwrap(), &once);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = from_slice::<Value>(&bytes);
        }
    }
}
