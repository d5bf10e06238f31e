//! A consume queue: for each message of a topic queue, where it is in the log.
//!
//! Units of 20 bytes in sparse files (fact sheet: store 4.1), written with `pwrite`, so that a full device
//! is an error and never a signal. There is no mapping; descriptors are opened when needed and can be
//! dropped at any time. All can be rebuilt from the log.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::BufMut;

use super::disk::Disk;
use super::error::StoreError;
use super::file_sequence::{file_name, list_bases};
use super::lease::Lease;
use super::queue_table::QueueState;
use super::watermarks::{PhysicalOffset, QueueOffset};

/// Bytes of a unit.
pub const UNIT_SIZE: usize = 20;
/// Size of the units that stand for messages before the first one of a queue.
const FILLER_SIZE: i32 = i32::MAX;
/// Codes of tags below this are addresses in an extension file (fact sheet: store 4.3), which no queue fills
/// with more bytes than that.
const END_OF_EXTENSION_ADDRESSES: i64 = i64::MIN + (1 << 44);
/// Units that one read takes while the end is looked for.
const SCAN_UNITS: usize = 4096;

/// One message of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Where its record begins in the log.
    pub physical_offset: PhysicalOffset,
    /// Bytes of the record.
    pub size: i32,
    /// Hash of its tags, or what a system topic puts there.
    pub tags_code: i64,
}

impl Unit {
    /// Stands for a message that is not in this copy of the log.
    pub(super) const FILLER: Unit =
        Unit { physical_offset: PhysicalOffset(0), size: FILLER_SIZE, tags_code: 0 };

    fn encode(self) -> [u8; UNIT_SIZE] {
        let mut out = [0; UNIT_SIZE];
        let mut rest: &mut [u8] = &mut out;
        rest.put_i64(self.physical_offset.0);
        rest.put_i32(self.size);
        rest.put_i64(self.tags_code);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Unit> {
        let (offset, rest) = bytes.split_first_chunk::<8>()?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let (tags_code, _) = rest.split_first_chunk::<8>()?;
        Some(Unit {
            physical_offset: PhysicalOffset(i64::from_be_bytes(*offset)),
            size: i32::from_be_bytes(*size),
            tags_code: i64::from_be_bytes(*tags_code),
        })
    }

    /// Whether something was written here; the rest of a file reads as zeros.
    pub(super) fn is_written(self) -> bool {
        self.physical_offset.0 >= 0 && self.size > 0
    }

    /// Whether it stands for a message that was never in this copy of the log.
    pub fn is_filler(self) -> bool {
        self.size == FILLER_SIZE
    }

    /// Whether this stored unit says of its message what `rebuilt`, made from the log, says. Code of tags that
    /// is an address in an extension file of RocketMQ's is as good as the tags themselves.
    pub(super) fn agrees_with(self, rebuilt: Unit) -> bool {
        let same_place = (self.physical_offset, self.size) == (rebuilt.physical_offset, rebuilt.size);
        same_place && (self.tags_code == rebuilt.tags_code || self.tags_code < END_OF_EXTENSION_ADDRESSES)
    }

    /// Behind the record in the log.
    pub fn end(self) -> PhysicalOffset {
        let len = if self.is_filler() { 0 } else { usize::try_from(self.size).unwrap_or(0) };
        self.physical_offset.plus(len)
    }
}

/// How to find the end of a queue when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindEnd {
    /// By halving the last file: right when every unit before the end was written, as after any exit but
    /// that of the machine.
    Halving,
    /// By reading the last three files up to the first unit that was not written: finds the hole that a
    /// power cut may have left, and cuts there.
    Reading,
}

/// What became of units handed to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Some were new; the queue now ends here.
    Until(QueueOffset),
    /// All were there already.
    Repeated,
    /// Nothing was written: the first one would leave a hole after `expected`.
    Gap {
        /// The next offset of the queue.
        expected: QueueOffset,
    },
}

/// Where a queue lives and how its files are cut.
#[derive(Debug, Clone)]
pub struct QueueFiles {
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// `consumequeue/<topic>/<queue id>`.
    pub dir: PathBuf,
    /// Bytes of a file, rounded up to whole units.
    pub file_size: usize,
}

