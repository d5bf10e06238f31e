//! A unit of the timer log: one message that waits for its time (fact sheet: store 9.2).

use crate::store::watermarks::PhysicalOffset;

/// Bytes of a unit.
pub(super) const UNIT_SIZE: usize = 52;
/// No earlier unit of the same slot.
pub(super) const NONE: i64 = -1;
/// Bits of the magic: every unit; one to be stored anew at its time, which is not the message's; one that
/// takes another message back.
const DEFAULT: i32 = 1;
const ROLLS: i32 = 2;
const DELETES: i32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimerUnit {
    /// Where the unit before it in its slot is, or [`NONE`].
    pub(super) previous: i64,
    pub(super) rolls: bool,
    pub(super) deletes: bool,
    /// When it was written, ms, in whole slots.
    pub(super) enqueued: i64,
    /// The begin of its slot, ms.
    pub(super) slot: i64,
    /// The record in the log, and its bytes.
    pub(super) physical_offset: PhysicalOffset,
    pub(super) size: i32,
    pub(super) topic_hash: i32,
    /// When it is due, ms. RocketMQ keeps these bytes zero and knows only the slot, whose end is meant then.
    pub(super) due: i64,
}

impl TimerUnit {
    pub(super) fn encode(&self) -> [u8; UNIT_SIZE] {
        let delay = i32::try_from(self.slot - self.enqueued).unwrap_or(0);
        let magic = DEFAULT | if self.rolls { ROLLS } else { 0 } | if self.deletes { DELETES } else { 0 };
        let fields = (UNIT_SIZE as i32).to_be_bytes().into_iter();
        let fields = fields
            .chain(self.previous.to_be_bytes())
            .chain(magic.to_be_bytes())
            .chain((self.slot - i64::from(delay)).to_be_bytes())
            .chain(delay.to_be_bytes())
            .chain(self.physical_offset.0.to_be_bytes())
            .chain(self.size.to_be_bytes())
            .chain(self.topic_hash.to_be_bytes())
            .chain(self.due.to_be_bytes());
        let mut out = [0; UNIT_SIZE];
        out.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        out
    }

    /// `None` for bytes that are no unit, as behind the end of the log.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut long = |is_long: bool| {
            let (field, behind) = rest.split_at_checked(if is_long { 8 } else { 4 })?;
            rest = behind;
            Some(field.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)))
        };
        let size = long(false)?;
        let previous = long(true)? as i64;
        let magic = long(false)? as i32;
        let enqueued = long(true)? as i64;
        let delay = long(false)? as u32 as i32;
        let physical_offset = PhysicalOffset(long(true)? as i64);
        let (record, topic_hash) = (long(false)? as i32, long(false)? as i32);
        let due = long(true)? as i64;
        let is_unit = size == UNIT_SIZE as u64
            && magic & DEFAULT != 0
            && magic & !(DEFAULT | ROLLS | DELETES) == 0
            && physical_offset.0 >= 0
            && record > 0;
        is_unit.then_some(Self {
            previous,
            rolls: magic & ROLLS != 0,
            deletes: magic & DELETES != 0,
            enqueued,
            slot: enqueued.saturating_add(delay.into()),
            physical_offset,
            size: record,
            topic_hash,
            due,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_unit_is_laid_out_as_rocketmq_does_it() {
        // The third unit of the clean fixture: 60 hours ahead, so that it rolls after one day.
        let unit = TimerUnit {
            previous: NONE,
            rolls: true,
            deletes: false,
            enqueued: 1_795_217_665_000,
            slot: 1_795_217_665_000 + 86_400_000,
            physical_offset: PhysicalOffset(11_467),
            size: 341,
            topic_hash: 1_202_161_585,
            due: 0,
        };
        let hex: String = unit.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "00000034ffffffffffffffff00000003000001a1fb4fabe805265c000000000000002ccb00000155\
                        47a787b10000000000000000";
        assert_eq!(hex, expected);
        assert_eq!(TimerUnit::decode(&unit.encode()), Some(unit));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, is_sized: bool) {
            let mut bytes = bytes;
            if is_sized {
                bytes.resize(UNIT_SIZE, 0);
                bytes.splice(..4, (UNIT_SIZE as u32).to_be_bytes());
                bytes.splice(12..16, 1u32.to_be_bytes());
            }
            if let Some(unit) = TimerUnit::decode(&bytes) {
                prop_assert_eq!(TimerUnit::decode(&unit.encode()).map(|again| again.slot), Some(unit.slot));
            }
        }
    }
}
