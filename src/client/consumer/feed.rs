//! From a queue to the application: as it comes, or one at a time (fact sheet: client 4.5).

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::{
    Outcome,
    delivery::{InHand, Item},
    group::Group,
    process::ProcessQueue,
    retry,
    settings::Mode,
};
use crate::client::ReceivedMessage;

/// Rest while the lock is being renewed.
const UNLOCKED: Duration = Duration::from_millis(10);

/// Hands out until the queue is given up or the application has left.
pub(super) async fn run(group: Arc<Group>, process: Arc<ProcessQueue>) {
    while let Some(message) = process.next().await {
        let goes_on = match group.settings.mode {
            Mode::Concurrent | Mode::Lite => hand_out(&group, &process, message, None).await,
            Mode::Ordered => in_order(&group, &process, message).await,
        };
        if !goes_on || process.is_abandoned() {
            return;
        }
    }
}

async fn hand_out(
    group: &Group,
    process: &Arc<ProcessQueue>,
    message: ReceivedMessage,
    settled: Option<oneshot::Sender<(Outcome, InHand)>>,
) -> bool {
    group.items.send(Item { message, process: process.clone(), settled }).await.is_ok()
}

/// Hands out one message, again and again until it is done with, and goes.
async fn in_order(group: &Group, process: &Arc<ProcessQueue>, mut message: ReceivedMessage) -> bool {
    let offset = message.queue_offset();
    loop {
        while group.settings.locks() && !process.is_locked() && !process.is_leaving() {
            tokio::time::sleep(UNLOCKED).await;
        }
        // What was not handed out yet, or failed, is for whoever reads the queue next.
        if process.is_leaving() {
            return false;
        }
        let (settled, outcome) = oneshot::channel();
        if !hand_out(group, process, message.clone(), Some(settled)).await {
            return false;
        }
        // Who drops the sender without a word is shutting down.
        let Ok((outcome, in_hand)) = outcome.await else { return false };
        let times = i32::try_from(message.reconsume_times()).unwrap_or(i32::MAX);
        let is_hopeless = outcome == Outcome::DeadLetter || times >= group.settings.max_reconsume_times();
        if outcome == Outcome::Done {
            group.finish(process, offset);
            return true;
        }
        if is_hopeless && (group.settings.is_broadcast() || retry::give_up(group, &message).await) {
            warn!(id = message.id(), times, "a message was consumed in vain for the last time");
            group.finish(process, offset);
            return true;
        }
        drop(in_hand);
        debug!(id = message.id(), times, "consumed in vain, tried again in order");
        tokio::time::sleep(group.settings.suspend).await;
        message = message.once_more();
    }
}
