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
    string_hash_on(0, text.as_bytes())
}

/// The hash of a text that goes on with `more`, from the hash of what comes before. What is not UTF-8 is
/// hashed as the replacement characters that Java reads.
pub fn string_hash_on(before: i32, more: &[u8]) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    if !more.is_ascii() {
        return String::from_utf8_lossy(more).encode_utf16().fold(before, step);
    }
    // Four at a time: a multiplication need not wait for the one before it.
    let (fours, rest) = more.as_chunks::<4>();
    let hash = fours.iter().fold(before, |hash, four| {
        let [a, b, c, d] = four.map(i32::from);
        hash.wrapping_mul(31 * 31 * 31 * 31).wrapping_add(((a * 31 + b) * 31 + c) * 31 + d)
    });
    rest.iter().copied().map(u16::from).fold(hash, step)
}

/// The code by which a consume queue filters: the hash of the tags, sign-extended; 0 without tags
/// (fact sheet: store 4.1).
pub fn tags_code(tags: Option<&[u8]>) -> i64 {
    tags.map_or(0, |tags| i64::from(string_hash_on(0, tags)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_hash_goes_on_from_any_place(ascii in "[ -~]{0,20}", text: String, at in 0usize..20) {
            for text in [ascii, text] {
                let whole = text.encode_utf16().fold(0i32, |hash, unit| {
                    hash.wrapping_mul(31).wrapping_add(i32::from(unit))
                });
                let at = text.char_indices().nth(at).map_or(text.len(), |(place, _)| place);
                prop_assert_eq!(string_hash(&text), whole);
                let (before, more) = text.as_bytes().split_at(at);
                prop_assert_eq!(string_hash_on(string_hash_on(0, before), more), whole);
            }
        }
    }

    #[test]
    fn tags_codes_are_sign_extended() {
        assert_eq!(tags_code(None), 0);
        assert_eq!(tags_code(Some(b"polygenelubricants")), i64::from(i32::MIN));
        assert_eq!(tags_code(Some(b"TagA")), 2_598_919);
    }
}
