//! Who waits for a message to be stored, and what it is told.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    actors::remoting::{Origin, Responder, SendReceipt},
    protocol::{codes::ResponseCode, fields::Value, message_id::batch_id},
    store::{PhysicalOffset, QueueOffset, StoreError},
};

/// Where messages were stored.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The offset of the first in its queue.
    pub queue_offset: QueueOffset,
    /// Where the first record begins in the log.
    pub physical_offset: PhysicalOffset,
    /// Of a batch, the sizes of its records; empty for a single message.
    pub sizes: Vec<usize>,
}

/// Why a message was not stored: code and remark of the answer.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The code.
    pub code: ResponseCode,
    /// The remark.
    pub remark: String,
}

impl From<&StoreError> for Refusal {
    fn from(error: &StoreError) -> Self {
        let code = match error {
            StoreError::RecordTooLarge { .. } => ResponseCode::MESSAGE_ILLEGAL,
            StoreError::NoBuffer => ResponseCode::SYSTEM_BUSY,
            _ => ResponseCode::SERVICE_NOT_AVAILABLE,
        };
        Self { code, remark: error.to_string() }
    }
}

/// What an inner sender does when it is told.
type Told = Box<dyn FnOnce(Result<Placed, Refusal>) + Send>;

/// Who waits for a message to be stored. Dropped, it is told that the system is busy.
pub enum Acknowledgement {
    /// A client.
    Client(ClientAck),
    /// A part of the broker.
    Inner(InnerAck),
}

/// A part of the broker that waits for a message of its own to be stored. It is told once, whatever happens.
pub struct InnerAck(Option<Told>);

/// The answer to a client's send, apart from where the message went.
#[derive(Debug)]
pub struct ClientAck {
    /// The way back.
    pub reply: Responder,
    /// The queue that the client sent to.
    pub queue_id: i32,
    /// The message's unique key; of a batch empty.
    pub unique_key: Bytes,
    /// With what a timer message can be taken back.
    pub recall_handle: Option<Box<str>>,
    /// What the broker's answers have in common.
    pub origin: Arc<Origin>,
}

impl InnerAck {
    fn tell(mut self, outcome: Result<Placed, Refusal>) {
        if let Some(told) = self.0.take() {
            told(outcome);
        }
    }
}

impl Drop for InnerAck {
    fn drop(&mut self) {
        if let Some(told) = self.0.take() {
            told(Err(Refusal { code: ResponseCode::SYSTEM_BUSY, remark: BUSY.to_owned() }));
        }
    }
}

const BUSY: &str = "[CASTMQ]busy or restarting, try again";

impl Acknowledgement {
    /// Calls `told`, once, with what became of the message.
    pub fn inner(told: impl FnOnce(Result<Placed, Refusal>) + Send + 'static) -> Self {
        Self::Inner(InnerAck(Some(Box::new(told))))
    }

    /// It is stored, as safely as the policy asks.
    pub(super) fn stored(self, placed: Placed) {
        self.settled(ResponseCode::SUCCESS, placed);
    }

    /// It is stored; the code says how far that is from what the policy asks.
    pub(super) fn settled(self, code: ResponseCode, placed: Placed) {
        match self {
            Self::Client(ack) => ack.settled(code, &placed),
            Self::Inner(ack) => ack.tell(Ok(placed)),
        }
    }

    /// It is not stored.
    pub(crate) fn refused(self, refusal: &Refusal) {
        match self {
            Self::Client(ack) => ack.refused(refusal),
            Self::Inner(ack) => ack.tell(Err(refusal.clone())),
        }
    }
}

impl ClientAck {
    fn settled(self, code: ResponseCode, placed: &Placed) {
        let Self { reply, queue_id, unique_key, recall_handle, origin } = self;
        let (queue_offset, physical_offset) = (placed.queue_offset.0, placed.physical_offset.0);
        if placed.sizes.is_empty() {
            let (to, transaction_id) = (reply.to(), unique_key);
            return reply.receipt(SendReceipt {
                to,
                code,
                queue_id,
                queue_offset,
                physical_offset,
                transaction_id,
                recall_handle,
                origin,
            });
        }
        let offsets = placed.sizes.iter().scan(physical_offset, |next, size| {
            let offset = *next;
            *next = PhysicalOffset(offset).plus(*size).0;
            Some(offset)
        });
        let ids = batch_id(origin.store_host, offsets);
        let fields = (
            (("msgId", Value::Text(&ids)), ("queueId", Value::from(queue_id))),
            (("queueOffset", Value::from(queue_offset)), &*origin),
        );
        let answer = reply.answer(code).fields(fields);
        reply.send(answer, Vec::new());
    }

    /// Says why it is not stored.
    pub fn refused(self, refusal: &Refusal) {
        let answer = self.reply.answer(refusal.code).remark(&refusal.remark).fields(&*self.origin);
        self.reply.send(answer, Vec::new());
    }
}
