//! The actor of the timer wheel: it takes in what its queue has, sleeps until the first message is due, and
//! delivers in waves, in the order of their times.
//!
//! Before a wave it has taken in all that was stored when the wave's time had come: so whoever took a message back
//! before its time finds it taken back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Asked, Flight, Timer};
use crate::{
    actors::{
        delivery::{
            named,
            redirect::{self, number, property},
            wave,
        },
        store::{
            Acknowledgement, Queues,
            queue::{Found, QueueMessage, Watch},
        },
        supervision::{Behaviour, Cx, Millis, Readiness},
    },
    protocol::{
        properties::{self, name},
        record::{RecordFields, RecordView},
        topic::TIMER_WHEEL,
    },
    store::{
        QueueOffset, StoreError,
        timer::{Due, Timed, Timers},
    },
};

crate::messages! {
    /// What the timer is told.
    pub(super) enum TimerMessage {
        /// See whether something is due.
        Look,
        /// Its queue has these; nothing when it has to be asked again.
        Waiting(Option<Found>),
        /// The wave is stored, or what is not is to be told again.
        Settled,
    }
}

/// Most messages that are on their way at a time.
const WAVE: usize = 256;
/// Most messages that are taken in at a time.
const BATCH: usize = 1024;
/// The wait before what failed is tried again.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// Time may be set: nobody sleeps longer than this without a look at the clock.
const LONGEST_SLEEP: Millis = 10_000;

pub(super) struct TimerActor {
    timer: Arc<Timer>,
    queues: Queues,
    /// What has to be taken in before what was due at a time may go.
    awaited: Option<(QueueOffset, Millis)>,
    /// The earliest time for which a `Look` is under way.
    alarm: Option<Millis>,
    is_stopping: bool,
}

impl TimerActor {
    pub(super) fn new(timer: Arc<Timer>, queues: Queues) -> Self {
        Self { timer, queues, awaited: None, alarm: None, is_stopping: false }
    }

    /// Asks the wheel's queue for what comes next.
    fn read(&self, cx: &mut Cx<'_, Self>) {
        let (reply, found) = oneshot::channel();
        let watch = Watch { from: self.timer.files().next(), max: BATCH, reply };
        if let Ok(queue) = self.queues.address(TIMER_WHEEL, 0) {
            // Full or closed it drops the watch, which is heard.
            let _ = queue.send(QueueMessage::Await(watch));
        }
        let pause = cx.clock().sleep(AFTER_FAILURE);
        cx.spawn(async move {
            let found = found.await.ok();
            if found.is_none() {
                pause.await;
            }
            TimerMessage::Waiting(found)
        });
    }

    fn take_in(&self, Found { at, units }: &Found, now: Millis) -> Result<(), StoreError> {
        let timer = &self.timer;
        let mut files = timer.files();
        files.skip_to(*at);
        // What comes late waits in the present slot, which must have been taken out.
        files.load(now, |at, size| timer.deleted_key(at, size))?;
        for (offset, unit) in (0..).map(|step| at.plus(step)).zip(units) {
            let record = timer.record(unit.physical_offset, unit.size);
            let view = record.as_ref().and_then(|record| RecordView::parse(record).ok());
            let Some((view, asked)) = view.and_then(|view| Some((view, Asked::of(view.properties)?))) else {
                tracing::warn!(offset = offset.0, "a timer message without time or target: dropped");
                files.skip_to(offset.plus(1));
                continue;
            };
            let timed = Timed {
                queue_offset: offset,
                physical_offset: unit.physical_offset,
                size: unit.size,
                out: asked.out,
                at: asked.at(view.store_timestamp, timer.precision),
                real_topic: asked.real_topic,
                deletes: asked.deletes,
            };
            files.enqueue(&timed, now)?;
            timer.store.traffic().timed.add(1, 0);
            timer.metrics.count(asked.real_topic.as_bytes(), if asked.deletes.is_some() { -1 } else { 1 });
        }
        files.write()
    }

