//! From a message to the bytes of its record.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes};

use super::{
    CRC_MASK, FIXED_V1, MAGIC_V1, MAGIC_V2, MAX_PROPERTIES, MAX_TOPIC_V1, PROPERTY_CRC_LEN, RecordError,
    V6_EXTRA, body_crc,
};
use crate::protocol::message;
use crate::protocol::properties::{self, NAME_END, VALUE_END, name};
use crate::protocol::sys_flag::{SysFlag, TransactionType};

/// Parts that a property text is held in before they are joined.
const MAX_PARTS: usize = 4;

/// A property text in pieces: what the client sent, and what the broker adds. The pieces are joined where
/// the record is written, with the 0x02 between them that a client may have left out.
#[derive(Clone, Debug, Default)]
pub struct PropertyText {
    parts: [Bytes; MAX_PARTS],
    used: usize,
    len: usize,
}

impl PropertyText {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece: whole properties, of which the last 0x02 may be missing. From the fifth piece on,
    /// pieces are copied together.
    pub fn push(&mut self, part: Bytes) {
        if part.is_empty() {
            return;
        }
        self.len += part.len() + usize::from(self.needs_end());
        if let Some(free) = self.parts.get_mut(self.used) {
            *free = part;
            self.used += 1;
        } else if let Some(last) = self.parts.last_mut() {
            let mut joined = Vec::with_capacity(last.len() + 1 + part.len());
            put_part(&mut joined, last);
            end_value(&mut joined, last);
            put_part(&mut joined, &part);
            *last = joined.into();
        }
    }

    /// With one more piece, see [`PropertyText::push`].
    #[must_use]
    pub fn with(mut self, part: Bytes) -> Self {
        self.push(part);
        self
    }

    /// Without the named properties, see [`properties::without`]; pieces that hold none of them stay as they are.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let mut kept = Self::new();
        for part in self.parts() {
            kept.push(match properties::without(part, names) {
                Cow::Borrowed(_) => part.clone(),
                Cow::Owned(rest) => rest.into(),
            });
        }
        kept
    }

    /// Length of the joined text, bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no property at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a property; the last one of the name counts.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.parts().iter().rev().find_map(|part| properties::get(part, name))
    }

    /// The properties, in the order of the pieces.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parts().iter().flat_map(|part| properties::iter(part))
    }

    fn parts(&self) -> &[Bytes] {
        self.parts.get(..self.used).unwrap_or_default()
    }

    fn needs_end(&self) -> bool {
        self.parts().last().is_some_and(|part| part.last() != Some(&VALUE_END))
    }

    fn put(&self, out: &mut impl BufMut) {
        let mut previous: &[u8] = &[];
        for part in self.parts() {
            end_value(out, previous);
            put_part(out, part);
            previous = part;
        }
    }
}

fn put_part(out: &mut impl BufMut, part: &[u8]) {
    out.put_slice(part);
}

fn end_value(out: &mut impl BufMut, text: &[u8]) {
    if text.last().is_some_and(|&byte| byte != VALUE_END) {
        out.put_u8(VALUE_END);
    }
}

impl From<Bytes> for PropertyText {
    fn from(text: Bytes) -> Self {
        Self::new().with(text)
    }
}

/// What a record says, apart from what only its place in the log decides.
#[derive(Clone, Debug)]
pub struct RecordFields {
    /// Topic.
    pub topic: Bytes,
    /// Queue of the topic.
    pub queue_id: i32,
    /// The application's flag.
    pub flag: i32,
    /// System flag; the bits for IPv6 follow from the hosts and need not be set.
    pub sys_flag: SysFlag,
    /// When the client made the message, milliseconds since 1970.
    pub born_timestamp: i64,
    /// Who sent it.
    pub born_host: SocketAddr,
    /// Who stores it: the registered address of the broker.
    pub store_host: SocketAddr,
    /// How often it was retried.
    pub reconsume_times: i32,
    /// Physical offset of the half message of a committed transaction, else 0.
    pub prepared_transaction_offset: i64,
    /// Body as received, perhaps compressed.
    pub body: Bytes,
    /// Properties.
    pub properties: PropertyText,
}

