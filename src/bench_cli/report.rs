//! What came out: in words, as JSON, and as a page with plots.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::meter::{Outcome, Second};
use super::plot::{Axis, Line, plot};

/// The quantiles that are named.
const NAMED: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// A run, ready to be shown.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    case: &'static str,
    options: Value,
    seconds: f64,
    messages: u64,
    /// Bodies of sends, whole records of pulls.
    bytes: u64,
    /// Requests that were refused.
    pub(super) errors: u64,
    /// The first refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    messages_per_second: f64,
    mib_per_second: f64,
    latency_ms: Vec<Quantile>,
    /// The whole distribution, for plots.
    quantiles: Vec<Quantile>,
    readings: Vec<Second>,
}

/// A latency, and the share of all that took no longer.
#[derive(Debug, Serialize)]
struct Quantile {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'static str,
    quantile: f64,
    ms: f64,
}

impl Report {
    pub(super) fn new(case: &'static str, options: Value, outcome: Outcome) -> Self {
        let seconds = outcome.took.as_secs_f64();
        let at = |name, quantile| Quantile {
            name,
            quantile,
            ms: outcome.latency.value_at_quantile(quantile) as f64 / 1e3,
        };
        let all = outcome.latency.iter_quantiles(5).map(|step| at("", step.quantile_iterated_to()));
        Self {
            case,
            options,
            seconds,
            messages: outcome.messages,
            bytes: outcome.bytes,
            errors: outcome.errors,
            refusal: outcome.refusal.clone(),
            messages_per_second: outcome.messages as f64 / seconds,
            mib_per_second: outcome.bytes as f64 / seconds / f64::from(1 << 20),
            latency_ms: NAMED.map(|(name, quantile)| at(name, quantile)).into(),
            quantiles: all.collect(),
            readings: outcome.seconds,
        }
    }

    pub(super) fn json(&self) -> String {
        // Numbers and strings: nothing in it cannot be JSON.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// One page that needs nothing from anywhere.
    pub(super) fn html(&self) -> String {
        let row = |name: &str, value: String| format!("<tr><td>{name}</td><td>{value}</td></tr>\n");
        let mut figures = row("messages", self.messages.to_string());
        figures += &row("seconds", format!("{:.1}", self.seconds));
        figures += &row("messages a second", format!("{:.0}", self.messages_per_second));
        figures += &row("MiB a second", format!("{:.1}", self.mib_per_second));
        figures += &row("refused", self.errors.to_string());
        for Quantile { name, ms, .. } in &self.latency_ms {
            figures += &row(&format!("latency {name}"), format!("{ms:.3} ms"));
        }
        for (name, value) in self.options.as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            figures += &row(name, escaped(&value));
        }
        let over_time = |value: fn(&Second) -> f64| -> Vec<(f64, f64)> {
            self.readings.iter().map(|reading| (reading.at, value(reading))).collect()
        };
        let rate = [Line { name: "messages a second", points: over_time(|reading| reading.rate) }];
        let latency = [
            Line { name: "p50, ms", points: over_time(|reading| reading.p50) },
            Line { name: "p99, ms", points: over_time(|reading| reading.p99) },
        ];
        let spread = [Line {
            name: "latency, ms",
            points: self.quantiles.iter().map(|at| (at.nines(), at.ms)).collect(),
        }];
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>castmq bench {case}</title>\n\
             <style>body{{font:14px sans-serif;margin:2em}}td{{padding:2px 12px 2px 0}}svg{{display:block;margin:1em 0}}\
             td+td{{text-align:right}}</style>\n<h1>castmq bench {case}</h1>\n<table>\n{figures}</table>\n\
             <h2>Rate over time</h2>\n{}<h2>Latency over time</h2>\n{}<h2>Latency by share of requests</h2>\n{}</html>\n",
            plot(&rate, Axis::Seconds),
            plot(&latency, Axis::Seconds),
            plot(&spread, Axis::Nines),
            case = self.case,
        )
    }
}

impl Quantile {
    /// How many nines: 1 for 90 %, 3 for 99.9 %.
    fn nines(&self) -> f64 {
        -(1.0 - self.quantile).max(1e-6).log10()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, messages, seconds, messages_per_second, mib_per_second, errors, .. } = self;
        writeln!(
            f,
            "{case}: {messages} messages in {seconds:.1} s: {messages_per_second:.0}/s, {mib_per_second:.1} MiB/s, {errors} refused"
        )?;
        if let Some(refusal) = &self.refusal {
            writeln!(f, "the first refusal: {refusal}")?;
        }
        write!(f, "latency, ms:")?;
        self.latency_ms.iter().try_for_each(|Quantile { name, ms, .. }| write!(f, " {name} {ms:.3}"))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use std::time::Duration;

    #[test]
    fn a_report_tells_rate_and_latency_in_words_as_json_and_as_a_page() {
        let mut latency = Histogram::new(3).unwrap();
        (1..=1000).for_each(|us| latency.record(us).unwrap());
        let readings = vec![Second { at: 1.0, rate: 900.0, p50: 0.5, p99: 0.99 }];
        let outcome = Outcome {
            took: Duration::from_secs(2),
            messages: 1000,
            bytes: 4 << 20,
            errors: 1,
            refusal: Some("2: <busy>".into()),
            latency,
            seconds: readings,
        };
        let report = Report::new("send", serde_json::json!({ "broker": "a<b:1" }), outcome);
        let text = report.to_string();
        assert!(text.starts_with("send: 1000 messages in 2.0 s: 500/s, 2.0 MiB/s, 1 refused\n"), "{text}");
        assert!(text.contains("p50 0.500 p90 0.900 p99 0.990"), "{text}");
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["latency_ms"][2]["ms"], 0.99);
        assert_eq!(json["readings"][0]["rate"], 900.0);
        let page = report.html();
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("a&lt;b:1"), "what the user typed is no markup");
    }
}
