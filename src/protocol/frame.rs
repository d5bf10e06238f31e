//! Frames: a length, a header, a body (fact sheet: remoting 1.1).

mod answer;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::codes::ResponseCode;
use super::fields::Emit;
use super::header::{Encoding, Head, Header, HeaderError};

pub use answer::Answer;

/// The largest `length`: 16 MiB with the four bytes of the length itself.
pub const MAX_LENGTH: usize = (16 << 20) - LENGTH_SIZE;

/// Size of `length`, which does not count itself.
const LENGTH_SIZE: usize = 4;
/// Size of `length`, the encoding's byte and the header's 24 bit length.
const PREFIX_SIZE: usize = 8;
/// How much room a frame that is still arriving is given ahead of its bytes: what it announces is no reason
/// to reserve.
const READ_AHEAD: usize = 64 << 10;
/// Room for a typical header, so that encoding one grows the buffer at most once.
const TYPICAL_HEADER: usize = 512;

/// Header and body. Both are slices of the buffer that they arrived in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The header.
    pub header: Header,
    /// The body; an empty one is none.
    pub body: Bytes,
}

/// Why bytes are no frame, or a frame cannot be written. After the former the stream has no next frame: close
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// `length` does not even cover the header's length.
    #[error("frame length {length} is below {LENGTH_SIZE}")]
    TooShort {
        /// The announced length in bytes.
        length: usize,
    },
    /// `length` is above [`MAX_LENGTH`].
    #[error("frame length {length} is above {MAX_LENGTH}: split the request, or ask for less at a time")]
    TooLong {
        /// The announced or needed length in bytes.
        length: usize,
    },
    /// The header would end behind the frame.
    #[error("header of {header} bytes does not fit into a frame of length {length}")]
    HeaderTooLong {
        /// The announced header length in bytes.
        header: usize,
        /// The announced frame length in bytes.
        length: usize,
    },
    /// The encoding's byte is neither 0 nor 1.
    #[error("unknown header encoding {0}")]
    UnknownEncoding(u8),
    /// The header cannot be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// An ext key is longer than the binary encoding can say.
    #[error("an ext key is longer than {} bytes, which the binary encoding cannot say: use json", i16::MAX)]
    KeyTooLong,
}

/// What the first eight bytes say.
struct Prefix {
    length: usize,
    encoding: Encoding,
    header: usize,
}

impl Prefix {
    /// Reads and checks as much as has arrived.
    fn read(buffer: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some(&length) = buffer.first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes(length) as usize;
        if length < LENGTH_SIZE {
            return Err(FrameError::TooShort { length });
        }
        if length > MAX_LENGTH {
            return Err(FrameError::TooLong { length });
        }
        let Some(&[_, _, _, _, encoding, high, middle, low]) = buffer.first_chunk() else { return Ok(None) };
        let encoding = Encoding::from_number(encoding).ok_or(FrameError::UnknownEncoding(encoding))?;
        let header = u32::from_be_bytes([0, high, middle, low]) as usize;
        if header > length - LENGTH_SIZE {
            return Err(FrameError::HeaderTooLong { header, length });
        }
        Ok(Some(Self { length, encoding, header }))
    }
}

impl Frame {
    /// Takes the first frame off `buffer`, if it has arrived in full; `None` asks for more bytes.
    ///
    /// What is wrong with a frame is said as soon as its first bytes show it. Nothing is copied: header and
    /// body keep slices of the buffer. While a frame is incomplete, `buffer` gets room for 64 KiB more at
    /// most (or, as vectors grow, for as much again as has arrived), whatever length the frame announces.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let Some(Prefix { length, encoding, header }) = Prefix::read(buffer)? else { return Ok(None) };
        let missing = (LENGTH_SIZE + length).saturating_sub(buffer.len());
        if missing > 0 {
            buffer.reserve(missing.min(READ_AHEAD));
            return Ok(None);
        }
        buffer.advance(PREFIX_SIZE);
        let block = buffer.split_to(header);
        let body = buffer.split_to(length - LENGTH_SIZE - header).freeze();
        Ok(Some(Self { header: Header::decode(encoding, block)?, body }))
    }

    /// Appends the frame.
    ///
    /// # Errors
    /// When the frame would be longer than any peer accepts; `out` is left as it was.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FrameError> {
        self.encode_head(self.body.len(), out)?;
        out.put_slice(&self.body);
        Ok(())
    }

    /// Appends everything but the body, which the caller sends behind it in slices of `body_len` bytes
    /// together.
    ///
    /// # Errors
    /// As [`Frame::encode`].
    pub fn encode_head(&self, body_len: usize, out: &mut BytesMut) -> Result<(), FrameError> {
        encode_head(&Head::of(&self.header), self.header.encoding, &self.header.fields, body_len, out)
    }

    /// An answer to `request`, in its encoding, without fields, remark and body. On the hot path, where the
    /// request is gone by then, [`ReplyTo::answer`](super::header::ReplyTo::answer) does without a frame.
    pub fn response(request: &Header, code: ResponseCode) -> Self {
        let Head { code, language, version, opaque, flag, .. } = Head::answer(code, request.opaque, None);
        let encoding = request.encoding;
        let header = Header { code, language, version, opaque, flag, encoding, ..Header::default() };
        Self { header, body: Bytes::new() }
    }
}

impl From<Header> for Frame {
    fn from(header: Header) -> Self {
        Self { header, body: Bytes::new() }
    }
}

/// Appends length, header length and header of a frame whose body has `body_len` bytes.
fn encode_head(
    head: &Head<'_>,
    encoding: Encoding,
    fields: &impl Emit,
    body_len: usize,
    out: &mut BytesMut,
) -> Result<(), FrameError> {
    out.reserve(TYPICAL_HEADER);
    let start = out.len();
    out.put_bytes(0, PREFIX_SIZE);
    let complete = head.encode(encoding, fields, out);
    let header = out.len() - start - PREFIX_SIZE;
    let length = header.saturating_add(body_len).saturating_add(LENGTH_SIZE);
    if !complete || length > MAX_LENGTH {
        out.truncate(start);
        return Err(if complete { FrameError::TooLong { length } } else { FrameError::KeyTooLong });
    }
    // Within MAX_LENGTH, the header's length leaves its upper byte free for the encoding.
    let prefix = (length as u64) << 32 | (encoding as u64) << 24 | header as u64;
    if let Some(place) = out.get_mut(start..start + PREFIX_SIZE) {
        place.copy_from_slice(&prefix.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
