//! The property text of a message: `name 0x01 value 0x02`, repeated (fact sheet: remoting 3.3).
//!
//! On the wire and on disk the text is bytes; it is read in place and only built where it changes.

pub mod name;

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// Ends a name.
pub const NAME_END: u8 = 0x01;
/// Ends a value.
pub const VALUE_END: u8 = 0x02;
/// Longest property text of a message, bytes.
pub const MAX_LEN: usize = 32_767;

/// Why a property cannot be set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot set property {name:?}: name and value must not be empty nor hold the bytes 0x01 or 0x02")]
pub struct PropertyError {
    /// Name of the property.
    pub name: String,
}

/// The properties of a text, in its order. Items without a name or without a value are passed over, the
/// last 0x02 may be missing.
pub fn iter(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (name, behind) = rest.split_at(memchr2(NAME_END, VALUE_END, rest)?);
            let (separator, behind) = behind.split_first()?;
            if *separator == VALUE_END {
                rest = behind;
                continue;
            }
            let (value, behind) = behind.split_at(memchr(VALUE_END, behind).unwrap_or(behind.len()));
            rest = behind.get(1..).unwrap_or_default();
            if !name.is_empty() && !value.is_empty() {
                return Some((name, value));
            }
        }
    })
}

/// The value of a property; where a name stands twice, the last one counts.
pub fn get<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    iter(text).filter(|(found, _)| *found == name.as_bytes()).last().map(|(_, value)| value)
}

/// As [`get`], for a value that is text.
pub fn get_str<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    std::str::from_utf8(get(text, name)?).ok()
}

/// The text without the named properties; borrowed when it holds none of them.
pub fn without<'a>(text: &'a [u8], names: &[&str]) -> Cow<'a, [u8]> {
    let is_dropped = |name: &[u8]| names.iter().any(|dropped| dropped.as_bytes() == name);
    if !iter(text).any(|(name, _)| is_dropped(name)) {
        return Cow::Borrowed(text);
    }
    let mut kept = Vec::with_capacity(text.len());
    for (name, value) in iter(text).filter(|(name, _)| !is_dropped(name)) {
        push_item(&mut kept, name, value);
    }
    Cow::Owned(kept)
}

fn push_item(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    text.extend_from_slice(name);
    text.push(NAME_END);
    text.extend_from_slice(value);
    text.push(VALUE_END);
}

/// A property text under construction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    text: Vec<u8>,
}

impl Properties {
    /// No properties.
    pub fn new() -> Self {
        Self::default()
    }

    /// The properties of a text; its broken items are dropped.
    pub fn parse(text: &[u8]) -> Self {
        let mut parsed = Self { text: Vec::with_capacity(text.len() + 64) };
        iter(text).for_each(|(name, value)| push_item(&mut parsed.text, name, value));
        parsed
    }

    /// Sets a property, in place of any of the same name.
    ///
    /// # Errors
    /// A name or value that is empty or holds a separator would not read back.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<&mut Self, PropertyError> {
        let value = value.as_ref();
        let is_sound =
            |part: &[u8]| !part.is_empty() && !part.iter().any(|&byte| byte == NAME_END || byte == VALUE_END);
        if !is_sound(name.as_bytes()) || !is_sound(value) {
            return Err(PropertyError { name: name.to_owned() });
        }
        self.remove(name);
        push_item(&mut self.text, name.as_bytes(), value);
        Ok(self)
    }

    /// Removes a property.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        if let Cow::Owned(kept) = without(&self.text, &[name]) {
            self.text = kept;
        }
        self
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        get(&self.text, name)
    }

    /// As [`Properties::get`], for a value that is text.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        get_str(&self.text, name)
    }

    /// The text, every value ended.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The text, every value ended.
    pub fn into_bytes(self) -> bytes::Bytes {
        self.text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &[u8] = b"TAGS\x01A\x02broken\x02\x01x\x02e\x01\x02KEYS\x01a\x01b\x02TAGS\x01B";

    #[test]
    fn broken_items_are_passed_over_and_the_last_name_counts() {
        let items: Vec<_> = iter(TEXT).collect();
        assert_eq!(items, [(&b"TAGS"[..], &b"A"[..]), (b"KEYS", b"a\x01b"), (b"TAGS", b"B")]);
        assert_eq!(get(TEXT, name::TAGS), Some(&b"B"[..]));
        assert_eq!(get_str(TEXT, name::WAIT), None);
    }

    #[test]
    fn removing_what_is_not_there_borrows() {
        assert!(matches!(without(TEXT, &[name::POP_CK]), Cow::Borrowed(_)));
        assert_eq!(without(TEXT, &[name::TAGS]).as_ref(), b"KEYS\x01a\x01b\x02");
    }

    #[test]
    fn set_replaces_and_refuses_what_would_not_read_back() {
        let mut properties = Properties::parse(b"a\x011\x02b\x012");
        properties.set("a", "3").unwrap().remove("b");
        assert_eq!(properties.as_bytes(), b"a\x013\x02");
        for (name, value) in [("", "v"), ("n", ""), ("n\x01", "v"), ("n", "v\x02x")] {
            assert!(properties.set(name, value).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_was_set_reads_back(
            map in prop::collection::btree_map("[^\x01\x02]{1,8}", "[^\x01\x02]{1,8}", 0..8)
        ) {
            let mut properties = Properties::new();
            for (name, value) in &map {
                properties.set(name, value).unwrap();
            }
            for (name, value) in &map {
                prop_assert_eq!(properties.get_str(name), Some(value.as_str()));
            }
            prop_assert_eq!(iter(properties.as_bytes()).count(), map.len());
            prop_assert_eq!(&Properties::parse(properties.as_bytes()), &properties);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, dense in "[\x01\x02a]{0,20}") {
            for text in [bytes.as_slice(), dense.as_bytes()] {
                let last = iter(text).last();
                if let Some((name, value)) = last {
                    prop_assert_eq!(get(text, &String::from_utf8_lossy(name)).is_some_and(|v| v == value)
                        || std::str::from_utf8(name).is_err(), true);
                }
                let parsed = Properties::parse(text);
                prop_assert!(iter(parsed.as_bytes()).eq(iter(text)));
                let _ = without(text, &["a"]);
            }
        }
    }
}
