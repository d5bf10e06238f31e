//! What a producer needs to take a timer message back (fact sheet: store 9.5).

use super::base64::{Alphabet, decode, encode};

const VERSION: &str = "v1";
const SEPARATOR: char = ' ';

/// Names a timer message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallHandle {
    /// Where it is for.
    pub topic: String,
    /// The name of the broker that has it.
    pub broker: String,
    /// A time of its slot, ms, as text; whoever reads it checks it.
    pub time: String,
    /// Its unique key.
    pub unique_key: String,
}

impl RecallHandle {
    /// The text that clients are given.
    pub fn encode(&self) -> String {
        let Self { topic, broker, time, unique_key } = self;
        let words = [VERSION, topic, broker, time, unique_key];
        encode(words.join(&SEPARATOR.to_string()).as_bytes(), Alphabet::Url)
    }

    /// Reads it back; `None` when it is none of ours.
    pub fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(decode(text, Alphabet::Url)?).ok()?;
        let mut words = text.split(SEPARATOR).map(str::to_owned);
        if words.next()? != VERSION {
            return None;
        }
        let mut word = || words.next();
        Some(Self { topic: word()?, broker: word()?, time: word()?, unique_key: word()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_reads_back() {
        let handle = RecallHandle {
            topic: "T".into(),
            broker: "broker-a".into(),
            time: "17".into(),
            unique_key: "ID".into(),
        };
        assert_eq!(handle.encode(), "djEgVCBicm9rZXItYSAxNyBJRA==");
        assert_eq!(RecallHandle::decode("djEgVCBicm9rZXItYSAxNyBJRA"), Some(handle));
        assert_eq!(["", "!", "djIgVA==", "djEgVA=="].map(RecallHandle::decode), [None, None, None, None]);
    }
}
