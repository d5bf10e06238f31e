//! `castmq bench`: load for any broker that speaks RocketMQ's protocol, and what it makes of it.
//!
//! One blocking connection per thread: nothing but the kernel stands between a request and its time stamp.
//! Results go to standard output, the live line to standard error. Statuses: 0 done; 1 some requests were
//! refused; 2 not run, or broken off, with the reason.

mod load;
mod meter;
mod plot;
mod report;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use report::Report;

/// Exit status when requests were refused.
const REFUSED: u8 = 1;
/// Exit status when nothing was measured.
const FAILED: u8 = 2;

/// Measure a broker, ours or Apache's
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum BenchCommand {
    /// Send as fast as the broker takes it, or at a fixed rate; latency from request to answer
    Send(Send),
    /// Pull what the topic's queues hold, once; latency from request to answer
    Pull(Pull),
    /// Send into a queue that a consumer waits at; latency from send to receipt
    Wake(Wake),
}

/// What every case has in common.
#[derive(Args, Clone, Debug, serde::Serialize)]
struct Common {
    /// The broker, host:port
    broker: String,
    /// The topic; made with so many queues if it is not there
    #[arg(default_value = "castmq-bench")]
    topic: String,
    /// How long
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Queues of the topic
    #[arg(short, long, default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..))]
    queues: i32,
    /// Headers in JSON, not in binary
    #[arg(long)]
    json_headers: bool,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    json: Option<PathBuf>,
    /// Write a report with plots, one file that needs nothing else
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    html: Option<PathBuf>,
}

#[derive(Args, Clone, Debug, serde::Serialize)]
struct Send {
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
    /// Connections, each on a thread of its own
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Requests that wait for their answer, per connection
    #[arg(short = 'w', long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// Bytes of a body
    #[arg(short = 'b', long, value_name = "BYTES", default_value_t = 1024)]
    size: usize,
    /// Messages of a request
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Requests a second in all, with one in flight per connection: latency counts from when each was due
    #[arg(short, long, conflicts_with = "in_flight", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

#[derive(Args, Clone, Debug, serde::Serialize)]
struct Pull {
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
    /// Connections, each on a thread of its own and with its share of the queues
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Messages of an answer at most
    #[arg(short, long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(i32).range(1..))]
    messages: i32,
}

#[derive(Args, Clone, Debug, serde::Serialize)]
struct Wake {
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
    /// Messages a second
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Bytes of a body
    #[arg(short = 'b', long, value_name = "BYTES", default_value_t = 1024)]
    size: usize,
}

impl Common {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot reach {broker}: {source}: is it a broker's address (host:port), and does it run?")]
    Connect { broker: String, source: std::io::Error },
    #[error("the connection broke off: {0}")]
    Io(#[from] std::io::Error),
    #[error("the broker closed the connection")]
    Closed,
    #[error("the broker sent what is no frame: {0}")]
    Frame(#[from] crate::protocol::frame::FrameError),
    #[error("cannot {what}: the broker answered {code}: {remark}")]
    Refused { what: &'static str, code: i32, remark: String },
    #[error("cannot make such a batch: {0}")]
    Batch(#[from] crate::protocol::batch::BatchError),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot count latencies: {0}")]
    Bounds(#[from] hdrhistogram::CreationError),
    #[error("cannot count latencies: {0}")]
    Add(#[from] hdrhistogram::AdditionError),
    #[error("a connection's thread ended early")]
    Thread,
}

/// Does what the command line says; returns the status to exit with.
pub fn run(args: &BenchArgs) -> ExitCode {
    match measure(&args.command) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(REFUSED),
        Err(fault) => {
            eprintln!("castmq: {fault}");
            ExitCode::from(FAILED)
        }
    }
}

/// The number of requests that were refused.
fn measure(command: &BenchCommand) -> Result<u64, Fault> {
    let (name, common, options, outcome) = match command {
        BenchCommand::Send(send) => ("send", &send.common, to_json(send), load::send(send)?),
        BenchCommand::Pull(pull) => ("pull", &pull.common, to_json(pull), load::pull(pull)?),
        BenchCommand::Wake(wake) => ("wake", &wake.common, to_json(wake), load::wake(wake)?),
    };
    let report = Report::new(name, options, outcome);
    println!("{report}");
    let write = |path: &PathBuf, text: String| {
        std::fs::write(path, text).map_err(|source| Fault::Write { path: path.clone(), source })
    };
    common.json.as_ref().map_or(Ok(()), |path| write(path, report.json()))?;
    common.html.as_ref().map_or(Ok(()), |path| write(path, report.html()))?;
    Ok(report.errors)
}

fn to_json(options: &impl serde::Serialize) -> serde_json::Value {
    // Plain numbers and strings: nothing in them cannot be JSON.
    serde_json::to_value(options).unwrap_or_default()
}
