//! Bytes as text of 64 characters, padded: in the standard alphabet, and in that of handles (RFC 4648).

/// The last two digits: the standard ones, or such as may stand in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// `+` and `/`.
    Standard,
    /// `-` and `_`.
    Url,
}

impl Alphabet {
    fn digit(self, value: u32) -> char {
        let digit = match value {
            0..26 => b'A' + value as u8,
            26..52 => b'a' + (value - 26) as u8,
            52..62 => b'0' + (value - 52) as u8,
            62 if self == Self::Standard => b'+',
            62 => b'-',
            _ if self == Self::Standard => b'/',
            _ => b'_',
        };
        digit.into()
    }

    fn value(self, digit: u8) -> Option<u8> {
        match (digit, self) {
            (b'A'..=b'Z', _) => Some(digit - b'A'),
            (b'a'..=b'z', _) => Some(digit - b'a' + 26),
            (b'0'..=b'9', _) => Some(digit - b'0' + 52),
            (b'+', Self::Standard) | (b'-', Self::Url) => Some(62),
            (b'/', Self::Standard) | (b'_', Self::Url) => Some(63),
            _ => None,
        }
    }
}

/// The text of some bytes.
pub fn encode(bytes: &[u8], alphabet: Alphabet) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let places = chunk.iter().zip([16, 8, 0]);
        let group = places.fold(0u32, |group, (byte, place)| group | u32::from(*byte) << place);
        for place in 0..4 {
            let digit = alphabet.digit(group >> (18 - 6 * place) & 63);
            text.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

/// The bytes of a text, whose padding may be missing; `None` when it is none.
pub fn decode(text: &str, alphabet: Alphabet) -> Option<Vec<u8>> {
    let mut bits = 0u32;
    let mut bytes = Vec::with_capacity(text.len());
    for (at, digit) in text.trim_end_matches('=').bytes().enumerate() {
        bits = bits << 6 | u32::from(alphabet.value(digit)?);
        if at % 4 > 0 {
            bytes.push((bits >> (6 - 2 * (at % 4))) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_group_is_padded() {
        let texts = ["", "f", "fo", "foo", "foobar"].map(|text| encode(text.as_bytes(), Alphabet::Standard));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy"]);
        assert_eq!([Alphabet::Standard, Alphabet::Url].map(|one| encode(&[251, 255], one)), ["+/8=", "-_8="]);
    }

    proptest! {
        #[test]
        fn what_was_encoded_reads_back_and_arbitrary_text_never_panics(bytes: Vec<u8>, text: String) {
            for alphabet in [Alphabet::Standard, Alphabet::Url] {
                let encoded = encode(&bytes, alphabet);
                prop_assert_eq!(decode(encoded.trim_end_matches('='), alphabet), Some(bytes.clone()));
                let _ = decode(&text, alphabet);
            }
        }
    }
}
