//! The ext fields of a header: an ordered list of keys and values (fact sheet: remoting 1.2, 1.3, 1.6).
//!
//! A received list is one shared buffer, the header block, and the places of keys and values in it: reading a
//! header allocates once, however many fields it has. A list that is built holds what was pushed in a second
//! buffer; places count on from the first into the second.

mod text;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use thiserror::Error;

pub use text::Text;

/// A value on its way to the wire; numbers and flags are written as text there, without a string in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Any text.
    Text(&'a str),
    /// Any integer.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl Value<'_> {
    /// Hands the value's text to `write`; numbers are formatted on the stack.
    pub(super) fn with_str<R>(self, write: impl FnOnce(&str) -> R) -> R {
        match self {
            Self::Text(text) => write(text),
            Self::Number(number) => write(itoa::Buffer::new().format(number)),
            Self::Flag(true) => write("true"),
            Self::Flag(false) => write("false"),
        }
    }
}

/// What can be written as ext fields: a [`Fields`] list, or a typed header of [`requests`](super::requests).
pub trait Emit {
    /// Hands every field that is present to `put`, in the order of the wire.
    fn emit(&self, put: &mut impl FnMut(&str, Value<'_>));
}

/// No fields.
impl Emit for () {
    fn emit(&self, _put: &mut impl FnMut(&str, Value<'_>)) {}
}

impl<E: Emit> Emit for &E {
    fn emit(&self, put: &mut impl FnMut(&str, Value<'_>)) {
        (**self).emit(put);
    }
}

/// Two sets of fields, one after the other: a typed header and what only one caller adds to it.
impl<A: Emit, B: Emit> Emit for (A, B) {
    fn emit(&self, put: &mut impl FnMut(&str, Value<'_>)) {
        self.0.emit(put);
        self.1.emit(put);
    }
}

/// One field by itself, as in `(header, ("MSG_REGION", Value::Text("DefaultRegion")))`.
impl Emit for (&str, Value<'_>) {
    fn emit(&self, put: &mut impl FnMut(&str, Value<'_>)) {
        put(self.0, self.1);
    }
}

/// The place of a key or a value: below the length of the received block in it, from there on in what was
/// built.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start as u32, len: range.len() as u32 }
    }
}

/// Ordered keys and values. A key that occurs twice counts with its last value, as in a map that was put
/// twice.
#[derive(Clone, Default)]
pub struct Fields {
    received: Bytes,
    built: Vec<u8>,
    places: Vec<(Span, Span)>,
}

impl Fields {
    /// An empty list.
    pub const fn new() -> Self {
        Self { received: Bytes::new(), built: Vec::new(), places: Vec::new() }
    }

    /// The fields of anything that can be written as such.
    pub fn of(source: &impl Emit) -> Self {
        let mut fields = Self::new();
        source.emit(&mut |key, value| fields.push(key, value));
        fields
    }

    /// Appends a field and returns the list, for building in one expression.
    pub fn with<'v>(mut self, key: &str, value: impl Into<Value<'v>>) -> Self {
        self.push(key, value);
        self
    }

    /// Appends a field.
    pub fn push<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) {
        let key = self.append(key);
        let value = value.into().with_str(|text| self.append(text));
        self.places.push((key, value));
    }

    fn append(&mut self, text: &str) -> Span {
        let start = self.received.len() + self.built.len();
        self.built.extend_from_slice(text.as_bytes());
        Span::from(start..start + text.len())
    }

    /// The value of `key`; absent and null are the same, an empty text is a value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(|raw| raw.as_str())
    }

    /// The value of `key`, without a copy where it was received.
    pub fn text(&self, key: &str) -> Option<Text> {
        self.find(key).map(|raw| raw.text())
    }

    /// The bytes of the value of `key`, without a copy where it was received.
    pub fn bytes(&self, key: &str) -> Option<Bytes> {
        self.text(key).map(Text::into_bytes)
    }

    /// The value of `key` as a number; one that does not parse is absent.
    pub fn number<N: std::str::FromStr>(&self, key: &str) -> Option<N> {
        self.get(key)?.parse().ok()
    }

    /// The value of `key` as a flag; "true" in any case is true, any other text false.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.find(key).map(|raw| is_true(raw.as_bytes()))
    }

    fn find(&self, key: &str) -> Option<Raw<'_>> {
        self.raw().rev().find_map(|(candidate, raw)| (candidate == key.as_bytes()).then_some(raw))
    }

