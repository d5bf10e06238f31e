//! A record, read in place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Buf, Bytes};

use super::{
    BLANK_LEN, CRC_MASK, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, PROPERTY_CRC_LEN, PropertyText, RecordError,
    RecordFields, body_crc,
};
use crate::protocol::message;
use crate::protocol::message_id::OffsetMessageId;
use crate::protocol::properties::{self, NAME_END, VALUE_END, name};
use crate::protocol::sys_flag::SysFlag;

/// What stands at a position of the commit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEntry<'a> {
    /// A whole message.
    Message(RecordView<'a>),
    /// The rest of the file is blank.
    Blank {
        /// Bytes to the end of the file, as the blank says.
        len: usize,
    },
}

impl<'a> LogEntry<'a> {
    /// Reads the entry at the start of `bytes`; more may follow behind. The check sum is not looked at.
    ///
    /// # Errors
    /// Everything that makes recovery stop, except for check sums: size, magic, lengths
    /// (fact sheet: store 3.4).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let mut head = bytes;
        let (Ok(size), Ok(magic)) = (head.try_get_u32(), head.try_get_u32()) else {
            return Err(RecordError::Truncated { size: BLANK_LEN, given: bytes.len() });
        };
        let size = size as usize;
        match magic {
            MAGIC_BLANK => Ok(Self::Blank { len: size }),
            MAGIC_V1 | MAGIC_V2 => {
                let record = bytes.get(..size).ok_or(RecordError::Truncated { size, given: bytes.len() })?;
                RecordView::decode(record, magic).map(Self::Message).ok_or(RecordError::Size { size })
            }
            magic => Err(RecordError::Magic { magic }),
        }
    }
}

