//! `castmq store`: the inspector of a stopped store, at the command line.
//!
//! Results go to standard output, progress to standard error. Statuses: 0 whole, or mended by the next start;
//! 1 damaged; 2 not looked at, with the reason.

mod progress;
mod show;
mod time;

use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::ConfigError;
use crate::config::args::{BrokerArgs, CommonArgs, Program};
use crate::store::StoreError;
use crate::store::inspect::dump::{Filter, dump};
use crate::store::inspect::layout::{Given, StoppedStore};
use crate::store::inspect::rebuild::rebuild;
use crate::store::inspect::verify::verify;
use progress::Bar;
use time::Time;

/// Exit status for damage.
const DAMAGED: u8 = 1;
/// Exit status for a store that could not be looked at.
const REFUSED: u8 = 2;

/// Look at a stopped broker's store
#[derive(Args, Clone, Debug)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum StoreCommand {
    /// Say what is whole and what is not; changes nothing. Status 1: damage that no start mends
    Verify(Place),
    /// Print messages, one a line, in log order; changes nothing
    Dump(Dump),
    /// Make consume queues and key index again from the log
    Rebuild(Place),
}

/// Which store
#[derive(Args, Clone, Debug)]
struct Place {
    /// Its storePathRootDir
    dir: PathBuf,
    /// The broker's configuration file, for what files do not tell: numbers of the index, delay levels, the
    /// log's directory, the size of queue files that are lost
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// maxHashSlotNum that wrote the index [default: RocketMQ's]
    #[arg(long, value_name = "COUNT", requires = "index_entries")]
    index_slots: Option<usize>,
    /// maxIndexNum that wrote the index [default: RocketMQ's]
    #[arg(long, value_name = "COUNT", requires = "index_slots")]
    index_entries: Option<usize>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Which messages
#[derive(Args, Clone, Debug)]
struct Dump {
    #[command(flatten)]
    place: Place,
    /// Of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Of this queue
    #[arg(long, value_name = "ID")]
    queue: Option<i32>,
    /// From this queue offset on
    #[arg(long, value_name = "OFFSET")]
    from: Option<i64>,
    /// Before this queue offset
    #[arg(long, value_name = "OFFSET")]
    to: Option<i64>,
    /// With this key or unique key
    #[arg(long)]
    key: Option<String>,
    /// Stored at this time or later: milliseconds since 1970, or 2026-11-20T23:34:13.552, UTC
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,
    /// Stored before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Print bodies too, as they are stored
    #[arg(long)]
    body: bool,
}

/// Why a store was not looked at.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
}

/// Does what the command line says; returns the status to exit with.
pub fn run(args: &StoreArgs) -> ExitCode {
    let done = match &args.command {
        StoreCommand::Verify(place) => run_verify(place),
        StoreCommand::Dump(dump) => run_dump(dump),
        StoreCommand::Rebuild(place) => run_rebuild(place),
    };
    match done {
        Ok(status) => status,
        // Whoever reads may stop early: `castmq store dump DIR | head`.
        Err(Refused::Print(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("castmq: {error}");
            ExitCode::from(REFUSED)
        }
    }
}

impl Place {
    fn given(&self) -> Result<Given, ConfigError> {
        let mut given = Given::default();
        if let Some(file) = &self.config {
            let common = CommonArgs { config_file: Some(file.clone()), ..CommonArgs::default() };
            let broker = BrokerArgs { common }.load(&[])?.config;
            let delays = broker.message_delay_level.delays();
            given = Given {
                commit_log_dir: broker.store_path_commit_log.clone(),
                consume_queue_file_size: Some(broker.mapped_file_size_consume_queue.len()),
                index: Some((broker.max_hash_slot_num as usize, broker.max_index_num as usize)),
                delay_levels: Some(delays.iter().map(|delay| delay.as_millis() as i64).collect()),
            };
        }
        given.index = self.index_slots.zip(self.index_entries).or(given.index);
        Ok(given)
    }
}

fn run_verify(place: &Place) -> Result<ExitCode, Refused> {
    let store = StoppedStore::read(&place.dir, &place.given()?)?;
    let mut bar = Bar::start("verify");
    let verdict = verify(&store, &mut |done, all| bar.tell(done, all))?;
    drop(bar);
    let mut out = BufWriter::new(stdout().lock());
    match place.json {
        true => show::verdict_json(&mut out, &verdict)?,
        false => show::verdict(&mut out, &verdict)?,
    }
    out.flush()?;
    Ok(if verdict.is_damaged() { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS })
}

fn run_dump(args: &Dump) -> Result<ExitCode, Refused> {
    let store = StoppedStore::read(&args.place.dir, &args.place.given()?)?;
    let filter = Filter {
        topic: args.topic.clone(),
        queue: args.queue,
        from: args.from,
        to: args.to,
        key: args.key.clone(),
        since: args.since.map(|time| time.0),
        until: args.until.map(|time| time.0),
    };
    let mut out = BufWriter::new(stdout().lock());
    let (mut left, mut printed) = (args.limit.unwrap_or(u64::MAX), Ok(()));
    if left > 0 {
        dump(&store, &filter, |record| {
            printed = match args.place.json {
                true => show::message_json(&mut out, record, args.body),
                false => show::message(&mut out, record, args.body),
            };
            left -= 1;
            printed.is_ok() && left > 0
        })?;
    }
    printed?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn run_rebuild(place: &Place) -> Result<ExitCode, Refused> {
    let mut bar = Bar::start("rebuild");
    let rebuilt = rebuild(&place.dir, &place.given()?, &mut |done, all| bar.tell(done, all))?;
    drop(bar);
    let mut out = stdout().lock();
    match place.json {
        true => show::rebuilt_json(&mut out, &rebuilt)?,
        false => show::rebuilt(&mut out, &rebuilt)?,
    }
    Ok(ExitCode::SUCCESS)
}