/// A message whose record is laid out: size and check sum are known, offsets and store time are not yet.
#[derive(Clone, Debug)]
pub struct RecordDraft {
    fields: RecordFields,
    total_size: usize,
    /// Length of the property text as stored, with the check sum property if any.
    properties_len: usize,
    body_crc: u32,
    appends_crc: bool,
}

impl RecordDraft {
    /// Lays out a record: computes its size and the check sum of its body.
    ///
    /// # Errors
    /// [`RecordError::PropertiesTooLong`], and [`RecordError::TooLong`] for what no length field can express;
    /// the broker's own limits are lower and are checked elsewhere.
    pub fn new(fields: RecordFields) -> Result<Self, RecordError> {
        let properties_len = fields.properties.len();
        Self::lay_out(fields, properties_len, false)
    }

    /// As [`RecordDraft::new`], with a check sum over the whole record as last property
    /// (fact sheet: store 2.4). The properties must not hold one already.
    ///
    /// # Errors
    /// As [`RecordDraft::new`].
    pub fn with_crc_property(fields: RecordFields) -> Result<Self, RecordError> {
        let text = &fields.properties;
        let properties_len = text.len() + usize::from(text.needs_end()) + PROPERTY_CRC_LEN;
        Self::lay_out(fields, properties_len, true)
    }

    fn lay_out(
        mut fields: RecordFields,
        properties_len: usize,
        appends_crc: bool,
    ) -> Result<Self, RecordError> {
        check_topic(&fields)?;
        let total_size = checked_size(&fields, fields.body.len(), properties_len)?;
        fields.note_hosts();
        let body_crc = body_crc(&fields.body);
        Ok(Self { fields, total_size, properties_len, body_crc, appends_crc })
    }

    /// Size of the record, bytes.
    pub fn total_size(&self) -> usize {
        self.total_size
    }

    /// What the record says.
    pub fn fields(&self) -> &RecordFields {
        &self.fields
    }

    /// Whether the message takes an offset of its queue: half and rolled back ones are in none.
    pub fn takes_queue_offset(&self) -> bool {
        self.fields.takes_queue_offset()
    }

    /// Code of the tags for the consume queue.
    pub fn tags_code(&self) -> i64 {
        message::tags_code(self.fields.properties.get(name::TAGS))
    }

    /// Writes the record to the start of `out`, without any buffer in between. Half and rolled back
    /// messages have no place in a queue: their queue offset is written as 0.
    ///
    /// # Errors
    /// [`RecordError::NoRoom`] when `out` is shorter than [`RecordDraft::total_size`]; nothing is written.
    pub fn encode_into(
        &self,
        out: &mut [u8],
        queue_offset: i64,
        physical_offset: i64,
        store_timestamp: i64,
    ) -> Result<(), RecordError> {
        let given = out.len();
        let record =
            out.get_mut(..self.total_size).ok_or(RecordError::NoRoom { needed: self.total_size, given })?;
        let place = Place { queue_offset, physical_offset, store_timestamp };
        let Self { fields, total_size, properties_len, body_crc, .. } = self;
        let own = Own {
            total_size: *total_size,
            body_crc: *body_crc,
            flag: fields.flag,
            body: &fields.body,
            properties_len: *properties_len,
        };
        let out = &mut &mut *record;
        fields.put(own, place, out);
        fields.properties.put(out);
        if self.appends_crc && fields.properties.needs_end() {
            out.put_u8(VALUE_END);
        }
        if self.appends_crc {
            put_crc_property(record);
        }
        Ok(())
    }
}

/// What only the record's place decides.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) queue_offset: i64,
    pub(super) physical_offset: i64,
    pub(super) store_timestamp: i64,
}

/// What the records of a batch do not have in common, apart from the property text.
pub(super) struct Own<'a> {
    pub(super) total_size: usize,
    pub(super) body_crc: u32,
    pub(super) flag: i32,
    pub(super) body: &'a [u8],
    pub(super) properties_len: usize,
}

