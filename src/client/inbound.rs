//! What servers ask of a client (fact sheet: client 4.8).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::{ReceivedMessage, core::Core, net::Inbound, received};
use crate::protocol::{
    codes::{RequestCode, ResponseCode},
    properties::{self, name},
    requests::{
        client::ConsumerGroupRequest, send::ReplyMessageRequest, transaction::CheckTransactionStateRequest,
    },
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

/// Serves what arrives, one after the other; nothing here waits.
pub(super) async fn serve(core: Weak<Core>, mut inbound: mpsc::Receiver<Inbound>) {
    while let Some(asked) = inbound.recv().await {
        let Some(core) = core.upgrade() else { return };
        let code = asked.frame.header.request_code();
        let served = match code {
            RequestCode::NOTIFY_CONSUMER_IDS_CHANGED => members_changed(&core, &asked),
            RequestCode::CHECK_TRANSACTION_STATE => check_transaction(&core, &asked),
            RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT => reply_arrived(&core, &asked),
            _ => None,
        };
        let answer = match served {
            Some(()) => ResponseCode::SUCCESS,
            None => ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
        };
        debug!(%code, %answer, address = %asked.address, "asked by a server");
        asked.answer(answer, b"").await;
    }
}

fn members_changed(core: &Core, asked: &Inbound) -> Option<()> {
    let request = ConsumerGroupRequest::from_fields(&asked.frame.header.fields).ok()?;
    core.wake_consumer(Some(&request.consumer_group));
    Some(())
}

fn check_transaction(core: &Core, asked: &Inbound) -> Option<()> {
    let request = CheckTransactionStateRequest::from_fields(&asked.frame.header.fields).ok()?;
    let broker = request.broker_name.as_deref().unwrap_or_default();
    let half = received::messages(&asked.frame.body, broker).ok()?.into_iter().next()?;
    let checker = core.checker(half.property(name::PGROUP)?)?;
    // A full queue loses the question; the broker asks again.
    checker.try_send(Asked { address: asked.address.to_string(), request, half }).ok()
}

fn reply_arrived(core: &Core, asked: &Inbound) -> Option<()> {
    let request = ReplyMessageRequest::from_fields(&asked.frame.header.fields).ok()?;
    let properties = request.properties?;
    let waiting = core.replies.take(properties::get_str(properties.as_bytes(), name::CORRELATION_ID)?)?;
    let flag = crate::protocol::sys_flag::SysFlag(request.sys_flag);
    let (body, _) = received::inflate(asked.frame.body.clone(), flag);
    waiting.send(body).ok()
}
