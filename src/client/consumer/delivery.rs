//! A message in the application's hands.

use std::{
    fmt::Display,
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::{PushConsumer, group::Group, process::ProcessQueue, retry::Failure};
use crate::client::{ReceivedMessage, trace::Consuming};

/// What became of a message.
///
/// ```
/// use castmq::client::Outcome;
/// fn judge(tries: u32) -> Outcome {
///     match tries {
///         0 => Outcome::Later,
///         1 => Outcome::LaterBy(5),
///         _ => Outcome::DeadLetter,
///     }
/// }
/// assert_eq!(Outcome::from(()), Outcome::Done);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done with.
    Done,
    /// It comes again: later each time, or in order after a while.
    Later,
    /// It comes again after the time of this delay level, 1 to 18; in order, as [`Outcome::Later`].
    LaterBy(u8),
    /// It does not come again: the broker puts it among the dead letters of the group.
    DeadLetter,
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}

impl<E: Display> From<Result<(), E>> for Outcome {
    fn from(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(error) => {
                warn!(%error, "a message was consumed in vain and comes again");
                Self::Later
            }
        }
    }
}

/// A message between its queue and the application.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) message: ReceivedMessage,
    pub(super) process: Arc<ProcessQueue>,
    /// Who waits for the outcome, of an ordered queue.
    pub(super) settled: Option<oneshot::Sender<(Outcome, InHand)>>,
}

/// Counts a message as being in the application's hands, as long as it lives.
#[derive(Debug)]
pub(super) struct InHand(Arc<Group>);

impl InHand {
    fn of(group: &Arc<Group>) -> Self {
        group.in_hand.send_modify(|count| *count += 1);
        Self(group.clone())
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.send_modify(|count| *count -= 1);
    }
}

/// A message that waits for its outcome. Dropped without one, as by a panic, it comes again later.
///
/// ```no_run
/// # async fn f(consumer: castmq::client::PushConsumer) {
/// while let Some(delivery) = consumer.recv().await {
///     match delivery.tag() {
///         Some("new") => delivery.ack(),
///         Some("broken") => delivery.dead_letter(),
///         Some("early") => delivery.retry_after_level(3),
///         Some("parsed") => {
///             let outcome = std::str::from_utf8(delivery.message().body()).map(drop).into();
///             delivery.settle(outcome);
///         }
///         _ => delivery.retry_later(),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a delivery that is dropped comes again: acknowledge it"]
pub struct Delivery {
    message: ReceivedMessage,
    process: Arc<ProcessQueue>,
    settled: Option<oneshot::Sender<(Outcome, InHand)>>,
    in_hand: Option<InHand>,
    traced: Option<Consuming>,
}

impl Delivery {
    pub(super) fn of(item: Item, group: &Arc<Group>) -> Self {
        let Item { message, process, settled } = item;
        let tracer = group.core.tracer.as_ref();
        let traced = tracer.and_then(|tracer| tracer.consuming(&group.core, &group.name, &message));
        Self { message, process, settled, in_hand: Some(InHand::of(group)), traced }
    }

    /// The message, to be kept beyond its acknowledgement.
    pub fn message(&self) -> &ReceivedMessage {
        &self.message
    }

    /// Says that the message is done with.
    pub fn ack(self) {
        self.settle(Outcome::Done);
    }

    /// Asks for the message again, later each time.
    pub fn retry_later(self) {
        self.settle(Outcome::Later);
    }

    /// Asks for the message again after the time of a delay level, 1 to 18.
    pub fn retry_after_level(self, level: u8) {
        self.settle(Outcome::LaterBy(level));
    }

    /// Puts the message among the dead letters.
    pub fn dead_letter(self) {
        self.settle(Outcome::DeadLetter);
    }

    /// Says what became of the message.
    pub fn settle(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        let Some(in_hand) = self.in_hand.take() else { return };
        let group = in_hand.0.clone();
        if let (Some(traced), Some(tracer)) = (self.traced.take(), &group.core.tracer) {
            tracer.consumed(traced, &group.name, &self.message, outcome == Outcome::Done);
        }
        if let Some(settled) = self.settled.take() {
            // A queue that is read by somebody else by now does not wait any more.
            let _ = settled.send((outcome, in_hand));
            return;
        }
        let is_failure = outcome != Outcome::Done;
        if is_failure && group.settings.is_broadcast() {
            warn!(id = self.message.id(), "a broadcast message was consumed in vain and is passed over");
        } else if is_failure {
            if !self.process.is_abandoned() {
                let (message, process) = (self.message.clone(), self.process.clone());
                let failure = Failure { message, process, outcome, _in_hand: in_hand };
                if group.failures.send(failure).is_err() {
                    debug!("a message failed after its consumer had ended: it will be delivered again");
                }
            }
            return;
        }
        group.finish(&self.process, self.message.queue_offset());
    }
}

impl Deref for Delivery {
    type Target = ReceivedMessage;

    fn deref(&self) -> &ReceivedMessage {
        &self.message
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.finish(Outcome::Later);
    }
}

type Receiving = Pin<Box<dyn Future<Output = Option<Delivery>> + Send>>;

/// The messages of a consumer as a stream; it ends when the consumer is shut down.
///
/// ```no_run
/// # async fn f(consumer: castmq::client::PushConsumer) {
/// use std::{future::poll_fn, pin::Pin};
/// use futures_core::Stream;
/// let mut messages = consumer.stream();
/// // Or `while let Some(delivery) = messages.next().await`, with an extension trait such as `futures::StreamExt`.
/// while let Some(delivery) = poll_fn(|cx| Pin::new(&mut messages).poll_next(cx)).await {
///     delivery.ack();
/// }
/// # }
/// ```
pub struct Deliveries {
    consumer: PushConsumer,
    receiving: Option<Receiving>,
}

impl std::fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliveries").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

impl Deliveries {
    pub(super) fn of(consumer: PushConsumer) -> Self {
        Self { consumer, receiving: None }
    }
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let this = &mut *self;
        let receiving = this.receiving.get_or_insert_with(|| {
            let consumer = this.consumer.clone();
            Box::pin(async move { consumer.recv().await })
        });
        let poll = receiving.as_mut().poll(cx);
        if poll.is_ready() {
            this.receiving = None;
        }
        poll
    }
}
