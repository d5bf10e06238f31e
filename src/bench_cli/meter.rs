//! Counting: every connection has a meter, which is read and emptied once a second.

use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;

use super::Fault;
use crate::protocol::codes::ResponseCode;

/// The longest latency that is told apart, µs; a longer one counts as this.
const LONGEST: u64 = 60_000_000;
/// Digits of a latency that count.
const DIGITS: u8 = 3;
/// How often the meters are read.
const SECOND: Duration = Duration::from_secs(1);
/// How often it is looked whether all connections are done.
const LOOK: Duration = Duration::from_millis(10);
/// Without a terminal there is a line after so many readings.
const LINE_EVERY: usize = 5;

/// What was measured since the last reading.
pub(super) struct Measured {
    messages: u64,
    bytes: u64,
    errors: u64,
    /// The first refusal, in words.
    refusal: Option<String>,
    latency: Histogram<u64>,
}

impl Measured {
    fn new() -> Result<Self, Fault> {
        let latency = Histogram::new_with_bounds(1, LONGEST, DIGITS)?;
        Ok(Self { messages: 0, bytes: 0, errors: 0, refusal: None, latency })
    }

    pub(super) fn count(&mut self, messages: u64, bytes: u64) {
        self.messages += messages;
        self.bytes += bytes;
    }

    pub(super) fn took(&mut self, latency: Duration) {
        self.latency.saturating_record(latency.as_micros() as u64);
    }

    pub(super) fn refused(&mut self, code: ResponseCode, remark: &str) {
        self.errors += 1;
        self.refusal.get_or_insert_with(|| format!("{}: {remark}", code.as_i32()));
    }

    /// Moves what `other` holds here.
    fn take(&mut self, other: &mut Self) -> Result<(), Fault> {
        self.messages += std::mem::take(&mut other.messages);
        self.bytes += std::mem::take(&mut other.bytes);
        self.errors += std::mem::take(&mut other.errors);
        self.refusal = self.refusal.take().or(other.refusal.take());
        self.latency.add(&other.latency)?;
        other.latency.reset();
        Ok(())
    }
}

/// A connection's share of what is measured. Only the reading once a second ever contends for it.
pub(super) struct Meter(Mutex<Measured>);

impl Meter {
    pub(super) fn lock(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reading.
#[derive(Debug, serde::Serialize)]
pub(super) struct Second {
    /// Its end, in seconds since the start.
    pub(super) at: f64,
    /// Messages a second.
    pub(super) rate: f64,
    /// Latency, ms.
    pub(super) p50: f64,
    /// Latency, ms.
    pub(super) p99: f64,
}

/// What a whole run gave.
pub(super) struct Outcome {
    pub(super) took: Duration,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) errors: u64,
    pub(super) refusal: Option<String>,
    /// In µs.
    pub(super) latency: Histogram<u64>,
    pub(super) seconds: Vec<Second>,
}

/// Runs `load` on so many threads, each told its number, its meter and when all began.
pub(super) fn watch(
    name: &str,
    connections: usize,
    load: impl Fn(usize, &Meter, Instant) -> Result<(), Fault> + Sync,
) -> Result<Outcome, Fault> {
    let meters: Result<Vec<Meter>, Fault> =
        (0..connections).map(|_| Ok(Meter(Mutex::new(Measured::new()?)))).collect();
    let meters = meters?;
    let began = Instant::now();
    let load = &load;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(&meters)
            .map(|(number, meter)| scope.spawn(move || load(number, meter, began)))
            .collect();
        let outcome = read(name, &meters, began, || threads.iter().all(|thread| thread.is_finished()));
        for thread in threads {
            thread.join().map_err(|_| Fault::Thread)??;
        }
        outcome
    })
}

fn read(name: &str, meters: &[Meter], began: Instant, is_done: impl Fn() -> bool) -> Result<Outcome, Fault> {
    let line = stderr().is_terminal().then(ProgressBar::new_spinner);
    let (mut whole, mut last, mut seconds) = (Measured::new()?, Duration::ZERO, Vec::new());
    let took = loop {
        while began.elapsed() < last + SECOND && !is_done() {
            thread::sleep(LOOK);
        }
        let (done, now) = (is_done(), began.elapsed());
        let mut second = Measured::new()?;
        meters.iter().try_for_each(|meter| second.take(&mut meter.lock()))?;
        let ms = |quantile| second.latency.value_at_quantile(quantile) as f64 / 1e3;
        let rate = second.messages as f64 / (now - last).as_secs_f64();
        let reading = Second { at: now.as_secs_f64(), rate, p50: ms(0.5), p99: ms(0.99) };
        let text = format!(
            "{name} {:.0} s: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {} refused",
            reading.at,
            reading.rate,
            reading.p50,
            reading.p99,
            whole.errors + second.errors
        );
        whole.take(&mut second)?;
        // The rest of a second, at the end, is too short to say how fast it went.
        if !done || seconds.is_empty() {
            seconds.push(reading);
        }
        match &line {
            Some(line) => line.set_message(text),
            None if !done && seconds.len().is_multiple_of(LINE_EVERY) => eprintln!("{text}"),
            None => {}
        }
        if done {
            break now;
        }
        last = now;
    };
    if let Some(line) = line {
        line.finish_and_clear();
    }
    let Measured { messages, bytes, errors, refusal, latency } = whole;
    Ok(Outcome { took, messages, bytes, errors, refusal, latency, seconds })
}
