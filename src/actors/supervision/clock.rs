//! Time as the actors see it, so that tests can run it faster.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since 1970-01-01 UTC, as RocketMQ writes time on disk and on the wire.
pub type Millis = i64;

/// The source of wall time and of timers: real, or running a fixed number of times faster.
#[derive(Debug, Clone)]
pub struct Clock {
    pace: Pace,
}

#[derive(Debug, Clone)]
enum Pace {
    Real,
    Scaled { factor: u32, wall: Millis, from: Instant },
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self { pace: Pace::Real }
    }

    /// A clock that starts now and runs `factor` times as fast as the system's; 0 counts as 1.
    pub fn scaled(factor: u32) -> Self {
        Self { pace: Pace::Scaled { factor: factor.max(1), wall: system_millis(), from: Instant::now() } }
    }

    /// The wall time.
    pub fn now(&self) -> Millis {
        match self.pace {
            Pace::Real => system_millis(),
            Pace::Scaled { factor, wall, from } => {
                wall + i64::try_from(from.elapsed().as_millis()).unwrap_or(i64::MAX) * i64::from(factor)
            }
        }
    }

    /// Completes when `span` has passed on this clock.
    pub fn sleep(&self, span: Duration) -> tokio::time::Sleep {
        tokio::time::sleep(self.real(span))
    }

    /// How long `span` of this clock takes in real time.
    pub fn real(&self, span: Duration) -> Duration {
        match self.pace {
            Pace::Real => span,
            Pace::Scaled { factor, .. } => span / factor,
        }
    }
}

fn system_millis() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_scaled_clock_runs_its_factor_faster() {
        let clock = Clock::scaled(60);
        let start = clock.now();
        clock.sleep(Duration::from_secs(60)).await;
        let passed = clock.now() - start;
        assert!((60_000..60_200).contains(&passed), "{passed} ms passed");
    }
}