impl RecordFields {
    /// Whether the message takes an offset of its queue: half and rolled back ones are in none.
    pub(super) fn takes_queue_offset(&self) -> bool {
        matches!(self.sys_flag.transaction(), TransactionType::None | TransactionType::Commit)
    }

    /// Size of the record, bytes.
    fn total_size(&self, body_len: usize, properties_len: usize) -> usize {
        FIXED_V1
            + usize::from(self.topic.len() > MAX_TOPIC_V1)
            + V6_EXTRA * (usize::from(self.born_host.is_ipv6()) + usize::from(self.store_host.is_ipv6()))
            + body_len
            + self.topic.len()
            + properties_len
    }

    /// The bits of the system flag that the hosts decide.
    pub(super) fn note_hosts(&mut self) {
        self.sys_flag = self
            .sys_flag
            .set(SysFlag::BORN_HOST_V6, self.born_host.is_ipv6())
            .set(SysFlag::STORE_HOST_V6, self.store_host.is_ipv6());
    }

    /// The layout, in its order, up to the property text. The lengths were checked when the record was laid
    /// out, so that the casts lose nothing and `out` has room.
    pub(super) fn put(&self, own: Own<'_>, place: Place, out: &mut impl BufMut) {
        let is_v2 = self.topic.len() > MAX_TOPIC_V1;
        out.put_u32(own.total_size as u32);
        out.put_u32(if is_v2 { MAGIC_V2 } else { MAGIC_V1 });
        out.put_u32(own.body_crc);
        out.put_i32(self.queue_id);
        out.put_i32(own.flag);
        out.put_i64(if self.takes_queue_offset() { place.queue_offset } else { 0 });
        out.put_i64(place.physical_offset);
        out.put_i32(self.sys_flag.0);
        out.put_i64(self.born_timestamp);
        put_host(out, self.born_host);
        out.put_i64(place.store_timestamp);
        put_host(out, self.store_host);
        out.put_i32(self.reconsume_times);
        out.put_i64(self.prepared_transaction_offset);
        out.put_u32(own.body.len() as u32);
        out.put_slice(own.body);
        if is_v2 {
            out.put_u16(self.topic.len() as u16);
        } else {
            out.put_u8(self.topic.len() as u8);
        }
        out.put_slice(&self.topic);
        out.put_u16(own.properties_len as u16);
    }
}

pub(super) fn check_topic(fields: &RecordFields) -> Result<(), RecordError> {
    match i16::try_from(fields.topic.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(RecordError::TooLong { len: fields.topic.len() }),
    }
}

/// The record's size, if the format can express it.
pub(super) fn checked_size(
    fields: &RecordFields,
    body_len: usize,
    properties_len: usize,
) -> Result<usize, RecordError> {
    if properties_len > MAX_PROPERTIES {
        return Err(RecordError::PropertiesTooLong { len: properties_len });
    }
    let total_size = fields.total_size(body_len, properties_len);
    if i32::try_from(total_size).is_err() {
        return Err(RecordError::TooLong { len: total_size });
    }
    Ok(total_size)
}

fn put_host(out: &mut impl BufMut, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()),
    }
    out.put_u32(host.port().into());
}

/// Fills the last bytes of a record with the check sum over those before.
fn put_crc_property(record: &mut [u8]) {
    let Some(start) = record.len().checked_sub(PROPERTY_CRC_LEN) else { return };
    let (summed, mut tail) = record.split_at_mut(start);
    tail.put_slice(name::CRC32.as_bytes());
    tail.put_u8(NAME_END);
    tail.put_slice(&reversed_digits(crc32fast::hash(summed) & CRC_MASK));
    tail.put_u8(VALUE_END);
}

/// Ten decimal digits, the lowest first, padded with zeros.
fn reversed_digits(mut number: u32) -> [u8; 10] {
    std::array::from_fn(|_| {
        let digit = b'0' + (number % 10) as u8;
        number /= 10;
        digit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_sums_are_written_backwards() {
        assert_eq!(&reversed_digits(1_381_742_990), b"0992471831");
        assert_eq!(&reversed_digits(42), b"2400000000");
    }
}
