//! Who reads what: worked out by every member alone, again whenever the group changes (fact sheet: client 4.2).

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tracing::{debug, info, warn};

use super::group::{Group, Reading};
use crate::{
    client::Result,
    protocol::{message::MessageQueue, topic::RETRY_PREFIX},
};

/// Least time between two rounds, and until the next one after a round that did not settle everything.
const BETWEEN: Duration = Duration::from_secs(1);
/// How often locks are renewed.
const RENEW_LOCKS: Duration = Duration::from_secs(20);
/// How long an ordered queue waits for the message that is being consumed before somebody else reads it.
const LAST_MESSAGE: Duration = Duration::from_secs(30);

/// Rebalances at the interval, when woken, and soon again while something is unsettled.
pub(super) async fn run(group: Arc<Group>) {
    loop {
        let wait = if round(&group).await { group.settings.rebalance_interval } else { BETWEEN };
        if tokio::time::timeout(wait, group.wake.notified()).await.is_ok() {
            // Changes come in bursts; the first one is served at once, those after it together.
            tokio::time::sleep(BETWEEN / 10).await;
        }
    }
}

/// One round over all topics; gives whether it settled everything.
async fn round(group: &Arc<Group>) -> bool {
    let topics = group.topics();
    let unsubscribed: Vec<MessageQueue> = {
        let reading = group.reading();
        reading.keys().filter(|queue| !topics.contains(&queue.topic)).cloned().collect()
    };
    let mut changed = !unsubscribed.is_empty();
    drop_queues(group, unsubscribed).await;
    let mut is_settled = true;
    for topic in topics {
        match balance(group, &topic).await {
            Ok(outcome) => {
                changed |= outcome.changed;
                is_settled &= outcome.is_settled;
            }
            Err(error) => {
                debug!(group = group.name, topic, %error, "not balanced");
                // The retry topic comes to be with the first heartbeat.
                is_settled &= topic.starts_with(RETRY_PREFIX);
            }
        }
    }
    if changed {
        group.core.heartbeat().await;
    }
    is_settled
}

struct Balanced {
    changed: bool,
    is_settled: bool,
}

async fn balance(group: &Arc<Group>, topic: &str) -> Result<Balanced> {
    let core = &group.core;
    let route = core.routes.route(&core.pool, topic).await?;
    let mut queues = route.subscribe.clone();
    queues
        .sort_by(|a, b| (&a.topic, &a.broker_name, a.queue_id).cmp(&(&b.topic, &b.broker_name, b.queue_id)));
    let wanted = if group.settings.is_broadcast() {
        queues
    } else {
        let Some(address) = route.any_broker() else {
            return Ok(Balanced { changed: false, is_settled: false });
        };
        let members = core.members(address, &group.name).await?;
        if !members.contains(&core.client_id) {
            // The heartbeat has not arrived yet.
            return Ok(Balanced { changed: false, is_settled: false });
        }
        group.settings.allocation.allocate(&core.client_id, &queues, &members)
    };
    let (gone, new) = difference(group.reading().keys().filter(|queue| queue.topic == topic), &wanted);
    let mut changed = !gone.is_empty();
    if changed || !new.is_empty() {
        info!(
            group = group.name,
            topic,
            gone = gone.len(),
            new = new.len(),
            of = wanted.len(),
            "queues change hands"
        );
    }
    drop_queues(group, gone).await;
    let count = new.len();
    let mut added = 0;
    for queue in lock_all(group, new).await {
        match group.start_offset(&queue).await {
            Ok(offset) => {
                group.offsets.remove(&queue);
                group.read(queue, offset);
                changed = true;
                added += 1;
            }
            Err(error) => warn!(group = group.name, ?queue, %error, "cannot tell where to start"),
        }
    }
    Ok(Balanced { changed, is_settled: added == count })
}

/// Queues that are read but not wanted, and those that are wanted but not read.
fn difference<'a>(
    read: impl Iterator<Item = &'a MessageQueue>,
    wanted: &[MessageQueue],
) -> (Vec<MessageQueue>, Vec<MessageQueue>) {
    let read: BTreeSet<&MessageQueue> = read.collect();
    let is_wanted: HashSet<&MessageQueue> = wanted.iter().collect();
    let gone =
        read.iter().filter(|queue| !is_wanted.contains(**queue)).map(|queue| (*queue).clone()).collect();
    let new = wanted.iter().filter(|queue| !read.contains(queue)).cloned().collect();
    (gone, new)
}

/// Stops reading queues, and stores how far they were read.
async fn drop_queues(group: &Arc<Group>, queues: Vec<MessageQueue>) {
    for queue in queues {
        let Some(reading) = group.reading().remove(&queue) else { continue };
        if group.settings.locks() {
            tokio::spawn(hand_over(group.clone(), reading));
        } else {
            reading.process.abandon();
            store_and_forget(group, &queue).await;
        }
    }
}

async fn store_and_forget(group: &Group, queue: &MessageQueue) {
    if let Err(error) = group.offsets.persist(&group.core, &group.name, Some(queue)).await {
        warn!(group = group.name, ?queue, %error, "an offset was not stored: messages will be delivered again");
    }
    group.offsets.remove(queue);
}

/// Gives an ordered queue up once its current message is done with: until then nobody else may have the lock.
async fn hand_over(group: Arc<Group>, reading: Reading) {
    let Reading { process, mut feed, .. } = reading;
    process.stop_after_current();
    if tokio::time::timeout(LAST_MESSAGE, feed.ended()).await.is_err() {
        warn!(group = group.name, queue = ?process.queue, "a message takes long: its queue is given up");
    }
    process.abandon();
    store_and_forget(&group, &process.queue).await;
    group.unlock([process.queue.clone()]).await;
}

/// Those of the queues that this client may read.
async fn lock_all(group: &Group, queues: Vec<MessageQueue>) -> Vec<MessageQueue> {
    if !group.settings.locks() {
        return queues;
    }
    let mut by_broker: HashMap<String, Vec<MessageQueue>> = HashMap::new();
    for queue in queues {
        by_broker.entry(queue.broker_name.clone()).or_default().push(queue);
    }
    let mut locked = Vec::new();
    for (broker, queues) in by_broker {
        match group.core.lock(&broker, &group.name, queues).await {
            Ok(got) => locked.extend(got),
            Err(error) => debug!(group = group.name, broker, %error, "no locks"),
        }
    }
    locked
}

/// Renews the locks of an ordered consumer.
pub(super) async fn keep_locks(group: Arc<Group>) {
    loop {
        tokio::time::sleep(RENEW_LOCKS).await;
        let queues: Vec<MessageQueue> = group.reading().keys().cloned().collect();
        let locked: HashSet<MessageQueue> = lock_all(&group, queues).await.into_iter().collect();
        for (queue, reading) in group.reading().iter() {
            // One that was not renewed may be trusted until it expires.
            if locked.contains(queue) {
                reading.process.set_locked(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_changes_hands() {
        let queue = |queue_id| MessageQueue { queue_id, ..MessageQueue::default() };
        let read = [queue(0), queue(1)];
        assert_eq!(difference(read.iter(), &[queue(1), queue(2)]), (vec![queue(0)], vec![queue(2)]));
        assert_eq!(difference(read.iter(), &read), (vec![], vec![]));
    }
}
