//! Questions and replies, and messages taken back (fact sheet: client 3.4).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Deadline, Receipt, Sending, Shared, send::Outgoing};
use crate::{
    client::{Error, Message, ReceivedMessage, Result, error::AnsweredBy},
    protocol::{
        codes::RequestCode,
        properties::name,
        recall::RecallHandle,
        requests::send::{RecallMessageRequest, RecallMessageResponse},
        sys_flag::TransactionType,
    },
};

/// Value of the property that marks a reply.
const REPLY: &str = "reply";

/// A message that asks for a reply.
///
/// ```no_run
/// # async fn f(producer: castmq::client::Producer, asked: castmq::client::ReceivedMessage)
/// # -> Result<(), castmq::client::Error> {
/// if let Some(question) = castmq::client::Request::of(&asked) {
///     producer.reply(&question, "42").await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    cluster: &'a str,
    client: &'a str,
    correlation_id: &'a str,
    ttl: &'a str,
}

impl<'a> Request<'a> {
    /// The question in a message; none when nobody waits for a reply.
    pub fn of(message: &'a ReceivedMessage) -> Option<Self> {
        Some(Self {
            cluster: message.property(name::CLUSTER)?,
            client: message.property(name::REPLY_TO_CLIENT)?,
            correlation_id: message.property(name::CORRELATION_ID)?,
            ttl: message.property(name::TTL)?,
        })
    }
}

pub(super) async fn request(shared: &Arc<Shared>, message: Message, timeout: Duration) -> Result<Bytes> {
    let deadline = Deadline::within(timeout);
    let correlation_id = shared.core.unique_id().as_str().to_owned();
    let topic = message.topic().to_owned();
    deadline.bound("the brokers", announce(shared, &topic)).await?;
    let mut expected = shared.core.replies.expect(correlation_id.clone());
    let message = message
        .set(name::CORRELATION_ID, correlation_id)
        .set(name::REPLY_TO_CLIENT, shared.core.client_id.clone())
        .set(name::TTL, i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).to_string());
    Sending::new(shared, message).run_by(&deadline, TransactionType::None, &[]).await?;
    let reply = async { (&mut expected.reply).await.map_err(|_| Error::Closed) };
    deadline.bound(&format!("a consumer of {topic}"), reply).await
}

/// Has the brokers of a topic told of this producer: they find the way back by that.
async fn announce(shared: &Arc<Shared>, topic: &str) -> Result<()> {
    let is_new = !shared.core.routes.is_known(topic);
    shared.route(topic).await?;
    if is_new && shared.announced.initialized() {
        shared.core.heartbeat().await;
    }
    shared.announced.get_or_init(|| shared.core.heartbeat()).await;
    Ok(())
}

pub(super) async fn reply(shared: &Arc<Shared>, question: &Request<'_>, body: Bytes) -> Result<Receipt> {
    let message = Message::new(format!("{}_REPLY_TOPIC", question.cluster), body)
        .set(name::MSG_TYPE, REPLY.to_owned())
        .set(name::CORRELATION_ID, question.correlation_id.to_owned())
        .set(name::REPLY_TO_CLIENT, question.client.to_owned())
        .set(name::TTL, question.ttl.to_owned());
    message.check(shared.settings.max_message_size)?;
    let deadline = Deadline::within(shared.settings.send_timeout);
    let _room = shared.admit(message.body_len(), &deadline).await?;
    let outgoing = Outgoing {
        code: RequestCode::SEND_REPLY_MESSAGE_V2,
        ..Outgoing::of(shared, &message, TransactionType::None, &[])?
    };
    shared.deliver_in_turn(&outgoing, &deadline).await
}

pub(super) async fn recall(shared: &Arc<Shared>, topic: &str, handle: &str) -> Result<String> {
    let broker = RecallHandle::decode(handle)
        .map(|handle| handle.broker)
        .ok_or_else(|| Error::config("the recall handle cannot be read"))?;
    shared.route(topic).await?;
    let address = shared.core.routes.master(&broker)?;
    let request = RecallMessageRequest {
        producer_group: Some(shared.group.as_str().into()),
        topic: topic.into(),
        recall_handle: handle.into(),
    };
    let answer = shared.core.call(&address, RequestCode::RECALL_MESSAGE, &request, vec![]).await?;
    let response = RecallMessageResponse::from_fields(&answer.header.fields).answered_by(&address)?;
    let id = String::from(response.msg_id);
    if let Some(tracer) = &shared.core.tracer {
        tracer.recalled(&shared.group, topic, &id);
    }
    Ok(id)
}