    /// Moves on in time, and lets go what is due.
    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        if self.timer.is_under_way() {
            return;
        }
        let (timer, now) = (self.timer.clone(), cx.clock().now());
        let mut files = timer.files();
        let settled = std::mem::take(&mut *timer.settled());
        files.delivered(settled.done, settled.fewer);
        let has_failed = !settled.failed.is_empty();
        settled.failed.into_iter().for_each(|due| files.give_back(due));
        if let Err(error) = files.load(now, |at, size| timer.deleted_key(at, size)) {
            tracing::error!(%error, "the timer wheel cannot be read");
            return cx.after(AFTER_FAILURE, TimerMessage::Look);
        }
        files.advance(now, timer.store.log().max_offset());
        if self.is_stopping && files.unfinished().is_none() {
            return cx.stop();
        }
        if has_failed {
            return cx.after(AFTER_FAILURE, TimerMessage::Look);
        }
        match files.head() {
            Some(head) if head <= now => {
                if let Some(until) = self.may_go(&files, now) {
                    self.deliver(files, until, cx);
                }
            }
            _ => self.sleep(&files, now, cx),
        }
    }

    /// Up to which time messages may go, once all that was stored then is taken in.
    fn may_go(&mut self, files: &Timers, now: Millis) -> Option<Millis> {
        let end = || self.timer.store.queues().get(TIMER_WHEEL, 0).map(|queue| queue.next_offset());
        let (offset, until) = self.awaited.unwrap_or_else(|| (end().unwrap_or_default(), now));
        let is_in = files.next() >= offset;
        self.awaited = (!is_in).then_some((offset, until));
        is_in.then_some(until)
    }

    fn sleep(&mut self, files: &Timers, now: Millis, cx: &mut Cx<'_, Self>) {
        let next = files.next_look().unwrap_or(Millis::MAX).min(now.saturating_add(LONGEST_SLEEP));
        let next = match files.unfinished() {
            Some(end) if self.is_stopping => next.min(end),
            _ => next,
        };
        if self.alarm.is_none_or(|alarm| next < alarm || alarm <= now) {
            self.alarm = Some(next);
            let wait = u64::try_from(next - now).unwrap_or(0);
            cx.after(Duration::from_millis(wait), TimerMessage::Look);
        }
    }

    /// Lets the messages go that are due.
    fn deliver(&self, mut files: std::sync::MutexGuard<'_, Timers>, until: Millis, cx: &mut Cx<'_, Self>) {
        let (mut messages, mut over) = (Vec::new(), Vec::new());
        let now = cx.clock().now();
        while let Some(due) = (messages.len() + over.len() < WAVE).then(|| files.take(until)).flatten() {
            let mut flight = self.timer.begin(due, cx.address());
            match self.message(&due, &files, now) {
                Fate::Goes { fields, real_topic, fewer } => {
                    (flight.real_topic, flight.fewer) = (real_topic, fewer);
                    messages.push((*fields, ack(flight)));
                }
                Fate::TakenBack => over.push(flight),
                Fate::Gone => {
                    tracing::warn!(record = due.physical_offset.0, "a timer message cannot be read: dropped");
                    flight.fewer = 1;
                    over.push(flight);
                }
            }
        }
        drop(files);
        if messages.is_empty() && over.is_empty() {
            cx.address().complete(TimerMessage::Look);
        }
        over.into_iter().for_each(Flight::done);
        wave::tell(&self.queues, messages);
    }

    /// What becomes of a message whose time has come.
    fn message(&self, due: &Due, files: &Timers, now: Millis) -> Fate {
        let record = self.timer.record(due.physical_offset, due.size);
        let Some(record) = record else { return Fate::Gone };
        let Some((view, asked)) =
            RecordView::parse(&record).ok().and_then(|view| Some((view, Asked::of(view.properties)?)))
        else {
            return Fate::Gone;
        };
        let (fields, real_topic) =
            (view.fields_in(&record), Bytes::copy_from_slice(asked.real_topic.as_bytes()));
        if due.rolls {
            let at = asked.is_relative().then(|| asked.at(view.store_timestamp, self.timer.precision));
            let (fields, fewer) =
                (rolled(fields, due, at, now), if asked.deletes.is_some() { -1 } else { 1 });
            return Fate::Goes { fields: Box::new(fields), real_topic, fewer };
        }
        if is_taken_back(&view, &asked, due, files) {
            return Fate::TakenBack;
        }
        match redirect::delivered(fields, due.physical_offset.0) {
            Some(fields) => Fate::Goes { fields: Box::new(passed(fields, due, now)), real_topic, fewer: 1 },
            None => Fate::Gone,
        }
    }
}

