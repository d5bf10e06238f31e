//! What a broker delivers by itself, later than it was sent.
//!
//! One for one: an actor per delay level, and one for the timer wheel, each with one that saves how far it is; one
//! that asks how transactions ended, and one that writes down which have. What they know outlives them, and what
//! no file tells after a kill is [read from the log](named), so that no crash delivers anything twice.

mod keeper;
mod later;
mod level;
mod named;
mod progress;
pub(crate) mod redirect;
mod timer;
mod transactions;
mod wave;

use std::{fmt, sync::Arc, time::Duration};

use self::{
    keeper::{Keeper, Saved},
    later::Later,
    level::{Deliverer, Stage},
    progress::Progress,
    transactions::Transactions,
};

pub(crate) use timer::Timer;
pub use transactions::Parts;

use crate::{
    actors::{
        store::StoreThreads,
        supervision::{Branch, Clock, Millis, Spec, Strategy},
    },
    protocol::{offsets::DelayOffsets, topic},
    store::{Store, StoreError},
};

/// How long an actor here may wait for what is on its way when it is stopped.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// What a broker delivers by itself. Cheap to clone.
#[derive(Clone)]
pub struct Delivery {
    pub(crate) transactions: Transactions,
    /// Where messages wait that are not for now.
    pub(crate) later: Later,
    progress: Arc<Progress>,
    clock: Clock,
}

/// Reads how far the levels and the timer wheel are, and what transactions are open, and grows the branch `delivery`
/// below `parent`, which must stand behind the store and the groups.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn grow(parent: &Branch, threads: &StoreThreads, parts: &Parts<'_>) -> Result<Delivery, StoreError> {
    let Parts { store, .. } = *parts;
    let config = parts.config.get();
    let clock = parent.clock().clone();
    let delays = config.message_delay_level.delays();
    // A level that is configured no more may hold messages still.
    let held = store.queues().snapshot().into_iter().filter(|(topic, ..)| topic == topic::SCHEDULE);
    let held =
        held.filter_map(|(_, queue_id, _)| usize::try_from(queue_id).ok()).max().map_or(0, |id| id + 1);
    let progress = Arc::new(Progress::load(store, delays.len().max(held), clock.now())?);
    let timer = config.timer_wheel_enable.then(|| Timer::open(store, &config, clock.now())).transpose()?;
    learn(store, &progress, timer.as_ref())?;
    let later = Later { levels: delays.len(), timer: timer.map(Arc::new), config: parts.config.clone() };

    let branch =
        parent.branch(Spec::new("delivery", &threads.control).shutdown(SHUTDOWN * 4), Strategy::OneForOne);
    // First in, last out: what is delivered at the stop is saved.
    keep(&branch, threads, &progress, config.flush_delay_offset_interval.duration());
    if let Some(timer) = &later.timer {
        keep(&branch, threads, timer, config.timer_flush_interval_ms.duration());
        timer.grow(&branch, threads, parts);
    }
    grow_levels(&branch, threads, parts, &progress);
    let transactions = transactions::grow(&branch, threads, parts, later.clone())?;
    Ok(Delivery { transactions, later, progress, clock })
}

/// Takes from the log what was delivered though nothing that was saved tells.
fn learn(store: &Arc<Store>, progress: &Progress, timer: Option<&Timer>) -> Result<(), StoreError> {
    let from = timer.and_then(Timer::delivered_from).into_iter().chain(progress.delivered_from()).min();
    let Some(from) = from else { return Ok(()) };
    named::sources(store, from, |record| {
        progress.was_delivered(record);
        if let Some(timer) = timer {
            timer.was_delivered(record);
        }
    })
}

fn keep<S: Saved>(branch: &Branch, threads: &StoreThreads, kept: &Arc<S>, interval: Duration) {
    let kept = kept.clone();
    branch.child(Spec::new(S::KIND, &threads.background).shutdown(SHUTDOWN), move || {
        Ok(Keeper::new(kept.clone(), interval))
    });
}

fn grow_levels(branch: &Branch, threads: &StoreThreads, parts: &Parts<'_>, progress: &Progress) {
    let config = parts.config.get();
    let delays = config.message_delay_level.delays();
    let numbers = 1..;
    for (number, level) in numbers.zip(progress.levels()) {
        let delay = usize::try_from(number - 1).ok().and_then(|index| delays.get(index));
        let delay = delay.map(|delay| Millis::try_from(delay.as_millis()).unwrap_or(Millis::MAX));
        let (level, store, queues) = (level.clone(), parts.store.clone(), parts.queues.clone());
        let spec = Spec::new(format!("level-{number}"), &threads.delivery).shutdown(SHUTDOWN);
        branch.child(spec, move || {
            Ok(Deliverer {
                number,
                progress: level.clone(),
                delay,
                store: store.clone(),
                queues: queues.clone(),
                stage: Stage::Reading,
                stopping: false,
            })
        });
    }
}

impl Delivery {
    /// How many delay levels are configured.
    pub fn levels(&self) -> usize {
        self.later.levels
    }

    /// How far each delay level is, as code 45 has it.
    pub fn offset_table(&self) -> DelayOffsets {
        DelayOffsets { delivered_from: None, ..self.progress.to_file(self.clock.now()) }
    }

    /// The timer wheel, when it is enabled.
    pub(crate) fn timer(&self) -> Option<&Timer> {
        self.later.timer.as_deref()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} delay levels, {} delivered", self.levels(), self.progress.changes())
    }
}
