//! The stored message: one layout in the commit log, in pull answers and between brokers
//! (fact sheet: remoting 3.1, store 2.1).
//!
//! [`RecordDraft`] writes it straight into a mapped file, [`RecordView`] reads it in place.

mod batch;
mod draft;
mod view;

pub use batch::{BatchDraft, BatchDraftError};
pub use draft::{PropertyText, RecordDraft, RecordFields};
pub use view::{LogEntry, RecordView, records};

use super::properties::MAX_LEN as MAX_PROPERTIES;

/// Magic of a record whose topic length takes one byte.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic of a record whose topic length takes two bytes: topics longer than 127 bytes.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Magic of the blank that fills the end of a commit log file.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;
/// Bytes that every commit log file keeps free for its blank.
pub const BLANK_LEN: usize = 8;
/// Longest topic of a [`MAGIC_V1`] record, bytes.
pub const MAX_TOPIC_V1: usize = 127;

/// Bytes of a v1 record with IPv4 hosts, without body, topic and properties.
const FIXED_V1: usize = 91;
/// What an IPv6 host takes more than an IPv4 one.
const V6_EXTRA: usize = 12;
/// Check sums lose their sign bit.
const CRC_MASK: u32 = 0x7FFF_FFFF;
/// Bytes of the property that holds a check sum over the record: name, separator, ten digits, separator.
const PROPERTY_CRC_LEN: usize = 20;

/// The check sum of a body: CRC-32 without its highest bit.
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & CRC_MASK
}

/// Writes the head of the blank that ends a commit log file: `room` is what is left of the file, at least
/// [`BLANK_LEN`] bytes. The bytes behind the head stay as they are.
///
/// # Errors
/// [`RecordError::NoRoom`] when not even the head fits.
pub fn write_blank(room: &mut [u8]) -> Result<(), RecordError> {
    let len = u32::try_from(room.len()).map_err(|_| RecordError::TooLong { len: room.len() })?;
    let given = room.len();
    let head = room.get_mut(..BLANK_LEN).ok_or(RecordError::NoRoom { needed: BLANK_LEN, given })?;
    for (to, from) in head.iter_mut().zip(len.to_be_bytes().into_iter().chain(MAGIC_BLANK.to_be_bytes())) {
        *to = from;
    }
    Ok(())
}

/// Why bytes are no record, or a message cannot become one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Fewer bytes than the size field says, or than any record has.
    #[error("cannot read the record: it ends after {given} of {size} bytes")]
    Truncated {
        /// What the record claims, bytes.
        size: usize,
        /// What there is, bytes.
        given: usize,
    },
    /// Neither a message nor a blank; zeros where nothing was written yet.
    #[error("cannot read the record: unknown magic {magic:#010x}")]
    Magic {
        /// What stands in its place.
        magic: u32,
    },
    /// The lengths of the parts do not make up the size: a half message.
    #[error("cannot read the record: its parts do not make up its size of {size} bytes")]
    Size {
        /// What the record claims, bytes.
        size: usize,
    },
    /// Body, or record, against its check sum.
    #[error("the record is damaged: check sum {actual:#010x}, expected {expected:#010x}")]
    Crc {
        /// What the record says.
        expected: u32,
        /// What its bytes have.
        actual: u32,
    },
    /// No check sum where one was demanded.
    #[error("the record has no check sum property")]
    NoCrc,
    /// A blank where a message was expected.
    #[error("cannot read the record: the end of the file is here, {len} bytes are blank")]
    Blank {
        /// Bytes to the end of the file, as the blank says.
        len: usize,
    },
    /// A length that the format cannot express.
    #[error("cannot store the message: {len} bytes are too long for a record")]
    TooLong {
        /// Length of the part, bytes.
        len: usize,
    },
    /// Longer than a property text may be.
    #[error("cannot store the message: {len} bytes of properties, at most {MAX_PROPERTIES} are allowed")]
    PropertiesTooLong {
        /// Length of the text, bytes.
        len: usize,
    },
    /// The slice to write into is shorter than the record.
    #[error("cannot write the record: {needed} bytes needed, {given} given")]
    NoRoom {
        /// Size of the record, bytes.
        needed: usize,
        /// Size of the slice, bytes.
        given: usize,
    },
}

#[cfg(test)]
mod tests;
