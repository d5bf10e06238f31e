//! The requests that consumers and administration make, one function each.

use std::time::Duration;

use bytes::Bytes;

use super::{Error, ReceivedMessage, Result, core, core::Core, error::AnsweredBy, received};
use crate::protocol::{
    codes::{RequestCode, ResponseCode},
    connection::ConsumerList,
    fields::Emit,
    frame::Frame,
    json,
    lock::{LockBatchRequest, LockBatchResponse},
    message::MessageQueue,
    requests::{
        client::ConsumerGroupRequest,
        message::SendBackRequest,
        offset::{
            BoundaryType, MaxOffsetRequest, MinOffsetRequest, OffsetResponse, QueryConsumerOffsetRequest,
            SearchOffsetRequest, UpdateConsumerOffsetRequest,
        },
        pull::{PullMessageRequest, PullMessageResponse},
    },
};

/// How long a message that failed may take on its way back.
const SEND_BACK: Duration = Duration::from_secs(5);
/// How long a lock may take.
const LOCK: Duration = Duration::from_secs(1);

/// What a pull came to.
#[derive(Debug)]
pub(super) enum Pulled {
    /// Messages, and where to go on.
    Found(Vec<ReceivedMessage>, PullMessageResponse),
    /// Nothing for this consumer up to where it goes on.
    Nothing(PullMessageResponse),
    /// The queue has no such offset; this is where to go on.
    Moved(PullMessageResponse),
}

impl Core {
    async fn offset(&self, address: &str, code: RequestCode, request: &impl Emit) -> Result<i64> {
        let answer = self.call(address, code, request, vec![]).await?;
        OffsetResponse::from_fields(&answer.header.fields).answered_by(address).map(|it| it.offset)
    }

    /// The offset behind the last message of a queue.
    pub(super) async fn max_offset(&self, queue: &MessageQueue) -> Result<i64> {
        let request = MaxOffsetRequest {
            topic: queue.topic.as_str().into(),
            queue_id: queue.queue_id,
            committed: true,
        };
        self.offset(&self.routes.master(&queue.broker_name)?, RequestCode::GET_MAX_OFFSET, &request).await
    }

    /// The first offset of a queue.
    pub(super) async fn min_offset(&self, queue: &MessageQueue) -> Result<i64> {
        let request = MinOffsetRequest { topic: queue.topic.as_str().into(), queue_id: queue.queue_id };
        self.offset(&self.routes.master(&queue.broker_name)?, RequestCode::GET_MIN_OFFSET, &request).await
    }

    /// The offset of the first message stored at `timestamp` (ms since 1970) or later.
    pub(super) async fn offset_of_time(&self, queue: &MessageQueue, timestamp: i64) -> Result<i64> {
        let request = SearchOffsetRequest {
            topic: queue.topic.as_str().into(),
            queue_id: queue.queue_id,
            timestamp,
            boundary_type: BoundaryType::Lower,
        };
        let address = self.routes.master(&queue.broker_name)?;
        self.offset(&address, RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, &request).await
    }

    /// How far a group is in a queue; none when it never was there.
    pub(super) async fn committed(&self, group: &str, queue: &MessageQueue) -> Result<Option<i64>> {
        let request = QueryConsumerOffsetRequest {
            consumer_group: group.into(),
            topic: queue.topic.as_str().into(),
            queue_id: queue.queue_id,
            set_zero_if_not_found: None,
        };
        let address = self.routes.address(&queue.broker_name, 0)?;
        match self.offset(&address, RequestCode::QUERY_CONSUMER_OFFSET, &request).await {
            Ok(offset) => Ok(Some(offset)),
            Err(error) if error.code() == Some(ResponseCode::QUERY_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores how far a group is in a queue.
    pub(super) async fn commit(&self, group: &str, queue: &MessageQueue, offset: i64) -> Result<()> {
        let request = UpdateConsumerOffsetRequest {
            consumer_group: group.into(),
            topic: queue.topic.as_str().into(),
            queue_id: queue.queue_id,
            commit_offset: offset,
        };
        let address = self.routes.address(&queue.broker_name, 0)?;
        self.call(&address, RequestCode::UPDATE_CONSUMER_OFFSET, &request, vec![]).await.map(drop)
    }

    /// The members of a group, sorted, as a broker of the topic knows them.
    pub(super) async fn members(&self, address: &str, group: &str) -> Result<Vec<String>> {
        let request = ConsumerGroupRequest { consumer_group: group.into() };
        let answer = self.call(address, RequestCode::GET_CONSUMER_LIST_BY_GROUP, &request, vec![]).await?;
        let mut ids = json::from_slice::<ConsumerList>(&answer.body).answered_by(address)?.consumer_id_list;
        ids.sort();
        Ok(ids)
    }

    /// Pulls once. A held pull that nobody answers closes its connection.
    pub(super) async fn pull(
        &self,
        address: &str,
        broker_name: &str,
        code: RequestCode,
        request: &PullMessageRequest,
        timeout: Duration,
    ) -> Result<Pulled> {
        let pull = core::request(code, request, vec![]);
        let answer = self.pool.call_or_close(address, pull, timeout).await?;
        let answered =
            |answer: &Frame| PullMessageResponse::from_fields(&answer.header.fields).answered_by(address);
        match answer.header.response_code() {
            ResponseCode::SUCCESS => {
                let header = answered(&answer)?;
                let messages = received::messages(&answer.body, broker_name)
                    .map_err(|error| Error::protocol(address, error))?;
                Ok(Pulled::Found(messages, header))
            }
            ResponseCode::PULL_NOT_FOUND | ResponseCode::PULL_RETRY_IMMEDIATELY => {
                answered(&answer).map(Pulled::Nothing)
            }
            ResponseCode::PULL_OFFSET_MOVED => answered(&answer).map(Pulled::Moved),
            code => Err(core::refusal(address, code, answer)),
        }
    }

    /// Hands a message back that was consumed in vain.
    pub(super) async fn send_back(&self, address: &str, request: &SendBackRequest) -> Result<()> {
        let code = RequestCode::CONSUMER_SEND_MSG_BACK;
        self.call_within(address, code, request, vec![], SEND_BACK).await.map(drop)
    }

    /// Locks queues of one broker for this client; gives those that it got.
    pub(super) async fn lock(
        &self,
        broker: &str,
        group: &str,
        queues: Vec<MessageQueue>,
    ) -> Result<Vec<MessageQueue>> {
        let address = self.routes.master(broker)?;
        let body = self.lock_body(group, queues)?;
        let answer = self.call_within(&address, RequestCode::LOCK_BATCH_MQ, &(), body, LOCK).await?;
        json::from_slice::<LockBatchResponse>(&answer.body).answered_by(&address).map(|it| it.lock_ok_mq_set)
    }

    /// Gives locks back, without waiting for an answer.
    pub(super) async fn unlock(&self, broker: &str, group: &str, queues: Vec<MessageQueue>) -> Result<()> {
        let address = self.routes.master(broker)?;
        let body = self.lock_body(group, queues)?;
        self.pool.tell(&address, core::request(RequestCode::UNLOCK_BATCH_MQ, &(), body)).await
    }

    fn lock_body(&self, group: &str, queues: Vec<MessageQueue>) -> Result<Bytes> {
        let request = LockBatchRequest {
            client_id: self.client_id.clone(),
            consumer_group: group.to_owned(),
            mq_set: queues,
            only_this_broker: false,
        };
        Ok(json::to_vec(&request)?.into())
    }
}
