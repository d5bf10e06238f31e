//! The actor that writes op messages, which say what half messages have ended: many in one, every few seconds
//! (fact sheet: store 10.1).

use std::{sync::Arc, time::Duration};

use super::Shared;
use crate::{
    actors::{
        delivery::redirect,
        store::Acknowledgement,
        supervision::{Behaviour, Cx, Readiness},
    },
    protocol::{properties::name, record::RecordFields, sys_flag::SysFlag, topic},
};

crate::messages! {
    /// What the writer of op messages is told.
    pub(super) enum OpsMessage {
        /// The interval has passed.
        Interval,
        /// Much has come together.
        Write,
        /// An op message is stored, or is not.
        Settled,
    }
}

/// The tag of an op message: its halves are done.
const DONE: &str = "d";

pub(super) struct OpWriter {
    pub(super) shared: Arc<Shared>,
    pub(super) stopping: bool,
}

impl OpWriter {
    fn write(&self, cx: &Cx<'_, Self>) {
        let most = self.shared.config.get().transaction_op_msg_max_size.len();
        let halves = self.shared.table.take_unsaid();
        let mut rest = halves.as_slice();
        while !rest.is_empty() {
            let mut body = String::new();
            let fits = |half: &&i64| {
                body.push_str(&format!("{half},"));
                body.len() < most
            };
            let count = rest.iter().take_while(fits).count();
            // The one that makes it full is in it.
            let (now, later) = rest.split_at((count + 1).min(rest.len()));
            self.put(now.to_vec(), body, cx);
            rest = later;
        }
    }

    fn put(&self, halves: Vec<i64>, body: String, cx: &Cx<'_, Self>) {
        let address = self.shared.identity.address;
        let fields = RecordFields {
            topic: topic::TRANS_OP_HALF.into(),
            queue_id: 0,
            flag: 0,
            sys_flag: SysFlag(0),
            born_timestamp: cx.clock().now(),
            born_host: address,
            store_host: address,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.into(),
            properties: redirect::property(name::TAGS, DONE).into(),
        };
        let (shared, own) = (self.shared.clone(), cx.address());
        self.shared.table.saying();
        let ack = Acknowledgement::inner(move |outcome| {
            shared.table.said(&halves, outcome.ok().map(|placed| placed.queue_offset.0));
            own.complete(OpsMessage::Settled);
        });
        self.shared.queues.put(fields, ack);
    }

    fn interval(&self) -> Duration {
        self.shared.config.get().transaction_op_batch_interval.duration()
    }
}

impl Behaviour for OpWriter {
    type Message = OpsMessage;
    const KIND: &'static str = "transaction-ops";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(self.interval(), OpsMessage::Interval);
        Readiness::Ready
    }

    fn handle(&mut self, message: OpsMessage, cx: &mut Cx<'_, Self>) {
        match message {
            OpsMessage::Interval => {
                self.write(cx);
                cx.after(self.interval(), OpsMessage::Interval);
            }
            OpsMessage::Write => self.write(cx),
            OpsMessage::Settled if self.stopping && !self.shared.table.is_saying() => cx.stop(),
            OpsMessage::Settled => {}
        }
    }

    fn stop(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.stopping = true;
        self.write(cx);
        if self.shared.table.is_saying() { Readiness::Later } else { Readiness::Ready }
    }

    fn observe(&self) -> String {
        let (next, op) = self.shared.table.progress();
        format!("halves from {next}, ops from {op}")
    }
}
