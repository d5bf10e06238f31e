//! Serving pulls: what is there is given as slices of the mapped log; who finds nothing may wait.

use bytes::Bytes;

use super::{
    QueueMessage, TopicQueue,
    cold::{Cold, Loads, Warmth},
};
use crate::{
    actors::{
        remoting::Responder,
        supervision::{Cx, Millis},
    },
    filter::{Filter, SharedFilter},
    protocol::{codes::ResponseCode, fields::Text, record::RecordView, requests::pull::PullMessageResponse},
    store::{
        PhysicalOffset, QueueOffset, StoreError,
        commit_log::CommitLog,
        consume_queue::{UNIT_SIZE, Unit},
    },
};

/// A pull on its way through a queue. Dropped unanswered, it tells the client to ask again.
pub(crate) struct PullJob {
    /// The first offset wanted.
    pub(crate) from: QueueOffset,
    /// Who asks.
    pub(crate) group: Text,
    /// How much is wanted at most.
    pub(crate) limits: Limits,
    /// Which messages.
    pub(crate) filter: SharedFilter,
    /// Until when it may wait for messages; `None` when it may not.
    pub(crate) hold_until: Option<Millis>,
    /// Flags that the answer repeats.
    pub(crate) flags: AnswerFlags,
    /// What was read from the device for it.
    pub(crate) loads: Loads,
    /// The way back; taken when the answer is given.
    pub(crate) reply: Option<Responder>,
}

/// How much one answer may hold; its first message comes whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Most {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// How much a pull gets. RocketMQ takes what lies far behind the log's end as on disk; here it is so much less only
/// where the device had to be waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) from_memory: Most,
    pub(crate) from_disk: Most,
    /// Bytes before the log's end that count as in memory.
    pub(crate) near: usize,
}

/// What a pull's answer says beside offsets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AnswerFlags {
    /// `suggestWhichBrokerId`.
    pub(crate) broker_id: i64,
    /// The same for who lies so far behind that it reads from disk.
    pub(crate) broker_id_when_slow: i64,
    /// `topicSysFlag`.
    pub(crate) topic: i32,
    /// `groupSysFlag`.
    pub(crate) group: i32,
}

/// How a pull ends (fact sheet: remoting 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PullOutcome {
    Found,
    /// Messages are there, but none that the filter wants.
    NoMatchedMessage,
    /// The log deletes what was wanted.
    MessageWasRemoving,
    /// Nothing beyond the offset yet.
    OffsetOverflowOne,
    /// The queue has no message, and the offset is its beginning.
    NoMessageInQueue,
    /// The queue has no message at the offset, and never will: go elsewhere.
    OffsetTooSmall,
    OffsetOverflowBadly,
}

impl PullOutcome {
    fn code(self) -> ResponseCode {
        match self {
            Self::Found => ResponseCode::SUCCESS,
            Self::NoMatchedMessage | Self::MessageWasRemoving => ResponseCode::PULL_RETRY_IMMEDIATELY,
            Self::OffsetOverflowOne | Self::NoMessageInQueue => ResponseCode::PULL_NOT_FOUND,
            Self::OffsetTooSmall | Self::OffsetOverflowBadly => ResponseCode::PULL_OFFSET_MOVED,
        }
    }

    fn remark(self) -> &'static str {
        match self {
            Self::Found => "FOUND",
            Self::NoMatchedMessage => "NO_MATCHED_MESSAGE",
            Self::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
            Self::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
            Self::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
            Self::OffsetTooSmall => "OFFSET_TOO_SMALL",
            Self::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
        }
    }

    /// Whether waiting may help.
    fn may_wait(self) -> bool {
        matches!(self, Self::OffsetOverflowOne | Self::NoMessageInQueue)
    }

    /// Where an offset stands to the queue: `None` when messages lie there. With the offset to go on from.
    pub(crate) fn of_offset(
        from: QueueOffset,
        min: QueueOffset,
        max: QueueOffset,
    ) -> Option<(Self, QueueOffset)> {
        if max.0 == 0 {
            let outcome = if from.0 == 0 { Self::NoMessageInQueue } else { Self::OffsetOverflowBadly };
            Some((outcome, max))
        } else if from < min {
            Some((Self::OffsetTooSmall, min))
        } else if from == max {
            Some((Self::OffsetOverflowOne, from))
        } else if from > max {
            Some((Self::OffsetOverflowBadly, max))
        } else {
            None
        }
    }
}

/// Consume queue units that one pull looks at when its filter passes none (`maxFilterMessageSize` / 20).
const MOST_SCANNED: usize = 800;
/// Bytes of properties that the filter of one pull goes through: some 10 ms, and more than 800 usual messages
/// need with a usual expression.
const MOST_EFFORT: usize = 8 << 20;

