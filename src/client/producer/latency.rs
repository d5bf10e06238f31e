//! Which brokers to keep away from for a while (fact sheet: client 3.3).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// From which latency on a broker is avoided, and for how long; milliseconds, highest first.
const ISOLATION: [(u64, u64); 5] =
    [(15_000, 30_000), (5_000, 10_000), (3_000, 6_000), (1_800, 5_000), (550, 2_000)];
/// What a failure counts as.
const FAILURE: Duration = Duration::from_secs(10);

/// How a broker has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It answered.
    Answered,
    /// It was not reached, or did not answer.
    Silent,
    /// It refused.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct State {
    avoided_until: Instant,
    is_reachable: bool,
}

/// Until when brokers are avoided, by name.
#[derive(Debug, Default)]
pub(super) struct Latencies(Mutex<HashMap<String, State>>);

impl Latencies {
    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<String, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a try went that took `latency`.
    pub(super) fn note(&self, broker: &str, latency: Duration, outcome: Outcome, now: Instant) {
        let counted = if outcome == Outcome::Answered { latency } else { FAILURE };
        let end = now + isolation(counted);
        let is_reachable = outcome != Outcome::Refused;
        let mut table = self.table();
        match table.get_mut(broker) {
            // The end only ever moves later.
            Some(state) => {
                *state = State { avoided_until: state.avoided_until.max(end), is_reachable };
            }
            None => {
                table.insert(broker.to_owned(), State { avoided_until: end, is_reachable });
            }
        }
    }

    /// Whether nothing speaks against the broker.
    pub(super) fn is_available(&self, broker: &str, now: Instant) -> bool {
        self.table().get(broker).is_none_or(|state| state.avoided_until <= now)
    }

    /// Whether the broker takes messages at all, as far as known.
    pub(super) fn is_reachable(&self, broker: &str) -> bool {
        self.table().get(broker).is_none_or(|state| state.is_reachable)
    }
}

fn isolation(latency: Duration) -> Duration {
    let millis = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    let found = ISOLATION.iter().find(|(from, _)| millis >= *from);
    Duration::from_millis(found.map_or(0, |(_, isolation)| *isolation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolation_grows_with_latency() {
        let millis = |latency| isolation(Duration::from_millis(latency)).as_millis();
        assert_eq!(
            [549, 550, 1799, 1800, 3000, 5000, 14_999, 15_000].map(millis),
            [0, 2000, 2000, 5000, 6000, 10_000, 10_000, 30_000]
        );
    }

    #[test]
    fn an_end_only_moves_later_and_a_failure_counts_as_ten_seconds() {
        let (latencies, now) = (Latencies::default(), Instant::now());
        latencies.note("a", Duration::ZERO, Outcome::Silent, now);
        latencies.note("a", Duration::ZERO, Outcome::Answered, now);
        assert!(!latencies.is_available("a", now + Duration::from_millis(9_999)));
        assert!(latencies.is_available("a", now + Duration::from_secs(10)));
        assert!(latencies.is_reachable("a") && latencies.is_available("b", now));
        latencies.note("a", Duration::ZERO, Outcome::Refused, now);
        assert!(!latencies.is_reachable("a"));
    }
}
