//! What each thread is doing right now, for the watchdog: written by the shells, read by the watchdog.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use super::cell::CellId;

/// The pulse of one thread. The beat is odd while a behaviour runs; a beat that stays the same odd number is
/// a thread that is held up.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    beat: AtomicU64,
    actor: AtomicU64,
    kind: AtomicUsize,
}

/// In place of a message's kind: the actor runs one of its futures.
pub(super) const FUTURE: usize = usize::MAX;
/// In place of a message's kind: the actor starts or stops.
pub(super) const LIFE: usize = usize::MAX - 1;
/// In place of a message's kind: its mailbox ran empty.
pub(super) const DRAINED: usize = usize::MAX - 2;

/// What the watchdog sees of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) beat: u64,
    pub(super) actor: CellId,
    pub(super) kind: usize,
}

impl Beat {
    pub(super) fn busy(self) -> bool {
        self.beat % 2 == 1
    }
}

static PULSES: Mutex<Vec<Arc<Pulse>>> = Mutex::new(Vec::new());

thread_local! {
    static PULSE: Arc<Pulse> = {
        let pulse = Arc::new(Pulse::default());
        PULSES.lock().unwrap_or_else(PoisonError::into_inner).push(pulse.clone());
        pulse
    };
}

/// Runs `f` in the name of an actor.
pub(super) fn beating<R>(actor: CellId, kind: usize, f: impl FnOnce() -> R) -> R {
    PULSE.with(|pulse| {
        // One writer per pulse (its thread), so plain stores do; a nested call (an actor that starts another
        // on its own thread) keeps the outer name.
        let beat = pulse.beat.load(Ordering::Relaxed);
        if beat % 2 == 1 {
            return f();
        }
        pulse.actor.store(actor.0, Ordering::Relaxed);
        pulse.kind.store(kind, Ordering::Relaxed);
        pulse.beat.store(beat + 1, Ordering::Release);
        let result = f();
        pulse.beat.store(beat + 2, Ordering::Release);
        result
    })
}

/// The present beat of every thread that ever ran an actor; threads that ended are forgotten.
pub(super) fn beats() -> Vec<Beat> {
    let mut pulses = PULSES.lock().unwrap_or_else(PoisonError::into_inner);
    pulses.retain(|pulse| Arc::strong_count(pulse) > 1);
    pulses
        .iter()
        .map(|pulse| Beat {
            beat: pulse.beat.load(Ordering::Acquire),
            actor: CellId(pulse.actor.load(Ordering::Relaxed)),
            kind: pulse.kind.load(Ordering::Relaxed),
        })
        .collect()
}