/// A message in the bytes of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// The whole record.
    pub bytes: &'a [u8],
    /// Check sum of the body, as the record says.
    pub body_crc: u32,
    /// Queue of the topic.
    pub queue_id: i32,
    /// The application's flag.
    pub flag: i32,
    /// Place in the queue.
    pub queue_offset: i64,
    /// Place in the commit log, bytes.
    pub physical_offset: i64,
    /// System flag.
    pub sys_flag: SysFlag,
    /// When the client made the message, milliseconds since 1970.
    pub born_timestamp: i64,
    /// Who sent it.
    pub born_host: SocketAddr,
    /// When the broker stored it, milliseconds since 1970.
    pub store_timestamp: i64,
    /// Who stored it.
    pub store_host: SocketAddr,
    /// How often it was retried.
    pub reconsume_times: i32,
    /// Physical offset of the half message of a committed transaction, else 0.
    pub prepared_transaction_offset: i64,
    /// Body, perhaps compressed.
    pub body: &'a [u8],
    /// Topic; ASCII unless the record was not written by a broker.
    pub topic: &'a [u8],
    /// Property text, see [`properties`].
    pub properties: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Reads the record at the start of `bytes`; more may follow behind. The check sum is not looked at,
    /// see [`RecordView::check_crc`].
    ///
    /// # Errors
    /// As [`LogEntry::parse`], and [`RecordError::Blank`] at the end of a file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        match LogEntry::parse(bytes)? {
            LogEntry::Message(record) => Ok(record),
            LogEntry::Blank { len } => Err(RecordError::Blank { len }),
        }
    }

    /// The layout, in its order; `None` when the parts do not make up the whole.
    fn decode(bytes: &'a [u8], magic: u32) -> Option<Self> {
        let mut rest = bytes.get(BLANK_LEN..)?;
        let body_crc = rest.try_get_u32().ok()?;
        let queue_id = rest.try_get_i32().ok()?;
        let flag = rest.try_get_i32().ok()?;
        let queue_offset = rest.try_get_i64().ok()?;
        let physical_offset = rest.try_get_i64().ok()?;
        let sys_flag = SysFlag(rest.try_get_i32().ok()?);
        let born_timestamp = rest.try_get_i64().ok()?;
        let born_host = take_host(&mut rest, sys_flag.has(SysFlag::BORN_HOST_V6))?;
        let store_timestamp = rest.try_get_i64().ok()?;
        let store_host = take_host(&mut rest, sys_flag.has(SysFlag::STORE_HOST_V6))?;
        let reconsume_times = rest.try_get_i32().ok()?;
        let prepared_transaction_offset = rest.try_get_i64().ok()?;
        let body_len = rest.try_get_i32().ok()?;
        let body = take(&mut rest, usize::try_from(body_len).ok()?)?;
        // The lengths are signed in Java.
        let topic_len = match magic {
            MAGIC_V2 => usize::try_from(rest.try_get_i16().ok()?).ok()?,
            _ => usize::try_from(rest.try_get_i8().ok()?).ok()?,
        };
        let topic = take(&mut rest, topic_len)?;
        let properties_len = rest.try_get_i16().ok()?;
        let properties = take(&mut rest, usize::try_from(properties_len).ok()?)?;
        rest.is_empty().then_some(Self {
            bytes,
            body_crc,
            queue_id,
            flag,
            queue_offset,
            physical_offset,
            sys_flag,
            born_timestamp,
            born_host,
            store_timestamp,
            store_host,
            reconsume_times,
            prepared_transaction_offset,
            body,
            topic,
            properties,
        })
    }

    /// Size of the record, bytes.
    pub fn total_size(&self) -> usize {
        self.bytes.len()
    }

    /// Compares the body with its check sum.
    ///
    /// # Errors
    /// [`RecordError::Crc`] when they differ.
    pub fn check_crc(&self) -> Result<(), RecordError> {
        compare(self.body_crc, body_crc(self.body))
    }

    /// Compares the record with the check sum in its last property (fact sheet: store 2.4).
    ///
    /// # Errors
    /// [`RecordError::Crc`] when they differ, [`RecordError::NoCrc`] without such a property.
    pub fn check_crc_property(&self) -> Result<(), RecordError> {
        let start = self.bytes.len().saturating_sub(PROPERTY_CRC_LEN);
        let (summed, tail) = self.bytes.split_at_checked(start).ok_or(RecordError::NoCrc)?;
        let digits = tail
            .strip_prefix(name::CRC32.as_bytes())
            .and_then(|tail| tail.strip_prefix(&[NAME_END]))
            .and_then(|tail| tail.strip_suffix(&[VALUE_END]))
            .ok_or(RecordError::NoCrc)?;
        let value = |digit: &u8| u64::from(digit.wrapping_sub(b'0'));
        let crc = digits.iter().rev().fold(0u64, |crc, digit| crc * 10 + value(digit));
        // What is no number of 31 bits is no checksum of anything.
        compare(u32::try_from(crc).unwrap_or(u32::MAX), crc32fast::hash(summed) & CRC_MASK)
    }

    /// The topic as text; `None` when it is not UTF-8.
    pub fn topic_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.topic).ok()
    }

    /// The properties, in the order of the text.
    pub fn iter_properties(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        properties::iter(self.properties)
    }

    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        properties::get(self.properties, name)
    }

    /// The value of a property that is text.
    pub fn property_str(&self, name: &str) -> Option<&'a str> {
        properties::get_str(self.properties, name)
    }

    /// The tags, by which consumers filter.
    pub fn tags(&self) -> Option<&'a [u8]> {
        self.property(name::TAGS)
    }

    /// Code of the tags for the consume queue.
    pub fn tags_code(&self) -> i64 {
        message::tags_code(self.tags())
    }

    /// The id that says where the record lies.
    pub fn message_id(&self) -> OffsetMessageId {
        OffsetMessageId { host: self.store_host, offset: self.physical_offset }
    }

    /// What the record says, to store it again elsewhere; the parts share `whole`, which holds the record.
    pub fn fields_in(&self, whole: &Bytes) -> RecordFields {
        RecordFields {
            topic: whole.slice_ref(self.topic),
            body: whole.slice_ref(self.body),
            properties: PropertyText::from(whole.slice_ref(self.properties)),
            ..self.bare_fields()
        }
    }

    /// A copy of what the record says, to store it again elsewhere.
    pub fn to_fields(&self) -> RecordFields {
        RecordFields {
            topic: Bytes::copy_from_slice(self.topic),
            body: Bytes::copy_from_slice(self.body),
            properties: PropertyText::from(Bytes::copy_from_slice(self.properties)),
            ..self.bare_fields()
        }
    }

    fn bare_fields(&self) -> RecordFields {
        RecordFields {
            topic: Bytes::new(),
            queue_id: self.queue_id,
            flag: self.flag,
            sys_flag: self.sys_flag,
            born_timestamp: self.born_timestamp,
            born_host: self.born_host,
            store_host: self.store_host,
            reconsume_times: self.reconsume_times,
            prepared_transaction_offset: self.prepared_transaction_offset,
            body: Bytes::new(),
            properties: PropertyText::new(),
        }
    }
}

/// The records of a pull answer's body, one after the other; ends after the first error.
pub fn records(body: &[u8]) -> impl Iterator<Item = Result<RecordView<'_>, RecordError>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = RecordView::parse(rest);
        rest = record.as_ref().ok().and_then(|record| rest.get(record.total_size()..)).unwrap_or_default();
        Some(record)
    })
}

fn compare(expected: u32, actual: u32) -> Result<(), RecordError> {
    if expected == actual { Ok(()) } else { Err(RecordError::Crc { expected, actual }) }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(taken)
}

/// Reads address and port; the port is stored in 32 bits of which 16 count.
fn take_host(rest: &mut &[u8], is_v6: bool) -> Option<SocketAddr> {
    let ip: IpAddr = if is_v6 {
        Ipv6Addr::from_bits(rest.try_get_u128().ok()?).into()
    } else {
        Ipv4Addr::from_bits(rest.try_get_u32().ok()?).into()
    };
    Some(SocketAddr::new(ip, rest.try_get_u32().ok()? as u16))
}
