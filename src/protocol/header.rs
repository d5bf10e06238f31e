//! The header of a frame, in either of its two encodings (fact sheet: remoting 1.2, 1.3).

mod binary;
mod json;

use bytes::BytesMut;
use thiserror::Error;

use super::codes::{RequestCode, ResponseCode};
use super::fields::{Emit, Fields, Text, TooManyFields};
use super::frame::Answer;
use super::language::Language;

/// The version ordinal that we send, V5_4_0: `mqadmin` prints it, and Java clients choose by it what they
/// dare to use.
pub const VERSION: i32 = 493;

/// `flag` bit: the frame answers a request of the other side.
const RESPONSE: i32 = 1;
/// `flag` bit: the sender wants no answer, not even an error.
const ONEWAY: i32 = 2;

/// How a header is written; the byte in front of the header's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// A JSON object, what clients send unless told otherwise.
    #[default]
    Json = 0,
    /// Packed binary, RocketMQ's own.
    RocketMq = 1,
}

impl Encoding {
    /// The encoding of a type byte, if it is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Json),
            1 => Some(Self::RocketMq),
            _ => None,
        }
    }
}

/// Everything of a frame but its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// What is asked for, or how it went: [`Header::request_code`], [`Header::response_code`].
    pub code: i32,
    /// The language of the sender.
    pub language: Language,
    /// The version ordinal of the sender; [`VERSION`] is ours (fact sheet: remoting 1.7).
    pub version: i32,
    /// The requester's number for this request, repeated by the answer. Each side of a connection counts for
    /// itself.
    pub opaque: i32,
    /// Bit 0: a response; bit 1: oneway.
    pub flag: i32,
    /// Text about an error; success may carry one too, which clients ignore.
    pub remark: Option<Text>,
    /// The ext fields.
    pub fields: Fields,
    /// How the header was written, or is to be.
    pub encoding: Encoding,
}

/// Why a header cannot be read. The connection is closed without an answer, since even `opaque` is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The JSON breaks off or is none.
    #[error("json header: expected {expected} at byte {at}")]
    Json {
        /// What would have been right.
        expected: &'static str,
        /// Where, from the start of the header.
        at: usize,
    },
    /// A length in a binary header is negative or points beyond its end.
    #[error("binary header: {part} does not fit into the header")]
    Binary {
        /// The part whose length is wrong.
        part: &'static str,
    },
    /// Far too many ext fields.
    #[error(transparent)]
    TooManyFields(#[from] TooManyFields),
}

impl Header {
    /// A request of ours, in JSON, without fields; `opaque` is for the sender to set.
    pub fn request(code: RequestCode) -> Self {
        Self { code: code.as_i32(), language: Language::Rust, version: VERSION, ..Self::default() }
    }

    /// Replaces the fields.
    pub fn with_fields(mut self, fields: impl Into<Fields>) -> Self {
        self.fields = fields.into();
        self
    }

    /// Sets the number that the answer will repeat.
    pub fn with_opaque(mut self, opaque: i32) -> Self {
        self.opaque = opaque;
        self
    }

    /// Marks a request as one that wants no answer.
    pub fn oneway(mut self) -> Self {
        self.flag |= ONEWAY;
        self
    }

    /// Whether this answers a request of the other side.
    pub fn is_response(&self) -> bool {
        self.flag & RESPONSE != 0
    }

    /// Whether the sender wants no answer, whatever happens.
    pub fn is_oneway(&self) -> bool {
        self.flag & ONEWAY != 0
    }

    /// What a request asks for.
    pub fn request_code(&self) -> RequestCode {
        self.code.into()
    }

    /// How a request ended.
    pub fn response_code(&self) -> ResponseCode {
        self.code.into()
    }

    /// What is needed to answer this request, small enough to be kept while it waits.
    pub fn reply_to(&self) -> ReplyTo {
        ReplyTo { opaque: self.opaque, encoding: self.encoding }
    }

    /// Reads a header block. Plain values stay where they are; escaped ones are unescaped in place, which
    /// only shortens them, so that a block is never copied.
    pub(super) fn decode(encoding: Encoding, block: BytesMut) -> Result<Self, HeaderError> {
        match encoding {
            Encoding::Json => json::decode(block),
            Encoding::RocketMq => binary::decode(block),
        }
    }
}

/// The address of an answer within its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The request's number.
    pub opaque: i32,
    /// The request's encoding, which every client can read: it wrote it.
    pub encoding: Encoding,
}

impl ReplyTo {
    /// Starts an answer.
    pub fn answer<'a>(self, code: ResponseCode) -> Answer<'a> {
        Answer::new(self, code)
    }
}

/// A header's fixed members, on their way to the wire.
pub(super) struct Head<'a> {
    pub(super) code: i32,
    pub(super) language: Language,
    pub(super) version: i32,
    pub(super) opaque: i32,
    pub(super) flag: i32,
    pub(super) remark: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// Of a header as it stands.
    pub(super) fn of(header: &'a Header) -> Self {
        Self {
            code: header.code,
            language: header.language,
            version: header.version,
            opaque: header.opaque,
            flag: header.flag,
            remark: header.remark.as_deref(),
        }
    }

    /// Of an answer. It says JAVA, as every broker does that clients were tested with: they parse the name
    /// into an enum of their own, and not each of those knows RUST.
    pub(super) fn answer(code: ResponseCode, opaque: i32, remark: Option<&'a str>) -> Self {
        let (language, version, flag) = (Language::Java, VERSION, RESPONSE);
        Self { code: code.as_i32(), language, version, opaque, flag, remark }
    }

    /// Appends the header block; false when a field cannot be expressed in this encoding.
    pub(super) fn encode(&self, encoding: Encoding, fields: &impl Emit, out: &mut BytesMut) -> bool {
        match encoding {
            Encoding::Json => {
                json::encode(self, fields, out);
                true
            }
            Encoding::RocketMq => binary::encode(self, fields, out),
        }
    }
}

/// Replaces what is not UTF-8 by question marks, in place: such a header is served, as RocketMQ does, whose
/// replacement character would need more room.
fn scrub(mut bytes: &mut [u8]) {
    if bytes.is_ascii() {
        return;
    }
    while let Err(error) = std::str::from_utf8(bytes) {
        let Some((_, rest)) = bytes.split_at_mut_checked(error.valid_up_to()) else { return };
        let wrong = error.error_len().unwrap_or(rest.len());
        let Some((wrong, rest)) = rest.split_at_mut_checked(wrong) else { return };
        wrong.fill(b'?');
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_utf8_becomes_question_marks_and_the_rest_stays() {
        let mut bytes = *b"a\xffb\xe4\xbd\xa0\xe4\xbd";
        scrub(&mut bytes);
        assert_eq!(&bytes, b"a?b\xe4\xbd\xa0??");
    }

    #[test]
    fn flags_tell_requests_from_answers() {
        let request = Header::request(RequestCode::PULL_MESSAGE);
        assert!(!request.is_response() && !request.is_oneway());
        assert!(request.oneway().is_oneway());
    }
}
