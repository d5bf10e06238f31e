//! A thread that watches the pulses of all others, and names the actor and the message that hold one up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    Tree,
    cell::{Cell, CellId},
    pulse::{Beat, beats},
};

/// A thread that is held up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The path of the actor that holds it up.
    pub actor: String,
    /// The kind of message that it handles.
    pub message: String,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Looks every `period`; what was at work over a whole period on the same message is told to `bark`,
    /// once for each message.
    pub fn start(tree: &Tree, period: Duration, bark: impl Fn(&Blocked) + Send + 'static) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let (root, ended) = (tree.cell().clone(), end.clone());
        let watch = move || {
            let mut last = Vec::new();
            let mut told: Vec<Beat> = Vec::new();
            while !ended.load(Ordering::Acquire) {
                thread::park_timeout(period);
                let now = beats();
                told.retain(|beat| now.contains(beat));
                for beat in now.iter().filter(|beat| beat.busy() && last.contains(*beat)) {
                    let Some(cell) = find(&root, beat.actor) else { continue };
                    if !told.contains(beat) {
                        told.push(*beat);
                        let message = cell.message_name(beat.kind).to_owned();
                        bark(&Blocked { actor: cell.path().to_owned(), message });
                    }
                }
                last = now;
            }
        };
        let thread = thread::Builder::new().name("watchdog".into()).spawn(watch);
        if let Err(error) = &thread {
            tracing::error!(%error, "no watchdog: its thread could not be made");
        }
        Self { end, thread: thread.ok() }
    }

    /// Logs what it finds.
    pub fn start_logging(tree: &Tree, period: Duration) -> Self {
        Self::start(tree, period, move |blocked| {
            tracing::error!(
                actor = blocked.actor,
                message = blocked.message,
                period_ms = period.as_millis() as u64,
                "holds up its thread"
            );
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does not panic; and there would be nobody left to tell.
            let _ = thread.join();
        }
    }
}

fn find(cell: &Arc<Cell>, id: CellId) -> Option<Arc<Cell>> {
    if cell.id() == id {
        return Some(cell.clone());
    }
    cell.children().iter().find_map(|child| find(child, id))
}