/// The queue's one owner.
#[derive(Debug)]
pub struct ConsumeQueue {
    files: QueueFiles,
    state: Arc<QueueState>,
    bases: VecDeque<i64>,
    /// The next offset; no bases means that no unit was ever written, and it is 0.
    end: QueueOffset,
    min: QueueOffset,
    /// The file that was used last.
    open: Option<(i64, File)>,
    /// The right to keep it open.
    seat: Option<Lease>,
    buffer: Vec<u8>,
    /// The buffer holds the units from here to the end, as they were appended last: who waits at the end reads
    /// those, and nothing else.
    newest: Option<QueueOffset>,
    _lease: Lease,
}

impl ConsumeQueue {
    /// Opens what is there, or an empty queue; nothing is created before the first append.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another owner of the same `state` lives; files that do not fit.
    pub fn open(mut files: QueueFiles, find: FindEnd, state: Arc<QueueState>) -> Result<Self, StoreError> {
        let in_use = || StoreError::InUse { what: format!("the queue in {}", files.dir.display()) };
        let lease = state.owner.take().ok_or_else(in_use)?;
        files.file_size = files.file_size.max(1).next_multiple_of(UNIT_SIZE);
        let bases = list_bases(files.disk.as_ref(), &files.dir, files.file_size as u64)?;
        let mut queue = ConsumeQueue {
            files,
            state,
            bases: bases.into(),
            end: QueueOffset(0),
            min: QueueOffset(0),
            open: None,
            seat: None,
            buffer: Vec::new(),
            newest: None,
            _lease: lease,
        };
        queue.end = queue.first_of_file(0);
        queue.end = match find {
            FindEnd::Halving => queue.end_by_halving()?,
            FindEnd::Reading => queue.end_by_reading()?,
        };
        // The log may have lost more of its start than the files tell: what is known of that is in the state.
        queue.min = queue.first_message()?.max(queue.state.min_offset()).min(queue.end);
        queue.publish();
        Ok(queue)
    }

    fn units_per_file(&self) -> i64 {
        (self.files.file_size / UNIT_SIZE) as i64
    }

    /// The offset of the first unit of the file with that index, 0 when there is none.
    fn first_of_file(&self, index: usize) -> QueueOffset {
        QueueOffset(self.bases.get(index).copied().unwrap_or(0) / UNIT_SIZE as i64)
    }

    fn publish(&self) {
        self.state.publish(self.min, self.end);
    }

    /// The shared numbers of this queue.
    pub fn state(&self) -> &Arc<QueueState> {
        &self.state
    }

    /// The oldest message whose record the log still has.
    pub fn min_offset(&self) -> QueueOffset {
        self.min
    }

    /// The offset behind the newest message.
    pub fn max_offset(&self) -> QueueOffset {
        self.end
    }

    /// Behind the last record that this queue points to; `None` when it points to none.
    pub fn max_physical(&mut self) -> Result<Option<PhysicalOffset>, StoreError> {
        let last = self.unit(QueueOffset(self.end.0 - 1))?;
        Ok(last.filter(|unit| !unit.is_filler()).map(Unit::end))
    }

    /// Appends units for the offsets from `at` on. Those below the end are skipped, so that a dispatch may
    /// be repeated. A queue without any unit may begin anywhere.
    pub fn append(&mut self, at: QueueOffset, units: &[Unit]) -> Result<Appended, StoreError> {
        let starts_late = at > self.end;
        if starts_late && self.has_messages()? {
            return Ok(Appended::Gap { expected: self.end });
        }
        let fresh = units.get(self.end.since(at)..).unwrap_or_default();
        if fresh.is_empty() {
            return Ok(Appended::Repeated);
        }
        if starts_late {
            self.fill_up_to(at)?;
        }
        let begin = self.end;
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        bytes.extend(fresh.iter().flat_map(|unit| unit.encode()));
        self.newest = None;
        let outcome = self.write(begin, &bytes);
        self.buffer = bytes;
        outcome?;
        self.newest = Some(begin);
        self.end = begin.plus(fresh.len());
        // The end first: a flush that takes the note away looks for files up to there.
        self.publish();
        self.state.mark_dirty(begin);
        Ok(Appended::Until(self.end))
    }

    /// Whether a message was ever written: fillers alone are what a late start that failed has left.
    fn has_messages(&mut self) -> Result<bool, StoreError> {
        Ok(!self.bases.is_empty() && self.end > self.first_of_file(0) && self.first_message()? < self.end)
    }

