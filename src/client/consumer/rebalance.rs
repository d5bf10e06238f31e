//! Who reads what: worked out by every member alone, again whenever the group changes (fact sheet: client 4.2).

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tracing::{debug, info, warn};

use super::{
    group::{Group, Reading},
    process::ProcessQueue,
};
use crate::{
    client::{Result, task::Task},
    protocol::{message::MessageQueue, topic::RETRY_PREFIX},
};

/// Least time between two rounds, and until the next one after a round that did not settle everything.
const BETWEEN: Duration = Duration::from_secs(1);
/// How often locks are renewed.
const RENEW_LOCKS: Duration = Duration::from_secs(20);
/// How long an ordered queue waits for the message that is being consumed before somebody else reads it.
const LAST_MESSAGE: Duration = Duration::from_secs(30);

/// Rebalances until the consumer is stopping.
pub(super) async fn run(group: Arc<Group>) {
    tokio::select! {
        () = group.stopped() => {}
        () = rounds(&group) => {}
    }
}

/// Rebalances at the interval, when woken, and soon again while something is unsettled.
async fn rounds(group: &Arc<Group>) {
    loop {
        let wait = if round(group).await { group.settings.rebalance_interval } else { BETWEEN };
        if tokio::time::timeout(wait, group.wake.notified()).await.is_ok() {
            // Changes come in bursts; the first one is served at once, those after it together.
            tokio::time::sleep(BETWEEN / 10).await;
        }
    }
}

/// One round over all topics; gives whether it settled everything.
async fn round(group: &Arc<Group>) -> bool {
    let topics = group.topics();
    // Besides what is not subscribed any more, what nobody serves: it is read anew.
    let lost: Vec<MessageQueue> = {
        let reading = group.reading();
        let is_lost = |(queue, reading): &(&MessageQueue, &Reading)| {
            reading.is_dead() || reading.stays() && !topics.contains(&queue.topic)
        };
        reading.iter().filter(is_lost).map(|(queue, _)| queue.clone()).collect()
    };
    let mut changed = !lost.is_empty();
    drop_queues(group, lost).await;
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
    let (mut gone, new) = difference(group.reading().keys().filter(|queue| queue.topic == topic), &wanted);
    // One that is being handed over goes by itself, and comes back only after that.
    gone.retain(|queue| group.reading().get(queue).is_some_and(Reading::stays));
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
pub(super) async fn drop_queues(group: &Arc<Group>, queues: Vec<MessageQueue>) {
    for queue in queues {
        if group.settings.locks() {
            hand_over(group, &queue);
            continue;
        }
        let reading = group.reading().remove(&queue);
        if let Some(reading) = reading {
            reading.process.abandon();
            store_and_forget(group, &queue).await;
        }
    }
}

/// Stores how far a queue was read that is read no more.
async fn store_and_forget(group: &Group, queue: &MessageQueue) {
    if let Err(error) = group.offsets.persist(&group.core, &group.name, Some(queue)).await {
        warn!(group = group.name, ?queue, %error, "an offset was not stored: messages will be delivered again");
    }
    group.offsets.remove(queue);
}

/// Gives an ordered queue up once its current message is done with: until then nobody may have the lock, nor read
/// it here again.
fn hand_over(group: &Arc<Group>, queue: &MessageQueue) {
    let mut all = group.reading();
    let Some(reading) = all.get_mut(queue) else { return };
    let (process, Some(feed)) = (reading.process.clone(), reading.feed.take()) else { return };
    process.stop_after_current();
    tokio::spawn(after_current(group.clone(), process, feed));
}

async fn after_current(group: Arc<Group>, process: Arc<ProcessQueue>, mut feed: Task) {
    if tokio::time::timeout(LAST_MESSAGE, feed.ended()).await.is_err() {
        warn!(group = group.name, queue = ?process.queue, "a message takes long: its queue is given up");
    }
    // One whose lock was lost is abandoned already: how far it was is for its new owner to say.
    let has_lock = !process.is_abandoned();
    process.abandon();
    if has_lock {
        store_and_forget(&group, &process.queue).await;
        group.unlock([process.queue.clone()]).await;
    }
    group.leave(&process);
    // It may have been given to this member again.
    group.wake.notify_one();
}

/// Those of the queues that this client may read.
async fn lock_all(group: &Group, queues: Vec<MessageQueue>) -> Vec<MessageQueue> {
    if !group.settings.locks() {
        return queues;
    }
    let mut locked = Vec::new();
    for (broker, queues) in by_broker(queues) {
        match group.core.lock(&broker, &group.name, queues).await {
            Ok(got) => locked.extend(got),
            Err(error) => debug!(group = group.name, broker, %error, "no locks"),
        }
    }
    locked
}

/// Queues by the broker that has them.
pub(super) fn by_broker(
    queues: impl IntoIterator<Item = MessageQueue>,
) -> HashMap<String, Vec<MessageQueue>> {
    let mut by_broker: HashMap<String, Vec<MessageQueue>> = HashMap::new();
    for queue in queues {
        by_broker.entry(queue.broker_name.clone()).or_default().push(queue);
    }
    by_broker
}

/// Renews the locks of an ordered consumer.
pub(super) async fn keep_locks(group: Arc<Group>) {
    loop {
        tokio::time::sleep(RENEW_LOCKS).await;
        for (broker, queues) in by_broker(group.queues()) {
            match group.core.lock(&broker, &group.name, queues.clone()).await {
                Ok(locked) => renewed(&group, &queues, &locked),
                Err(error) => {
                    debug!(group = group.name, broker, %error, "locks are trusted until they expire")
                }
            }
        }
    }
}

/// Goes on with what is still locked. What is not, or was trusted no more in the meantime, somebody else may have
/// read: nothing here counts any more, and once it is locked again, it is read from where the group is by then.
fn renewed(group: &Arc<Group>, queues: &[MessageQueue], locked: &[MessageQueue]) {
    for queue in queues {
        let Some(process) = group.reading().get(queue).map(|reading| reading.process.clone()) else {
            continue;
        };
        if locked.contains(queue) && process.is_locked() {
            process.set_locked(true);
        } else {
            warn!(group = group.name, ?queue, "the lock of a queue was lost");
            process.abandon();
            group.offsets.remove(queue);
            hand_over(group, queue);
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
