//! Transactions: half messages, their ends, and questions to their producers (fact sheet: store 10).
//!
//! What is open is known to a [`Table`] that outlives every actor and is read from the files at the start. Ends
//! are served on the connections' threads; one actor asks producers, another one writes down what has ended.

mod check;
mod half;
mod load;
mod ops;
mod table;

use std::{collections::VecDeque, sync::Arc};

use self::{
    check::Checker,
    half::Half,
    ops::{OpWriter, OpsMessage},
    table::{Standing, Table},
};
use super::{SHUTDOWN, later::Later, redirect};
use crate::{
    actors::{
        broker::{Identity, Live},
        groups::Groups,
        store::{Acknowledgement, Queues, Refusal, StoreThreads},
        supervision::{Address, Branch, Millis, Spec},
        topics::Topics,
    },
    config::BrokerConfig,
    protocol::{
        codes::ResponseCode,
        requests::transaction::{EndTransactionRequest, Outcome},
        topic::{TRANS_HALF, TRANS_OP_HALF},
    },
    store::{Store, StoreError},
};

/// The group in whose name the half queue is read.
const GROUP: &str = "CID_RMQ_SYS_TRANS";
/// Digits and comma of a half in an op message, about.
const NAME_LEN: usize = 8;

/// The transactions of a broker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transactions {
    shared: Arc<Shared>,
    ops: Address<OpsMessage>,
}

/// What the parts here share; it outlives every actor.
struct Shared {
    table: Table,
    store: Arc<Store>,
    queues: Queues,
    topics: Topics,
    groups: Groups,
    config: Arc<Live<BrokerConfig>>,
    identity: Identity,
    later: Later,
}

/// What the transactions need of the broker.
pub struct Parts<'a> {
    /// Its files.
    pub store: &'a Arc<Store>,
    /// Its topic queues.
    pub queues: &'a Queues,
    /// Its topics.
    pub topics: &'a Topics,
    /// Its groups.
    pub groups: &'a Groups,
    /// How it is set up.
    pub config: &'a Arc<Live<BrokerConfig>>,
    /// Who it is.
    pub identity: &'a Identity,
}

/// Reads what is open and adds the actors to the branch.
pub(super) fn grow(
    branch: &Branch,
    threads: &StoreThreads,
    parts: &Parts<'_>,
    later: Later,
) -> Result<Transactions, StoreError> {
    let offset = |topic| parts.groups.offset(GROUP, topic, 0);
    let shared = Arc::new(Shared {
        table: load::load(parts.store, offset(TRANS_HALF), offset(TRANS_OP_HALF))?,
        store: parts.store.clone(),
        queues: parts.queues.clone(),
        topics: parts.topics.clone(),
        groups: parts.groups.clone(),
        config: parts.config.clone(),
        identity: parts.identity.clone(),
        later,
    });
    let own = shared.clone();
    let spec = |name: &str| Spec::new(name, &threads.delivery).shutdown(SHUTDOWN);
    let ops =
        branch.child(spec("transaction-ops"), move || Ok(OpWriter { shared: own.clone(), stopping: false }));
    let own = shared.clone();
    branch.child(spec("transaction-check"), move || {
        Ok(Checker { shared: own.clone(), round: None, ahead: VecDeque::new() })
    });
    Ok(Transactions { shared, ops })
}

fn refusal<T>(code: ResponseCode, remark: &str) -> Result<T, Refusal> {
    Err(Refusal { code, remark: remark.to_owned() })
}

impl Transactions {
    /// Ends a transaction as its producer says, once: a second word about it changes nothing. `then` is called
    /// when the message is visible, or is gone.
    pub(crate) fn end(
        &self,
        asked: &EndTransactionRequest,
        now: Millis,
        then: impl FnOnce(Result<(), Refusal>) + Send + 'static,
    ) {
        let half = match self.admit(asked, now) {
            Ok(half) => half,
            Err(refusal) => return then(Err(refusal)),
        };
        if asked.outcome == Outcome::Unknown || self.shared.table.begin(half.origin) != Standing::Open {
            return then(Ok(()));
        }
        let (origin, offset) = (half.origin, half.queue_offset);
        if asked.outcome == Outcome::Rollback {
            self.ended(&half);
            return then(Ok(()));
        }
        let physical = half.physical_offset;
        let Some(fields) = redirect::committed(half.fields.clone(), physical) else {
            self.shared.table.reopen(origin);
            return then(refusal(ResponseCode::SYSTEM_ERROR, "the half message names no topic"));
        };
        let fields = match self.shared.later.place(fields, now) {
            Ok(fields) => fields,
            Err(refusal) => {
                self.shared.table.reopen(origin);
                return then(Err(refusal));
            }
        };
        let own = self.clone();
        let ack = Acknowledgement::inner(move |outcome| match outcome {
            Ok(_) => {
                own.ended(&half);
                then(Ok(()));
            }
            Err(refusal) => {
                tracing::warn!(
                    half = offset,
                    remark = refusal.remark,
                    "a commit is not stored: asked again later"
                );
                own.shared.table.reopen(origin);
                then(Err(refusal));
            }
        });
        self.shared.queues.put(fields, ack);
    }

    /// The half message that is meant, if its producer may end it now.
    fn admit(&self, asked: &EndTransactionRequest, now: Millis) -> Result<Half, Refusal> {
        let system_error = |remark| refusal(ResponseCode::SYSTEM_ERROR, remark);
        let Some(half) = Half::at(&self.shared.store, asked.commit_log_offset) else {
            return system_error("Find prepared transaction message failed");
        };
        let time_out = self.shared.config.get().transaction_time_out.duration();
        let time_out = Millis::try_from(time_out.as_millis()).unwrap_or(Millis::MAX);
        let immunity = half.immunity(time_out).filter(|_| !asked.from_transaction_check);
        if immunity.is_some_and(|immunity| now - half.fields.born_timestamp > immunity) {
            let remark = "Message commit fail [producer end], it is too late: the producer will be asked";
            return refusal(ResponseCode::ILLEGAL_OPERATION, remark);
        }
        if half.group() != Some(asked.producer_group.as_str()) {
            return system_error("The producer group wrong");
        }
        if half.queue_offset != asked.tran_state_table_offset {
            return system_error("The transaction state table offset wrong");
        }
        Ok(half)
    }

    fn ended(&self, half: &Half) {
        let unsaid = self.shared.table.ended(half.origin, half.queue_offset);
        let most = self.shared.config.get().transaction_op_msg_max_size.len();
        if unsaid.saturating_mul(NAME_LEN) >= most {
            self.ops.complete(OpsMessage::Write);
        }
    }
}
