//! What the files say of the transactions that are open (fact sheet: store 10.1).

use super::{
    half::Half,
    table::{Origin, Table},
};
use crate::{
    actors::delivery::named,
    protocol::{
        record::RecordView,
        sys_flag::TransactionType,
        topic::{TRANS_CHECK_MAX_TIME, TRANS_HALF, TRANS_OP_HALF},
    },
    store::{
        PhysicalOffset, QueueOffset, Store, StoreError,
        consume_queue::{ConsumeQueue, Unit},
    },
};

/// Units that one read takes.
const STEP: usize = 1024;

/// Reads half and op messages from those on that are needed still. Their queues must have no owner yet.
pub(super) fn load(
    store: &Store,
    half_offset: Option<i64>,
    op_offset: Option<i64>,
) -> Result<Table, StoreError> {
    let (mut halves, mut ops) = (open(store, TRANS_HALF)?, open(store, TRANS_OP_HALF)?);
    let start = |queue: &ConsumeQueue, saved: Option<i64>| {
        let (min, max) = (queue.min_offset().0, queue.max_offset().0);
        saved.unwrap_or(min).min(max).max(min)
    };
    let (next, next_op) = (start(&halves, half_offset), start(&ops, op_offset));
    let table = Table::from(next, next_op);
    let mut oldest = None;
    each(&mut halves, next, |offset, unit| {
        if let Some(half) = read(store, unit) {
            oldest.get_or_insert(unit.physical_offset);
            if half.origin.0 < offset {
                table.copied(half.origin, offset);
            }
        }
    })?;
    let mut named = Vec::new();
    each(&mut ops, next_op, |offset, unit| named.push((offset, halves_named(store, unit))))?;
    for (offset, named) in named {
        if let Some(highest) = named.iter().max() {
            table.recall_op(offset, *highest);
        }
        for half in named {
            let unit = halves.unit(QueueOffset(half))?;
            let origin = unit.and_then(|unit| read(store, &unit)).map_or(Origin(half), |half| half.origin);
            table.ended(origin, half);
        }
    }
    // These are said already.
    table.take_unsaid();
    if store.recovery().was_abnormal {
        ended_since(store, oldest, &table)?;
    }
    Ok(table)
}

fn open(store: &Store, topic: &str) -> Result<ConsumeQueue, StoreError> {
    let mut queue = store.open_queue(topic, 0)?;
    store.catch_up(&mut queue, topic, 0, PhysicalOffset(0), store.log().max_offset())?;
    Ok(queue)
}

fn each(queue: &mut ConsumeQueue, from: i64, mut see: impl FnMut(i64, &Unit)) -> Result<(), StoreError> {
    let mut at = QueueOffset(from);
    loop {
        let units: Vec<Unit> = queue.range(at, STEP)?.collect();
        if units.is_empty() {
            return Ok(());
        }
        for unit in &units {
            see(at.0, unit);
            at = at.plus(1);
        }
    }
}

pub(super) fn read(store: &Store, unit: &Unit) -> Option<Half> {
    let record = store.log().slice(unit.physical_offset, usize::try_from(unit.size).ok()?)?;
    Half::of(&RecordView::parse(&record).ok()?, &record)
}

/// The half messages that an op message names: offsets, each followed by a comma.
fn halves_named(store: &Store, unit: &Unit) -> Vec<i64> {
    let record = usize::try_from(unit.size).ok().and_then(|len| store.log().slice(unit.physical_offset, len));
    let body = record.as_ref().and_then(|record| RecordView::parse(record).ok()).map(|view| view.body);
    let text = body.and_then(|body| std::str::from_utf8(body).ok()).unwrap_or_default();
    text.split(',').filter_map(|number| number.trim().parse().ok()).collect()
}

/// After a crash: the log tells which transactions were committed, or given up, though no op message says so.
fn ended_since(store: &Store, oldest: Option<PhysicalOffset>, table: &Table) -> Result<(), StoreError> {
    let Some(from) = oldest else { return Ok(()) };
    for scanned in store.log().scan(from, store.log().max_offset()) {
        let scanned = scanned?;
        let Ok(view) = RecordView::parse(&scanned.bytes) else { break };
        // One that a consumer has handed back names no half any more.
        let is_end = view.sys_flag.transaction() == TransactionType::Commit
            && (view.prepared_transaction_offset > 0 || view.reconsume_times == 0);
        let half = match view.prepared_transaction_offset {
            given_up @ ..0 if view.topic == TRANS_CHECK_MAX_TIME.as_bytes() => named::source(given_up),
            half if is_end => half,
            _ => continue,
        };
        if let Some(half) = Half::at(store, half) {
            table.ended_before(half.origin, half.queue_offset);
        }
    }
    Ok(())
}
