//! Replies of a request-reply pair: handed to the client that asked, and stored (fact sheet: remoting 5.4).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::Broker;
use crate::{
    actors::{
        delivery::redirect,
        remoting::{Request, Responder, request},
        store::{Acknowledgement, Placed, Refusal},
    },
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::{Text, Value},
        message_id::OffsetMessageId,
        properties::{self, Properties, name},
        record::{PropertyText, RecordFields},
        requests::send::{ReplyMessageRequest, SendMessageRequest},
        sys_flag::SysFlag,
    },
};

/// How long the requester may take to say that it has the reply.
const PATIENCE: Duration = Duration::from_secs(3);

/// SEND_REPLY_MESSAGE 324 and 325. The connection does not wait for the requester.
pub(super) fn serve(broker: &Arc<Broker>, request: Request) {
    let Request { header, body, reply, .. } = request;
    let header = match SendMessageRequest::of(header.request_code(), &header.fields) {
        Ok(header) => header,
        Err(error) => return reply.refuse(ResponseCode::SYSTEM_ERROR, &error.to_string()),
    };
    let Some(topic) = broker.topics.get(&header.topic) else {
        let remark = format!("topic[{}] not exist, apply first please!", header.topic);
        return reply.refuse(ResponseCode::TOPIC_NOT_EXIST, &remark);
    };
    let queue_id = match header.queue_id {
        chosen @ 0.. => chosen,
        _ => fastrand::i32(0..topic.write_queue_nums.max(1)),
    };
    if queue_id >= topic.write_queue_nums.max(topic.read_queue_nums) {
        let remark = format!("request queueId[{queue_id}] is illegal, {:?}", topic.topic_name);
        return reply.refuse(ResponseCode::INVALID_PARAMETER, &remark);
    }
    let header = SendMessageRequest { queue_id, ..header };
    let broker = broker.clone();
    actix_rt::spawn(async move {
        let pushed = push(&broker, &header, &body, &reply).await;
        store(&broker, header, body, reply, pushed);
    });
}

/// Hands the reply to the client that waits for it.
async fn push(
    broker: &Broker,
    header: &SendMessageRequest,
    body: &Bytes,
    replier: &Responder,
) -> Result<(), String> {
    let text = header.properties.as_ref().map(Text::as_bytes).unwrap_or_default();
    let client_id = properties::get_str(text, name::REPLY_TO_CLIENT)
        .ok_or_else(|| format!("reply message properties[{}] is null", name::REPLY_TO_CLIENT))?;
    let client = broker
        .groups
        .producer_client(client_id)
        .ok_or_else(|| format!("push reply message fail, channel of <{client_id}> not found."))?;
    let now = broker.clock.now();
    let mut properties = Properties::parse(text);
    // A number is sound.
    let _ = properties.set(name::PUSH_REPLY_TIME, now.to_string());
    let properties = String::from_utf8(properties.as_bytes().to_vec()).map_err(|error| error.to_string())?;
    let question = ReplyMessageRequest {
        producer_group: header.producer_group.clone(),
        topic: header.topic.clone(),
        default_topic: header.default_topic.clone(),
        default_topic_queue_nums: header.default_topic_queue_nums,
        queue_id: header.queue_id,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        flag: header.flag,
        properties: Some(properties.into()),
        reconsume_times: header.reconsume_times,
        unit_mode: header.unit_mode,
        born_host: replier.peer().remote().to_string().into(),
        store_host: broker.identity.address.to_string().into(),
        store_timestamp: now,
    };
    let question = request(RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT, &question);
    match client.peer.call(question, body.clone(), PATIENCE).await {
        Ok(frame) if frame.header.response_code() == ResponseCode::SUCCESS => Ok(()),
        Ok(_) => Err(format!("push reply message to {client_id} fail.")),
        Err(cause) => Err(format!("push reply message to {client_id} fail: {cause}")),
    }
}

/// Stores the reply, if replies are stored, and answers the replier.
fn store(
    broker: &Arc<Broker>,
    header: SendMessageRequest,
    body: Bytes,
    reply: Responder,
    pushed: Result<(), String>,
) {
    let text = header.properties.clone().unwrap_or_default().into_bytes();
    let unique_key = properties::get(&text, name::UNIQ_KEY).map(Bytes::copy_from_slice);
    let receipt = Receipt { broker: broker.clone(), reply, pushed, queue_id: header.queue_id, unique_key };
    if !broker.config.get().store_reply_message_enable {
        return receipt.give(Ok(None));
    }
    let mut stored = PropertyText::from(text);
    stored.push(redirect::property(name::PUSH_REPLY_TIME, broker.clock.now().to_string()));
    stored.push(broker.added_properties.clone());
    let fields = RecordFields {
        topic: header.topic.into_bytes(),
        queue_id: header.queue_id,
        flag: header.flag,
        sys_flag: SysFlag(header.sys_flag),
        born_timestamp: header.born_timestamp,
        born_host: receipt.reply.peer().remote(),
        store_host: broker.identity.address,
        reconsume_times: header.reconsume_times.unwrap_or(0),
        prepared_transaction_offset: 0,
        body,
        properties: stored,
    };
    let ack = Acknowledgement::inner(move |outcome| receipt.give(outcome.map(Some)));
    broker.queues.put(fields, ack);
}

/// What the replier is told.
struct Receipt {
    broker: Arc<Broker>,
    reply: Responder,
    pushed: Result<(), String>,
    queue_id: i32,
    unique_key: Option<Bytes>,
}

impl Receipt {
    /// Whether the requester has the reply decides; where it is stored is told in any case.
    fn give(self, stored: Result<Option<Placed>, Refusal>) {
        let Self { broker, reply, pushed, queue_id, unique_key } = self;
        let placed = stored.unwrap_or_else(|Refusal { remark, .. }| {
            tracing::warn!(remark, "a reply is not stored");
            None
        });
        let (physical, offset) =
            placed.map_or((0, 0), |placed| (placed.physical_offset.0, placed.queue_offset.0));
        let id = OffsetMessageId { host: broker.identity.address, offset: physical }.to_string();
        let key = unique_key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        let fields = (
            (("msgId", Value::Text(&id)), ("queueId", Value::from(queue_id))),
            (("queueOffset", Value::from(offset)), (("transactionId", Value::Text(key)), &*broker.origin)),
        );
        match pushed {
            Ok(()) => reply.fields(fields),
            Err(remark) => {
                let answer = reply.answer(ResponseCode::SYSTEM_ERROR).remark(&remark).fields(fields);
                reply.send(answer, Vec::new());
            }
        }
    }
}