    /// Makes the queue hold `units`, which come from the log, at `at` and behind, `at` being its end at most:
    /// what is stored there and says something else goes, with all behind it.
    pub(super) fn reconcile(&mut self, at: QueueOffset, units: &[Unit]) -> Result<Appended, StoreError> {
        let mut same = 0;
        while let Some(left) = units.get(same..).filter(|left| !left.is_empty()) {
            let stored = self.range(at.plus(same), left.len())?;
            let count = stored.len();
            let agreeing = stored.zip(left).take_while(|(stored, unit)| stored.agrees_with(**unit)).count();
            same += agreeing;
            if count == 0 || agreeing < count {
                break;
            }
        }
        let Some(rest) = units.get(same..).filter(|rest| !rest.is_empty()) else {
            return Ok(Appended::Repeated);
        };
        let from = at.plus(same);
        self.truncate(from)?;
        self.append(from, rest)
    }

    /// Fillers from the start of the file that is to hold `at`, which becomes the first message.
    fn fill_up_to(&mut self, at: QueueOffset) -> Result<(), StoreError> {
        self.clear()?;
        let first = QueueOffset(at.0 - at.0 % self.units_per_file());
        let fillers = Unit::FILLER.encode().repeat(at.since(first));
        self.write(first, &fillers)?;
        self.state.mark_dirty(first);
        (self.end, self.min) = (at, at);
        Ok(())
    }

    /// Writes whole units from `at` on, over as many files as it takes.
    fn write(&mut self, at: QueueOffset, bytes: &[u8]) -> Result<(), StoreError> {
        let size = self.files.file_size as i64;
        let (mut position, mut rest) = (at.0 * UNIT_SIZE as i64, bytes);
        while !rest.is_empty() {
            let base = position - position % size;
            let (now, later) = rest.split_at(rest.len().min((base + size - position) as usize));
            if self.bases.back().is_none_or(|&last| last < base) {
                self.create_file(base)?;
            }
            let path = self.files.dir.join(file_name(base));
            let disk = self.files.disk.clone();
            let file = self.file(base)?;
            disk.write_at(&path, file, now, (position - base) as u64)
                .map_err(StoreError::io("write", &path))?;
            position += now.len() as i64;
            rest = later;
        }
        Ok(())
    }

    fn create_file(&mut self, base: i64) -> Result<(), StoreError> {
        let QueueFiles { disk, dir, file_size } = &self.files;
        disk.create_dir(dir).map_err(StoreError::io("make the directory", dir))?;
        let path = dir.join(file_name(base));
        let file = disk.create_sparse(&path, *file_size as u64).map_err(StoreError::io("make", &path))?;
        if self.bases.is_empty() {
            self.state.mark_new_dir();
        }
        self.open = Some((base, file));
        self.bases.push_back(base);
        Ok(())
    }

