//! Consumer offsets and the offsets of queues (fact sheet: remoting 6.2, 6.6).

use super::{Field, headers};
use crate::protocol::fields::{Raw, Text, Value};

headers! {
    /// QUERY_CONSUMER_OFFSET 14.
    pub struct QueryConsumerOffsetRequest {
        "consumerGroup" => consumer_group: Text,
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
        /// False asks for code 22 even where a young queue would give 0.
        "setZeroIfNotFound" => set_zero_if_not_found: Option<bool>,
    }

    /// UPDATE_CONSUMER_OFFSET 15.
    pub struct UpdateConsumerOffsetRequest {
        "consumerGroup" => consumer_group: Text,
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
        /// The next offset that the group will consume.
        "commitOffset" => commit_offset: i64,
    }

    /// SEARCH_OFFSET_BY_TIMESTAMP 29.
    pub struct SearchOffsetRequest {
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
        /// Store time in ms since 1970.
        "timestamp" => timestamp: i64,
        /// Which of several messages of that time.
        "boundaryType" => boundary_type: BoundaryType = BoundaryType::Lower,
    }

    /// GET_MAX_OFFSET 30.
    pub struct MaxOffsetRequest {
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
        /// Count only what consumers may see.
        "committed" => committed: bool = true,
    }

    /// GET_MIN_OFFSET 31.
    pub struct MinOffsetRequest {
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
    }

    /// GET_EARLIEST_MSG_STORETIME 32.
    pub struct EarliestStoreTimeRequest {
        "topic" => topic: Text,
        "queueId" => queue_id: i32,
    }

    /// Answer to GET_EARLIEST_MSG_STORETIME.
    pub struct EarliestStoreTimeResponse {
        /// In ms since 1970; -1 of an empty queue.
        "timestamp" => timestamp: i64,
    }

    /// Answer to 14, 29, 30 and 31.
    pub struct OffsetResponse {
        "offset" => offset: i64,
    }

    /// INVOKE_BROKER_TO_RESET_OFFSET 222, and RESET_CONSUMER_CLIENT_OFFSET 220 towards a client.
    pub struct ResetOffsetRequest {
        "group" => group: Text,
        "topic" => topic: Text,
        /// -1 for all queues.
        "queueId" => queue_id: i32 = -1,
        /// The offset to set; absent or -1 to go by time.
        "offset" => offset: Option<i64>,
        /// Store time in ms since 1970 to go back to; -1 for the end.
        "timestamp" => timestamp: i64 = 0,
        /// Whether an offset may also go forward.
        "isForce" => force: bool = false,
    }

    /// QUERY_CORRECTION_OFFSET 308.
    pub struct QueryCorrectionOffsetRequest {
        /// Groups to leave out, comma separated.
        "filterGroups" => filter_groups: Option<Text>,
        "compareGroup" => compare_group: Text,
        "topic" => topic: Text,
    }

    /// CLONE_GROUP_OFFSET 314.
    pub struct CloneGroupOffsetRequest {
        "srcGroup" => src_group: Text,
        "destGroup" => dest_group: Text,
        /// Absent or blank for all topics.
        "topic" => topic: Option<Text>,
        "offline" => offline: bool = false,
    }
}

/// Which offset a search by time means when several messages have that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoundaryType {
    /// The first of them; also what an unknown name means.
    #[default]
    Lower,
    /// The last of them.
    Upper,
}

impl Field for BoundaryType {
    fn read(found: Option<Raw<'_>>) -> Option<Self> {
        Some(if found?.as_str().eq_ignore_ascii_case("UPPER") { Self::Upper } else { Self::Lower })
    }

    fn value(&self) -> Option<Value<'_>> {
        Some(Value::Text(match self {
            Self::Lower => "LOWER",
            Self::Upper => "UPPER",
        }))
    }
}
