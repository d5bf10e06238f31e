//! Many messages in one request (fact sheet: client 3.4).

use std::sync::Arc;

use tokio::time::Instant;

use super::{Deadline, Receipt, Shared, send::Outgoing};
use crate::{
    client::{Error, Message, Result},
    protocol::{
        batch::BatchBody,
        codes::RequestCode,
        properties::name,
        sys_flag::{SysFlag, TransactionType},
        topic::RETRY_PREFIX,
    },
};

pub(super) async fn send(shared: &Arc<Shared>, messages: Vec<Message>) -> Result<Receipt> {
    let max = shared.settings.max_message_size;
    let Some(first) = messages.first() else { return Err(Error::message("the batch is empty")) };
    check(&messages, first)?;
    let (topic, waits) = (first.topic().to_owned(), first.get(name::WAIT) != Some("false"));
    let mut body = BatchBody::new();
    let mut ids = Vec::with_capacity(messages.len());
    for message in &messages {
        message.check(max)?;
        let id = shared.core.unique_id().as_str().to_owned();
        let properties = message.properties_with(&id, &[])?;
        body.push(message.application_flag(), message.body(), &properties).map_err(Error::message)?;
        ids.push(id);
    }
    if body.len() > max {
        return Err(Error::message(format!(
            "the batch has {} bytes, {max} are allowed: split it",
            body.len()
        )));
    }
    let (started, deadline) = (Instant::now(), Deadline::within(shared.settings.send_timeout));
    let _room = shared.admit(body.len(), &deadline).await?;
    let whole = Message::new(topic, body.finish());
    let whole = if waits { whole } else { whole.without_waiting() };
    let batch_id = shared.core.unique_id().as_str().to_owned();
    let outgoing = Outgoing {
        topic: whole.topic().to_owned(),
        unique_id: ids.join(","),
        properties: whole.properties_with(&batch_id, &[])?,
        body: whole.body().clone(),
        sys_flag: SysFlag::default(),
        flag: 0,
        code: RequestCode::SEND_BATCH_MESSAGE,
        reconsume: None,
    };
    let receipt = shared.deliver_in_turn(&outgoing, &deadline).await?;
    if let Some(tracer) = &shared.core.tracer {
        tracer.published(&shared.group, &whole, &receipt, TransactionType::None, started.elapsed());
    }
    Ok(receipt)
}

fn check(messages: &[Message], first: &Message) -> Result<()> {
    if first.topic().starts_with(RETRY_PREFIX) {
        return Err(Error::message("retries cannot be sent as a batch"));
    }
    for message in messages {
        if message.topic() != first.topic() {
            let (one, other) = (first.topic(), message.topic());
            return Err(Error::message(format!("a batch has one topic, this one has {one} and {other}")));
        }
        if message.get(name::WAIT) != first.get(name::WAIT) {
            return Err(Error::message("all messages of a batch wait for the store, or none"));
        }
        if message.is_delayed() {
            return Err(Error::message("a message with a delay cannot be in a batch"));
        }
    }
    Ok(())
}
