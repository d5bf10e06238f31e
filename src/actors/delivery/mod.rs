//! What a broker delivers by itself, later than it was sent.
//!
//! One for one: an actor per delay level, and one that saves how far they are; one that asks how transactions
//! ended, and one that writes down which have. What they know outlives them, so that a crash delivers nothing
//! twice.

mod keeper;
mod level;
mod progress;
pub(crate) mod redirect;
mod transactions;

use std::{fmt, sync::Arc, time::Duration};

use self::{
    keeper::Keeper,
    level::{Deliverer, Stage},
    progress::Progress,
    transactions::Transactions,
};

pub use transactions::Parts;

use crate::{
    actors::{
        store::StoreThreads,
        supervision::{Branch, Clock, Millis, Spec, Strategy},
    },
    protocol::{offsets::DelayOffsets, topic},
    store::StoreError,
};

/// How long an actor here may wait for what is on its way when it is stopped.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// What a broker delivers by itself. Cheap to clone.
#[derive(Clone)]
pub struct Delivery {
    pub(crate) transactions: Transactions,
    progress: Arc<Progress>,
    /// Delay levels that are configured.
    levels: usize,
    clock: Clock,
}

/// Reads how far the levels are, and what transactions are open, and grows the branch `delivery` below `parent`, which must
/// stand behind the store and the groups.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn grow(parent: &Branch, threads: &StoreThreads, parts: &Parts<'_>) -> Result<Delivery, StoreError> {
    let Parts { store, queues, .. } = *parts;
    let config = parts.config.get();
    let clock = parent.clock().clone();
    let delays = config.message_delay_level.delays();
    // A level that is configured no more may hold messages still.
    let held = store.queues().snapshot().into_iter().filter(|(topic, ..)| topic == topic::SCHEDULE);
    let held =
        held.filter_map(|(_, queue_id, _)| usize::try_from(queue_id).ok()).max().map_or(0, |id| id + 1);
    let levels = delays.len();
    let progress = Arc::new(Progress::load(store, levels.max(held), clock.now())?);

    let branch =
        parent.branch(Spec::new("delivery", &threads.control).shutdown(SHUTDOWN * 4), Strategy::OneForOne);
    // First in, last out: what the levels deliver while they stop is saved.
    let (own, interval) = (progress.clone(), config.flush_delay_offset_interval.duration());
    branch.child(Spec::new("delay-offsets", &threads.background).shutdown(SHUTDOWN), move || {
        Ok(Keeper { progress: own.clone(), interval, saved: None })
    });
    let numbers = 1..;
    for (number, level) in numbers.zip(progress.levels()) {
        let delay = usize::try_from(number - 1).ok().and_then(|index| delays.get(index));
        let delay = delay.map(|delay| Millis::try_from(delay.as_millis()).unwrap_or(Millis::MAX));
        let (level, store, queues) = (level.clone(), store.clone(), queues.clone());
        let spec = Spec::new(format!("level-{number}"), &threads.control).shutdown(SHUTDOWN);
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
    let transactions = transactions::grow(&branch, threads, parts, levels)?;
    Ok(Delivery { transactions, progress, levels, clock })
}

impl Delivery {
    /// How many delay levels are configured.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// How far each delay level is, as the file and code 45 have it.
    pub fn offset_table(&self) -> DelayOffsets {
        self.progress.to_file(self.clock.now())
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} delay levels, {} delivered", self.levels, self.progress.steps())
    }
}
