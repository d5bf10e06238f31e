//! Which queue a message goes to (fact sheet: client 3.2).

use tokio::time::Instant;

use super::latency::Latencies;
use crate::protocol::message::{MessageQueue, string_hash};

/// The next queue in turn, away from the broker that failed last, and from those that are avoided.
pub(super) fn in_turn<'a>(
    queues: &'a [MessageQueue],
    turn: usize,
    failed: Option<&str>,
    latencies: Option<&Latencies>,
) -> Option<&'a MessageQueue> {
    let first = turn.checked_rem(queues.len())?;
    let round = || queues.iter().cycle().skip(first).take(queues.len());
    let did_not_fail = |queue: &&MessageQueue| failed != Some(queue.broker_name.as_str());
    let now = Instant::now();
    latencies
        .and_then(|known| {
            let mut available =
                round().filter(did_not_fail).filter(|queue| known.is_available(&queue.broker_name, now));
            let mut reachable =
                round().filter(did_not_fail).filter(|queue| known.is_reachable(&queue.broker_name));
            available.next().or_else(|| reachable.next())
        })
        .or_else(|| round().find(did_not_fail))
        .or_else(|| round().next())
}

/// The queue of an ordering key, the same that Java's `SelectMessageQueueByHash` gives for a text.
pub(super) fn by_key<'a>(queues: &'a [MessageQueue], key: &str) -> Option<&'a MessageQueue> {
    let count = i32::try_from(queues.len()).ok()?;
    let index = string_hash(key).checked_rem(count)?.unsigned_abs();
    queues.get(index as usize)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::producer::latency::Outcome;

    fn queues() -> Vec<MessageQueue> {
        let queue =
            |broker: &str, queue_id| MessageQueue { broker_name: broker.into(), queue_id, topic: "T".into() };
        vec![queue("a", 0), queue("a", 1), queue("b", 0)]
    }

    fn name(queue: Option<&MessageQueue>) -> String {
        queue.map(|queue| format!("{}{}", queue.broker_name, queue.queue_id)).unwrap_or_default()
    }

    #[test]
    fn queues_come_in_turn_and_the_failed_broker_is_passed_over() {
        let queues = queues();
        assert_eq!(
            [0, 1, 2, 3].map(|turn| name(in_turn(&queues, turn, None, None))),
            ["a0", "a1", "b0", "a0"]
        );
        assert_eq!([0, 1, 2].map(|turn| name(in_turn(&queues, turn, Some("a"), None))), ["b0", "b0", "b0"]);
        // With no other broker, the failed one is better than none.
        assert_eq!(name(in_turn(&queues[..2], 1, Some("a"), None)), "a1");
        assert_eq!(in_turn(&[], 1, None, None), None);
    }

    #[test]
    fn slow_brokers_are_avoided_while_there_are_others() {
        let (queues, latencies) = (queues(), Latencies::default());
        latencies.note("a", Duration::from_secs(4), Outcome::Answered, Instant::now());
        assert_eq!(name(in_turn(&queues, 0, None, Some(&latencies))), "b0");
        latencies.note("b", Duration::ZERO, Outcome::Refused, Instant::now());
        assert_eq!(name(in_turn(&queues, 2, None, Some(&latencies))), "a0");
    }

    #[test]
    fn keys_go_where_java_sends_them() {
        let queues = queues();
        // "TagA".hashCode() = 2598919 = 3 * 866306 + 1; "polygenelubricants".hashCode() % 3 = -2.
        assert_eq!(name(by_key(&queues, "TagA")), "a1");
        assert_eq!(name(by_key(&queues, "polygenelubricants")), "b0");
        assert_eq!(by_key(&[], "k"), None);
    }
}
