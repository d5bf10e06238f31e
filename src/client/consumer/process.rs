//! One queue's messages between pull and acknowledgement (fact sheet: client 4.4).

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{client::ReceivedMessage, protocol::message::MessageQueue};

/// How long a lock is trusted without renewal; brokers keep it for 60 s.
const LOCK_TRUSTED: Duration = Duration::from_secs(30);

/// How much one queue may hold that is not yet acknowledged.
///
/// ```
/// let mut limits = castmq::client::Limits::default();
/// (limits.messages, limits.bytes) = (100, 1 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Messages, 1000 by default.
    pub messages: usize,
    /// Bytes, 100 MiB by default.
    pub bytes: usize,
    /// Offsets between the first and the last message, 2000 by default; not for ordered consumers.
    pub span: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 1000, bytes: 100 << 20, span: 2000 }
    }
}

/// A queue that this consumer reads.
#[derive(Debug)]
pub(super) struct ProcessQueue {
    pub(super) queue: MessageQueue,
    state: Mutex<State>,
    arrived: Notify,
    left: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: BTreeMap<i64, ReceivedMessage>,
    bytes: usize,
    /// Everything below was handed out.
    cursor: i64,
    /// Behind the last message that was ever here.
    end: i64,
    is_dropped: bool,
    is_leaving: bool,
    is_paused: bool,
    /// How far the application is, once it has finished or sought anything.
    reached: Option<i64>,
    locked_at: Option<Instant>,
}

impl ProcessQueue {
    pub(super) fn new(queue: MessageQueue) -> Self {
        Self { queue, state: Mutex::default(), arrived: Notify::new(), left: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes messages in that were pulled; those that are here already stay as they are.
    pub(super) fn put(&self, messages: impl IntoIterator<Item = ReceivedMessage>) {
        let mut state = self.state();
        for message in messages {
            let (offset, size) = (message.queue_offset(), message.size());
            if offset >= state.end {
                state.end = offset.saturating_add(1);
                state.bytes += size;
                state.messages.insert(offset, message);
            }
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Waits for the next message that was not handed out yet; none once the queue is given up.
    pub(super) async fn next(&self) -> Option<ReceivedMessage> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut state = self.state();
                if state.is_dropped || state.is_leaving {
                    return None;
                }
                if let Some((offset, message)) = state.messages.range(state.cursor..).next() {
                    let (next, message) = (offset.saturating_add(1), message.clone());
                    state.cursor = next;
                    return Some(message);
                }
            }
            arrived.await;
        }
    }

    /// Removes a message that is done with, and tells `reach` the offset that the group has now reached; not once
    /// the queue is given up.
    pub(super) fn finish(&self, offset: i64, reach: impl FnOnce(i64)) {
        let mut state = self.state();
        if let Some(message) = state.messages.remove(&offset) {
            state.bytes = state.bytes.saturating_sub(message.size());
        }
        let reached = state.messages.keys().next().copied().unwrap_or(state.end);
        if !state.is_dropped {
            state.reached = Some(reached);
            // Under the lock: once the queue is given up, nothing is noted any more.
            reach(reached);
        }
        drop(state);
        self.left.notify_one();
    }

    /// How far the application is, if it has finished or sought anything.
    pub(super) fn reached(&self) -> Option<i64> {
        self.state().reached
    }

    pub(super) fn set_reached(&self, offset: i64) {
        self.state().reached = Some(offset);
    }

    /// Waits until there is room within the limits, and nobody has paused the queue.
    pub(super) async fn room(&self, limits: &Limits, counts_span: bool) {
        while !self.has_room(limits, counts_span) && !self.is_abandoned() {
            self.left.notified().await;
        }
    }

    fn has_room(&self, limits: &Limits, counts_span: bool) -> bool {
        let state = self.state();
        let span = match (state.messages.first_key_value(), state.messages.last_key_value()) {
            (Some((first, _)), Some((last, _))) if counts_span => last.saturating_sub(*first),
            _ => 0,
        };
        !state.is_paused
            && state.messages.len() < limits.messages
            && state.bytes < limits.bytes
            && span <= limits.span
    }

    /// How many messages are here, and how many bytes.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.state();
        (state.messages.len(), state.bytes)
    }

    /// Stops or resumes pulling.
    pub(super) fn pause(&self, pause: bool) {
        self.state().is_paused = pause;
        self.left.notify_one();
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state().is_paused
    }

    /// Gives the queue up: nothing is handed out or committed any more.
    pub(super) fn abandon(&self) {
        self.state().is_dropped = true;
        self.arrived.notify_one();
        self.left.notify_one();
    }

    /// Hands nothing out any more; what is in the application's hands still counts.
    pub(super) fn stop_after_current(&self) {
        self.state().is_leaving = true;
        self.arrived.notify_one();
    }

    /// Whether nothing is handed out any more.
    pub(super) fn is_leaving(&self) -> bool {
        let state = self.state();
        state.is_dropped || state.is_leaving
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.state().is_dropped
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().messages.is_empty()
    }

    /// Notes that the broker has just locked the queue for this client, or refused to.
    pub(super) fn set_locked(&self, locked: bool) {
        self.state().locked_at = locked.then(Instant::now);
    }

    /// Whether the lock can still be trusted.
    pub(super) fn is_locked(&self) -> bool {
        self.state().locked_at.is_some_and(|at| at.elapsed() < LOCK_TRUSTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_noted_once_a_queue_is_given_up() {
        let process = ProcessQueue::new(MessageQueue::default());
        let mut noted = Vec::new();
        process.finish(i64::MAX, |reached| noted.push(reached));
        process.abandon();
        process.finish(1, |reached| noted.push(reached));
        assert_eq!((noted, process.reached()), (vec![0], Some(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_is_trusted_for_a_while() {
        let process = ProcessQueue::new(MessageQueue::default());
        process.set_locked(true);
        tokio::time::advance(LOCK_TRUSTED - Duration::from_millis(1)).await;
        assert!(process.is_locked());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!process.is_locked());
    }
}
