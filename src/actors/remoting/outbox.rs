//! What waits to be written to a connection, and how it becomes bytes.

use std::{collections::VecDeque, io::IoSlice, net::SocketAddr, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};

use crate::protocol::{
    codes::ResponseCode,
    fields::{Emit, Value},
    frame::Answer,
    header::ReplyTo,
    message_id::OffsetMessageId,
};

/// Slices below this are copied behind the head: that is cheaper than one more entry of a vectored write.
const COPY_BELOW: usize = 4 << 10;
/// Entries of one vectored write.
const MAX_SLICES: usize = 64;

/// What a receipt is when it is encoded, and what any answer costs beside its bytes.
const RECEIPT: usize = 256;

/// One thing to write.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// The answer to a send: the most frequent of all, encoded only when it is written, without a buffer of
    /// its own.
    Sent(SendReceipt),
    /// A frame: everything but the body, and the body in slices.
    Frame { head: Bytes, body: Vec<Bytes> },
    /// Nothing follows: close when everything before is written.
    Close,
}

impl Outgoing {
    /// About how many bytes it keeps until it is written.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Sent(_) => RECEIPT,
            Self::Frame { head, body } => RECEIPT + head.len() + body.iter().map(Bytes::len).sum::<usize>(),
            Self::Close => 0,
        }
    }
}

/// The answer to a send (fact sheet: remoting 5.1).
#[derive(Debug)]
pub struct SendReceipt {
    /// The request.
    pub to: ReplyTo,
    /// SUCCESS, or one of the codes that mean stored, but not as safely as asked.
    pub code: ResponseCode,
    /// The queue that it was stored in.
    pub queue_id: i32,
    /// Its offset there.
    pub queue_offset: i64,
    /// Where its record begins in the log.
    pub physical_offset: i64,
    /// Its unique key, empty for none.
    pub transaction_id: Bytes,
    /// With what a timer message can be taken back.
    pub recall_handle: Option<Box<str>>,
    /// What the answers of one broker have in common.
    pub origin: Arc<Origin>,
}

/// What a broker says of itself in answers to sends.
#[derive(Debug)]
pub struct Origin {
    /// The address in message ids.
    pub store_host: SocketAddr,
    /// Configuration key `regionId`.
    pub region: String,
    /// Configuration key `traceOn`.
    pub trace_on: bool,
}

impl Emit for Origin {
    fn emit(&self, put: &mut impl FnMut(&str, Value<'_>)) {
        put("MSG_REGION", Value::Text(&self.region));
        put("TRACE_ON", Value::Flag(self.trace_on));
    }
}

impl Emit for SendReceipt {
    fn emit(&self, put: &mut impl FnMut(&str, Value<'_>)) {
        let id = OffsetMessageId { host: self.origin.store_host, offset: self.physical_offset };
        put("msgId", Value::Text(id.text().as_str()));
        put("queueId", Value::Number(self.queue_id.into()));
        put("queueOffset", Value::Number(self.queue_offset));
        if let Some(id) = std::str::from_utf8(&self.transaction_id).ok().filter(|id| !id.is_empty()) {
            put("transactionId", Value::Text(id));
        }
        if let Some(handle) = &self.recall_handle {
            put("recallHandle", Value::Text(handle));
        }
        self.origin.emit(put);
    }
}

/// Bytes on their way out: small things side by side in one buffer, large slices between.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    small: BytesMut,
    slices: VecDeque<Bytes>,
    len: usize,
}

impl Unwritten {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes room for so many answers at once, and for what the encoding of each asks for ahead.
    pub(super) fn reserve(&mut self, answers: usize) {
        self.small.reserve((answers + 2) * RECEIPT);
    }

    /// Appends a thing; false for [`Outgoing::Close`].
    pub(super) fn push(&mut self, thing: Outgoing) -> bool {
        let before = self.small.len();
        match thing {
            Outgoing::Sent(receipt) => {
                let answer = Answer::new(receipt.to, receipt.code).fields(&receipt);
                // A head of bounded fields never exceeds the frame limit.
                let _ = answer.encode_head(0, &mut self.small);
            }
            Outgoing::Frame { head, body } => {
                self.small.extend_from_slice(&head);
                self.len += self.small.len() - before;
                for slice in body {
                    self.push_slice(slice);
                }
                return true;
            }
            Outgoing::Close => return false,
        }
        self.len += self.small.len() - before;
        true
    }

    fn push_slice(&mut self, slice: Bytes) {
        self.len += slice.len();
        if slice.len() < COPY_BELOW {
            self.small.extend_from_slice(&slice);
        } else {
            self.seal();
            self.slices.push_back(slice);
        }
    }

    /// Moves what is in the buffer behind the slices.
    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.slices.push_back(self.small.split().freeze());
        }
    }

    /// Offers what is to be written to `write`, and takes off what it wrote.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        if self.slices.is_empty() {
            let written = write(&[IoSlice::new(&self.small)])?;
            self.small.advance(written.min(self.small.len()));
            self.len -= written.min(self.len);
            return Ok(written);
        }
        self.seal();
        let slices: Vec<_> = self.slices.iter().take(MAX_SLICES).map(|slice| IoSlice::new(slice)).collect();
        let written = write(&slices)?;
        drop(slices);
        self.take_off(written);
        Ok(written)
    }

    fn take_off(&mut self, mut written: usize) {
        self.len -= written.min(self.len);
        while let Some(first) = self.slices.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.slices.pop_front();
        }
    }

    /// Gives the memory back when there is nothing to write.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() && self.small.capacity() > COPY_BELOW {
            self.small = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(head: &'static [u8], body: Vec<Bytes>) -> Outgoing {
        Outgoing::Frame { head: Bytes::from_static(head), body }
    }

    #[test]
    fn bytes_leave_in_order_whatever_their_size_and_however_little_each_write_takes() {
        let big = Bytes::from(vec![7; COPY_BELOW * 2]);
        let mut unwritten = Unwritten::default();
        let mut expected = Vec::new();
        for round in 0..3 {
            unwritten.push(frame(b"head", vec![big.clone(), Bytes::from_static(b"small"), big.clone()]));
            unwritten.push(frame(b"alone", vec![]));
            for part in [&b"head"[..], &big, b"small", &big, b"alone"] {
                expected.extend_from_slice(part);
            }
            assert_eq!(unwritten.len(), expected.len(), "round {round}");
        }
        let mut written = Vec::new();
        while !unwritten.is_empty() {
            unwritten
                .write(|slices| {
                    let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                    let some = all.len().min(1000);
                    written.extend_from_slice(&all[..some]);
                    Ok(some)
                })
                .unwrap();
        }
        assert_eq!(written, expected);
    }

    #[test]
    fn nothing_is_pushed_behind_a_close() {
        assert!(!Unwritten::default().push(Outgoing::Close));
    }
}
