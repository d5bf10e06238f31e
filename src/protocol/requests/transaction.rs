//! Ending and checking transactions (fact sheet: remoting 5.3).

use super::{Field, headers};
use crate::protocol::fields::{Raw, Text, Value};

headers! {
    /// END_TRANSACTION 37.
    pub struct EndTransactionRequest {
        "topic" => topic: Option<Text>,
        "producerGroup" => producer_group: Text,
        /// The half message's offset in the half queue.
        "tranStateTableOffset" => tran_state_table_offset: i64,
        /// The half message's offset in the commit log.
        "commitLogOffset" => commit_log_offset: i64,
        "commitOrRollback" => outcome: Outcome,
        /// Whether this answers a check.
        "fromTransactionCheck" => from_transaction_check: bool = false,
        /// The message's UNIQ_KEY.
        "msgId" => msg_id: Text,
        "transactionId" => transaction_id: Option<Text>,
    }

    /// CHECK_TRANSACTION_STATE 39, from the broker to a producer.
    pub struct CheckTransactionStateRequest {
        /// The half topic; the body has the real one.
        "topic" => topic: Option<Text>,
        /// The half message's offset in the half queue.
        "tranStateTableOffset" => tran_state_table_offset: i64,
        /// The half message's offset in the commit log.
        "commitLogOffset" => commit_log_offset: i64,
        /// The message's UNIQ_KEY.
        "msgId" => msg_id: Option<Text>,
        "transactionId" => transaction_id: Option<Text>,
        "offsetMsgId" => offset_msg_id: Option<Text>,
        "bname" => broker_name: Option<Text>,
    }

    /// RESUME_CHECK_HALF_MESSAGE 323.
    pub struct ResumeCheckHalfMessageRequest {
        "topic" => topic: Option<Text>,
        "msgId" => msg_id: Option<Text>,
    }
}

/// How a producer says that its transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not known yet: ask again later.
    Unknown,
    /// The message becomes visible.
    Commit,
    /// The message is dropped.
    Rollback,
}

impl Field for Outcome {
    fn read(found: Option<Raw<'_>>) -> Option<Self> {
        match i32::read(found)? {
            0 => Some(Self::Unknown),
            8 => Some(Self::Commit),
            12 => Some(Self::Rollback),
            _ => None,
        }
    }

    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Number(match self {
            Self::Unknown => 0,
            Self::Commit => 8,
            Self::Rollback => 12,
        }))
    }
}
