//! The JSON form of a header: a scanner that knows its eight members and tolerates everything else.
//!
//! Any order, unknown members of any shape, numbers and booleans as ext values, any escape. An ext value or a
//! remark that is null is absent. Serde would allocate every string; here only the list of places is
//! allocated.

mod scan;
mod write;

use std::ops::Range;

use bytes::BytesMut;

use super::{Encoding, Header, HeaderError, scrub};
use crate::protocol::fields::{FieldPlaces, Text};
use crate::protocol::language::Language;
use scan::{Scanned, Scanner};

pub(super) use write::encode;

/// Reads a header block.
pub(super) fn decode(mut block: BytesMut) -> Result<Header, HeaderError> {
    scrub(&mut block);
    let mut header = Header { encoding: Encoding::Json, ..Header::default() };
    let mut remark = None;
    let mut places = FieldPlaces::default();
    let mut scanner = Scanner::new(&mut block);
    scanner.object(|scanner, key| {
        match scanner.slice(key) {
            b"code" => header.code = integer(scanner)?,
            b"language" => header.language = language(scanner)?,
            b"version" => header.version = integer(scanner)?,
            b"opaque" => header.opaque = integer(scanner)?,
            b"flag" => header.flag = integer(scanner)?,
            b"remark" => remark = present(scanner.value()?),
            b"extFields" => fields(scanner, &mut places)?,
            _ => {
                scanner.value()?;
            }
        }
        Ok(())
    })?;
    scanner.end()?;
    let block = block.freeze();
    header.remark = remark.map(|range| Text::from_checked(block.slice(range)));
    header.fields = places.within(block);
    Ok(header)
}

fn present(value: Scanned) -> Option<Range<usize>> {
    match value {
        Scanned::Null => None,
        Scanned::Text(range) | Scanned::Other(range) => Some(range),
    }
}

/// An integer, bare or quoted; null is the default.
fn integer(scanner: &mut Scanner<'_>) -> Result<i32, HeaderError> {
    let Some(range) = present(scanner.value()?) else { return Ok(0) };
    let at = range.start;
    let digits = std::str::from_utf8(scanner.slice(range)).unwrap_or_default();
    digits.parse().map_err(|_| HeaderError::Json { expected: "a 32 bit integer", at })
}

/// A language by name; numbers and names from the future are tolerated.
fn language(scanner: &mut Scanner<'_>) -> Result<Language, HeaderError> {
    Ok(match scanner.value()? {
        Scanned::Text(range) => Language::from_name(scanner.slice(range)),
        Scanned::Null => Language::default(),
        Scanned::Other(_) => Language::Other,
    })
}

/// The ext fields, or null for none.
fn fields(scanner: &mut Scanner<'_>, places: &mut FieldPlaces) -> Result<(), HeaderError> {
    places.clear();
    if scanner.null() {
        return Ok(());
    }
    scanner.object(|scanner, key| {
        if let Some(value) = present(scanner.value()?) {
            places.add(key, value)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fields::TooManyFields;

    fn read(json: &str) -> Result<Header, HeaderError> {
        decode(BytesMut::from(json.as_bytes()))
    }

    #[test]
    fn members_in_any_order_with_unknown_ones_between() {
        let header = read(
            r#" { "x":[{"a":"]}"},[null]] ,"version":493,"extFields":{"n":7,"t":true,"s":"v","z":null,"o":{"k":[1]}},
            "opaque":-2,"remark":null,"y":"\"","flag":"1","language":"GO","code":105,"serializeTypeCurrentRPC":"JSON"} "#,
        )
        .expect("a header");
        assert_eq!((header.code, header.opaque, header.flag, header.version), (105, -2, 1, 493));
        assert_eq!((header.language, header.remark), (Language::Go, None));
        let fields: Vec<_> = header.fields.iter().collect();
        assert_eq!(fields, [("n", "7"), ("t", "true"), ("s", "v"), ("o", r#"{"k":[1]}"#)]);
    }

    #[test]
    fn escapes_are_undone_in_keys_values_and_remark() {
        let header =
            read(r#"{"remark":"a\nb","extFields":{"\u006bey":"K\u0001v\u0002\ud83d\ude00 \ud800x\/\"\\é"}}"#)
                .expect("a header");
        assert_eq!(header.remark.as_deref(), Some("a\nb"));
        assert_eq!(header.fields.get("key"), Some("K\u{1}v\u{2}😀 \u{fffd}x/\"\\é"));
    }

    #[test]
    fn missing_members_have_defaults_and_languages_are_tolerated() {
        assert_eq!(read("{}").expect("empty"), Header::default());
        for language in ["\"KOTLIN\"", "3", "{}"] {
            let header = read(&format!(r#"{{"language":{language}}}"#)).expect("tolerated");
            assert_eq!(header.language, Language::Other);
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for json in [
            "",
            " ",
            "null",
            "[]",
            "\"\"",
            "{",
            "{\"code\"}",
            "{\"code\":}",
            "{\"code\":1,}",
            "{\"code\":1",
            "{} x",
            "{\"code\":x}",
            "{\"code\":99999999999}",
            "{\"extFields\":[]}",
            "{\"extFields\":\"\"}",
            "{\"a\":\"\\q\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":[[}",
            "{\"a\":1 \"b\":2}",
            "{,}",
            "{\"a\":tru}",
        ] {
            assert!(read(json).is_err(), "{json:?}");
        }
    }

    #[test]
    fn nesting_costs_no_stack_and_fields_are_limited() {
        let deep = format!(r#"{{"x":{}{},"code":3}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep).expect("skipped").code, 3);
        let many = format!(r#"{{"extFields":{{{}"z":1}}}}"#, "\"a\":1,".repeat(5000));
        assert_eq!(read(&many), Err(TooManyFields.into()));
    }
}