fn ack(flight: Flight) -> Acknowledgement {
    let offset = flight.due.map_or(0, |due| due.physical_offset.0);
    Acknowledgement::inner(move |outcome| {
        if wave::is_done(&outcome, format_args!("the timer message at {offset}")) {
            flight.done();
        }
    })
}

/// What becomes of a message.
enum Fate {
    Goes { fields: Box<RecordFields>, real_topic: Bytes, fewer: i64 },
    TakenBack,
    Gone,
}

/// By its key alone, or behind its topic (`appendTopicForTimerDeleteKey`).
fn is_taken_back(view: &RecordView<'_>, asked: &Asked<'_>, due: &Due, files: &Timers) -> bool {
    let key = properties::get(view.properties, name::UNIQ_KEY).unwrap_or_default();
    let with_topic = || [asked.real_topic.as_bytes(), key].concat();
    !key.is_empty()
        && (files.is_deleted(due, std::iter::once(key))
            || files.is_deleted(due, std::iter::once_with(with_topic)))
}

const PASSED: [&str; 2] = [name::TIMER_ENQUEUE_MS, name::TIMER_DEQUEUE_MS];

/// When it came into the wheel, and when it left. Nobody's message is lost for that.
fn passed(fields: RecordFields, due: &Due, now: Millis) -> RecordFields {
    let mut text = property(name::TIMER_ENQUEUE_MS, due.enqueued.to_string()).to_vec();
    text.extend_from_slice(&property(name::TIMER_DEQUEUE_MS, now.to_string()));
    let properties = fields.properties.without(&PASSED);
    if properties.len() + text.len() + 1 > properties::MAX_LEN {
        return fields;
    }
    RecordFields { properties: properties.with(text.into()), ..fields }
}

/// The message once more at the end of the wheel's queue; `at` is its time where its record does not tell.
fn rolled(fields: RecordFields, due: &Due, at: Option<Millis>, now: Millis) -> RecordFields {
    let times = number::<u32>(&fields.properties, name::TIMER_ROLL_TIMES);
    let mut properties = fields.properties.without(&[name::TIMER_ROLL_TIMES]);
    properties.push(property(name::TIMER_ROLL_TIMES, times.unwrap_or(0).saturating_add(1).to_string()));
    if let Some(at) = at {
        properties = properties.without(&[name::TIMER_DELIVER_MS]);
        properties.push(property(name::TIMER_DELIVER_MS, at.to_string()));
    }
    let topic = Bytes::from_static(TIMER_WHEEL.as_bytes());
    let named = named::name(due.physical_offset.0);
    let fields =
        RecordFields { topic, queue_id: 0, properties, prepared_transaction_offset: named, ..fields };
    passed(fields, due, now)
}

impl Behaviour for TimerActor {
    type Message = TimerMessage;
    const KIND: &'static str = "timer";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.read(cx);
        self.look(cx);
        Readiness::Ready
    }

    fn handle(&mut self, message: TimerMessage, cx: &mut Cx<'_, Self>) {
        match message {
            TimerMessage::Look => {
                self.alarm = None;
                self.look(cx);
            }
            TimerMessage::Settled => self.look(cx),
            TimerMessage::Waiting(found) => {
                match found.map_or(Ok(()), |found| self.take_in(&found, cx.clock().now())) {
                    Ok(()) => self.read(cx),
                    Err(error) => {
                        tracing::error!(%error, "the timer wheel takes nothing in");
                        cx.after(AFTER_FAILURE, TimerMessage::Waiting(None));
                    }
                }
                self.look(cx);
            }
        }
    }

    /// What is on its way is waited for, and so is the end of the slot that was begun.
    fn stop(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.is_stopping = true;
        self.alarm = None;
        self.look(cx);
        Readiness::Later
    }

    fn observe(&self) -> String {
        let files = self.timer.files();
        format!("{} wait, next {:?}", files.waiting(), files.next_look())
    }
}
