//! Messages that become visible when a local transaction has ended well (fact sheet: client 3.5).

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{Producer, Receipt, SendStatus, Shared};
use crate::{
    client::{
        Error, Message, ReceivedMessage, Result,
        core::{Core, request as request_frame},
        inbound::Asked,
        task::Task,
        trace::{Half, store_host},
    },
    protocol::{
        codes::RequestCode,
        fields::Text,
        message_id::OffsetMessageId,
        properties::name,
        requests::transaction::{EndTransactionRequest, Outcome},
        sys_flag::TransactionType,
    },
};

/// How a local transaction stands.
///
/// ```
/// use castmq::client::TransactionState;
/// let state = |is_paid: Option<bool>| match is_paid {
///     Some(true) => TransactionState::Commit,
///     Some(false) => TransactionState::Rollback,
///     None => TransactionState::Unknown,
/// };
/// assert_eq!(state(None), TransactionState::Unknown);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// It ended well: consumers shall see the message.
    Commit,
    /// It failed: nobody shall see the message.
    Rollback,
    /// Not known yet: the broker asks again.
    Unknown,
}

impl From<TransactionState> for Outcome {
    fn from(state: TransactionState) -> Self {
        match state {
            TransactionState::Commit => Self::Commit,
            TransactionState::Rollback => Self::Rollback,
            TransactionState::Unknown => Self::Unknown,
        }
    }
}

/// The local side of transactions.
///
/// ```no_run
/// use castmq::client::{Client, Message, ReceivedMessage, Receipt, Result, TransactionListener, TransactionState};
///
/// struct Accounts;
///
/// impl TransactionListener for Accounts {
///     async fn execute(&self, message: &Message, _receipt: &Receipt) -> TransactionState {
///         if message.body().is_empty() { TransactionState::Rollback } else { TransactionState::Commit }
///     }
///     async fn check(&self, _half: &ReceivedMessage) -> TransactionState {
///         TransactionState::Commit
///     }
/// }
///
/// # async fn f(client: Client) -> Result<()> {
/// let producer = client.producer("payments").transactional(Accounts).await?;
/// producer.send(Message::new("paid", "42")).await?;
/// # Ok(()) }
/// ```
pub trait TransactionListener: Send + Sync + 'static {
    /// Runs the local transaction, once its message is stored but not visible.
    fn execute(&self, message: &Message, receipt: &Receipt) -> impl Future<Output = TransactionState> + Send;

    /// Says how a transaction ended that the broker does not know the end of.
    fn check(&self, half: &ReceivedMessage) -> impl Future<Output = TransactionState> + Send;
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`TransactionListener`] behind a pointer.
trait AnyListener: Send + Sync + 'static {
    fn execute<'a>(&'a self, message: &'a Message, receipt: &'a Receipt) -> BoxFuture<'a, TransactionState>;
    fn check<'a>(&'a self, half: &'a ReceivedMessage) -> BoxFuture<'a, TransactionState>;
}

impl<L: TransactionListener> AnyListener for L {
    fn execute<'a>(&'a self, message: &'a Message, receipt: &'a Receipt) -> BoxFuture<'a, TransactionState> {
        Box::pin(TransactionListener::execute(self, message, receipt))
    }

    fn check<'a>(&'a self, half: &'a ReceivedMessage) -> BoxFuture<'a, TransactionState> {
        Box::pin(TransactionListener::check(self, half))
    }
}

/// Sends messages in transactions. Clones are the same producer.
///
/// ```no_run
/// # async fn f(producer: castmq::client::TransactionProducer) -> Result<(), castmq::client::Error> {
/// use castmq::client::Message;
/// let (receipt, state) = producer.send(Message::new("paid", "42")).await?;
/// println!("{} ended as {state:?}", receipt.message_id);
/// producer.producer().send(Message::new("log", "42 was paid")).await?;
/// producer.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TransactionProducer {
    producer: Producer,
    listener: Arc<dyn AnyListener>,
    _checker: Arc<Task>,
}

impl std::fmt::Debug for TransactionProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionProducer").field("producer", &self.producer).finish_non_exhaustive()
    }
}

pub(super) fn start(
    producer: Producer,
    listener: Arc<impl TransactionListener>,
    asked: mpsc::Receiver<Asked>,
) -> TransactionProducer {
    let checker = Task::spawn(answer_checks(
        producer.shared.core.clone(),
        producer.shared.group.clone(),
        listener.clone(),
        asked,
    ));
    TransactionProducer { producer, listener, _checker: Arc::new(checker) }
}

