//! What servers ask of a client (fact sheet: client 4.8).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::{ReceivedMessage, compression::decompressed, core::Core, net::Inbound, received};
use crate::protocol::{
    codes::{RequestCode, ResponseCode},
    json,
    offsets::ResetOffsetBody,
    properties::{self, name},
    requests::{
        client::{
            ConsumeDirectlyRequest, ConsumerGroupRequest, ConsumerRunningInfoRequest, ConsumerStatusRequest,
        },
        offset::ResetOffsetRequest,
        send::ReplyMessageRequest,
        transaction::CheckTransactionStateRequest,
    },
    sys_flag::SysFlag,
};

/// A broker's question how a transaction ended.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) address: String,
    pub(super) request: CheckTransactionStateRequest,
    pub(super) half: ReceivedMessage,
}

/// Requests that wait for the reply of another client, by correlation id.
#[derive(Debug, Default)]
pub(super) struct Replies(Mutex<HashMap<String, oneshot::Sender<Bytes>>>);

impl Replies {
    /// Waits for a reply; dropping the result forgets it.
    pub(super) fn expect(&self, correlation_id: String) -> Expected<'_> {
        let (replied, reply) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(correlation_id.clone(), replied);
        Expected { replies: self, correlation_id, reply }
    }

    fn take(&self, correlation_id: &str) -> Option<oneshot::Sender<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(correlation_id)
    }
}

/// A reply to come.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    replies: &'a Replies,
    correlation_id: String,
    pub(super) reply: oneshot::Receiver<Bytes>,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.replies.take(&self.correlation_id);
    }
}

/// What a question came to.
enum Served {
    /// Done, with a body for who wants an answer.
    Now(Vec<u8>),
    /// Somebody works on it.
    Later(oneshot::Receiver<Vec<u8>>),
}

/// Serves what arrives, one after the other; nothing here waits.
pub(super) async fn serve(core: Weak<Core>, mut inbound: mpsc::Receiver<Inbound>) {
    while let Some(asked) = inbound.recv().await {
        let Some(core) = core.upgrade() else { return };
        let code = asked.frame.header.request_code();
        let served = match code {
            RequestCode::NOTIFY_CONSUMER_IDS_CHANGED => members_changed(&core, &asked),
            RequestCode::CHECK_TRANSACTION_STATE => check_transaction(&core, &asked),
            RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT => reply_arrived(&core, &asked),
            RequestCode::GET_CONSUMER_RUNNING_INFO => running_info(&core, &asked),
            RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT => offsets(&core, &asked),
            RequestCode::RESET_CONSUMER_CLIENT_OFFSET => reset(&core, &asked),
            RequestCode::CONSUME_MESSAGE_DIRECTLY => consume(&core, &asked),
            _ => None,
        };
        debug!(%code, is_served = served.is_some(), address = %asked.address, "asked by a server");
        match served {
            Some(Served::Now(body)) => asked.answer(ResponseCode::SUCCESS, &body),
            Some(Served::Later(answer)) => {
                tokio::spawn(async move {
                    let (code, body) = match answer.await {
                        Ok(body) => (ResponseCode::SUCCESS, body),
                        Err(_) => (ResponseCode::SYSTEM_ERROR, Vec::new()),
                    };
                    asked.answer(code, &body);
                });
            }
            None => asked.answer(ResponseCode::SYSTEM_ERROR, b""),
        }
    }
}

fn done() -> Served {
    Served::Now(Vec::new())
}

fn running_info(core: &Core, asked: &Inbound) -> Option<Served> {
    let request = ConsumerRunningInfoRequest::from_fields(&asked.frame.header.fields).ok()?;
    core.consumer(&request.consumer_group)?.running().map(Served::Now)
}

fn offsets(core: &Core, asked: &Inbound) -> Option<Served> {
    let request = ConsumerStatusRequest::from_fields(&asked.frame.header.fields).ok()?;
    core.consumer(&request.group)?.offsets(&request.topic).map(Served::Now)
}

fn reset(core: &Core, asked: &Inbound) -> Option<Served> {
    let request = ResetOffsetRequest::from_fields(&asked.frame.header.fields).ok()?;
    let body: ResetOffsetBody = json::from_slice(&asked.frame.body).ok()?;
    core.consumer(&request.group)?.reset(body.offset_table);
    Some(done())
}

fn consume(core: &Core, asked: &Inbound) -> Option<Served> {
    let request = ConsumeDirectlyRequest::from_fields(&asked.frame.header.fields).ok()?;
    let broker = request.broker_name.as_deref().unwrap_or_default();
    let message = received::messages(&asked.frame.body, broker).ok()?.into_iter().next()?;
    let (answer, result) = oneshot::channel();
    core.consumer(&request.consumer_group)?.consume(message, answer);
    Some(Served::Later(result))
}

fn members_changed(core: &Core, asked: &Inbound) -> Option<Served> {
    let request = ConsumerGroupRequest::from_fields(&asked.frame.header.fields).ok()?;
    core.wake_consumer(Some(&request.consumer_group));
    Some(done())
}

fn check_transaction(core: &Core, asked: &Inbound) -> Option<Served> {
    let request = CheckTransactionStateRequest::from_fields(&asked.frame.header.fields).ok()?;
    let broker = request.broker_name.as_deref().unwrap_or_default();
    let half = received::messages(&asked.frame.body, broker).ok()?.into_iter().next()?;
    let checker = core.checker(half.property(name::PGROUP)?)?;
    // A full queue loses the question; the broker asks again.
    checker.try_send(Asked { address: asked.address.to_string(), request, half }).ok().map(|()| done())
}

fn reply_arrived(core: &Core, asked: &Inbound) -> Option<Served> {
    let request = ReplyMessageRequest::from_fields(&asked.frame.header.fields).ok()?;
    let properties = request.properties?;
    let waiting = core.replies.take(properties::get_str(properties.as_bytes(), name::CORRELATION_ID)?)?;
    let flag = SysFlag(request.sys_flag);
    let (body, _) = decompressed(asked.frame.body.clone(), flag);
    waiting.send(body).ok().map(|()| done())
}
