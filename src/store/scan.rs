//! Whether the bytes at an offset are a whole record, the padding at a file's end, or neither
//! (fact sheet: store 2.1, 2.2, 3.4).

use super::watermarks::{PhysicalOffset, QueueOffset};

/// First four bytes after the size, for topics of up to 127 bytes.
const MAGIC_V1: i32 = -626_843_481;
/// The same for longer topics: the topic's length takes two bytes.
const MAGIC_V2: i32 = -626_843_477;
/// Marks the padding at the end of a file.
pub(super) const MAGIC_BLANK: i32 = -875_286_124;
/// Bytes of padding that are written: its length and its magic.
pub(super) const BLANK_HEADER: usize = 8;

/// `sysFlag`: the born host has an IPv6 address.
const BORN_HOST_IPV6: i32 = 0x10;
/// `sysFlag`: the store host has an IPv6 address.
const STORE_HOST_IPV6: i32 = 0x20;

const NAME_VALUE_SEPARATOR: u8 = 1;
const PROPERTY_SEPARATOR: u8 = 2;

/// How much of a record to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Lengths, magic and offset: enough for what this process has written.
    Layout,
    /// Also the checksum of the body: for what a crash may have left.
    Checksum,
}

/// What is stored at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A whole record.
    Record(Record<'a>),
    /// Padding up to the end of the file, its length in bytes.
    Blank(usize),
    /// Neither; says what is wrong.
    Bad(&'static str),
}

/// The parts of a stored record that the store itself needs, borrowed from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Bytes of the whole record.
    pub size: usize,
    /// Queue within the topic.
    pub queue_id: i32,
    /// Number within the queue.
    pub queue_offset: QueueOffset,
    /// Where the record says that it is.
    pub physical_offset: PhysicalOffset,
    /// Bit set of the message.
    pub sys_flag: i32,
    /// When it was stored, ms since the epoch.
    pub store_timestamp: i64,
    /// Topic under which it is stored, as the bytes that were received: not always UTF-8.
    pub topic: &'a [u8],
    properties: &'a [u8],
}

impl<'a> Record<'a> {
    /// The topic, unless it is not UTF-8, as no topic of ours is.
    pub fn topic_name(&self) -> Option<&'a str> {
        std::str::from_utf8(self.topic).ok()
    }

    /// The values of several properties in one pass; of one that comes twice the first.
    pub fn properties_named<const N: usize>(&self, names: [&str; N]) -> [Option<&'a [u8]>; N] {
        let mut values = [None; N];
        for pair in self.properties.split(|&byte| byte == PROPERTY_SEPARATOR) {
            for (name, value) in names.iter().zip(&mut values) {
                if let Some([NAME_VALUE_SEPARATOR, found @ ..]) = pair.strip_prefix(name.as_bytes()) {
                    value.get_or_insert(found);
                }
            }
        }
        values
    }

    /// The value of a property, as the bytes that were received.
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        self.properties.split(|&byte| byte == PROPERTY_SEPARATOR).find_map(|pair| {
            let (separator, value) = pair.strip_prefix(name.as_bytes())?.split_first()?;
            (*separator == NAME_VALUE_SEPARATOR).then_some(value)
        })
    }
}

/// Looks at what begins at `at`. `bytes` reach from there to the end of what may be read of that file.
pub fn examine(bytes: &[u8], at: PhysicalOffset, verify: Verify) -> Found<'_> {
    let mut fields = Fields(bytes);
    let (Some(size), Some(magic)) = (fields.i32(), fields.i32()) else {
        return Found::Bad("fewer bytes than a header are left");
    };
    let Some(size) = usize::try_from(size).ok().filter(|&size| size >= BLANK_HEADER && size <= bytes.len())
    else {
        return Found::Bad("its size is not possible");
    };
    match magic {
        MAGIC_BLANK => return Found::Blank(size),
        MAGIC_V1 | MAGIC_V2 => {}
        _ => return Found::Bad("unknown magic"),
    }
    let Some(whole) = bytes.get(..size) else { return Found::Bad("its size is not possible") };
    let Some((record, body_crc, body)) = parse(whole, magic) else {
        return Found::Bad("its parts do not add up to its size");
    };
    if record.physical_offset != at {
        return Found::Bad("it belongs to another offset");
    }
    // The format's checksum covers the body alone. What a lost page leaves of the rest is zeros.
    if record.topic.contains(&0) || (verify == Verify::Checksum && record.properties.last() == Some(&0)) {
        return Found::Bad("its topic or properties are zeros");
    }
    if verify == Verify::Checksum && !body.is_empty() && body_checksum(body) != body_crc {
        return Found::Bad("the checksum of its body does not match");
    }
    if verify == Verify::Checksum && !is_checksum_property_right(whole) {
        return Found::Bad("the checksum in its properties does not match");
    }
    Found::Record(record)
}