    /// Keys and values in the order of the wire.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.raw().map(|(key, raw)| (utf8(key), raw.as_str()))
    }

    /// Keys as bytes and values as places, for typed headers.
    pub(super) fn raw(&self) -> impl DoubleEndedIterator<Item = (&[u8], Raw<'_>)> {
        self.places.iter().map(|&(key, value)| (self.slice(key), Raw { fields: self, place: value }))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn slice(&self, place: Span) -> &[u8] {
        let Range { start, end } = place.range();
        match start.checked_sub(self.received.len()) {
            None => self.received.get(start..end),
            Some(start) => self.built.get(start..end - self.received.len()),
        }
        .unwrap_or_default()
    }
}

/// The value of one field, not yet read as a type.
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    fields: &'a Fields,
    place: Span,
}

impl<'a> Raw<'a> {
    /// The value's bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.fields.slice(self.place)
    }

    /// The value as text.
    pub fn as_str(self) -> &'a str {
        utf8(self.as_bytes())
    }

    /// The value as text of its own; a slice of the received block, or a copy of what was built.
    pub fn text(self) -> Text {
        let range = self.place.range();
        if range.end <= self.fields.received.len() {
            Text::from_checked(self.fields.received.slice(range))
        } else {
            Text::from(self.as_str())
        }
    }
}

/// Whether a flag's text means true.
pub(super) fn is_true(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"true")
}

fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// A header with more ext fields than any peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("header has more than {} ext fields", FieldPlaces::MAX)]
pub struct TooManyFields;

/// The places of fields while a header block is being read; [`FieldPlaces::within`] joins them with the
/// block.
#[derive(Debug, Default)]
pub(super) struct FieldPlaces(Vec<(Span, Span)>);

impl FieldPlaces {
    /// More fields than any peer sends (some thirty), few enough that their places never outweigh the frame.
    pub(super) const MAX: usize = 4096;
    /// Room for a send or pull request at the first allocation.
    const TYPICAL: usize = 20;

    /// Notes a field.
    #[inline]
    pub(super) fn add(&mut self, key: Range<usize>, value: Range<usize>) -> Result<(), TooManyFields> {
        if self.0.is_empty() {
            self.0.reserve_exact(Self::TYPICAL);
        }
        if self.0.len() >= Self::MAX {
            return Err(TooManyFields);
        }
        self.0.push((key.into(), value.into()));
        Ok(())
    }

    /// Forgets what was noted: a second list replaces the first.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fields, in a block whose noted places are valid UTF-8.
    pub(super) fn within(self, block: Bytes) -> Fields {
        Fields { received: block, built: Vec::new(), places: self.0 }
    }
}

impl Emit for Fields {
    fn emit(&self, put: &mut impl FnMut(&str, Value<'_>)) {
        self.iter().for_each(|(key, value)| put(key, Value::Text(value)));
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_counts() {
        let fields = Fields::new().with("a", "1").with("b", 2).with("a", true);
        assert_eq!(fields.get("a"), Some("true"));
        assert_eq!(fields.number::<i32>("b"), Some(2));
        assert_eq!(fields.len(), 3);
    }

    #[test]
    fn a_number_that_does_not_parse_is_absent() {
        let fields =
            Fields::new().with("n", "12x").with("big", "99999999999").with("plus", "+7").with("e", "");
        assert_eq!(fields.number::<i32>("n"), None);
        assert_eq!(fields.number::<i32>("big"), None);
        assert_eq!(fields.number::<i64>("big"), Some(99_999_999_999));
        assert_eq!(fields.number::<i32>("plus"), Some(7));
        assert_eq!(fields.number::<i32>("e"), None);
        assert_eq!(fields.get("e"), Some(""));
    }

    #[test]
    fn only_true_in_any_case_is_true() {
        let fields = Fields::new().with("a", "TRUE").with("b", "1").with("c", "yes");
        assert_eq!([fields.flag("a"), fields.flag("b"), fields.flag("d")], [Some(true), Some(false), None]);
    }

    #[test]
    fn received_values_are_slices_and_pushed_ones_follow() {
        let block = Bytes::from_static(b"keyvalue");
        let mut places = FieldPlaces::default();
        places.add(0..3, 3..8).expect("room");
        let fields = places.within(block.clone()).with("more", -5);
        let value = fields.bytes("key").expect("received");
        assert_eq!(value.as_ptr(), block.slice(3..).as_ptr());
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("key", "value"), ("more", "-5")]);
    }
}