/// What a read of the queue gave.
struct Read {
    outcome: PullOutcome,
    next: QueueOffset,
    body: Vec<Bytes>,
    messages: usize,
    /// What it looked at lies so far behind the log's end that it counts as on disk.
    is_far: bool,
    /// The device has to be waited for first.
    cold: Option<Cold>,
}

impl Read {
    fn empty((outcome, next): (PullOutcome, QueueOffset)) -> Self {
        Self { outcome, next, body: Vec::new(), messages: 0, is_far: false, cold: None }
    }
}

/// Messages that lie side by side in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) from: PhysicalOffset,
    pub(super) len: usize,
}

/// Asks the filter about units: first of the consume queue's word, then of the record where it must.
struct Sieve<'a> {
    filter: &'a dyn Filter,
    log: &'a CommitLog,
    /// What the filter may still spend on this pull.
    effort: usize,
}

impl Sieve<'_> {
    /// Whether the filter wants the message, whose word in the consume queue it accepts. A record that is not
    /// there any more, or is none, passes: whoever takes it finds out, as without a filter.
    fn passes(&mut self, unit: &Unit, size: usize) -> bool {
        if !self.filter.reads_properties() {
            return true;
        }
        let record = self.log.slice(unit.physical_offset, size);
        let Some(Ok(record)) = record.as_deref().map(RecordView::parse) else { return true };
        self.effort = self.effort.saturating_sub(self.filter.effort(record.properties));
        self.filter.accepts_properties(record.properties)
    }
}

/// Takes units as long as they fit; neighbours in the log become one run.
struct Selection {
    limits: Limits,
    /// From here on the log counts as in memory.
    near: PhysicalOffset,
    /// The device had to be waited for.
    is_cold: bool,
    messages: usize,
    bytes: usize,
    runs: Vec<Run>,
}

impl Selection {
    fn new(limits: Limits, end: PhysicalOffset, is_cold: bool) -> Self {
        let near = PhysicalOffset(end.0.saturating_sub(i64::try_from(limits.near).unwrap_or(i64::MAX)));
        Self { limits, near, is_cold, messages: 0, bytes: 0, runs: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.messages >= self.limits.from_memory.messages
    }

    /// Whether the unit was taken; otherwise there is no room for it.
    fn take(&mut self, at: PhysicalOffset, size: usize) -> bool {
        let is_on_disk = self.is_cold && at < self.near;
        let most = if is_on_disk { self.limits.from_disk } else { self.limits.from_memory };
        if self.messages > 0 && (self.messages >= most.messages || self.bytes + size > most.bytes) {
            return false;
        }
        self.messages += 1;
        self.bytes += size;
        match self.runs.last_mut() {
            Some(run) if run.from.plus(run.len) == at => run.len += size,
            _ => self.runs.push(Run { from: at, len: size }),
        }
        true
    }
}

impl PullJob {
    fn answer(
        mut self,
        outcome: PullOutcome,
        next: QueueOffset,
        min: QueueOffset,
        max: QueueOffset,
        body: Vec<Bytes>,
    ) {
        let Some(reply) = self.reply.take() else { return };
        let fields = PullMessageResponse {
            suggest_which_broker_id: self.flags.broker_id,
            next_begin_offset: next.0,
            min_offset: min.0,
            max_offset: max.0,
            offset_delta: None,
            topic_sys_flag: Some(self.flags.topic),
            group_sys_flag: Some(self.flags.group),
            forbidden_type: None,
        };
        let answer = reply.answer(outcome.code()).remark(outcome.remark()).fields(fields);
        reply.send(answer, body);
    }
}

impl Drop for PullJob {
    /// A client that is told to pull again at once notices nothing of a queue's restart.
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            let fields = PullMessageResponse {
                suggest_which_broker_id: self.flags.broker_id,
                next_begin_offset: self.from.0,
                min_offset: 0,
                max_offset: self.from.0,
                offset_delta: None,
                topic_sys_flag: Some(self.flags.topic),
                group_sys_flag: Some(self.flags.group),
                forbidden_type: None,
            };
            let answer = reply.answer(ResponseCode::PULL_RETRY_IMMEDIATELY).fields(fields);
            reply.send(answer, Vec::new());
        }
    }
}

impl TopicQueue {
    pub(super) fn pull(&mut self, job: PullJob, cx: &mut Cx<'_, Self>) {
        if let Some(job) = self.serve(job, cx) {
            self.hold(job, cx);
        }
    }

