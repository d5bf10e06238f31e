//! From a batch to the bytes of its records.

use bytes::BufMut;

use super::draft::{Own, Place, check_topic, checked_size};
use super::{RecordError, RecordFields, body_crc};
use crate::protocol::batch::{self, BatchError, BatchMessage};

/// The messages of a batch whose records are laid out. What they have in common is held once, and their
/// bytes stay where they arrived.
#[derive(Clone, Debug)]
pub struct BatchDraft {
    /// Its body is the batch's.
    common: RecordFields,
    /// Of each record, its size and the check sum of its body.
    records: Vec<(usize, u32)>,
}

impl BatchDraft {
    /// Lays out the records of a batch; `common` holds the batch's body, and what its messages do not say
    /// themselves.
    ///
    /// # Errors
    /// A body that is no batch, or an empty one; and as [`RecordDraft::new`](super::RecordDraft::new).
    pub fn new(mut common: RecordFields) -> Result<Self, BatchDraftError> {
        common.note_hosts();
        check_topic(&common)?;
        let mut records = Vec::new();
        for message in batch::messages(&common.body) {
            let BatchMessage { body, properties, .. } = message?;
            let size = checked_size(&common, body.len(), properties.len())?;
            records.push((size, body_crc(body)));
        }
        if records.is_empty() { Err(BatchDraftError::Empty) } else { Ok(Self { common, records }) }
    }

    /// Sizes of the records, in their order, bytes.
    pub fn sizes(&self) -> impl ExactSizeIterator<Item = usize> {
        self.records.iter().map(|(size, _)| *size)
    }

    /// Whether its messages take offsets of their queue, see [`RecordDraft::takes_queue_offset`](super::RecordDraft::takes_queue_offset).
    pub fn takes_queue_offset(&self) -> bool {
        self.common.takes_queue_offset()
    }

    /// Writes the records one after the other to the start of `out`; the first gets these offsets.
    ///
    /// # Errors
    /// [`RecordError::NoRoom`] when `out` is shorter than all sizes together.
    pub fn encode_into(
        &self,
        out: &mut [u8],
        queue_offset: i64,
        physical_offset: i64,
        store_timestamp: i64,
    ) -> Result<(), RecordError> {
        let (needed, given) = (self.sizes().sum(), out.len());
        let mut out = out.get_mut(..needed).ok_or(RecordError::NoRoom { needed, given })?;
        let mut place = Place { queue_offset, physical_offset, store_timestamp };
        for (message, &(total_size, body_crc)) in
            batch::messages(&self.common.body).flatten().zip(&self.records)
        {
            let BatchMessage { flag, body, properties } = message;
            let own = Own { total_size, body_crc, flag, body, properties_len: properties.len() };
            self.common.put(own, place, &mut out);
            out.put_slice(properties);
            place.queue_offset += 1;
            place.physical_offset += total_size as i64;
        }
        Ok(())
    }
}

/// Why a batch cannot be stored.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchDraftError {
    /// The body is no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A message of it cannot become a record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is nothing to store.
    #[error("the batch holds no message")]
    Empty,
}
