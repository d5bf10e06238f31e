//! Questions to clients that operators send by way of the broker (fact sheet: remoting 4.2).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::answer::{Answer, Answered, error, refuse, respond};
use crate::{
    actors::{
        broker::Broker,
        groups::Client,
        remoting::{CallError, Request, Responder, request},
        store::Refusal,
    },
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::{Fields, Text},
        header::Header,
        json,
        message_id::OffsetMessageId,
        offsets::{ConsumerStatusBody, QueueOffsets},
        requests::client::{ConsumeDirectlyRequest, ConsumerRunningInfoRequest, ConsumerStatusRequest},
    },
    store::PhysicalOffset,
};

/// How long a client may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first version that answers them, V3_1_8_SNAPSHOT.
const ANSWERS_SINCE: i32 = 62;

/// GET_CONSUMER_RUNNING_INFO 307.
pub(super) fn running_info(broker: &Arc<Broker>, request: Request) {
    let found = ConsumerRunningInfoRequest::from_fields(&request.header.fields)
        .map_err(error)
        .and_then(|asked| member(broker, &asked.consumer_group, &asked.client_id));
    relay(
        found.map(|client| (client, request.header.fields, request.body)),
        RequestCode::GET_CONSUMER_RUNNING_INFO,
        request.reply,
    );
}

/// CONSUME_MESSAGE_DIRECTLY 309: the broker adds the message.
pub(super) fn consume_directly(broker: &Arc<Broker>, request: Request) {
    let question = with_message(broker, request.header.fields);
    relay(question, RequestCode::CONSUME_MESSAGE_DIRECTLY, request.reply);
}

type Question = (Client, Fields, Bytes);

fn with_message(broker: &Broker, fields: Fields) -> Result<Question, Refusal> {
    let asked = ConsumeDirectlyRequest::from_fields(&fields)?;
    let client = member(broker, &asked.consumer_group, asked.client_id.as_deref().unwrap_or_default())?;
    let topic = asked.topic.as_deref().and_then(|topic| broker.topics.get(topic));
    let group = broker.topics.group(&asked.consumer_group);
    let mut fields = fields.with("brokerName", broker.identity.name.as_str());
    fields.push("topicSysFlag", topic.map_or(0, |topic| topic.topic_sys_flag));
    fields.push("groupSysFlag", group.map_or(0, |group| group.group_sys_flag));
    let Some(id) = asked.msg_id.as_deref() else { return Ok((client, fields, Bytes::new())) };
    let id: OffsetMessageId = id.parse().map_err(error)?;
    let record = broker
        .store
        .record_at(PhysicalOffset(id.offset))
        .ok_or_else(|| error(format!("can not find message by the offset, {}", id.offset)))?;
    Ok((client, fields, record))
}

fn member(broker: &Broker, group: &str, client_id: &str) -> Result<Client, Refusal> {
    let client = broker.groups.live(group).and_then(|live| live.client(client_id));
    let client = client.ok_or_else(|| error(format!("The Consumer <{group}> <{client_id}> not online")))?;
    if client.version < ANSWERS_SINCE {
        let remark = format!(
            "The Consumer <{client_id}> Version <{}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT",
            client.version
        );
        return refuse(ResponseCode::SYSTEM_ERROR, remark);
    }
    Ok(client)
}

/// Asks the client, and hands on what it says as it is.
fn relay(question: Result<Question, Refusal>, code: RequestCode, reply: Responder) {
    let (client, fields, body) = match question {
        Ok(question) => question,
        Err(refusal) => return respond(reply, Err(refusal)),
    };
    actix_rt::spawn(async move {
        let header = Header::request(code).with_fields(fields);
        match client.peer.call(header, body, PATIENCE).await {
            Ok(frame) => {
                let answer = reply.answer(frame.header.response_code()).fields(&frame.header.fields);
                let answer = match frame.header.remark.as_deref() {
                    Some(remark) => answer.remark(remark),
                    None => answer,
                };
                reply.send(answer, if frame.body.is_empty() { Vec::new() } else { vec![frame.body] });
            }
            Err(cause) => respond(reply, Err(silence(&client, cause))),
        }
    });
}

fn silence(client: &Client, cause: CallError) -> Refusal {
    let code = match cause {
        CallError::TimedOut => ResponseCode::CONSUME_MSG_TIMEOUT,
        _ => ResponseCode::SYSTEM_ERROR,
    };
    Refusal { code, remark: format!("consumer <{}>: {cause}", client.client_id) }
}

/// INVOKE_BROKER_TO_GET_CONSUMER_STATUS 223: every member, or the one named, is asked how far it is.
pub(super) fn consumer_status(broker: &Arc<Broker>, request: Request) {
    let broker = broker.clone();
    actix_rt::spawn(async move { respond(request.reply, statuses(&broker, &request.header.fields).await) });
}

async fn statuses(broker: &Broker, fields: &Fields) -> Answered {
    let asked = ConsumerStatusRequest::from_fields(fields)?;
    let mut clients = broker.groups.live(&asked.group).map(|live| live.clients()).unwrap_or_default();
    if clients.is_empty() {
        let remark = format!("No Any Consumer online in the consumer group: [{}]", asked.group);
        return refuse(ResponseCode::CONSUMER_NOT_ONLINE, remark);
    }
    if let Some(wanted) = asked.client_addr.as_deref().filter(|wanted| !wanted.is_empty()) {
        clients.retain(|client| client.client_id == wanted);
    }
    let question =
        ConsumerStatusRequest { topic: asked.topic, group: asked.group, client_addr: None::<Text> };
    let mut body = ConsumerStatusBody::default();
    for client in clients {
        let header = request(RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT, &question);
        let Ok(frame) = client.peer.call(header, Bytes::new(), PATIENCE).await else { continue };
        if frame.header.response_code() == ResponseCode::SUCCESS {
            let told: ConsumerStatusBody = json::from_slice(&frame.body)?;
            body.consumer_table.insert(client.client_id, QueueOffsets(told.message_queue_table));
        }
    }
    Answer::json(&body)
}
