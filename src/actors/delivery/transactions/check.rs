//! The actor that asks producers how their transactions ended (fact sheet: store 10.2).
//!
//! A round reads the half queue in order. What has ended is passed; what is open for too long is copied to the
//! end of the queue, and its producer is asked about the copy.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::oneshot;

use super::{
    GROUP, Shared,
    half::{Half, Rules, Verdict},
    load,
    table::Standing,
};
use crate::{
    actors::{
        delivery::named,
        remoting::request,
        store::{Acknowledgement, Placed, queue::QueueMessage},
        supervision::{Behaviour, Cx, Millis, Readiness},
    },
    protocol::{
        codes::RequestCode,
        record::RecordFields,
        topic::{Perm, TRANS_CHECK_MAX_TIME, TRANS_HALF, TRANS_OP_HALF, TopicConfig},
    },
    store::{QueueOffset, consume_queue::Unit},
};

crate::messages! {
    /// What the checker is told.
    pub(super) enum CheckMessage {
        /// Time for a round.
        Round,
        /// The half queue has these, from the offset on.
        Halves { at: i64, units: Vec<Unit> },
        /// A half message was copied; its producer is to be asked about the copy, if there is one to ask about.
        Copied(Option<Box<Half>>),
    }
}

/// Halves that are read at once.
const STEP: usize = 32;

pub(super) struct Checker {
    pub(super) shared: Arc<Shared>,
    /// When the round began that is under way.
    pub(super) round: Option<Millis>,
    /// Halves that were read and not looked at yet.
    pub(super) ahead: VecDeque<(i64, Unit)>,
}

impl Checker {
    fn read(&self, cx: &mut Cx<'_, Self>) {
        let min = self.shared.store.queues().get(TRANS_HALF, 0).map_or(0, |queue| queue.min_offset().0);
        self.shared.table.skip_to(min);
        let (at, _) = self.shared.table.progress();
        let (reply, units) = oneshot::channel();
        if let Ok(queue) = self.shared.queues.address(TRANS_HALF, 0) {
            // Full or closed it drops the question: then nothing is read in this round.
            let _ = queue.send(QueueMessage::Units { from: QueueOffset(at), max: STEP, reply });
        }
        cx.spawn(async move { CheckMessage::Halves { at, units: units.await.unwrap_or_default() } });
    }

    /// Looks at what was read, up to the first half that has to be waited for.
    fn go_on(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(began) = self.round else { return };
        while let Some((offset, unit)) = self.ahead.pop_front() {
            let table = &self.shared.table;
            let Some(half) = load::read(&self.shared.store, &unit) else {
                tracing::warn!(offset, "a half message cannot be read: passed over");
                table.skip_to(offset + 1);
                continue;
            };
            match table.look(half.origin, offset) {
                Standing::Ended => table.passed(half.origin, offset),
                Standing::Ending => return self.end_round(cx),
                Standing::Open => match half.verdict(cx.clock().now(), began, self.rules()) {
                    Verdict::Wait => return self.end_round(cx),
                    Verdict::PutBack => return self.copy(half, false, cx),
                    Verdict::Ask => return self.copy(half, true, cx),
                    Verdict::Discard => return self.discard(half, cx),
                },
            }
        }
        self.read(cx);
    }

