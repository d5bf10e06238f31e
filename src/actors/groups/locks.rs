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
