//! Looking up messages by key (fact sheet: remoting 6.4): the key index finds and reads them, on its own
//! thread, and the answer goes from there to the client.

use std::sync::Arc;

use super::Broker;
use crate::{
    actors::{
        remoting::{Request, Responder},
        store::index::{KeyKind, KeyQuery, KeyResult},
    },
    protocol::{
        codes::ResponseCode,
        frame::MAX_LENGTH,
        requests::message::{QueryMessageRequest, QueryMessageResponse},
    },
};

/// Messages in one answer at most (`maxMsgsNumBatch`).
const MOST_MESSAGES: usize = 64;
/// What a frame has room for, beside its header.
const MOST_BYTES: usize = MAX_LENGTH - (64 << 10);
/// `indexType` of tags.
const TAGS: &str = "T";
/// `indexType` of unique keys.
const UNIQUE: &str = "U";
/// `indexType` of the keys that senders give.
const KEY: &str = "K";

pub(super) fn serve(broker: &Arc<Broker>, request: Request) {
    let header = match QueryMessageRequest::from_fields(&request.header.fields) {
        Ok(header) => header,
        Err(error) => return request.reply.refuse(ResponseCode::SYSTEM_ERROR, &error.to_string()),
    };
    let default_max = broker.config.get().default_query_max_num as usize;
    let reply = request.reply;
    broker.stored.index.query(query(&header, default_max), Box::new(move |found| answer(reply, found)));
}

/// `lastKey` is not looked at: it leads through pages of RocketMQ's other index, in RocksDB.
fn query(header: &QueryMessageRequest, default_max: usize) -> KeyQuery {
    let is_unique = header.unique_key_query == Some(true);
    let kind = match header.index_type.as_deref() {
        Some(TAGS) => KeyKind::Tags,
        _ if is_unique => KeyKind::Unique,
        Some(UNIQUE) => KeyKind::Unique,
        Some(KEY) => KeyKind::Key,
        _ => KeyKind::Any,
    };
    let max = if is_unique { default_max } else { usize::try_from(header.max_num).unwrap_or(0) };
    KeyQuery {
        topic: header.topic.as_str().to_owned(),
        key: header.key.as_str().to_owned(),
        kind,
        max: max.min(MOST_MESSAGES),
        max_bytes: MOST_BYTES,
        period: header.begin_timestamp..=header.end_timestamp,
    }
}

fn answer(reply: Responder, found: KeyResult) {
    let KeyResult { records, last_update: (offset, timestamp) } = found;
    let fields = QueryMessageResponse {
        index_last_update_timestamp: timestamp,
        index_last_update_phyoffset: offset.0,
    };
    if records.is_empty() {
        let remark = "can not find message, maybe time range not correct";
        let answer = reply.answer(ResponseCode::QUERY_NOT_FOUND).remark(remark).fields(fields);
        return reply.send(answer, Vec::new());
    }
    let answer = reply.answer(ResponseCode::SUCCESS).fields(fields);
    reply.send(answer, records);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(index_type: Option<&str>, unique: Option<bool>, max: i32) -> (KeyKind, usize) {
        let header = QueryMessageRequest {
            topic: "T".into(),
            key: "k".into(),
            max_num: max,
            begin_timestamp: 0,
            end_timestamp: i64::MAX,
            index_type: index_type.map(Into::into),
            last_key: None,
            unique_key_query: unique,
        };
        let query = query(&header, 32);
        (query.kind, query.max)
    }

    #[test]
    fn what_is_looked_for_follows_the_header() {
        assert_eq!(asked(None, None, 10), (KeyKind::Any, 10));
        assert_eq!(asked(Some("K"), Some(false), 10), (KeyKind::Key, 10));
        assert_eq!(asked(Some("U"), None, 10), (KeyKind::Unique, 10));
        assert_eq!(asked(Some("T"), None, 10), (KeyKind::Tags, 10));
        assert_eq!(asked(None, Some(true), 10), (KeyKind::Unique, 32), "the broker's own number");
        assert_eq!(asked(Some("K"), Some(true), 1000), (KeyKind::Unique, 32));
    }

    #[test]
    fn no_more_than_a_batch_is_asked_of_the_index() {
        assert_eq!(asked(None, None, 1_000).1, 64);
        assert_eq!(asked(None, None, -1).1, 0);
    }
}
