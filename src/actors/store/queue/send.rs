//! From what a client sent to records that only lack their place.

use crate::{
    actors::store::{
        ack::{Acknowledgement, Refusal},
        log::{Entry, Records},
    },
    protocol::{
        codes::ResponseCode,
        record::{BatchDraft, RecordDraft, RecordFields},
    },
};

/// Something to store in a queue.
pub(crate) struct SendJob {
    /// What.
    pub(crate) payload: Payload,
    /// Whether its sender waits until it is as safe as the policy says (property `WAIT`).
    pub(crate) waits: bool,
    /// Who is told.
    pub(crate) ack: Acknowledgement,
}

/// One message, or a batch whose body holds several.
pub(crate) enum Payload {
    One(Box<RecordFields>),
    Batch(Box<RecordFields>),
}

impl Payload {
    /// What it says; of a batch, what its messages have in common.
    pub(crate) fn fields(&self) -> &RecordFields {
        match self {
            Self::One(fields) | Self::Batch(fields) => fields,
        }
    }
}

impl SendJob {
    /// Lays out its records; `None` when it was refused instead.
    pub(super) fn prepare(self) -> Option<Entry> {
        let Self { payload, waits, ack } = self;
        let records = match payload {
            Payload::One(fields) => {
                RecordDraft::new(*fields).map(Records::One).map_err(|error| error.to_string())
            }
            Payload::Batch(fields) => {
                BatchDraft::new(*fields).map(Records::Many).map_err(|error| error.to_string())
            }
        };
        match records {
            Ok(records) => Some(Entry { records, waits, ack }),
            Err(remark) => {
                ack.refused(&Refusal { code: ResponseCode::MESSAGE_ILLEGAL, remark });
                None
            }
        }
    }
}
