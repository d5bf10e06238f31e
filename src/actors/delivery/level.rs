//! The actor of one delay level: it sleeps until the head of its queue is due, and delivers in order.
//!
//! Messages leave in waves: all that are due, up to [`WAVE`], each target queue told once. The next wave waits
//! until this one is stored, so that a message that must be told again is overtaken by none of a later wave.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{progress::Level, redirect, wave};
use crate::{
    actors::{
        store::{
            Acknowledgement, Queues,
            queue::{Found, QueueMessage, Watch},
        },
        supervision::{Behaviour, Cx, Millis, Readiness},
    },
    protocol::{
        record::{RecordFields, RecordView},
        topic,
    },
    store::{QueueOffset, Store, consume_queue::Unit},
};

crate::messages! {
    /// What a level is told.
    pub(super) enum LevelMessage {
        /// See whether something is due.
        Look,
        /// Its queue has these.
        Waiting(Found),
        /// A message of the wave is stored, or is not.
        Settled,
    }
}

/// Most messages that are on their way at a time.
const WAVE: usize = 256;
/// The wait before what was not stored is told again, and before a queue that crashed is asked again.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// Time may be set: nobody sleeps longer than this without a look at the clock.
const LONGEST_SLEEP: Millis = 10_000;

pub(super) struct Deliverer {
    pub(super) number: i32,
    pub(super) progress: Arc<Level>,
    /// Nothing waits longer than this, whatever its record says; `None` for a level that is configured no more.
    pub(super) delay: Option<Millis>,
    pub(super) store: Arc<Store>,
    pub(super) queues: Queues,
    pub(super) stage: Stage,
    pub(super) stopping: bool,
}

/// What it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The first message of its queue.
    Reading,
    /// The time of the first message.
    Sleeping,
    /// The wave that is under way.
    Delivering,
}

impl Deliverer {
    /// Asks its queue for what comes next.
    fn read(&mut self, cx: &mut Cx<'_, Self>) {
        self.stage = Stage::Reading;
        let (reply, found) = oneshot::channel();
        let watch = Watch { from: self.progress.next(), max: WAVE, reply };
        if let Ok(queue) = self.queues.address(topic::SCHEDULE, self.number - 1) {
            // Full or closed it drops the watch, which is heard.
            let _ = queue.send(QueueMessage::Await(watch));
        }
        let pause = cx.clock().sleep(AFTER_FAILURE);
        cx.spawn(async move {
            match found.await {
                Ok(found) => LevelMessage::Waiting(found),
                Err(_) => {
                    pause.await;
                    LevelMessage::Look
                }
            }
        });
    }

    fn look_after(&mut self, wait: Duration, cx: &mut Cx<'_, Self>) {
        self.stage = Stage::Sleeping;
        cx.after(wait, LevelMessage::Look);
    }

    /// When a message is due. A record that says more than its level's delay comes from another time.
    fn due(&self, unit: &Unit, now: Millis) -> Millis {
        match self.delay {
            Some(delay) if unit.tags_code > now.saturating_add(delay) => now,
            _ => unit.tags_code,
        }
    }

    fn waiting(&mut self, Found { at, units }: Found, cx: &mut Cx<'_, Self>) {
        self.progress.skip_to(at);
        let now = cx.clock().now();
        let due: Vec<_> = units.iter().take_while(|unit| self.due(unit, now) <= now).copied().collect();
        if due.is_empty() {
            let head = units.first().map_or(now, |unit| self.due(unit, now));
            let wait = u64::try_from((head - now).min(LONGEST_SLEEP)).unwrap_or(0);
            return self.look_after(Duration::from_millis(wait), cx);
        }
        self.stage = Stage::Delivering;
        self.deliver(at, &due, cx);
        self.go_on(cx);
    }

    /// Tells the target queues what is for them.
    fn deliver(&self, at: QueueOffset, units: &[Unit], cx: &Cx<'_, Self>) {
        self.progress.begin(self.store.log().max_offset());
        let mut messages = Vec::new();
        for (offset, unit) in (0..).map(|step| at.plus(step)).zip(units) {
            if !self.progress.told(offset) {
                continue;
            }
            match self.message(unit) {
                Some(fields) => messages.push((fields, self.ack(offset, cx))),
                None => {
                    let level = self.number;
                    tracing::warn!(level, offset = offset.0, "a delayed message of nowhere: dropped");
                    self.progress.settled(offset, true);
                }
            }
        }
        wave::tell(&self.queues, messages);
    }

    fn message(&self, unit: &Unit) -> Option<RecordFields> {
        let record = self.store.log().slice(unit.physical_offset, usize::try_from(unit.size).ok()?)?;
        let fields = RecordView::parse(&record).ok()?.fields_in(&record);
        redirect::delivered(fields, unit.physical_offset.0)
    }

    fn ack(&self, offset: QueueOffset, cx: &Cx<'_, Self>) -> Acknowledgement {
        let (progress, level, own) = (self.progress.clone(), self.number, cx.address());
        Acknowledgement::inner(move |outcome| {
            let is_done =
                wave::is_done(&outcome, format_args!("the message {} of delay level {level}", offset.0));
            if progress.settled(offset, is_done) {
                own.complete(LevelMessage::Settled);
            }
        })
    }

    /// Once the wave is done: the next one.
    fn go_on(&mut self, cx: &mut Cx<'_, Self>) {
        if self.progress.is_under_way() {
            return;
        }
        if self.stopping {
            cx.stop();
        } else if self.progress.take_failed() {
            self.look_after(AFTER_FAILURE, cx);
        } else {
            self.read(cx);
        }
    }
}

impl Behaviour for Deliverer {
    type Message = LevelMessage;
    const KIND: &'static str = "delay-level";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        // What the behaviour before has told is on its way still.
        self.stage = Stage::Delivering;
        self.go_on(cx);
        Readiness::Ready
    }

    fn handle(&mut self, message: LevelMessage, cx: &mut Cx<'_, Self>) {
        match (self.stage, message) {
            _ if self.stopping && self.stage != Stage::Delivering => {}
            (Stage::Sleeping | Stage::Reading, LevelMessage::Look) => self.read(cx),
            (Stage::Reading, LevelMessage::Waiting(found)) => self.waiting(found, cx),
            (Stage::Delivering, LevelMessage::Settled) => self.go_on(cx),
            // A word to the behaviour before, or of a wave that was done at once.
            _ => {}
        }
    }

    /// What is on its way is waited for, so that what is saved afterwards is exact.
    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.stopping = true;
        if self.progress.is_under_way() { Readiness::Later } else { Readiness::Ready }
    }

    fn observe(&self) -> String {
        format!("{:?}, next {}", self.stage, self.progress.next())
    }
}
