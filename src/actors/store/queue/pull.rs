//! Serving pulls: what is there is given as slices of the mapped log; who finds nothing may wait.

use bytes::Bytes;

use super::{QueueMessage, TopicQueue};
use crate::{
    actors::{
        remoting::Responder,
        supervision::{Cx, Millis},
    },
    filter::Filter,
    protocol::{codes::ResponseCode, record::RecordView, requests::pull::PullMessageResponse},
    store::{PhysicalOffset, QueueOffset, StoreError, commit_log::CommitLog, consume_queue::Unit},
};

/// A pull on its way through a queue. Dropped unanswered, it tells the client to ask again.
pub(crate) struct PullJob {
    /// The first offset wanted.
    pub(crate) from: QueueOffset,
    /// Messages wanted at most.
    pub(crate) max_messages: usize,
    /// Bytes wanted at most; the first message comes whatever its size.
    pub(crate) max_bytes: usize,
    /// Which messages.
    pub(crate) filter: Filter,
    /// Until when it may wait for messages; `None` when it may not.
    pub(crate) hold_until: Option<Millis>,
    /// Flags that the answer repeats.
    pub(crate) flags: AnswerFlags,
    /// The way back; taken when the answer is given.
    pub(crate) reply: Option<Responder>,
}

/// What a pull's answer says beside offsets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AnswerFlags {
    /// `suggestWhichBrokerId`.
    pub(crate) broker_id: i64,
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
}

impl Read {
    fn empty((outcome, next): (PullOutcome, QueueOffset)) -> Self {
        Self { outcome, next, body: Vec::new() }
    }
}

/// Messages that lie side by side in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    from: PhysicalOffset,
    len: usize,
}

/// Asks the filter about units: first of the consume queue's word, then of the record where it must.
struct Sieve<'a> {
    filter: &'a Filter,
    log: &'a CommitLog,
    /// What the filter may still spend on this pull.
    effort: usize,
}

impl Sieve<'_> {
    /// Whether the filter wants the message. A record that is not there any more, or is none, passes: whoever
    /// takes it finds out, as without a filter.
    fn passes(&mut self, unit: &Unit, size: usize) -> bool {
        if !self.filter.accepts(unit.tags_code) {
            return false;
        }
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
    room: usize,
    messages: usize,
    runs: Vec<Run>,
}

impl Selection {
    /// Whether the unit was taken; otherwise there is no room for it.
    fn take(&mut self, at: PhysicalOffset, size: usize) -> bool {
        if self.messages == 0 || (!self.runs.is_empty() && size > self.room) {
            return false;
        }
        self.messages -= 1;
        self.room = self.room.saturating_sub(size);
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
        let may_hold = job.hold_until.is_some_and(|until| until > cx.clock().now());
        if read.outcome.may_wait() && may_hold {
            return Some(job);
        }
        if read.outcome == PullOutcome::NoMatchedMessage && may_hold && read.next == self.queue.max_offset() {
            // It has seen everything there is: it waits for what comes next.
            job.from = read.next;
            return Some(job);
        }
        let (min, max) = (self.queue.min_offset(), self.queue.max_offset());
        job.answer(read.outcome, read.next, min, max, read.body);
        None
    }

    fn read(&mut self, job: &PullJob) -> Result<Read, StoreError> {
        let (min, max) = (self.queue.min_offset(), self.queue.max_offset());
        if let Some(elsewhere) = PullOutcome::of_offset(job.from, min, max) {
            return Ok(Read::empty(elsewhere));
        }
        let mut selection =
            Selection { room: job.max_bytes, messages: job.max_messages.max(1), runs: Vec::new() };
        let mut sieve = Sieve { filter: &job.filter, log: &self.log, effort: MOST_EFFORT };
        let step =
            if job.filter == Filter::All { job.max_messages.clamp(1, MOST_SCANNED) } else { MOST_SCANNED };
        let mut next = job.from;
        'scan: while next.since(job.from) < MOST_SCANNED && next < max {
            let units = self.queue.range(next, step)?;
            if units.len() == 0 {
                break;
            }
            for unit in units {
                if selection.messages == 0 || sieve.effort == 0 {
                    break 'scan;
                }
                let size = usize::try_from(unit.size).unwrap_or(0);
                let is_wanted = !unit.is_filler() && sieve.passes(&unit, size);
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
            if selection.messages == 0 {
                break;
            }
        }
        let body: Option<Vec<Bytes>> =
            selection.runs.iter().map(|run| self.log.slice(run.from, run.len)).collect();
        Ok(match body {
            None => {
                self.queue.correct_min(self.log.min_offset())?;
                Read::empty((PullOutcome::MessageWasRemoving, self.queue.min_offset().max(job.from)))
            }
            Some(body) if body.is_empty() => Read::empty((PullOutcome::NoMatchedMessage, next)),
            Some(body) => Read { outcome: PullOutcome::Found, next, body },
        })
    }

    fn hold(&mut self, job: PullJob, cx: &mut Cx<'_, Self>) {
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

    #[test]
    fn neighbours_in_the_log_become_one_slice_and_limits_hold() {
        let mut selection = Selection { room: 250, messages: 3, runs: Vec::new() };
        assert!(selection.take(PhysicalOffset(0), 100));
        assert!(selection.take(PhysicalOffset(100), 100));
        assert!(!selection.take(PhysicalOffset(300), 100), "50 bytes are left");
        assert!(selection.take(PhysicalOffset(400), 50));
        assert!(!selection.take(PhysicalOffset(450), 0), "three messages were wanted");
        let runs = [(0, 200), (400, 50)].map(|(from, len)| Run { from: PhysicalOffset(from), len });
        assert_eq!(selection.runs, runs);
    }

    #[test]
    fn the_first_message_comes_whatever_its_size() {
        let mut selection = Selection { room: 10, messages: 9, runs: Vec::new() };
        assert!(selection.take(PhysicalOffset(0), 1_000_000));
        assert!(!selection.take(PhysicalOffset(1_000_000), 1));
    }
}