/// Compares the record with the checksum that may be its last property (fact sheet: store 2.4). One without
/// is right.
fn is_checksum_property_right(whole: &[u8]) -> bool {
    let Some((summed, property)) = whole.split_last_chunk::<CHECKSUM_PROPERTY>() else { return true };
    let Some(digits) = property.strip_prefix(CHECKSUM_PROPERTY_NAME).and_then(|rest| rest.split_last())
    else {
        return true;
    };
    let number =
        digits.1.iter().rev().fold(0u64, |sum, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0')));
    number == u64::from(crc32fast::hash(summed) & 0x7FFF_FFFF)
}

/// Bytes of the property with a checksum of the record: name, separator, ten digits, separator.
const CHECKSUM_PROPERTY: usize = 20;
const CHECKSUM_PROPERTY_NAME: &[u8] = b"__CRC32#\x01";

/// How far behind the start of `bytes`, which lies at `from` and is no record, the next whole record begins.
/// A record says where it is, so that bytes which only look like one do not count.
pub(super) fn next_whole(bytes: &[u8], from: PhysicalOffset) -> Option<usize> {
    let mut passed = 1;
    loop {
        passed += next_magic(bytes.get(passed..)?)?;
        let at = from.plus(passed);
        if matches!(examine(bytes.get(passed..)?, at, Verify::Checksum), Found::Record(_)) {
            return Some(passed);
        }
        passed += 1;
    }
}

/// The first place at which a record may begin, by its magic.
pub(super) fn next_magic(bytes: &[u8]) -> Option<usize> {
    let starts = |window: &[u8]| {
        let magic = window.get(4..8).and_then(|magic| magic.try_into().ok()).map(i32::from_be_bytes);
        matches!(magic, Some(MAGIC_V1 | MAGIC_V2))
    };
    let mut passed = 0;
    loop {
        let rest = bytes.get(passed..).filter(|rest| rest.len() >= BLANK_HEADER)?;
        let block = rest.get(..ZEROS.len()).unwrap_or(rest);
        // The unused end of a file is nothing but zeros, and long.
        if block != ZEROS
            && let Some(found) = block.windows(BLANK_HEADER).position(starts)
        {
            return Some(passed + found);
        }
        passed += block.len() - (BLANK_HEADER - 1);
    }
}

const ZEROS: [u8; 4096] = [0; 4096];

fn body_checksum(body: &[u8]) -> i32 {
    (crc32fast::hash(body) & 0x7FFF_FFFF) as i32
}

fn parse(whole: &[u8], magic: i32) -> Option<(Record<'_>, i32, &[u8])> {
    let mut fields = Fields(whole);
    fields.take(8)?; // size and magic
    let body_crc = fields.i32()?;
    let queue_id = fields.i32()?;
    fields.i32()?; // application flag
    let queue_offset = QueueOffset(fields.i64()?);
    let physical_offset = PhysicalOffset(fields.i64()?);
    let sys_flag = fields.i32()?;
    fields.i64()?; // born timestamp
    fields.take(host_len(sys_flag & BORN_HOST_IPV6 != 0))?;
    let store_timestamp = fields.i64()?;
    fields.take(host_len(sys_flag & STORE_HOST_IPV6 != 0))?;
    fields.take(4 + 8)?; // reconsume times, prepared transaction offset
    let body_len = usize::try_from(fields.i32()?).ok()?;
    let body = fields.take(body_len)?;
    let topic_len = match magic {
        MAGIC_V2 => usize::try_from(fields.i16()?).ok()?,
        _ => usize::from(*fields.take(1)?.first()?),
    };
    let topic = fields.take(topic_len)?;
    let properties_len = usize::try_from(fields.i16()?).ok()?;
    let properties = fields.take(properties_len)?;
    if !fields.0.is_empty() {
        return None;
    }
    let size = whole.len();
    let record = Record {
        size,
        queue_id,
        queue_offset,
        physical_offset,
        sys_flag,
        store_timestamp,
        topic,
        properties,
    };
    Some((record, body_crc, body))
}

fn host_len(is_ipv6: bool) -> usize {
    if is_ipv6 { 20 } else { 8 }
}

/// What is left to read of some big-endian fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A version 1 record, as the tests of the store write them.
    pub(in crate::store) struct Draft {
        pub(in crate::store) topic: String,
        pub(in crate::store) queue_id: i32,
        pub(in crate::store) queue_offset: i64,
        pub(in crate::store) sys_flag: i32,
        pub(in crate::store) store_timestamp: i64,
        pub(in crate::store) body: Vec<u8>,
        pub(in crate::store) properties: String,
    }

    impl Draft {
        pub(in crate::store) fn new(topic: &str, queue_id: i32, queue_offset: i64, body: &[u8]) -> Self {
            Draft {
                topic: topic.to_owned(),
                queue_id,
                queue_offset,
                sys_flag: 0,
                store_timestamp: 1_700_000_000_000 + queue_offset,
                body: body.to_vec(),
                properties: String::new(),
            }
        }

        pub(in crate::store) fn encode(&self, at: PhysicalOffset) -> Vec<u8> {
            let mut out = vec![0; 4];
            out.extend(MAGIC_V1.to_be_bytes());
            out.extend(body_checksum(&self.body).to_be_bytes());
            out.extend(self.queue_id.to_be_bytes());
            out.extend(0i32.to_be_bytes());
            out.extend(self.queue_offset.to_be_bytes());
            out.extend(at.0.to_be_bytes());
            out.extend(self.sys_flag.to_be_bytes());
            out.extend([0; 8 + 8]);
            out.extend(self.store_timestamp.to_be_bytes());
            out.extend([0; 8 + 4 + 8]);
            out.extend((self.body.len() as i32).to_be_bytes());
            out.extend(&self.body);
            out.push(self.topic.len() as u8);
            out.extend(self.topic.as_bytes());
            out.extend((self.properties.len() as i16).to_be_bytes());
            out.extend(self.properties.as_bytes());
            let size = out.len() as i32;
            out[..4].copy_from_slice(&size.to_be_bytes());
            out
        }

        pub(in crate::store) fn size(&self) -> usize {
            self.encode(PhysicalOffset(0)).len()
        }
    }

    #[test]
    fn every_flipped_byte_of_body_size_magic_or_offset_is_noticed() {
        let bytes = Draft::new("T", 1, 7, b"hello").encode(PhysicalOffset(64));
        assert!(matches!(
            examine(&bytes, PhysicalOffset(64), Verify::Checksum),
            Found::Record(record) if record.queue_offset.0 == 7 && record.topic == b"T"
        ));
        for at in (0..12).chain(28..36).chain(88..93) {
            let mut torn = bytes.clone();
            torn[at] ^= 1;
            assert!(matches!(examine(&torn, PhysicalOffset(64), Verify::Checksum), Found::Bad(_)), "{at}");
        }
    }

    #[test]
    fn the_next_whole_record_is_found_behind_any_damage() {
        let lead = 9000;
        let mut bytes = vec![0; lead];
        bytes[5000..5004].copy_from_slice(&MAGIC_V1.to_be_bytes());
        bytes.extend(Draft::new("T", 0, 0, b"x").encode(PhysicalOffset(64 + lead as i64)));
        assert_eq!(next_whole(&bytes, PhysicalOffset(64)), Some(lead));
        assert_eq!(next_whole(&bytes, PhysicalOffset(65)), None);
        assert_eq!(next_whole(&bytes[..lead + 50], PhysicalOffset(64)), None);
        assert_eq!(next_whole(&[], PhysicalOffset(0)), None);
    }

    #[test]
    fn a_property_is_found_by_its_whole_name() {
        let mut draft = Draft::new("T", 0, 0, b"");
        draft.properties = "KEYS\u{1}a b\u{2}TAGS\u{1}x\u{2}".to_owned();
        let bytes = draft.encode(PhysicalOffset(0));
        let Found::Record(record) = examine(&bytes, PhysicalOffset(0), Verify::Layout) else { panic!() };
        assert_eq!((record.property("TAGS"), record.property("KEY")), (Some(&b"x"[..]), None));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256), v2: bool) {
            let _ = examine(&bytes, PhysicalOffset(0), Verify::Checksum);
            let mut framed = bytes;
            if framed.len() >= 8 {
                let size = framed.len() as i32;
                framed[..4].copy_from_slice(&size.to_be_bytes());
                framed[4..8].copy_from_slice(&(if v2 { MAGIC_V2 } else { MAGIC_V1 }).to_be_bytes());
                let _ = examine(&framed, PhysicalOffset(0), Verify::Checksum);
            }
        }
    }
}