    fn file(&mut self, base: i64) -> Result<&File, StoreError> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != base) {
            let path = self.files.dir.join(file_name(base));
            let file = self.files.disk.open(&path).map_err(StoreError::io("open", &path))?;
            self.open = Some((base, file));
        }
        match &self.open {
            Some((_, file)) => Ok(file),
            None => Err(StoreError::InUse { what: "a queue's descriptor".to_owned() }),
        }
    }

    /// Gives back descriptor and buffer; both come back when needed. For queues that have gone idle.
    pub fn release(&mut self) {
        self.open = None;
        self.seat = None;
        self.buffer = Vec::new();
    }

    /// [`ConsumeQueue::release`], unless this is one of the few queues that keep a file open between uses: then
    /// true.
    pub fn rest(&mut self) -> bool {
        if self.open.is_some() && self.seat.is_none() {
            self.seat = self.state.descriptors.take();
        }
        if self.seat.is_none() {
            self.release();
        }
        self.seat.is_some()
    }

    /// The unit of one message; `None` outside of what the files hold.
    pub fn unit(&mut self, at: QueueOffset) -> Result<Option<Unit>, StoreError> {
        if at >= self.end {
            return Ok(None);
        }
        self.stored(at)
    }

    /// Up to `max` units from `from` on, as far as they lie in one file: one read. Empty at the end and
    /// before the first file. The second and later calls with similar `max` allocate nothing.
    pub fn range(
        &mut self,
        from: QueueOffset,
        max: usize,
    ) -> Result<impl ExactSizeIterator<Item = Unit>, StoreError> {
        self.units(from, max, Patience::Waits)
    }

    /// [`ConsumeQueue::range`] as far as no device has to be waited for, which may be not at all.
    pub fn range_at_hand(
        &mut self,
        from: QueueOffset,
        max: usize,
    ) -> Result<impl ExactSizeIterator<Item = Unit>, StoreError> {
        self.units(from, max, Patience::None)
    }

    fn units(
        &mut self,
        from: QueueOffset,
        max: usize,
        patience: Patience,
    ) -> Result<impl ExactSizeIterator<Item = Unit>, StoreError> {
        let count = max.min(self.end.since(from));
        let units = self.read(from, count, patience)?.chunks_exact(UNIT_SIZE);
        Ok(units.map(|unit| Unit::decode(unit).unwrap_or(Unit::FILLER)))
    }

    /// Where the unit at an offset is: a file, and a place in it.
    pub fn place(&self, at: QueueOffset) -> (PathBuf, u64) {
        let size = self.files.file_size as i64;
        let position = at.0.saturating_mul(UNIT_SIZE as i64);
        let within = position.rem_euclid(size);
        (self.files.dir.join(file_name(position - within)), within as u64)
    }

    /// The unit that the files hold at an offset, written or not.
    fn stored(&mut self, at: QueueOffset) -> Result<Option<Unit>, StoreError> {
        Ok(Unit::decode(self.read(at, 1, Patience::Waits)?))
    }

    /// The bytes of up to `count` units from `at` on that lie in one file.
    fn read(&mut self, at: QueueOffset, count: usize, patience: Patience) -> Result<&[u8], StoreError> {
        let size = self.files.file_size as i64;
        let position = at.0.saturating_mul(UNIT_SIZE as i64);
        let base = position - position.rem_euclid(size);
        let bounds = self.bases.front().zip(self.bases.back());
        if count == 0 || bounds.is_none_or(|(first, last)| base < *first || base > *last) {
            return Ok(&[]);
        }
        let len = count.saturating_mul(UNIT_SIZE).min((base + size - position) as usize);
        let newest = self.newest.filter(|first| *first <= at).map(|first| at.since(first) * UNIT_SIZE);
        if let Some(start) = newest.filter(|start| *start < self.buffer.len()) {
            return Ok(self.buffer.get(start..self.buffer.len().min(start + len)).unwrap_or_default());
        }
        self.newest = None;
        let path = self.files.dir.join(file_name(base));
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let window = buffer.get_mut(..len).unwrap_or_default();
        let outcome = read_at(self.file(base)?, window, (position - base) as u64, patience);
        self.buffer = buffer;
        let len = outcome.map_err(StoreError::io("read", &path))?;
        Ok(self.buffer.get(..len).unwrap_or_default())
    }

    fn end_by_halving(&mut self) -> Result<QueueOffset, StoreError> {
        // A file is made just before its first unit is written, so an unwritten last file may follow.
        for index in (0..self.bases.len()).rev() {
            let first = self.first_of_file(index);
            let (mut low, mut high) = (first.0, first.0 + self.units_per_file());
            while low < high {
                let middle = low + (high - low) / 2;
                match self.stored(QueueOffset(middle))? {
                    Some(unit) if unit.is_written() => low = middle + 1,
                    _ => high = middle,
                }
            }
            if low > first.0 || index == 0 {
                return Ok(QueueOffset(low));
            }
        }
        Ok(self.end)
    }

    fn end_by_reading(&mut self) -> Result<QueueOffset, StoreError> {
        let mut at = self.first_of_file(self.bases.len().saturating_sub(3));
        loop {
            let bytes = self.read(at, SCAN_UNITS, Patience::Waits)?;
            let (units, _) = bytes.as_chunks::<UNIT_SIZE>();
            let written = |bytes: &&[u8; UNIT_SIZE]| Unit::decode(*bytes).is_some_and(Unit::is_written);
            let whole = units.iter().take_while(written).count();
            let has_ended = whole < units.len() || units.is_empty();
            at = at.plus(whole);
            if has_ended {
                break;
            }
        }
        let kept = at;
        self.end =
            QueueOffset(self.bases.back().map_or(0, |last| last / UNIT_SIZE as i64) + self.units_per_file());
        self.truncate(kept)?;
        Ok(kept)
    }

    /// The first unit that is no filler.
    fn first_message(&mut self) -> Result<QueueOffset, StoreError> {
        let first = self.first_of_file(0);
        self.partition(first, |unit| !unit.is_filler())
    }

    /// The first message from `from` on whose unit satisfies `is_behind`, which once true stays true.
    fn partition(
        &mut self,
        from: QueueOffset,
        is_behind: impl Fn(Unit) -> bool,
    ) -> Result<QueueOffset, StoreError> {
        let (mut low, mut high) = (from.0, self.end.0);
        // The answer is mostly the first one.
        if self.stored(from)?.is_some_and(&is_behind) && low < high {
            return Ok(from);
        }
        let mut found = self.end;
        while low < high {
            let middle = low + (high - low) / 2;
            // Fillers tell nothing; the first message behind them does.
            match self.no_filler(QueueOffset(middle), QueueOffset(high))? {
                Some((at, unit)) if is_behind(unit) => (found, high) = (at, middle),
                Some((at, _)) => low = at.0 + 1,
                None => high = middle,
            }
        }
        Ok(found)
    }

    /// The first unit from `from` on, before `to`, that is no filler.
    fn no_filler(
        &mut self,
        from: QueueOffset,
        to: QueueOffset,
    ) -> Result<Option<(QueueOffset, Unit)>, StoreError> {
        let (mut at, mut count) = (from, 1);
        while at < to {
            let (units, _) =
                self.read(at, count.min(to.since(at)), Patience::Waits)?.as_chunks::<UNIT_SIZE>();
            let units = units.iter().filter_map(|unit| Unit::decode(unit));
            let (mut passed, mut found) = (0, None);
            for unit in units {
                if !unit.is_filler() {
                    found = Some((at.plus(passed), unit));
                    break;
                }
                passed += 1;
            }
            if found.is_some() || passed == 0 {
                return Ok(found);
            }
            (at, count) = (at.plus(passed), SCAN_UNITS);
        }
        Ok(None)
    }

    /// Drops the units of records at or behind `end` of the log.
    pub fn truncate_to_log(&mut self, end: PhysicalOffset) -> Result<(), StoreError> {
        let is_behind = |unit: Unit| !unit.is_filler() && unit.physical_offset >= end;
        let kept = self.partition(self.first_of_file(0), is_behind)?;
        self.truncate(kept)
    }

    /// Makes `kept` the end: later files go, the rest of its own reads as zeros.
    pub(super) fn truncate(&mut self, kept: QueueOffset) -> Result<(), StoreError> {
        self.newest = None;
        if kept >= self.end {
            return Ok(());
        }
        let position = kept.0 * UNIT_SIZE as i64;
        while let Some(&last) = self.bases.back().filter(|&&last| last >= position) {
            self.remove_file(last)?;
            self.bases.pop_back();
        }
        if let Some(&last) = self.bases.back() {
            let path = self.files.dir.join(file_name(last));
            let size = self.files.file_size as u64;
            // Never shorter for a moment: who is killed in it leaves a file that no start accepts.
            let disk = self.files.disk.clone();
            disk.clear(&path, self.file(last)?, (position - last) as u64..size)
                .map_err(StoreError::io("cut", &path))?;
            self.state.mark_dirty(QueueOffset(kept.0.saturating_sub(1).max(0)));
        }
        self.end = if self.bases.is_empty() { QueueOffset(0) } else { kept };
        self.min = self.min.min(self.end);
        self.publish();
        Ok(())
    }

    /// Follows the log's deletion: files whose last message lies below `log_min` are removed, never the
    /// last one, and the minimum becomes the first message at or behind it.
    pub fn correct_min(&mut self, log_min: PhysicalOffset) -> Result<(), StoreError> {
        while self.bases.len() > 1 {
            let last_of_first = QueueOffset(self.first_of_file(1).0 - 1);
            let is_gone = self.stored(last_of_first)?.is_some_and(|unit| unit.physical_offset < log_min);
            let Some(first) = self.bases.front().copied().filter(|_| is_gone) else { break };
            self.remove_file(first)?;
            self.bases.pop_front();
        }
        let first = self.first_of_file(0);
        self.min = self.partition(first, |unit| !unit.is_filler() && unit.physical_offset >= log_min)?;
        self.publish();
        Ok(())
    }

    /// Forgets all units, so that the next append may begin anywhere.
    pub fn clear(&mut self) -> Result<(), StoreError> {
        self.newest = None;
        while let Some(&last) = self.bases.back() {
            self.remove_file(last)?;
            self.bases.pop_back();
        }
        (self.end, self.min) = (QueueOffset(0), QueueOffset(0));
        self.publish();
        Ok(())
    }

    fn remove_file(&mut self, base: i64) -> Result<(), StoreError> {
        self.open.take_if(|(open, _)| *open == base);
        let path = self.files.dir.join(file_name(base));
        self.files.disk.remove(&path).map_err(StoreError::io("remove", &path))
    }
}

