//! Which member of a group consumes a queue in order (fact sheet: remoting 6.3).

use std::collections::HashMap;

use crate::{actors::supervision::Millis, protocol::message::MessageQueue};

/// A lock that was not renewed for this long is free again, ms.
const EXPIRY: Millis = 60_000;

/// The locks of one group.
#[derive(Debug, Default)]
pub(super) struct Locks(HashMap<MessageQueue, Lock>);

#[derive(Debug)]
struct Lock {
    client_id: String,
    renewed: Millis,
}

impl Locks {
    /// Locks the queues, or renews their locks; returns those that the client has now.
    pub(super) fn lock(
        &mut self,
        client_id: &str,
        queues: Vec<MessageQueue>,
        now: Millis,
    ) -> Vec<MessageQueue> {
        self.0.retain(|_, lock| now - lock.renewed <= EXPIRY);
        let mut locked = Vec::new();
        for queue in queues {
            if self.0.get(&queue).is_none_or(|lock| lock.client_id == client_id) {
                self.0.insert(queue.clone(), Lock { client_id: client_id.to_owned(), renewed: now });
                locked.push(queue);
            }
        }
        locked
    }

    /// Unlocks the queues, as far as the client has them.
    pub(super) fn unlock(&mut self, client_id: &str, queues: &[MessageQueue]) {
        for queue in queues {
            if self.0.get(queue).is_some_and(|lock| lock.client_id == client_id) {
                self.0.remove(queue);
            }
        }
    }

    /// Whether any lock has not expired.
    pub(super) fn any_held(&self, now: Millis) -> bool {
        self.0.values().any(|lock| now - lock.renewed <= EXPIRY)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn queue(queue_id: i32) -> MessageQueue {
        MessageQueue { broker_name: "b".into(), queue_id, topic: "T".into() }
    }

    #[test]
    fn a_queue_has_one_owner_at_a_time() {
        let mut locks = Locks::default();
        assert_eq!(locks.lock("a", vec![queue(0), queue(1)], 0).len(), 2);
        assert_eq!(locks.lock("b", vec![queue(1), queue(2)], 1), [queue(2)]);
        locks.unlock("b", &[queue(1)]);
        assert!(locks.lock("b", vec![queue(1)], 2).is_empty(), "only its owner frees it");
        locks.unlock("a", &[queue(1)]);
        assert_eq!(locks.lock("b", vec![queue(1)], 3), [queue(1)]);
    }

    /// What a member does, to the queues of a set of bits.
    #[derive(Debug, Clone)]
    enum Step {
        Lock(u8, u8),
        Unlock(u8, u8),
        Wait(Millis),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3u8, 1..16u8).prop_map(|(client, queues)| Step::Lock(client, queues)),
            2 => (0..3u8, 1..16u8).prop_map(|(client, queues)| Step::Unlock(client, queues)),
            2 => prop_oneof![0..30_000i64, Just(EXPIRY), Just(EXPIRY + 1)].prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// The model looks back: a queue is held by the last who got it, unless it gave it back or a minute passed.
        #[test]
        fn locks_are_given_as_a_model_gives_them(steps in proptest::collection::vec(step(), 1..80)) {
            let (mut locks, mut now) = (Locks::default(), 0);
            let mut history: Vec<(Millis, i32, Option<u8>)> = Vec::new();
            let holder = |history: &[(Millis, i32, Option<u8>)], queue: i32, now: Millis| {
                let last = history.iter().rev().find(|(_, of, _)| *of == queue);
                last.filter(|(at, ..)| now - at <= EXPIRY).and_then(|(.., client)| *client)
            };
            for step in steps {
                let of = |bits: u8| (0..4).filter(|queue| bits >> queue & 1 == 1).collect::<Vec<i32>>();
                match step {
                    Step::Wait(time) => now += time,
                    Step::Lock(client, bits) => {
                        let free = |queue: &i32| holder(&history, *queue, now).is_none_or(|held| held == client);
                        let expected: Vec<i32> = of(bits).into_iter().filter(free).collect();
                        let asked = of(bits).into_iter().map(queue).collect();
                        let got = locks.lock(&client.to_string(), asked, now);
                        prop_assert_eq!(got.iter().map(|one| one.queue_id).collect::<Vec<_>>(), expected.clone());
                        history.extend(expected.into_iter().map(|queue| (now, queue, Some(client))));
                    }
                    Step::Unlock(client, bits) => {
                        let queues: Vec<_> = of(bits).into_iter().map(queue).collect();
                        locks.unlock(&client.to_string(), &queues);
                        let own = |queue: &i32| holder(&history, *queue, now) == Some(client);
                        let given: Vec<i32> = of(bits).into_iter().filter(own).collect();
                        history.extend(given.into_iter().map(|queue| (now, queue, None)));
                    }
                }
                let held = (0..4).any(|queue| holder(&history, queue, now).is_some());
                prop_assert_eq!(locks.any_held(now), held);
            }
        }
    }

    #[test]
    fn a_lock_lasts_a_minute_from_its_last_renewal() {
        let mut locks = Locks::default();
        locks.lock("a", vec![queue(0)], 0);
        locks.lock("a", vec![queue(0)], 20_000);
        assert!(locks.lock("b", vec![queue(0)], 80_000).is_empty());
        assert_eq!(locks.lock("b", vec![queue(0)], 80_001), [queue(0)]);
        assert_eq!(locks.len(), 1);
    }
}
