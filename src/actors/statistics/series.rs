//! Samples of a counter, and what tools are shown of them: sum and rate over a minute, an hour, a day.

use std::collections::VecDeque;

use crate::{
    actors::supervision::Millis,
    protocol::stats::{BrokerStatsData, BrokerStatsItem},
    store::tally::Counted,
};

const SECOND: Millis = 1_000;
/// How often each span is sampled, ms, and how many samples it keeps (fact sheet: remoting 9.3).
const MINUTE: (Millis, usize) = (10 * SECOND, 7);
const HOUR: (Millis, usize) = (600 * SECOND, 7);
const DAY: (Millis, usize) = (3_600 * SECOND, 25);

/// Which of the things counted is meant.
pub(super) type Part = fn(&Counted) -> u64;

/// The samples of one counter.
#[derive(Debug, Default)]
pub(super) struct Series {
    minute: Ring,
    hour: Ring,
    day: Ring,
}

impl Series {
    /// Takes a sample for the spans whose time it is, `seconds` after the start.
    pub(super) fn sample(&mut self, seconds: u64, now: Millis, counted: Counted) {
        for (ring, (period, most)) in
            [(&mut self.minute, MINUTE), (&mut self.hour, HOUR), (&mut self.day, DAY)]
        {
            if seconds.is_multiple_of((period / SECOND).unsigned_abs()) {
                ring.sample(period, most, now, counted);
            }
        }
    }

    pub(super) fn show(&self, part: Part) -> BrokerStatsData {
        BrokerStatsData {
            stats_day: self.day.show(part),
            stats_hour: self.hour.show(part),
            stats_minute: self.minute.show(part),
        }
    }
}

#[derive(Debug, Default)]
struct Ring(VecDeque<(Millis, Counted)>);

impl Ring {
    /// The first sample has one of nothing before it, so that what made the counter counts.
    fn sample(&mut self, period: Millis, most: usize, now: Millis, counted: Counted) {
        if self.0.is_empty() {
            self.0.push_back((now - period, Counted::default()));
        }
        self.0.push_back((now, counted));
        if self.0.len() > most {
            self.0.pop_front();
        }
    }

    fn show(&self, part: Part) -> BrokerStatsItem {
        let (Some((from, first)), Some((to, last))) = (self.0.front(), self.0.back()) else {
            return BrokerStatsItem::default();
        };
        let sum = part(last).saturating_sub(part(first));
        let times = last.times.saturating_sub(first.times);
        BrokerStatsItem {
            avgpt: if times > 0 { sum as f64 / times as f64 } else { 0.0 },
            sum: i64::try_from(sum).unwrap_or(i64::MAX),
            tps: sum as f64 * 1000.0 / (to - from).max(1) as f64,
        }
    }
}

/// Samples that the rates of the whole broker are made of: one a second, for ten minutes.
#[derive(Debug, Default)]
pub(super) struct Seconds<T>(VecDeque<(Millis, T)>);

const TEN_MINUTES: usize = 600;

impl<T> Seconds<T> {
    pub(super) fn sample(&mut self, now: Millis, counts: T) {
        self.0.push_back((now, counts));
        if self.0.len() > TEN_MINUTES + 1 {
            self.0.pop_front();
        }
    }

    /// The rates over the last 10 s, minute and ten minutes, of the sum of some counts; `None` where the broker
    /// has not run for so long.
    pub(super) fn rates(&self, of: impl Fn(&T) -> u64) -> [Option<f64>; 3] {
        [10, 60, TEN_MINUTES].map(|span| {
            let (to, last) = self.0.back()?;
            let (from, first) = self.0.get(self.0.len().checked_sub(span + 1)?)?;
            Some(of(last).saturating_sub(of(first)) as f64 / (to - from).max(1) as f64 * 1000.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(messages: u64) -> Counted {
        Counted { times: messages / 2, messages, bytes: messages * 100 }
    }

    #[test]
    fn sums_and_rates_are_those_of_the_last_minute() {
        let mut series = Series::default();
        for tick in 0..9 {
            series.sample(tick * 10, tick as i64 * 10_000, counted(tick * 10));
        }
        let shown = series.show(|counted| counted.messages);
        assert_eq!((shown.stats_minute.sum, shown.stats_minute.tps), (60, 1.0));
        assert_eq!(shown.stats_minute.avgpt, 2.0);
        assert_eq!((shown.stats_hour.sum, shown.stats_day.sum), (0, 0), "sampled at the start only");
        assert_eq!(series.show(|counted| counted.bytes).stats_minute.sum, 6000);
    }

    #[test]
    fn what_made_a_counter_counts() {
        let mut series = Series::default();
        assert_eq!(series.show(|counted| counted.messages), BrokerStatsData::default());
        series.sample(10, 5_000, counted(30));
        let minute = series.show(|counted| counted.messages).stats_minute;
        assert_eq!((minute.sum, minute.tps), (30, 3.0));
    }

    #[test]
    fn a_rate_needs_its_span() {
        let mut seconds = Seconds::default();
        for second in 0..61 {
            seconds.sample(second * 1000, [second as u64 * 5]);
        }
        assert_eq!(seconds.rates(|[count]| *count), [Some(5.0), Some(5.0), None]);
        for second in 61..700 {
            seconds.sample(second * 1000, [300]);
        }
        assert_eq!(seconds.rates(|[count]| *count), [Some(0.0), Some(0.0), Some(0.0)]);
        assert_eq!(seconds.0.len(), 601);
    }
}
