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
        if properties_len > MAX_PROPERTIES {
            return Err(RecordError::PropertiesTooLong { len: properties_len });
        }
        if i16::try_from(fields.topic.len()).is_err() {
            return Err(RecordError::TooLong { len: fields.topic.len() });
        }
        fields.sys_flag = fields
            .sys_flag
            .set(SysFlag::BORN_HOST_V6, fields.born_host.is_ipv6())
            .set(SysFlag::STORE_HOST_V6, fields.store_host.is_ipv6());
        let total_size = FIXED_V1
            + usize::from(fields.topic.len() > MAX_TOPIC_V1)
            + V6_EXTRA * (usize::from(fields.born_host.is_ipv6()) + usize::from(fields.store_host.is_ipv6()))
            + fields.body.len()
            + fields.topic.len()
            + properties_len;
        if i32::try_from(total_size).is_err() {
            return Err(RecordError::TooLong { len: total_size });
        }
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
        matches!(self.fields.sys_flag.transaction(), TransactionType::None | TransactionType::Commit)
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
        let queue_offset = if self.takes_queue_offset() { queue_offset } else { 0 };
        self.put(&mut &mut *record, queue_offset, physical_offset, store_timestamp);
        if self.appends_crc {
            put_crc_property(record);
        }
        Ok(())
    }

    /// The layout, in its order. The lengths were checked when the record was laid out, so that the casts
    /// lose nothing and `out` has room.
    fn put(&self, out: &mut impl BufMut, queue_offset: i64, physical_offset: i64, store_timestamp: i64) {
        let fields = &self.fields;
        let is_v2 = fields.topic.len() > MAX_TOPIC_V1;
        out.put_u32(self.total_size as u32);
        out.put_u32(if is_v2 { MAGIC_V2 } else { MAGIC_V1 });
        out.put_u32(self.body_crc);
        out.put_i32(fields.queue_id);
        out.put_i32(fields.flag);
        out.put_i64(queue_offset);
        out.put_i64(physical_offset);
        out.put_i32(fields.sys_flag.0);
        out.put_i64(fields.born_timestamp);
        put_host(out, fields.born_host);
        out.put_i64(store_timestamp);
        put_host(out, fields.store_host);
        out.put_i32(fields.reconsume_times);
        out.put_i64(fields.prepared_transaction_offset);
        out.put_u32(fields.body.len() as u32);
        out.put_slice(&fields.body);
        if is_v2 {
            out.put_u16(fields.topic.len() as u16);
        } else {
            out.put_u8(fields.topic.len() as u8);
        }
        out.put_slice(&fields.topic);
        out.put_u16(self.properties_len as u16);
        fields.properties.put(out);
        if self.appends_crc && fields.properties.needs_end() {
            out.put_u8(VALUE_END);
        }
    }
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
