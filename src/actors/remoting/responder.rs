//! The way back of one request.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{
    outbox::{Outgoing, SendReceipt},
    peer::Peer,
};
use crate::protocol::{
    codes::ResponseCode,
    fields::Emit,
    frame::Answer,
    header::{Header, ReplyTo},
};

/// Answers one request, once. It travels with the request to whoever knows the answer. Dropped unanswered
/// (its actor died, or nobody took it) it says so at once, with a code on which clients try again. For a
/// oneway request it says nothing, whatever happens.
#[derive(Debug)]
pub struct Responder {
    peer: Arc<Peer>,
    to: ReplyTo,
    wanted: bool,
    /// Bytes of the request's body, which may be kept until it is answered.
    bytes: usize,
}

/// What a dropped request is answered with.
const DROPPED: &str = "[CASTMQ]busy or restarting, try again";

impl Responder {
    pub(super) fn new(peer: &Arc<Peer>, request: &Header, bytes: usize) -> Self {
        peer.request_came(bytes);
        Self { peer: peer.clone(), to: request.reply_to(), wanted: !request.is_oneway(), bytes }
    }

    /// Who asked.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// The request's number and encoding.
    pub fn to(&self) -> ReplyTo {
        self.to
    }

    /// Whether anybody will read the answer.
    pub fn is_wanted(&self) -> bool {
        self.wanted && !self.peer.is_closed()
    }

    /// Starts an answer, to be given to [`Responder::send`].
    pub fn answer<'a>(&self, code: ResponseCode) -> Answer<'a> {
        self.to.answer(code)
    }

    /// Answers with success and nothing else.
    pub fn ok(self) {
        let answer = self.answer(ResponseCode::SUCCESS);
        self.send(answer, Vec::new());
    }

    /// Answers with success and these fields.
    pub fn fields(self, fields: impl Emit) {
        let answer = self.answer(ResponseCode::SUCCESS).fields(fields);
        self.send(answer, Vec::new());
    }

    /// Answers with success and this body.
    pub fn body(self, body: impl Into<Bytes>) {
        let answer = self.answer(ResponseCode::SUCCESS);
        self.send(answer, vec![body.into()]);
    }

    /// Answers with a code and what went wrong.
    pub fn refuse(self, code: ResponseCode, remark: &str) {
        let answer = self.answer(code).remark(remark);
        self.send(answer, Vec::new());
    }

    /// Answers a send.
    pub fn receipt(mut self, receipt: SendReceipt) {
        if std::mem::take(&mut self.wanted) {
            self.peer.push(Outgoing::Sent(receipt));
        }
    }

    /// Answers. An answer that is too large to be a frame becomes an error.
    pub fn send<E: Emit>(mut self, answer: Answer<'_, E>, body: Vec<Bytes>) {
        if !std::mem::take(&mut self.wanted) {
            return;
        }
        let mut head = BytesMut::new();
        let body_len = body.iter().map(Bytes::len).sum();
        match answer.encode_head(body_len, &mut head) {
            Ok(()) => self.peer.push(Outgoing::Frame { head: head.freeze(), body }),
            Err(error) => {
                tracing::error!(peer = %self.peer.remote(), %error, "cannot send an answer");
                self.push_error(ResponseCode::SYSTEM_ERROR, &error.to_string());
            }
        }
    }

    fn push_error(&self, code: ResponseCode, remark: &str) {
        let mut head = BytesMut::new();
        if self.to.answer(code).remark(remark).encode_head(0, &mut head).is_ok() {
            self.peer.push(Outgoing::Frame { head: head.freeze(), body: Vec::new() });
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.peer.request_done(self.bytes);
        if self.wanted {
            self.push_error(ResponseCode::SYSTEM_BUSY, DROPPED);
        }
    }
}