    /// Answers the pull, or gives it back when it may wait.
    fn serve(&mut self, mut job: PullJob, cx: &mut Cx<'_, Self>) -> Option<PullJob> {
        let read = match self.read(&job) {
            Ok(read) => read,
            Err(error) => {
                cx.fail(error.to_string());
                return None;
            }
        };
        if let Some(cold) = read.cold {
            // What it has seen and passed over, it need not look at again.
            job.from = read.next;
            self.load(job, cold, cx);
            return None;
        }
        self.count(&job, &read);
        let may_hold = job.hold_until.is_some_and(|until| until > cx.clock().now());
        if read.outcome.may_wait() && may_hold {
            return Some(job);
        }
        if read.outcome == PullOutcome::NoMatchedMessage && may_hold && read.next == self.queue.max_offset() {
            // It has seen everything there is: it waits for what comes next.
            job.from = read.next;
            return Some(job);
        }
        if read.is_far {
            job.flags.broker_id = job.flags.broker_id_when_slow;
        }
        let (min, max) = (self.queue.min_offset(), self.queue.max_offset());
        job.answer(read.outcome, read.next, min, max, read.body);
        None
    }

    fn count(&mut self, job: &PullJob, read: &Read) {
        let traffic = self.store.traffic();
        if let Some(took) = job.loads.took() {
            traffic.cold_times.add(1, took);
        }
        if read.outcome != PullOutcome::Found {
            return traffic.missed.add(0, 0);
        }
        let bytes = read.body.iter().map(Bytes::len).sum();
        traffic.found.add(read.messages, bytes);
        if !self.state.is_system() {
            traffic.found_by_users.add(read.messages, bytes);
        }
        let reader = self.readers.get(&job.group).cloned().unwrap_or_else(|| {
            let tally = traffic.read(&self.topic, &job.group);
            self.readers.insert(job.group.detached(), tally.clone());
            tally
        });
        reader.add(read.messages, bytes);
    }