    fn rules(&self) -> Rules {
        let config = self.shared.config.get();
        let millis = |span: std::time::Duration| Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX);
        Rules {
            time_out: millis(config.transaction_time_out.duration()),
            most_checks: config.transaction_check_max,
            reserved: millis(config.file_reserved_time.duration()),
        }
    }

    fn end_round(&mut self, cx: &mut Cx<'_, Self>) {
        self.ahead.clear();
        self.shared.save();
        if self.round.take().is_none() {
            return;
        }
        cx.after(self.shared.config.get().transaction_check_interval.duration(), CheckMessage::Round);
    }

    /// Copies the half message; the round goes on when the copy is stored.
    fn copy(&mut self, half: Half, is_asked: bool, cx: &mut Cx<'_, Self>) {
        if !self.shared.table.begin_copy() {
            // One that the behaviour before this one began.
            return self.end_round(cx);
        }
        let fields = half.copy(is_asked);
        let (shared, own, copied) = (self.shared.clone(), cx.address(), fields.clone());
        let ack = Acknowledgement::inner(move |outcome| {
            let question = outcome.ok().map(|Placed { queue_offset, physical_offset, .. }| {
                shared.table.copied(half.origin, queue_offset.0);
                shared.table.passed(half.origin, half.queue_offset);
                let (queue_offset, physical_offset) = (queue_offset.0, physical_offset.0);
                Box::new(Half { queue_offset, physical_offset, fields: copied, ..half })
            });
            shared.table.end_copy();
            own.complete(CheckMessage::Copied(question.filter(|_| is_asked)));
        });
        self.shared.queues.put(fields, ack);
    }

    /// Puts a half message away that nobody knew the end of.
    fn discard(&mut self, half: Half, cx: &mut Cx<'_, Self>) {
        let table = &self.shared.table;
        if table.begin(half.origin) != Standing::Open {
            return self.end_round(cx);
        }
        let topic = TopicConfig::new(TRANS_CHECK_MAX_TIME, 1, Perm::READ_WRITE);
        let topic = self.shared.topics.ensure(topic);
        tracing::warn!(half = half.queue_offset, group = half.group(), "a transaction is given up");
        let fields = RecordFields {
            topic: topic.topic_name.clone().into(),
            queue_id: 0,
            prepared_transaction_offset: named::name(half.physical_offset),
            ..half.fields.clone()
        };
        let (shared, own) = (self.shared.clone(), cx.address());
        let ack = Acknowledgement::inner(move |outcome| {
            match outcome {
                Ok(_) => {
                    shared.table.discarded(half.origin);
                    shared.table.passed(half.origin, half.queue_offset);
                }
                Err(_) => shared.table.reopen(half.origin),
            }
            own.complete(CheckMessage::Copied(None));
        });
        self.shared.queues.put(fields, ack);
    }

    /// Asks any producer of the group.
    fn ask(&self, half: &Half) {
        if self.shared.table.look(half.origin, half.queue_offset) != Standing::Open {
            return;
        }
        let Some(client) = half.group().and_then(|group| self.shared.groups.producer(group)) else {
            tracing::debug!(group = half.group(), "no producer is there to be asked");
            return;
        };
        if let Some((header, body)) = half.question(&self.shared.identity.name) {
            client.peer.tell(request(RequestCode::CHECK_TRANSACTION_STATE, &header), body);
        }
    }
}

impl Shared {
    /// Notes how far the queues are, where RocketMQ looks for it.
    pub(super) fn save(&self) {
        let (half, op) = self.table.progress();
        self.groups.commit_offset(GROUP, TRANS_HALF, 0, half);
        self.groups.commit_offset(GROUP, TRANS_OP_HALF, 0, op);
    }
}

impl Behaviour for Checker {
    type Message = CheckMessage;
    const KIND: &'static str = "transaction-check";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(self.shared.config.get().transaction_check_interval.duration(), CheckMessage::Round);
        Readiness::Ready
    }

    fn handle(&mut self, message: CheckMessage, cx: &mut Cx<'_, Self>) {
        match message {
            CheckMessage::Round => {
                self.round = Some(cx.clock().now());
                self.read(cx);
            }
            CheckMessage::Halves { units, .. } if units.is_empty() => self.end_round(cx),
            CheckMessage::Halves { at, units } => {
                self.ahead = (at..).zip(units).collect();
                self.go_on(cx);
            }
            CheckMessage::Copied(question) => {
                if let Some(half) = question {
                    self.ask(&half);
                }
                self.go_on(cx);
            }
        }
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.shared.save();
        Readiness::Ready
    }

    fn observe(&self) -> String {
        let (ends, copies) = self.shared.table.counts();
        format!("{ends} ends remembered, {copies} halves copied")
    }
}
