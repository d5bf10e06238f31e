//! RECALL_MESSAGE 370: takes a timer message back that waits, by a message of its own in the same slot
//! (fact sheet: store 9.5).

use std::sync::Arc;

use bytes::Bytes;

use super::Broker;
use crate::{
    actors::{
        delivery::redirect::property,
        remoting::{Request, Responder},
        store::{Acknowledgement, Refusal},
        supervision::Millis,
    },
    protocol::{
        codes::ResponseCode,
        properties::name,
        recall::RecallHandle,
        record::{PropertyText, RecordFields},
        requests::send::{RecallMessageRequest, RecallMessageResponse},
        sys_flag::SysFlag,
    },
};

/// The tag of a message that takes another one back.
const TAG: &str = "_RECALL_TAG_";

pub(super) fn serve(broker: &Arc<Broker>, request: Request) {
    let Request { header, reply, .. } = request;
    let asked = RecallMessageRequest::from_fields(&header.fields)
        .map_err(|error| refusal(ResponseCode::SYSTEM_ERROR, error.to_string()))
        .and_then(|asked| Ok((read_handle(broker, &asked)?, asked)));
    let placed = asked.and_then(|(handle, asked)| {
        let fields = message(broker, &handle, &asked, &reply);
        Ok((broker.delivery.later.place(fields, broker.clock.now())?, handle.unique_key))
    });
    match placed {
        Ok((fields, unique_key)) => {
            let ack = Acknowledgement::inner(move |outcome| match outcome {
                Ok(_) => reply.fields(RecallMessageResponse { msg_id: unique_key.into() }),
                Err(_) => reply.refuse(ResponseCode::SYSTEM_ERROR, "recall failed, execute error"),
            });
            broker.queues.put(fields, ack);
        }
        Err(Refusal { code, remark }) => reply.refuse(code, &remark),
    }
}

fn refusal(code: ResponseCode, remark: impl Into<String>) -> Refusal {
    Refusal { code, remark: remark.into() }
}

/// The handle, if what it names can still be taken back here.
fn read_handle(broker: &Broker, asked: &RecallMessageRequest) -> Result<RecallHandle, Refusal> {
    let config = broker.config.get();
    if !config.recall_message_enable {
        return Err(refusal(ResponseCode::NO_PERMISSION, "recall failed, operation is forbidden"));
    }
    if broker.topics.get(&asked.topic).is_none() {
        let remark = format!("recall failed, the topic[{}] not exist", asked.topic);
        return Err(refusal(ResponseCode::TOPIC_NOT_EXIST, remark));
    }
    let illegal = |remark: &str| refusal(ResponseCode::ILLEGAL_OPERATION, remark);
    let handle =
        RecallHandle::decode(&asked.recall_handle).ok_or_else(|| illegal("recall handle is invalid"))?;
    if handle.topic != asked.topic.as_str() {
        return Err(illegal("recall failed, topic not match"));
    }
    if handle.broker != broker.identity.name {
        return Err(illegal("recall failed, broker service not available"));
    }
    let left = handle.time.parse::<Millis>().unwrap_or(-1).saturating_sub(broker.clock.now());
    let most = Millis::try_from(config.timer_max_delay_sec.duration().as_millis()).unwrap_or(Millis::MAX);
    if left <= 0 || left >= most {
        return Err(illegal("recall failed, timestamp invalid"));
    }
    Ok(handle)
}

fn message(
    broker: &Broker,
    handle: &RecallHandle,
    asked: &RecallMessageRequest,
    reply: &Responder,
) -> RecordFields {
    let now = broker.clock.now();
    let group = asked.producer_group.as_ref().map(|group| group.as_str()).unwrap_or_default();
    let items = [
        (name::TAGS, TAG),
        (name::TIMER_DEL_UNIQKEY, &handle.unique_key),
        (name::UNIQ_KEY, &handle.unique_key),
        (name::TIMER_DELIVER_MS, &handle.time),
        (name::BORN_TIMESTAMP, &now.to_string()),
        (name::TRACE_CONTEXT, ""),
        (name::PGROUP, group),
    ];
    let text: Vec<u8> = items.iter().flat_map(|(name, value)| property(name, value)).collect();
    RecordFields {
        topic: handle.topic.clone().into(),
        queue_id: 0,
        flag: 0,
        sys_flag: SysFlag(0),
        born_timestamp: now,
        born_host: reply.peer().remote(),
        store_host: broker.identity.address,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from_static(b"0"),
        properties: PropertyText::from(Bytes::from(text)),
    }
}