/// Whether a read may wait for the device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Waits,
    None,
}

/// Fills `window`, or without patience as much of it as is in memory; how much that is.
fn read_at(file: &File, window: &mut [u8], at: u64, patience: Patience) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    if patience == Patience::None {
        let mut parts = [io::IoSliceMut::new(window)];
        match preadv2(file, &mut parts, at, ReadWriteFlags::NOWAIT) {
            Ok(len) => return Ok(len),
            Err(Errno::AGAIN) => return Ok(0),
            // A file system without such reads is mostly one in memory.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    file.read_exact_at(window, at).map(|()| window.len())
}

/// The unit at an offset, and the one behind it, as the one file that holds the first tells; none where it is not
/// there or has another size.
pub(super) fn look_at(files: &QueueFiles, at: QueueOffset) -> Result<[Option<Unit>; 2], StoreError> {
    let size = files.file_size.max(1).next_multiple_of(UNIT_SIZE) as i64;
    let position = at.0.saturating_mul(UNIT_SIZE as i64);
    if position < 0 {
        return Ok([None; 2]);
    }
    let base = position - position % size;
    let path = files.dir.join(file_name(base));
    let file = match files.disk.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok([None; 2]),
        file => file.map_err(StoreError::io("open", &path))?,
    };
    let mut bytes = [0; 2 * UNIT_SIZE];
    let left = (base + size - position) as usize;
    let window = bytes.get_mut(..left.min(2 * UNIT_SIZE)).unwrap_or_default();
    let has_size = file.metadata().map_err(StoreError::io("look at", &path))?.len() == size as u64;
    if !has_size || file.read_exact_at(window, (position - base) as u64).is_err() {
        return Ok([None; 2]);
    }
    let (units, _) = bytes.as_chunks::<UNIT_SIZE>();
    let mut units = units.iter().map(|unit| Unit::decode(unit).filter(|unit| unit.is_written()));
    Ok([units.next().flatten(), units.next().flatten()])
}

