//! How far a long piece of work is: a bar on a terminal, now and then a line elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Work that is done before this is not worth a word.
const QUIET: Duration = Duration::from_secs(1);
/// Time between two lines.
const PERIOD: Duration = Duration::from_secs(5);

/// Told how far the work is; gone when dropped.
pub(super) enum Bar {
    Terminal(ProgressBar),
    Lines { what: &'static str, began: Instant, told: Instant },
}

impl Bar {
    pub(super) fn start(what: &'static str) -> Self {
        if !stderr().is_terminal() {
            let now = Instant::now();
            return Bar::Lines { what, began: now, told: now };
        }
        let bar = ProgressBar::new(0).with_message(what);
        let style = "{msg} [{wide_bar}] {percent} %, {bytes_per_sec}, {eta} to go";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Bar::Terminal(bar)
    }

    pub(super) fn tell(&mut self, done: u64, all: u64) {
        match self {
            Bar::Terminal(bar) => {
                bar.set_length(all);
                bar.set_position(done);
            }
            Bar::Lines { what, began, told } => {
                if *told + PERIOD > Instant::now() && done < all || began.elapsed() < QUIET {
                    return;
                }
                *told = Instant::now();
                eprintln!("{}", line(what, done, all, began.elapsed()));
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Bar::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(what: &str, done: u64, all: u64, took: Duration) -> String {
    let seconds = took.as_secs_f64().max(1e-3);
    let rate = done as f64 / seconds;
    let left = (all.saturating_sub(done)) as f64 / rate.max(1.0);
    let percent = done * 100 / all.max(1);
    format!(
        "{what}: {percent} % ({} of {} MiB), {:.0} MiB/s, {left:.0} s to go",
        done >> 20,
        all >> 20,
        rate / (1 << 20) as f64
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_share_rate_and_time_left() {
        let text = line("verify", 50 << 20, 200 << 20, Duration::from_secs(2));
        assert_eq!(text, "verify: 25 % (50 of 200 MiB), 25 MiB/s, 6 s to go");
        assert_eq!(line("verify", 0, 0, Duration::ZERO), "verify: 0 % (0 of 0 MiB), 0 MiB/s, 0 s to go");
    }
}
