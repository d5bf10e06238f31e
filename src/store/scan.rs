//! Whether the bytes at an offset are a whole record, the padding at a file's end, or neither
//! (fact sheet: store 2.1, 2.2, 3.4).

use super::watermarks::{PhysicalOffset, QueueOffset};
use crate::protocol::properties;
use crate::protocol::record::{BLANK_LEN, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, RecordError, RecordView};
use crate::protocol::sys_flag::SysFlag;

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
    pub sys_flag: SysFlag,
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

    /// The values of several properties in one pass; of one that comes twice the last, as RocketMQ has it.
    pub fn properties_named<const N: usize>(&self, names: [&str; N]) -> [Option<&'a [u8]>; N] {
        let mut values = [None; N];
        for (name, found) in properties::iter(self.properties) {
            for (_, value) in names.iter().zip(&mut values).filter(|(wanted, _)| wanted.as_bytes() == name) {
                *value = Some(found);
            }
        }
        values
    }

    /// The value of a property, as the bytes that were received.
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        properties::get(self.properties, name)
    }
}

/// Looks at what begins at `at`. `bytes` reach from there to the end of what may be read of that file.
pub fn examine(bytes: &[u8], at: PhysicalOffset, verify: Verify) -> Found<'_> {
    let Some((size, magic)) = header(bytes) else {
        return Found::Bad("fewer bytes than a header are left");
    };
    let whole =
        usize::try_from(size).ok().filter(|&size| size >= BLANK_LEN).and_then(|size| bytes.get(..size));
    let Some(whole) = whole else { return Found::Bad("its size is not possible") };
    match magic {
        MAGIC_BLANK => return Found::Blank(whole.len()),
        MAGIC_V1 | MAGIC_V2 => {}
        _ => return Found::Bad("unknown magic"),
    }
    let Ok(view) = RecordView::parse(whole) else {
        return Found::Bad("its parts do not add up to its size");
    };
    if view.physical_offset != at.0 {
        return Found::Bad("it belongs to another offset");
    }
    // The format's checksum covers the body alone. What a lost page leaves of the rest is zeros.
    if view.topic.contains(&0) || (verify == Verify::Checksum && view.properties.last() == Some(&0)) {
        return Found::Bad("its topic or properties are zeros");
    }
    if verify == Verify::Checksum && !view.body.is_empty() && view.check_crc().is_err() {
        return Found::Bad("the checksum of its body does not match");
    }
    if verify == Verify::Checksum && matches!(view.check_crc_property(), Err(RecordError::Crc { .. })) {
        return Found::Bad("the checksum in its properties does not match");
    }
    Found::Record(Record {
        size: whole.len(),
        queue_id: view.queue_id,
        queue_offset: QueueOffset(view.queue_offset),
        physical_offset: at,
        sys_flag: view.sys_flag,
        store_timestamp: view.store_timestamp,
        topic: view.topic,
        properties: view.properties,
    })
}

fn header(bytes: &[u8]) -> Option<(i32, u32)> {
    let (size, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*size), u32::from_be_bytes(*rest.first_chunk()?)))
}

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
        let magic = window.get(4..8).and_then(|magic| magic.try_into().ok()).map(u32::from_be_bytes);
        matches!(magic, Some(MAGIC_V1 | MAGIC_V2))
    };
    let mut passed = 0;
    loop {
        let rest = bytes.get(passed..).filter(|rest| rest.len() >= BLANK_LEN)?;
        let block = rest.get(..ZEROS.len()).unwrap_or(rest);
        // The unused end of a file is nothing but zeros, and long.
        if block != ZEROS
            && let Some(found) = block.windows(BLANK_LEN).position(starts)
        {
            return Some(passed + found);
        }
        passed += block.len() - (BLANK_LEN - 1);
    }
}

const ZEROS: [u8; 4096] = [0; 4096];

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
            out.extend(crate::protocol::record::body_crc(&self.body).to_be_bytes());
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
