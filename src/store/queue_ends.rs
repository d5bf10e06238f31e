//! Where each queue ended when the store was closed: a file of CastMQ's own beside RocketMQ's, which passes it
//! over. A start after an orderly end takes it instead of looking for the ends in the files of every queue.
//!
//! It is believed only where the files still say the same: the log ends where it did, and so does every queue.

use std::fmt::Write;
use std::path::PathBuf;

use super::config_file::write_text;
use super::consume_queue::{ConsumeQueue, FindEnd, Unit, last_unit, look_at};
use super::error::StoreError;
use super::queue_table::QueueTable;
use super::rebuild::LogView;
use super::store::StoreOptions;
use super::watermarks::{PhysicalOffset, QueueOffset};

/// Its name under the root. Text: a line with the log's beginning and end, a line for each queue, a checksum.
const FILE: &str = "consumequeue.ends";
const CHECKSUM: &str = "crc ";

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueEnds {
    pub(super) log_min: PhysicalOffset,
    pub(super) log_end: PhysicalOffset,
    queues: Vec<End>,
}

#[derive(Debug, PartialEq, Eq)]
struct End {
    topic: String,
    queue_id: i32,
    min: QueueOffset,
    end: QueueOffset,
    /// The unit before the end; none in a queue that never had one.
    last: Option<Unit>,
}

fn path(options: &StoreOptions) -> PathBuf {
    options.root.join(FILE)
}

impl QueueEnds {
    /// What the queues of a closed store say; `None` when one of them does not end where it should.
    pub(super) fn of(
        options: &StoreOptions,
        table: &QueueTable,
        (log_min, log_end): (PhysicalOffset, PhysicalOffset),
    ) -> Result<Option<Self>, StoreError> {
        let mut queues = Vec::new();
        for (topic, queue_id, state) in table.snapshot() {
            let files = options.queue_files(&topic, queue_id)?;
            // The log may have lost more of its beginning than the queue has heard of.
            let [oldest, _] = look_at(&files, state.min_offset())?;
            if oldest.is_some_and(|unit| unit.is_filler() || unit.physical_offset < log_min) {
                ConsumeQueue::open(files.clone(), FindEnd::Halving, state.clone())?.correct_min(log_min)?;
            }
            let (min, end) = (state.min_offset(), state.dispatched_next());
            let last = last_unit(&files, end)?;
            if state.next_offset() != end || last.is_some() != (end.0 > 0) {
                return Ok(None);
            }
            queues.push(End { topic, queue_id, min, end, last });
        }
        Ok(Some(QueueEnds { log_min, log_end, queues }))
    }

    /// Leaves it for the next start.
    pub(super) fn write(&self, options: &StoreOptions) -> Result<(), StoreError> {
        write_text(options.disk.as_ref(), &path(options), &self.to_text())
    }

    /// Takes it away, since nobody keeps it up to date, and reads it; `None` when it is missing or not whole.
    pub(super) fn take(options: &StoreOptions) -> Result<Option<Self>, StoreError> {
        let path = path(options);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(StoreError::io("read", &path))?,
        };
        options.disk.remove(&path).map_err(StoreError::io("remove", &path))?;
        Ok(String::from_utf8(text).ok().and_then(|text| Self::parse(&text)))
    }

    /// Behind the last record that any queue knows.
    pub(super) fn dispatched(&self) -> PhysicalOffset {
        self.queues.iter().filter_map(|queue| queue.last).map(Unit::end).max().unwrap_or_default()
    }

    /// The queues, if their files end as they did, and with records of `log`, as far as these lie behind `checked`.
    pub(super) fn table(
        &self,
        options: &StoreOptions,
        log: LogView<'_>,
        checked: PhysicalOffset,
    ) -> Result<Option<QueueTable>, StoreError> {
        let table = QueueTable::default();
        for End { topic, queue_id, min, end, last } in &self.queues {
            let at = QueueOffset(end.0.saturating_sub(1));
            let belongs = |unit: &Unit| {
                unit.physical_offset < checked
                    || log.has(*unit, (topic.as_str(), *queue_id, at), self.log_end, &options.rules)
            };
            let found = last_unit(&options.queue_files(topic, *queue_id)?, *end)?;
            if found != *last || !found.as_ref().is_none_or(belongs) {
                return Ok(None);
            }
            let state = table.get_or_create(topic, *queue_id);
            state.publish(*min, *end);
            state.set_next_offset(*end);
        }
        Ok(Some(table))
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} {}\n", self.log_min, self.log_end);
        for End { topic, queue_id, min, end, last } in &self.queues {
            let Unit { physical_offset, size, tags_code } = last.unwrap_or(Unit::FILLER);
            // Writing to a string does not fail. No topic of a queue holds a line's end.
            let _ = writeln!(text, "{queue_id} {min} {end} {physical_offset} {size} {tags_code} {topic}");
        }
        let checksum = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "{CHECKSUM}{checksum:08x}");
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let (summed, _) = text.split_at_checked(text.rfind(CHECKSUM)?)?;
        let checksum = format!("{CHECKSUM}{:08x}\n", crc32fast::hash(summed.as_bytes()));
        let mut lines = summed.lines();
        let (log_min, log_end) = lines.next()?.split_once(' ')?;
        let ends = QueueEnds {
            log_min: PhysicalOffset(log_min.parse().ok()?),
            log_end: PhysicalOffset(log_end.parse().ok()?),
            queues: lines.map(End::parse).collect::<Option<_>>()?,
        };
        text.ends_with(&checksum).then_some(ends)
    }
}

impl End {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(7, ' ');
        let queue_id = fields.next()?.parse().ok()?;
        let mut number = || fields.next()?.parse::<i64>().ok();
        let (min, end) = (QueueOffset(number()?), QueueOffset(number()?));
        let physical_offset = PhysicalOffset(number()?);
        let unit = Unit { physical_offset, size: i32::try_from(number()?).ok()?, tags_code: number()? };
        let topic = fields.next()?.to_owned();
        Some(End { topic, queue_id, min, end, last: (end.0 > 0).then_some(unit) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_which_any_byte_is_torn_counts_as_missing() {
        let unit = Unit { physical_offset: PhysicalOffset(70), size: 30, tags_code: -5 };
        let end = |topic: &str, end, last| End {
            topic: topic.to_owned(),
            queue_id: 3,
            min: QueueOffset(2),
            end: QueueOffset(end),
            last,
        };
        let queues = vec![end("%RETRY%a b", 9, Some(unit)), end("T", 0, None)];
        let ends = QueueEnds { log_min: PhysicalOffset(0), log_end: PhysicalOffset(100), queues };
        let text = ends.to_text();
        assert_eq!(ends.dispatched(), PhysicalOffset(100));
        for at in 0..text.len() {
            assert_eq!(QueueEnds::parse(&text[..at]), None, "cut at {at}");
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(QueueEnds::parse(std::str::from_utf8(&bytes).unwrap()), None, "flipped at {at}");
        }
        assert_eq!(QueueEnds::parse(&text), Some(ends));
    }
}