    fn read(&mut self, job: &PullJob) -> Result<Read, StoreError> {
        let (min, max) = (self.queue.min_offset(), self.queue.max_offset());
        if let Some(elsewhere) = PullOutcome::of_offset(job.from, min, max) {
            return Ok(Read::empty(elsewhere));
        }
        let most = job.limits.from_memory;
        let mut selection = Selection::new(job.limits, self.log.max_offset(), job.loads.is_begun());
        let mut sieve = Sieve { filter: &*job.filter, log: &self.log, effort: MOST_EFFORT };
        let mut warmth = Warmth::of(&self.log, &job.loads);
        let step = if job.filter.accepts_all() { most.messages.clamp(1, MOST_SCANNED) } else { MOST_SCANNED };
        let (mut next, mut is_far) = (job.from, false);
        // Records that have to come from the device, once there is one.
        let mut cold: Vec<Run> = Vec::new();
        'scan: while next.since(job.from) < MOST_SCANNED && next < max {
            let units = self.queue.range_at_hand(next, step)?;
            if units.len() == 0 {
                if !selection.runs.is_empty() || job.loads.is_spent() {
                    break;
                }
                drop(units);
                let (path, at) = self.queue.place(next);
                let units = Cold::Units { path, at, len: step * UNIT_SIZE };
                return Ok(Read { cold: Some(units), ..Read::empty((PullOutcome::NoMatchedMessage, next)) });
            }
            for unit in units {
                if selection.is_full() || sieve.effort == 0 || cold.len() >= most.messages.max(1) {
                    break 'scan;
                }
                let size = usize::try_from(unit.size).unwrap_or(0);
                let may_be_wanted = !unit.is_filler() && job.filter.accepts(unit.tags_code);
                if may_be_wanted && (!cold.is_empty() || !warmth.has(&unit, size)) {
                    if !selection.runs.is_empty() || job.loads.is_spent() {
                        break 'scan;
                    }
                    cold.push(Run { from: unit.physical_offset, len: size });
                }
                if !cold.is_empty() {
                    continue;
                }
                is_far = unit.physical_offset < selection.near;
                let is_wanted = may_be_wanted && sieve.passes(&unit, size);
                if is_wanted && !self.log.is_whole(unit.physical_offset, size) {
                    let (at, offset) = (unit.physical_offset.0, next.0);
                    tracing::error!(at, offset, "a message is damaged and passed over: castmq store verify");
                    next = next.plus(1);
                    continue;
                }
                if is_wanted && !selection.take(unit.physical_offset, size) {
                    break 'scan;
                }
                next = next.plus(1);
            }
            if selection.is_full() || !cold.is_empty() {
                break;
            }
        }
        if !cold.is_empty() {
            let cold = Some(Cold::Records(cold));
            return Ok(Read { cold, ..Read::empty((PullOutcome::NoMatchedMessage, next)) });
        }
        let body: Option<Vec<Bytes>> =
            selection.runs.iter().map(|run| self.log.slice(run.from, run.len)).collect();
        Ok(match body {
            None => {
                self.queue.correct_min(self.log.min_offset())?;
                Read::empty((PullOutcome::MessageWasRemoving, self.queue.min_offset().max(job.from)))
            }
            Some(body) if body.is_empty() => {
                Read { is_far, ..Read::empty((PullOutcome::NoMatchedMessage, next)) }
            }
            Some(body) => {
                Read { body, messages: selection.messages, is_far, ..Read::empty((PullOutcome::Found, next)) }
            }
        })
    }

    fn hold(&mut self, mut job: PullJob, cx: &mut Cx<'_, Self>) {
        job.group = job.group.detached();
        if let Some(until) = job.hold_until {
            self.set_alarm(until, cx);
        }
        self.held.push(job);
    }

    fn set_alarm(&mut self, at: Millis, cx: &mut Cx<'_, Self>) {
        if self.alarm.is_none_or(|alarm| at < alarm) {
            self.alarm = Some(at);
            let wait = u64::try_from(at - cx.clock().now()).unwrap_or(0);
            cx.after(std::time::Duration::from_millis(wait), QueueMessage::Due);
        }
    }

    /// Serves those who wait, now that there is more.
    pub(super) fn wake_held(&mut self, cx: &mut Cx<'_, Self>) {
        for job in std::mem::take(&mut self.held) {
            if job.reply.as_ref().is_some_and(Responder::is_wanted)
                && let Some(job) = self.serve(job, cx)
            {
                self.held.push(job);
            }
        }
    }

    /// Answers those who have waited as long as they may.
    pub(super) fn release_due(&mut self, cx: &mut Cx<'_, Self>) {
        self.alarm = None;
        // They are served as if they came now: whose time is over may not wait any more.
        self.wake_held(cx);
        if let Some(next) = self.held.iter().filter_map(|job| job.hold_until).min() {
            self.set_alarm(next, cx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(from: i64, min: i64, max: i64) -> Option<(PullOutcome, i64)> {
        let outcome = PullOutcome::of_offset(QueueOffset(from), QueueOffset(min), QueueOffset(max));
        outcome.map(|(outcome, next)| (outcome, next.0))
    }

    #[test]
    fn an_offset_outside_of_the_queue_is_answered_as_rocketmq_does() {
        assert_eq!(offsets(0, 0, 0), Some((PullOutcome::NoMessageInQueue, 0)));
        assert_eq!(offsets(5, 0, 0), Some((PullOutcome::OffsetOverflowBadly, 0)));
        assert_eq!(offsets(3, 5, 9), Some((PullOutcome::OffsetTooSmall, 5)));
        assert_eq!(offsets(9, 5, 9), Some((PullOutcome::OffsetOverflowOne, 9)));
        assert_eq!(offsets(10, 5, 9), Some((PullOutcome::OffsetOverflowBadly, 9)));
        assert_eq!(offsets(5, 5, 9), None);
        assert_eq!(PullOutcome::OffsetTooSmall.code(), ResponseCode::PULL_OFFSET_MOVED);
    }

    fn selection(near: i64, is_cold: bool) -> Selection {
        let from_memory = Most { messages: 3, bytes: 250 };
        let from_disk = Most { messages: 1, bytes: 200 };
        Selection::new(Limits { from_memory, from_disk, near: 1000 }, PhysicalOffset(near + 1000), is_cold)
    }

    #[test]
    fn neighbours_in_the_log_become_one_slice_and_limits_hold() {
        let mut selection = selection(0, true);
        assert!(selection.take(PhysicalOffset(0), 100));
        assert!(selection.take(PhysicalOffset(100), 100));
        assert!(!selection.take(PhysicalOffset(300), 100), "50 bytes are left");
        assert!(selection.take(PhysicalOffset(400), 50));
        assert!(!selection.take(PhysicalOffset(450), 0), "three messages were wanted");
        let runs = [(0, 200), (400, 50)].map(|(from, len)| Run { from: PhysicalOffset(from), len });
        assert_eq!(selection.runs, runs);
    }

    #[test]
    fn far_behind_the_end_of_the_log_there_is_less_if_it_had_to_be_read_from_the_device() {
        let mut cold = selection(150, true);
        assert!(cold.take(PhysicalOffset(100), 40));
        assert!(!cold.take(PhysicalOffset(140), 40), "one message from disk");
        assert!(cold.take(PhysicalOffset(150), 40), "this one is in memory");
        let mut at_hand = selection(150, false);
        assert!(at_hand.take(PhysicalOffset(100), 40) && at_hand.take(PhysicalOffset(140), 40));
    }

    #[test]
    fn the_first_message_comes_whatever_its_size() {
        let mut selection = selection(0, true);
        assert!(selection.take(PhysicalOffset(0), 1_000_000));
        assert!(!selection.take(PhysicalOffset(1_000_000), 1));
    }
}
