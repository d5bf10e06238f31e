//! How long storing takes, in the classes that RocketMQ shows (fact sheet: remoting 9.3), and the longest of all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Names of the classes, each of them behind the one before.
const NAMES: [&str; CLASSES] = [
    "<=0ms",
    "0~10ms",
    "10~50ms",
    "50~100ms",
    "100~200ms",
    "200~500ms",
    "500ms~1s",
    "1~2s",
    "2~3s",
    "3~4s",
    "4~5s",
    "5~10s",
    "10s~",
];
/// Where each class but the first begins, ms.
const BEGINS: [u64; CLASSES - 1] = [1, 10, 50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000, 10_000];
const CLASSES: usize = 13;

/// Counts without a lock; a minute at a time is shown.
#[derive(Debug, Default)]
pub struct Times {
    now: [AtomicU64; CLASSES],
    last: [AtomicU64; CLASSES],
    has_last: AtomicBool,
    longest: AtomicU64,
}

impl Times {
    /// Counts requests that took so long.
    pub fn add(&self, requests: usize, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if let Some(class) = self.now.get(BEGINS.partition_point(|begin| *begin <= ms)) {
            class.fetch_add(requests as u64, Ordering::Relaxed);
        }
        self.longest.fetch_max(ms, Ordering::Relaxed);
    }

    /// The longest of all, ms.
    pub fn longest(&self) -> u64 {
        self.longest.load(Ordering::Relaxed)
    }

    /// A minute is over.
    pub fn turn(&self) {
        for (now, last) in self.now.iter().zip(&self.last) {
            last.store(now.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
        self.has_last.store(true, Ordering::Relaxed);
    }

    /// The last minute, class by class; none before the first is over.
    pub fn last_minute(&self) -> Option<String> {
        let counts = NAMES.iter().zip(&self.last);
        let all =
            || counts.map(|(name, count)| format!("[{name}]:{} ", count.load(Ordering::Relaxed))).collect();
        self.has_last.load(Ordering::Relaxed).then(all)
    }

    /// What this share of the last minute's requests took at most, ms; of a class its beginning.
    pub fn quantile(&self, share: f64) -> f64 {
        let counts: Vec<u64> = self.last.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let wanted = counts.iter().sum::<u64>() as f64 * share;
        let mut passed = 0;
        let reached = |count: &u64| {
            passed += count;
            passed as f64 >= wanted
        };
        let class = counts.iter().position(reached).unwrap_or(0);
        class.checked_sub(1).and_then(|at| BEGINS.get(at)).map_or(0.0, |begin| *begin as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_shown_when_it_is_over_and_the_longest_stays() {
        let times = Times::default();
        let ms = Duration::from_millis;
        for (requests, took) in [(97, Duration::ZERO), (1, ms(9)), (1, ms(10)), (1, ms(60_000))] {
            times.add(requests, took);
        }
        assert_eq!(times.last_minute(), None);
        times.turn();
        let shown = times.last_minute().unwrap();
        assert!(shown.starts_with("[<=0ms]:97 [0~10ms]:1 [10~50ms]:1 [50~100ms]:0 "), "{shown}");
        assert!(shown.ends_with("[5~10s]:0 [10s~]:1 "), "{shown}");
        assert_eq!([0.9, 0.98, 0.99, 0.999].map(|share| times.quantile(share)), [0.0, 1.0, 10.0, 10_000.0]);
        times.turn();
        assert!(times.last_minute().unwrap().starts_with("[<=0ms]:0 "));
        assert_eq!((times.longest(), times.quantile(0.99)), (60_000, 0.0));
    }
}