/// The unit before `end`, if the queue's files end there; looked for only there.
pub(super) fn last_unit(files: &QueueFiles, end: QueueOffset) -> Result<Option<Unit>, StoreError> {
    let [last, behind] = look_at(files, QueueOffset(end.0.saturating_sub(1)))?;
    Ok(last.filter(|_| behind.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::LocalDisk;
    use crate::store::queue_flush::flush;
    use proptest::prelude::*;
    use std::path::Path;

    fn unit(i: i64) -> Unit {
        Unit { physical_offset: PhysicalOffset(i * 100), size: 100, tags_code: -i }
    }

    fn units(range: std::ops::Range<i64>) -> Vec<Unit> {
        range.map(unit).collect()
    }

    fn open(dir: &Path, find: FindEnd) -> ConsumeQueue {
        let files = QueueFiles { disk: Arc::new(LocalDisk), dir: dir.join("T/0"), file_size: 95 };
        ConsumeQueue::open(files, find, Arc::default()).unwrap()
    }

    fn all(queue: &mut ConsumeQueue) -> Vec<Unit> {
        let (mut at, mut all) = (queue.min_offset(), Vec::new());
        loop {
            let read = queue.range(at, 1000).unwrap().collect::<Vec<_>>();
            if read.is_empty() {
                return all;
            }
            at = at.plus(read.len());
            all.extend(read);
        }
    }

    #[test]
    fn repeated_units_are_ignored_and_a_gap_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = open(dir.path(), FindEnd::Halving);
        assert_eq!(queue.append(QueueOffset(0), &units(0..3)).unwrap(), Appended::Until(QueueOffset(3)));
        assert_eq!(queue.append(QueueOffset(1), &units(1..3)).unwrap(), Appended::Repeated);
        assert_eq!(queue.append(QueueOffset(2), &units(2..7)).unwrap(), Appended::Until(QueueOffset(7)));
        let expected = QueueOffset(7);
        assert_eq!(queue.append(QueueOffset(8), &units(8..9)).unwrap(), Appended::Gap { expected });
        assert_eq!(all(&mut queue), units(0..7));
        assert_eq!(queue.state().dispatched_next(), QueueOffset(7));
    }

    #[test]
    fn a_queue_that_begins_late_is_filled_from_the_start_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = open(dir.path(), FindEnd::Halving);
        queue.append(QueueOffset(13), &units(13..14)).unwrap();
        assert_eq!((queue.min_offset().0, queue.max_offset().0), (13, 14));
        let bytes = std::fs::read(dir.path().join("T/0").join(file_name(200))).unwrap();
        assert_eq!(bytes[..20], [0, 0, 0, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0]);
        drop(queue);
        let mut queue = open(dir.path(), FindEnd::Reading);
        assert_eq!((queue.min_offset().0, queue.max_offset().0), (13, 14));
        assert_eq!(all(&mut queue), units(13..14));
    }

    #[test]
    fn a_hole_left_by_a_power_cut_ends_the_queue_when_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), FindEnd::Halving).append(QueueOffset(0), &units(0..12)).unwrap();
        let path = dir.path().join("T/0").join(file_name(100));
        let file = LocalDisk.open(&path).unwrap();
        file.write_all_at(&[0; 20], 40).unwrap();
        let mut queue = open(dir.path(), FindEnd::Reading);
        assert_eq!(queue.max_offset(), QueueOffset(7));
        assert_eq!(queue.append(QueueOffset(7), &units(7..8)).unwrap(), Appended::Until(QueueOffset(8)));
        drop(queue);
        assert_eq!(open(dir.path(), FindEnd::Halving).max_offset(), QueueOffset(8));
    }

    #[test]
    fn one_state_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let files = QueueFiles { disk: Arc::new(LocalDisk), dir: dir.path().join("T/0"), file_size: 100 };
        let state = Arc::new(QueueState::default());
        let first = ConsumeQueue::open(files.clone(), FindEnd::Halving, state.clone()).unwrap();
        let second = ConsumeQueue::open(files.clone(), FindEnd::Halving, state.clone());
        assert!(matches!(second, Err(StoreError::InUse { .. })));
        drop(first);
        ConsumeQueue::open(files, FindEnd::Halving, state).unwrap();
    }

    #[test]
    fn the_minimum_follows_the_log_and_keeps_the_last_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = open(dir.path(), FindEnd::Halving);
        queue.append(QueueOffset(0), &units(0..12)).unwrap();
        queue.correct_min(PhysicalOffset(650)).unwrap();
        assert_eq!((queue.min_offset().0, queue.bases.len()), (7, 2));
        assert_eq!(queue.range(QueueOffset(0), 5).unwrap().count(), 0);
        queue.correct_min(PhysicalOffset(5000)).unwrap();
        assert_eq!((queue.min_offset().0, queue.max_offset().0, queue.bases.len()), (12, 12, 1));
    }

    #[test]
    fn a_flush_after_release_needs_no_owner() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = open(dir.path(), FindEnd::Halving);
        queue.append(QueueOffset(0), &units(0..12)).unwrap();
        queue.release();
        flush([(queue.files.clone(), queue.state.clone())]).unwrap();
        assert_eq!(queue.state().take_dirty(), None);
        assert_eq!(queue.unit(QueueOffset(11)).unwrap(), Some(unit(11)));
        assert_eq!(queue.unit(QueueOffset(12)).unwrap(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_appended_is_there_after_reopening(
            start in 0i64..20,
            steps in proptest::collection::vec((0i64..4, 1i64..9), 1..12),
            cut in 0i64..60,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut end = start;
            for (i, (back, count)) in steps.iter().enumerate() {
                let mut queue = open(dir.path(), if i % 2 == 0 { FindEnd::Halving } else { FindEnd::Reading });
                let from = (end - back).max(start);
                queue.append(QueueOffset(from), &units(from..from + count)).unwrap();
                end = end.max(from + count);
                prop_assert_eq!(queue.max_offset(), QueueOffset(end));
            }
            let mut queue = open(dir.path(), FindEnd::Halving);
            prop_assert_eq!(all(&mut queue), units(start..end));
            queue.truncate_to_log(PhysicalOffset((start + cut) * 100)).unwrap();
            let kept = end.min(start + cut);
            prop_assert_eq!(all(&mut queue), units(start..kept));
            drop(queue);
            let mut queue = open(dir.path(), FindEnd::Halving);
            prop_assert_eq!(all(&mut queue), units(start..kept));
        }
    }
}
