//! Which request goes where.

use std::sync::Arc;

use super::{Broker, admin, pull, query, recall, reply, send::Sends, send_back};
use crate::{
    actors::{
        live,
        remoting::{Peer, Request, Service},
        store::Refusal,
    },
    protocol::{
        codes::{RequestCode, ResponseCode},
        header::Header,
        requests::transaction::EndTransactionRequest,
    },
};

/// The broker as its connections see it.
#[derive(Debug)]
pub(super) struct BrokerService(pub(super) Arc<Broker>);

impl Service for BrokerService {
    async fn serve(&self, requests: Vec<Request>) {
        let broker = &self.0;
        let mut sends = Sends::new(broker);
        for request in requests {
            match request.header.request_code() {
                RequestCode::SEND_MESSAGE
                | RequestCode::SEND_MESSAGE_V2
                | RequestCode::SEND_BATCH_MESSAGE => {
                    sends.add(request);
                }
                RequestCode::PULL_MESSAGE | RequestCode::LITE_PULL_MESSAGE => {
                    pull::serve(broker, request).await
                }
                RequestCode::QUERY_MESSAGE => query::serve(broker, request),
                RequestCode::CONSUMER_SEND_MSG_BACK => send_back::serve(broker, request),
                RequestCode::RECALL_MESSAGE => recall::serve(broker, request),
                RequestCode::END_TRANSACTION => end_transaction(broker, request),
                RequestCode::SEND_REPLY_MESSAGE | RequestCode::SEND_REPLY_MESSAGE_V2 => {
                    reply::serve(broker, request);
                }
                _ => {
                    if let Some(request) = admin::serve(broker, request) {
                        live::serve(&broker.tree, request);
                    }
                }
            }
        }
        sends.submit().await;
    }

    fn closed(&self, peer: &Arc<Peer>) {
        self.0.groups.closed(peer);
    }
}

fn end_transaction(broker: &Arc<Broker>, request: Request) {
    let Request { header, reply, .. } = request;
    match EndTransactionRequest::from_fields(&header.fields) {
        Ok(asked) => broker.delivery.transactions.end(&asked, broker.clock.now(), move |ended| match ended {
            Ok(()) => reply.ok(),
            Err(Refusal { code, remark }) => {
                // Most producers do not wait for an answer.
                tracing::warn!(group = asked_group(&header), remark, "a transaction is not ended");
                reply.refuse(code, &remark);
            }
        }),
        Err(error) => reply.refuse(ResponseCode::SYSTEM_ERROR, &error.to_string()),
    }
}

fn asked_group(header: &Header) -> &str {
    header.fields.get("producerGroup").unwrap_or_default()
}
