//! Which message of a queue was stored at a time.

use super::consume_queue::ConsumeQueue;
use super::error::StoreError;
use super::watermarks::{PhysicalOffset, QueueOffset};

/// Which side of a time to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// The first message stored at the time or later; behind the last one when there is none.
    Lower,
    /// The last message stored at the time or earlier; offset 0 when there is none.
    Upper,
}

impl ConsumeQueue {
    /// The message at the boundary of `timestamp` (ms), by halving. `store_timestamp` tells when the
    /// record at an offset was stored; where it does not know, the message counts as older than any time.
    pub fn offset_by_time(
        &mut self,
        timestamp: i64,
        boundary: Boundary,
        store_timestamp: impl Fn(PhysicalOffset) -> Option<i64>,
    ) -> Result<QueueOffset, StoreError> {
        let (min, max) = (self.min_offset(), self.max_offset());
        if min >= max {
            return Ok(max);
        }
        let is_before = |stored: i64| match boundary {
            Boundary::Lower => stored < timestamp,
            Boundary::Upper => stored <= timestamp,
        };
        let (mut low, mut high) = (min.0, max.0);
        while low < high {
            let middle = low + (high - low) / 2;
            let unit = self.unit(QueueOffset(middle))?;
            let stored = unit.and_then(|unit| store_timestamp(unit.physical_offset));
            if stored.is_none_or(is_before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(match boundary {
            Boundary::Lower => QueueOffset(low),
            Boundary::Upper if low == min.0 => QueueOffset(0),
            Boundary::Upper => QueueOffset(low - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::consume_queue::{FindEnd, QueueFiles, Unit};
    use crate::store::disk::LocalDisk;
    use proptest::prelude::*;
    use std::sync::Arc;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn halving_finds_what_reading_everything_finds(
            start in 0i64..8,
            mut times in proptest::collection::vec(0i64..30, 0..40),
            wanted in -1i64..32,
        ) {
            times.sort_unstable();
            let dir = tempfile::tempdir().unwrap();
            let files = QueueFiles { disk: Arc::new(LocalDisk), dir: dir.path().to_owned(), file_size: 100 };
            let mut queue = ConsumeQueue::open(files, FindEnd::Halving, Arc::default()).unwrap();
            let unit = |i: usize| Unit { physical_offset: PhysicalOffset(i as i64), size: 1, tags_code: 0 };
            let units: Vec<Unit> = (0..times.len()).map(unit).collect();
            queue.append(QueueOffset(start), &units).unwrap();
            let stored = |at: PhysicalOffset| times.get(at.0 as usize).copied();
            let lower = queue.offset_by_time(wanted, Boundary::Lower, stored).unwrap();
            let upper = queue.offset_by_time(wanted, Boundary::Upper, stored).unwrap();
            if times.is_empty() {
                prop_assert_eq!((lower.0, upper.0), (0, 0));
                return Ok(());
            }
            let first = times.iter().position(|&t| t >= wanted).unwrap_or(times.len());
            prop_assert_eq!(lower.0, start + first as i64);
            let last = times.iter().rposition(|&t| t <= wanted).map_or(0, |i| start + i as i64);
            prop_assert_eq!(upper.0, last);
        }
    }
}
