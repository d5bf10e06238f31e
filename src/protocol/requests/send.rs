//! Sending messages (fact sheet: remoting 5.1): one request under two tables of names, and its answer.

use super::{headers, reader, writer};
use crate::protocol::codes::RequestCode;
use crate::protocol::fields::{Fields, Text};
use crate::protocol::requests::FieldError;

headers! {
    /// SEND_MESSAGE 10 and SEND_REPLY_MESSAGE 324 under these names; SEND_MESSAGE_V2 310, SEND_BATCH_MESSAGE
    /// 320 and SEND_REPLY_MESSAGE_V2 325 under one-letter names: [`SendMessageRequest::of`] knows which.
    pub struct SendMessageRequest {
        /// The producer's group.
        "producerGroup" => producer_group: Text,
        /// The topic to send to.
        "topic" => topic: Text,
        /// The topic whose settings a new topic is created with, TBW102.
        "defaultTopic" => default_topic: Text,
        /// How many queues a new topic gets, at most.
        "defaultTopicQueueNums" => default_topic_queue_nums: i32,
        /// The queue; below zero the broker chooses one.
        "queueId" => queue_id: i32,
        /// Bits of the stored message's sysFlag (fact sheet: remoting 3.2).
        "sysFlag" => sys_flag: i32,
        /// When the producer made the message, in ms since 1970.
        "bornTimestamp" => born_timestamp: i64,
        /// The application's own flag, stored and handed back.
        "flag" => flag: i32,
        /// The properties string (fact sheet: remoting 3.3).
        "properties" => properties: Option<Text>,
        /// How often a retried message was consumed already.
        "reconsumeTimes" => reconsume_times: Option<i32>,
        /// Unit mode, unused.
        "unitMode" => unit_mode: bool = false,
        /// After how many consumptions a retried message goes to the dead letters.
        "maxReconsumeTimes" => max_reconsume_times: Option<i32>,
        /// Whether the body holds several messages (fact sheet: remoting 5.2).
        "batch" => batch: bool = false,
        /// The broker that the producer means.
        "bname" => broker_name: Option<Text>,
    }

    /// Answer to every kind of send; codes 10, 11 and 12 carry it too. Clients fail without queue id and
    /// offset.
    pub struct SendMessageResponse {
        /// The offset message id; of a batch all, comma separated.
        "msgId" => msg_id: Text,
        /// The queue as the producer knows it.
        "queueId" => queue_id: i32,
        /// The message's offset in its queue; of a batch the first.
        "queueOffset" => queue_offset: i64,
        /// The message's UNIQ_KEY.
        "transactionId" => transaction_id: Option<Text>,
        /// Of an inner batch, its UNIQ_KEY.
        "batchUniqId" => batch_uniq_id: Option<Text>,
        /// What RECALL_MESSAGE needs to take a timer message back.
        "recallHandle" => recall_handle: Option<Text>,
        /// The region, by default `DefaultRegion`; on errors too.
        "MSG_REGION" => region: Option<Text>,
        /// Whether clients may trace, by default true; on errors too.
        "TRACE_ON" => trace_on: Option<bool>,
    }

    /// PUSH_REPLY_MESSAGE_TO_CLIENT 326: a reply, handed to the client that asked.
    pub struct ReplyMessageRequest {
        "producerGroup" => producer_group: Text,
        "topic" => topic: Text,
        "defaultTopic" => default_topic: Text,
        "defaultTopicQueueNums" => default_topic_queue_nums: i32,
        "queueId" => queue_id: i32,
        "sysFlag" => sys_flag: i32,
        /// In ms since 1970.
        "bornTimestamp" => born_timestamp: i64,
        "flag" => flag: i32,
        "properties" => properties: Option<Text>,
        "reconsumeTimes" => reconsume_times: Option<i32>,
        "unitMode" => unit_mode: bool = false,
        /// Host and port of the replier.
        "bornHost" => born_host: Text,
        /// Host and port of the broker.
        "storeHost" => store_host: Text,
        /// In ms since 1970.
        "storeTimestamp" => store_timestamp: i64 = 0,
    }

    /// RECALL_MESSAGE 370: takes a timer message back.
    pub struct RecallMessageRequest {
        "producerGroup" => producer_group: Option<Text>,
        "topic" => topic: Text,
        "recallHandle" => recall_handle: Text,
    }

    /// Answer to RECALL_MESSAGE.
    pub struct RecallMessageResponse {
        /// The message's UNIQ_KEY.
        "msgId" => msg_id: Text,
    }
}

impl SendMessageRequest {
    reader! {
        /// Reads the header from ext fields with one-letter names.
        ///
        /// # Errors
        /// Names the first required field that is absent or of another type, by its letter.
        SendMessageRequest, from_compact_fields,
        "a" => producer_group, "b" => topic, "c" => default_topic, "d" => default_topic_queue_nums,
        "e" => queue_id, "f" => sys_flag, "g" => born_timestamp, "h" => flag, "i" => properties,
        "j" => reconsume_times, "k" => unit_mode = false, "l" => max_reconsume_times, "m" => batch = false,
        "n" => broker_name,
    }

    /// Reads the header under the names that belong to `code`; there is no falling back to the others.
    ///
    /// # Errors
    /// Names the first required field that is absent or of another type.
    pub fn of(code: RequestCode, fields: &Fields) -> Result<Self, FieldError> {
        match code {
            RequestCode::SEND_MESSAGE_V2
            | RequestCode::SEND_BATCH_MESSAGE
            | RequestCode::SEND_REPLY_MESSAGE_V2 => Self::from_compact_fields(fields),
            _ => Self::from_fields(fields),
        }
    }

    /// The header to be written under one-letter names.
    pub fn compact(&self) -> Compact<'_> {
        Compact(self)
    }
}

/// A [`SendMessageRequest`] that is written under one-letter names.
#[derive(Clone, Copy, Debug)]
pub struct Compact<'a>(&'a SendMessageRequest);

writer! {
    Compact<'_>, Compact(header) => header,
    "a" => producer_group, "b" => topic, "c" => default_topic, "d" => default_topic_queue_nums,
    "e" => queue_id, "f" => sys_flag, "g" => born_timestamp, "h" => flag, "i" => properties,
    "j" => reconsume_times, "k" => unit_mode, "l" => max_reconsume_times, "m" => batch, "n" => broker_name,
}
