//! The packed form of a header (fact sheet: remoting 1.3). All integers big-endian; a length of zero means
//! null.

use std::ops::Range;

use bytes::{BufMut, BytesMut};

use super::{Encoding, Head, Header, HeaderError, scrub};
use crate::protocol::codes::RequestCode;
use crate::protocol::fields::{Emit, FieldPlaces, Text};
use crate::protocol::language::Language;

/// Reads a header block.
pub(super) fn decode(mut block: BytesMut) -> Result<Header, HeaderError> {
    let mut reader = Reader { block: &mut block, at: 0, is_plain: false };
    let code = i16::from_be_bytes(reader.array("code")?);
    let [language] = reader.array("language")?;
    let version = i16::from_be_bytes(reader.array("version")?);
    let opaque = i32::from_be_bytes(reader.array("opaque")?);
    let flag = i32::from_be_bytes(reader.array("flag")?);
    let remark = reader.long_text("remark")?;
    let ext_len = reader.len32("ext fields")?;
    let end = reader.at + ext_len;
    // All plain, as nearly always: no text needs a look of its own.
    reader.is_plain = reader.block.get(reader.at..end).is_some_and(<[u8]>::is_ascii);
    let mut places = FieldPlaces::default();
    while reader.at < end {
        let key = reader.short_text("ext key")?;
        let value = reader.long_text("ext value")?;
        if !key.is_empty() && !value.is_empty() {
            places.add(key, value)?;
        }
    }
    if reader.at > end {
        return Err(HeaderError::Binary { part: "ext fields" });
    }
    let block = block.freeze();
    let mut header = Header {
        code: code.into(),
        language: Language::from_number(language),
        version: version.into(),
        opaque,
        flag,
        remark: (!remark.is_empty()).then(|| Text::from_checked(block.slice(remark))),
        fields: places.within(block),
        encoding: Encoding::RocketMq,
    };
    if !header.is_response() {
        header.code = RequestCode::from_binary16(code).as_i32();
    }
    Ok(header)
}

struct Reader<'a> {
    block: &'a mut [u8],
    at: usize,
    /// Whether every text from here on is ASCII.
    is_plain: bool,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], HeaderError> {
        let bytes = self.block.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        self.at += N;
        bytes.copied().ok_or(HeaderError::Binary { part })
    }

    /// A 32 bit length that the block can hold.
    fn len32(&mut self, part: &'static str) -> Result<usize, HeaderError> {
        let len = u32::from_be_bytes(self.array(part)?) as usize;
        if len <= self.block.len() - self.at { Ok(len) } else { Err(HeaderError::Binary { part }) }
    }

    fn long_text(&mut self, part: &'static str) -> Result<Range<usize>, HeaderError> {
        let len = self.len32(part)?;
        self.text(len, part)
    }

    fn short_text(&mut self, part: &'static str) -> Result<Range<usize>, HeaderError> {
        let len = u16::from_be_bytes(self.array(part)?);
        self.text(len.into(), part)
    }

    fn text(&mut self, len: usize, part: &'static str) -> Result<Range<usize>, HeaderError> {
        let range = self.at..self.at + len;
        let text = self.block.get_mut(range.clone()).ok_or(HeaderError::Binary { part })?;
        if !self.is_plain {
            scrub(text);
        }
        self.at = range.end;
        Ok(range)
    }
}

/// Appends a header block; false when a key or value is too long for its length.
pub(super) fn encode(head: &Head<'_>, fields: &impl Emit, out: &mut BytesMut) -> bool {
    out.put_i16(RequestCode::from(head.code).to_binary16());
    out.put_u8(head.language.number());
    out.put_i16(head.version as i16);
    out.put_i32(head.opaque);
    out.put_i32(head.flag);
    let remark = head.remark.unwrap_or_default();
    out.put_u32(remark.len() as u32);
    out.put_slice(remark.as_bytes());
    let ext_len_at = out.len();
    out.put_u32(0);
    let mut fits = true;
    fields.emit(&mut |key, value| {
        value.with_str(|value| match i16::try_from(key.len()) {
            Ok(_) if key.is_empty() || value.is_empty() => {}
            Ok(key_len) => {
                out.put_i16(key_len);
                out.put_slice(key.as_bytes());
                out.put_u32(value.len() as u32);
                out.put_slice(value.as_bytes());
            }
            Err(_) => fits = false,
        });
    });
    let ext_len = out.len() - ext_len_at - 4;
    if let Some(place) = out.get_mut(ext_len_at..ext_len_at + 4) {
        place.copy_from_slice(&(ext_len as u32).to_be_bytes());
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fields::Fields;

    fn encoded(head: &Head<'_>, fields: &Fields) -> BytesMut {
        let mut out = BytesMut::new();
        assert!(encode(head, fields, &mut out));
        out
    }

    fn head(code: i32) -> Head<'static> {
        Head { code, language: Language::Go, version: 493, opaque: -7, flag: 0, remark: Some("r") }
    }

    #[test]
    fn the_layout_is_the_one_of_the_java_server() {
        let fields = Fields::new().with("k", "é");
        let bytes =
            encoded(&Head { language: Language::Java, version: 0, opaque: 0, flag: 1, ..head(105) }, &fields);
        let expected = b"\x00\x69\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01r\x00\x00\x00\x09\x00\x01k\x00\x00\x00\x02\xc3\xa9";
        assert_eq!(&bytes[..], expected);
    }

    #[test]
    fn pop_codes_come_back_in_requests() {
        let header = decode(encoded(&head(200_050), &Fields::new())).expect("a header");
        assert_eq!(header.request_code(), RequestCode::POP_MESSAGE);
        assert_eq!((header.opaque, header.version, header.language), (-7, 493, Language::Go));
    }

    #[test]
    fn empty_values_are_null_and_unwritten() {
        let fields = Fields::new().with("a", "").with("b", "1");
        let header = decode(encoded(&head(1), &fields)).expect("a header");
        assert_eq!(header.fields, Fields::new().with("b", "1"));
    }

    #[test]
    fn every_cut_and_every_wrong_length_is_refused() {
        let bytes = encoded(&head(11), &Fields::new().with("topic", "T"));
        for end in 0..bytes.len() {
            assert!(decode(BytesMut::from(&bytes[..end])).is_err(), "{end}");
        }
        for at in [13, 18, 22, 29] {
            let mut wrong = BytesMut::from(&bytes[..]);
            wrong[at] = 0xff;
            assert!(decode(wrong).is_err(), "{at}");
        }
    }
}
