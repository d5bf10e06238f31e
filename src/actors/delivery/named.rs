//! A delivered message names the record that it was made from, so that the log itself tells, after a crash, what
//! no saved progress does.
//!
//! The name is the complement of the record's place, in the field where RocketMQ names the half of a committed
//! transaction and which is zero else: no client can set it, no property has to be added, and being negative it
//! is never taken for a half.

use std::sync::Arc;

use crate::{
    protocol::record::RecordView,
    store::{PhysicalOffset, Store, StoreError},
};

/// What a message says that was made from the record at `source`.
pub(super) fn name(source: i64) -> i64 {
    !source
}

/// Where the record is that a message was made from, by what it says of it, which is negative.
pub(super) fn source(name: i64) -> i64 {
    !name
}

/// Calls `see` with the records from which messages were made that lie in the log from `from` on.
pub(super) fn sources(
    store: &Arc<Store>,
    from: PhysicalOffset,
    mut see: impl FnMut(&RecordView<'_>),
) -> Result<(), StoreError> {
    let log = store.log();
    for scanned in log.scan(from.max(log.min_offset()), log.max_offset()) {
        let scanned = scanned?;
        let Ok(view) = RecordView::parse(&scanned.bytes) else { break };
        if view.prepared_transaction_offset < 0
            && let Some(record) = store.record_at(PhysicalOffset(source(view.prepared_transaction_offset)))
            && let Ok(made_from) = RecordView::parse(&record)
        {
            see(&made_from);
        }
    }
    Ok(())
}
