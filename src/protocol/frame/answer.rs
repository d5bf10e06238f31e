//! Answers, written straight from what they say: no header, no list of fields in between.

use bytes::{BufMut, BytesMut};

use super::{FrameError, encode_head};
use crate::protocol::codes::ResponseCode;
use crate::protocol::fields::Emit;
use crate::protocol::header::{Head, ReplyTo};

/// An answer on its way to the wire; `E` is its typed header, `()` for none.
#[derive(Clone, Copy, Debug)]
#[must_use = "an answer is sent by encoding it"]
pub struct Answer<'a, E = ()> {
    to: ReplyTo,
    code: ResponseCode,
    remark: Option<&'a str>,
    fields: E,
}

impl<'a> Answer<'a> {
    /// An answer without remark and fields.
    pub fn new(to: ReplyTo, code: ResponseCode) -> Self {
        Self { to, code, remark: None, fields: () }
    }
}

impl<'a, E: Emit> Answer<'a, E> {
    /// Says in words what went wrong.
    pub fn remark(self, remark: &'a str) -> Self {
        Self { remark: Some(remark), ..self }
    }

    /// Gives the answer a typed header, or any other fields.
    pub fn fields<F: Emit>(self, fields: F) -> Answer<'a, F> {
        Answer { to: self.to, code: self.code, remark: self.remark, fields }
    }

    /// Appends everything but the body, which the caller sends behind it in slices of `body_len` bytes
    /// together: a pull answer is this head and a list of slices of the mapped log, in one vectored write.
    ///
    /// # Errors
    /// When the frame would be longer than any peer accepts; `out` is left as it was.
    pub fn encode_head(&self, body_len: usize, out: &mut BytesMut) -> Result<(), FrameError> {
        let head = Head::answer(self.code, self.to.opaque, self.remark);
        encode_head(&head, self.to.encoding, &self.fields, body_len, out)
    }

    /// Appends the whole frame.
    ///
    /// # Errors
    /// As [`Answer::encode_head`].
    pub fn encode(&self, body: &[u8], out: &mut BytesMut) -> Result<(), FrameError> {
        self.encode_head(body.len(), out)?;
        out.put_slice(body);
        Ok(())
    }
}
