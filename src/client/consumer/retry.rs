//! Messages that were consumed in vain (fact sheet: client 4.5).

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{
    Outcome,
    delivery::{InHand, Item},
    group::Group,
    process::ProcessQueue,
};
use crate::{
    client::{Message, Producer, ReceivedMessage, Result},
    protocol::{
        properties::{self, name},
        requests::message::SendBackRequest,
        topic::retry_topic,
    },
};

/// Rest before a message that could not be handed back is consumed here again.
const HERE_AGAIN: Duration = Duration::from_secs(5);
/// Delay level of the first retry, when the client chooses it; one more for each further one.
const FIRST_LEVEL: i32 = 3;

/// A message to be handed back.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) message: ReceivedMessage,
    pub(super) process: Arc<ProcessQueue>,
    pub(super) outcome: Outcome,
    pub(super) _in_hand: InHand,
}

/// Hands failures back, each by itself: a slow broker must not hold up the others.
pub(super) async fn run(group: Arc<Group>, mut failures: mpsc::UnboundedReceiver<Failure>) {
    while let Some(failure) = failures.recv().await {
        tokio::spawn(hand_back(group.clone(), failure));
    }
}

async fn hand_back(group: Arc<Group>, failure: Failure) {
    let Failure { message, process, outcome, _in_hand } = failure;
    let sent = match send_back(&group, &message, outcome).await {
        Ok(()) => Ok(()),
        Err(error) => {
            debug!(id = message.id(), %error, "cannot be handed back, is sent to the retry topic");
            resend(&group, &message, outcome).await
        }
    };
    match sent {
        Ok(()) => group.finish(&process, message.queue_offset()),
        Err(error) => {
            warn!(id = message.id(), %error, "a failed message is consumed here again");
            drop(_in_hand);
            tokio::time::sleep(HERE_AGAIN).await;
            let item = Item { message: message.once_more(), process, settled: None };
            // Nobody takes it when the consumer has ended; then it is delivered again by the broker.
            let _ = group.items.send(item).await;
        }
    }
}

async fn send_back(group: &Group, message: &ReceivedMessage, outcome: Outcome) -> Result<()> {
    let queue = message.queue();
    let request = SendBackRequest {
        offset: message.physical_offset(),
        group: group.name.as_str().into(),
        delay_level: match outcome {
            Outcome::DeadLetter => -1,
            Outcome::LaterBy(level) => i32::from(level),
            Outcome::Later | Outcome::Done => 0,
        },
        origin_msg_id: Some(message.id().into()),
        origin_topic: Some(message.topic().into()),
        unit_mode: false,
        max_reconsume_times: Some(group.settings.max_reconsume_times()),
    };
    let address = group.core.routes.master(&queue.broker_name)?;
    group.core.send_back(&address, &request).await
}

/// Puts a message of an ordered queue among the dead letters; gives whether that worked.
pub(super) async fn give_up(group: &Group, message: &ReceivedMessage) -> bool {
    let sent = match send_back(group, message, Outcome::DeadLetter).await {
        Ok(()) => Ok(()),
        Err(_) => resend(group, message, Outcome::DeadLetter).await,
    };
    if let Err(error) = &sent {
        let topic = group.dead_letters();
        warn!(id = message.id(), topic, %error, "a hopeless message holds up its queue");
    }
    sent.is_ok()
}

/// Sends a copy to the group's retry topic; the broker counts, and decides about dead letters.
async fn resend(group: &Group, message: &ReceivedMessage, outcome: Outcome) -> Result<()> {
    let times = i32::try_from(message.reconsume_times()).unwrap_or(i32::MAX).saturating_add(1);
    let most = group.settings.max_reconsume_times();
    let (level, most) = match outcome {
        // More than were allowed, whatever was.
        Outcome::DeadLetter => (FIRST_LEVEL, times - 1),
        Outcome::LaterBy(level) => (i32::from(level), most),
        Outcome::Later | Outcome::Done => (FIRST_LEVEL.saturating_add(times), most),
    };
    let origin = message.property(name::ORIGIN_MESSAGE_ID).map_or_else(|| message.id(), str::to_owned);
    let mut copy = Message::new(retry_topic(&group.name), message.body().clone()).flag(message.flag());
    for (name, value) in text_properties(message) {
        copy = copy.set(name, value);
    }
    copy = copy
        .set(name::ORIGIN_MESSAGE_ID, origin)
        .set(name::RETRY_TOPIC, message.topic().to_owned())
        .set(name::DELAY, level.to_string());
    let producer = Producer::internal(group.core.clone());
    producer.send_plain(copy, Some((times, most))).await.map(drop)
}

/// The properties that a copy keeps.
fn text_properties(message: &ReceivedMessage) -> Vec<(String, String)> {
    let own = [name::TRAN_MSG, name::DELAY, name::RECONSUME_TIME, name::MAX_RECONSUME_TIMES];
    let kept = properties::without(message.property_text(), &own);
    properties::iter(&kept)
        .filter_map(|(name, value)| Some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
