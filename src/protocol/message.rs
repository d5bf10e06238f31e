//! What identifies a queue, and the hash that Java gives a text.

use serde::{Deserialize, Serialize};

/// One queue of a topic on one broker; as a map key it prints as a JSON object (fact sheet: remoting 9.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueue {
    /// Name shared by a master and its slaves.
    pub broker_name: String,
    /// Number of the queue within the topic, from 0; -1 stands for all of them.
    pub queue_id: i32,
    /// Topic.
    pub topic: String,
}

/// Java's `String.hashCode`: over UTF-16 units, wrapping at 32 bits.
pub fn string_hash(text: &str) -> i32 {
    string_hash_on(0, text)
}

/// The hash of a text that goes on with `more`, from the hash of what comes before.
pub fn string_hash_on(before: i32, more: &str) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    if more.is_ascii() {
        more.bytes().map(u16::from).fold(before, step)
    } else {
        more.encode_utf16().fold(before, step)
    }
}

/// The code by which a consume queue filters: the hash of the tags, sign-extended; 0 without tags
/// (fact sheet: store 4.1).
pub fn tags_code(tags: Option<&[u8]>) -> i64 {
    tags.map_or(0, |tags| i64::from(string_hash(&String::from_utf8_lossy(tags))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        assert_eq!(string_hash(""), 0);
        assert_eq!(string_hash("TagA"), 2_598_919);
        assert_eq!(string_hash("TagB"), 2_598_920);
        assert_eq!(string_hash("AaAa"), 2_031_744);
        assert_eq!(string_hash("BBBB"), 2_031_744);
        assert_eq!(string_hash("polygenelubricants"), i32::MIN);
        // Two UTF-16 units: 0xD83D * 31 + 0xDE00.
        assert_eq!(string_hash("\u{1F600}"), 0xD83D * 31 + 0xDE00);
    }

    #[test]
    fn tags_codes_are_sign_extended() {
        assert_eq!(tags_code(None), 0);
        assert_eq!(tags_code(Some(b"polygenelubricants")), i64::from(i32::MIN));
        assert_eq!(tags_code(Some(b"TagA")), 2_598_919);
    }
}