impl TransactionProducer {
    /// Stores the message unseen, runs the local transaction, and tells the broker how it ended. A broker that
    /// does not hear of the end asks for it.
    ///
    /// # Errors
    /// As [`Producer::send`]: the local transaction has not run then. A message with a delay is refused.
    pub async fn send(&self, message: Message) -> Result<(Receipt, TransactionState)> {
        let shared = &self.producer.shared;
        if message.is_delayed() {
            return Err(Error::message("a message of a transaction cannot have a delay"));
        }
        let more = [(name::TRAN_MSG, "true"), (name::PGROUP, shared.group.as_str())];
        let sent = self.producer.send(message.clone()).run(TransactionType::Prepared, &more);
        let receipt = sent.await?;
        let state = match receipt.status {
            SendStatus::Ok => self.listener.execute(&message, &receipt).await,
            _ => TransactionState::Rollback,
        };
        if let Err(error) = end(shared, &message, &receipt, state).await {
            warn!(%error, id = receipt.message_id, "the end of a transaction was not told: the broker will ask");
        }
        Ok((receipt, state))
    }

    /// The producer, for messages outside of transactions.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// As [`Producer::shutdown`].
    pub async fn shutdown(&self) {
        self.producer.shutdown().await;
    }
}

async fn end(shared: &Shared, message: &Message, receipt: &Receipt, state: TransactionState) -> Result<()> {
    let address = shared.core.routes.master(&receipt.queue.broker_name)?;
    let lies: OffsetMessageId =
        receipt.offset_message_id.parse().map_err(|error| Error::protocol(&address, error))?;
    let request = EndTransactionRequest {
        topic: Some(message.topic().into()),
        producer_group: shared.group.as_str().into(),
        tran_state_table_offset: receipt.queue_offset,
        commit_log_offset: lies.offset,
        outcome: state.into(),
        from_transaction_check: false,
        msg_id: receipt.message_id.as_str().into(),
        transaction_id: Some(receipt.message_id.as_str().into()),
    };
    if let Some(tracer) = &shared.core.tracer {
        let half = Half {
            topic: message.topic(),
            id: &receipt.message_id,
            tags: message.get(name::TAGS).unwrap_or_default(),
            keys: message.keys(),
            store_host: store_host(&receipt.offset_message_id),
        };
        tracer.ended(&shared.group, &half, state, false);
    }
    shared.core.pool.tell(&address, request_frame(RequestCode::END_TRANSACTION, &request, vec![])).await
}

/// Answers the brokers' questions one after the other, as Java does with its one thread.
async fn answer_checks(
    core: Arc<Core>,
    group: String,
    listener: Arc<dyn AnyListener>,
    mut asked: mpsc::Receiver<Asked>,
) {
    while let Some(Asked { address, request, half }) = asked.recv().await {
        let id = half.property(name::UNIQ_KEY).map_or_else(|| half.id(), str::to_owned);
        // A panic in the listener must not end the answering.
        let state = CatchPanic(listener.check(&half)).await.unwrap_or(TransactionState::Unknown);
        let answer = EndTransactionRequest {
            topic: Some(half.topic().into()),
            producer_group: group.as_str().into(),
            tran_state_table_offset: request.tran_state_table_offset,
            commit_log_offset: request.commit_log_offset,
            outcome: state.into(),
            from_transaction_check: true,
            msg_id: Text::from(id.as_str()),
            transaction_id: request.transaction_id,
        };
        let frame = request_frame(RequestCode::END_TRANSACTION, &answer, vec![]);
        let told = core.pool.tell(&address, frame).await;
        debug!(id, ?state, ?told, "transaction checked");
        if let Some(tracer) = &core.tracer {
            let half = Half {
                topic: half.topic(),
                id: &id,
                tags: half.tag().unwrap_or_default(),
                keys: half.property(name::KEYS).unwrap_or_default(),
                store_host: half.store_host().to_string(),
            };
            tracer.ended(&group, &half, state, true);
        }
    }
}

/// A future that ends with `None` when it panics.
struct CatchPanic<'a, T>(BoxFuture<'a, T>);

impl<T> Future for CatchPanic<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<T>> {
        let inner = &mut self.0;
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| inner.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => std::task::Poll::Ready(None),
        }
    }
}
