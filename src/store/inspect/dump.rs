//! Messages by filter, straight from the log.

use super::super::error::StoreError;
use super::finding::Findings;
use super::layout::StoppedStore;
use super::log_reader::{Entry, LogReader};
use crate::protocol::properties::name;
use crate::protocol::record::RecordView;

/// Which messages; what is not set admits all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The topic under which they are stored.
    pub topic: Option<String>,
    /// Queue of the topic.
    pub queue: Option<i32>,
    /// Queue offsets from this on.
    pub from: Option<i64>,
    /// Queue offsets before this.
    pub to: Option<i64>,
    /// A key, or the unique key.
    pub key: Option<String>,
    /// Stored at this time or later, ms since the epoch.
    pub since: Option<i64>,
    /// Stored before this time, ms since the epoch.
    pub until: Option<i64>,
}

impl Filter {
    /// Whether a message passes.
    pub fn admits(&self, record: &RecordView<'_>) -> bool {
        let key = |key: &String| {
            let keys = record.property_str(name::KEYS).unwrap_or_default();
            record.property_str(name::UNIQ_KEY) == Some(key) || keys.split(' ').any(|one| one == key)
        };
        self.topic.as_ref().is_none_or(|topic| record.topic == topic.as_bytes())
            && self.queue.is_none_or(|queue| record.queue_id == queue)
            && self.from.is_none_or(|from| record.queue_offset >= from)
            && self.to.is_none_or(|to| record.queue_offset < to)
            && self.since.is_none_or(|since| record.store_timestamp >= since)
            && self.until.is_none_or(|until| record.store_timestamp < until)
            && self.key.as_ref().is_none_or(key)
    }
}

/// Shows each message that passes to `show`, in log order, until that says false; gives how many records were
/// looked at. What is no whole record is passed over.
///
/// # Errors
/// A directory that cannot be read.
pub fn dump(
    store: &StoppedStore,
    filter: &Filter,
    mut show: impl FnMut(&RecordView<'_>) -> bool,
) -> Result<u64, StoreError> {
    let options = &store.options;
    // What is wrong with the files is `verify`'s to say.
    let mut findings = Findings::default();
    let disk = options.disk.as_ref();
    let mut log = LogReader::open(disk, &options.log_dir(), options.commit_log_file_size, &mut findings)?;
    let mut at = first_of_interest(&mut log, filter);
    let mut seen = 0;
    while at < log.extent() {
        match log.entry(at) {
            Entry::Record(_, bytes) => {
                seen += 1;
                let size = bytes.len();
                if let Ok(record) = RecordView::parse(bytes)
                    && filter.admits(&record)
                    && !show(&record)
                {
                    break;
                }
                at = at.plus(size);
            }
            Entry::Padding(size) => at = at.plus(size),
            Entry::Nothing | Entry::Bad(_) => match log.next_whole(at) {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    Ok(seen)
}

/// The newest file whose first record is older than what is wanted; times in the log only rise, but for steps
/// of the clock, for which there is a margin of one file.
fn first_of_interest(log: &mut LogReader, filter: &Filter) -> super::super::PhysicalOffset {
    let bases = log.bases().to_vec();
    let since = filter.since.unwrap_or(i64::MIN);
    let older = bases.partition_point(|base| log.first_record(*base).is_some_and(|stored| stored < since));
    bases.get(older.saturating_sub(2)).copied().unwrap_or_default()
}
