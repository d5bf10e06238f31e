//! What the binaries share: log, threads, signals, and the way a process ends.

use std::{
    error::Error, fmt::Display, process::ExitCode, rc::Rc, str::FromStr, time::Duration, time::Instant,
};

use actix::{Arbiter, ArbiterHandle, System};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::supervision::{Clock, Exit, Tree, Watchdog, install_panic_hook};

/// The variable that sets how much is logged: `error`, `warn`, `info`, `debug` or `trace`.
pub const LOG_VARIABLE: &str = "CASTMQ_LOG";

/// A signal that is repeated within this time says nothing new.
const INSISTENCE: Duration = Duration::from_secs(1);
/// What holds up a thread for this long is named in the log.
const HELD_UP: Duration = Duration::from_secs(1);

/// The threads of a process, each with an event loop of its own.
#[derive(Debug, Default)]
pub struct Threads(std::cell::RefCell<Vec<Arbiter>>);

impl Threads {
    /// Starts a thread; of the name, tools show the first 15 characters.
    pub fn start(&self, name: &str) -> ArbiterHandle {
        let name = std::ffi::CString::new(name).unwrap_or_default();
        let arbiter = Arbiter::new();
        // A name is for people who watch the threads; without it everything works.
        arbiter.spawn_fn(move || {
            let _ = rustix::thread::set_name(&name);
        });
        let handle = arbiter.handle();
        self.0.borrow_mut().push(arbiter);
        handle
    }

    /// Starts several: `io-0`, `io-1`, and so on. 0: as many as there are cores.
    pub fn start_many(&self, name: &str, count: u32) -> Vec<ArbiterHandle> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let count = usize::try_from(count).ok().filter(|count| *count > 0).unwrap_or_else(cores);
        (0..count).map(|number| self.start(&format!("{name}-{number}"))).collect()
    }

    /// Ends the threads; what lives on them is dropped.
    pub fn end(self) {
        let threads = self.0.into_inner();
        for thread in &threads {
            // False when it has ended already.
            let _ = thread.stop();
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread ended by a panic");
            }
        }
    }
}

/// What a build leaves to the process.
#[derive(Default)]
pub struct Built {
    /// Logged once the tree is up: what listens where, where the data lies.
    pub lines: Vec<String>,
    /// Called after an orderly stop, when no actor is left.
    pub close: Option<Closing>,
}

/// What closes the files of a tree that has stopped.
pub type Closing = Box<dyn FnOnce() -> Result<(), Box<dyn Error>>>;

/// Runs a tree called `name` until a signal or its own end. `build` grows it. `unused` are settings to warn
/// of.
///
/// The status is success after a stop by SIGTERM or SIGINT; failure, with the reason in the last line of the
/// log, when it could not start or gave up.
pub fn run<E: Into<Box<dyn Error>>>(
    name: &str,
    unused: &[String],
    build: impl FnOnce(&Tree, &Threads) -> Result<Built, E>,
) -> ExitCode {
    let began = Instant::now();
    start_log();
    install_panic_hook();
    warn_of(unused);
    match System::new().block_on(live(name, began, build)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            tracing::error!("{name} ends: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn live<E: Into<Box<dyn Error>>>(
    name: &str,
    began: Instant,
    build: impl FnOnce(&Tree, &Threads) -> Result<Built, E>,
) -> Result<(), String> {
    let threads = Threads::default();
    let tree = Rc::new(Tree::new(name, Clock::system(), &threads.start("root")));
    let Built { lines, close } = build(&tree, &threads).map_err(|error| told(&*error.into()))?;
    stop_on_signals(&tree).map_err(|error| format!("cannot wait for signals: {error}"))?;
    tree.start();
    let _watchdog = Watchdog::start_logging(&tree, HELD_UP);
    if tree.started().await.is_ok() {
        lines.iter().for_each(|line| tracing::info!("{line}"));
        tracing::info!("{name} is up after {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    }
    match tree.exited().await {
        Exit::Stopped => {
            threads.end();
            let closed = close.map_or(Ok(()), |close| close().map_err(|error| told(&*error)));
            tracing::info!("{name} has stopped");
            closed
        }
        Exit::GaveUp(reason) => Err(reason.to_string()),
    }
}

fn stop_on_signals(tree: &Rc<Tree>) -> std::io::Result<()> {
    for (kind, text) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let mut signal = signal(kind)?;
        let tree = tree.clone();
        actix_rt::spawn(async move {
            signal.recv().await;
            tracing::info!("{text}: stopping");
            actix_rt::spawn(async move { tree.stop().await });
            // Some senders say it twice; only who insists means it.
            tokio::time::sleep(INSISTENCE).await;
            signal.recv().await;
            tracing::error!("{text} again: ending without waiting");
            std::process::exit(1);
        });
    }
    Ok(())
}

/// An error with its causes, unless it has said them itself.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

fn start_log() {
    let wanted = std::env::var(LOG_VARIABLE).ok();
    let level = wanted.as_deref().map(Level::from_str).transpose();
    let shown = *level.as_ref().unwrap_or(&None).as_ref().unwrap_or(&Level::INFO);
    let log = tracing_subscriber::fmt().compact().with_target(false).with_ansi(false).with_max_level(shown);
    // A second subscriber is refused: then somebody listens already.
    let _ = log.with_writer(std::io::stderr).try_init();
    if level.is_err() {
        warn("takes error, warn, info, debug or trace", LOG_VARIABLE);
    }
}

fn warn_of(unused: &[String]) {
    let unused: Vec<&str> = unused.iter().map(String::as_str).filter(|key| *key != LOG_VARIABLE).collect();
    if !unused.is_empty() {
        warn("settings that change nothing here", unused.join(", "));
    }
}

fn warn(what: &str, which: impl Display) {
    tracing::warn!("{what}: {which}");
}
