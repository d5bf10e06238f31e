//! Messages that wait for a time of their own: RocketMQ's timer wheel and timer log, and the near future to the
//! millisecond (fact sheet: store 9).
//!
//! A message waits as a record of the wheel's queue, and is known by a unit in the timer log, chained into the
//! [slot](wheel) of its second. A slot's units are taken out shortly before its time, into the
//! [horizon], which orders them by their milliseconds. What lies further ahead than the window is stored anew at
//! the end of it, so that its record never gets too old to be kept.
//!
//! Everything here has one owner. After a crash the [`checkpoint`] says which slots are delivered, and the log
//! itself which messages of the present one.

mod checkpoint;
mod horizon;
mod log;
mod unit;
mod wheel;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::{checkpoint::TimerCheckpoint, horizon::Due};
use self::{
    horizon::Horizon,
    log::TimerLog,
    unit::{NONE, TimerUnit},
    wheel::{SLOTS, Slot, Wheel},
};
use super::disk::Disk;
use super::error::StoreError;
use super::scan::{Found, Verify, examine};
use super::store::Store;
use super::watermarks::{PhysicalOffset, QueueOffset};
use crate::protocol::message::string_hash;
use crate::protocol::topic::TIMER_WHEEL;

/// Slots that the wheel does not look ahead, so that it never meets its own tail.
const BLANK_SLOTS: i64 = 60;

/// How the wheel is set up.
#[derive(Debug, Clone, Copy)]
pub struct TimerOptions {
    /// `timerPrecisionMs`: the width of a slot.
    pub precision: i64,
    /// `timerRollWindowSlot`: so many slots ahead a message waits at most before it is stored anew.
    pub window_slots: i64,
    /// How long a record is kept at least, ms.
    pub reserved: i64,
    /// `mappedFileSizeTimerLog`, in bytes.
    pub log_file_size: usize,
}

impl TimerOptions {
    /// How far ahead a message waits at most, ms. A record that waits must not get too old to be kept.
    fn window(&self) -> i64 {
        let most = SLOTS / 2 - BLANK_SLOTS;
        let slots = if (2..=most).contains(&self.window_slots) { self.window_slots } else { most };
        let kept = (self.reserved / 3).saturating_mul(2) / self.precision;
        slots.min(kept.max(2)) * self.precision
    }
}

/// A message for the wheel, as its queue has it.
#[derive(Debug, Clone, Copy)]
pub struct Timed<'a> {
    /// Its offset in the wheel's queue.
    pub queue_offset: QueueOffset,
    /// Its record in the log.
    pub physical_offset: PhysicalOffset,
    /// Bytes of the record.
    pub size: i32,
    /// `TIMER_OUT_MS`: the begin of its slot.
    pub out: i64,
    /// When it is due, ms.
    pub at: i64,
    /// Where it is to go.
    pub real_topic: &'a str,
    /// The key of the message that it takes back.
    pub deletes: Option<&'a [u8]>,
}

/// The timer wheel of a store.
#[derive(Debug)]
pub struct Timers {
    disk: Arc<dyn Disk>,
    options: TimerOptions,
    checkpoint_path: PathBuf,
    saved: TimerCheckpoint,
    log: TimerLog,
    wheel: Wheel,
    horizon: Horizon,
    next: QueueOffset,
    /// The record of the newest unit.
    newest: Option<PhysicalOffset>,
    waiting: i64,
    changes: u64,
}

/// What is to be forced to the device, and the checkpoint that may be written then.
#[derive(Debug)]
pub struct Unsaved {
    files: Vec<(PathBuf, File)>,
    checkpoint: TimerCheckpoint,
    checkpoint_path: PathBuf,
}

impl Unsaved {
    /// Forces it to the device.
    pub fn save(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        for (path, file) in &self.files {
            disk.sync_file(path, file).map_err(StoreError::io("sync", path))?;
        }
        self.checkpoint.write(disk, &self.checkpoint_path)
    }
}

impl Timers {
    /// Opens what is there, of ours or of RocketMQ, and mends what a crash has left.
    pub fn open(store: &Store, options: TimerOptions, now: i64) -> Result<Self, StoreError> {
        let (disk, root) = (store.options().disk.clone(), &store.options().root);
        let checkpoint_path = root.join("config/timercheck");
        let saved = TimerCheckpoint::read(&checkpoint_path)?;
        let wheel = Wheel::open(disk.clone(), root.join("timerwheel"), options.precision)?;
        let read_time = match saved.read_time {
            // Nothing tells; what waits in a wheel that is there waits for a week at most.
            0 if !wheel.is_new => now - SLOTS / 2 * options.precision,
            0 => now,
            saved => saved,
        };
        let read_time = read_time - read_time.rem_euclid(options.precision);
        let log_end = store.log().max_offset();
        let mut timers = Self {
            log: TimerLog::open(disk.clone(), root.join("timerlog"), options.log_file_size)?,
            wheel,
            horizon: Horizon::new(options.precision, read_time, saved.delivered_from.unwrap_or(log_end)),
            disk,
            options,
            checkpoint_path,
            saved,
            next: QueueOffset(0),
            newest: None,
            waiting: 0,
            changes: 0,
        };
        timers.recover(log_end)?;
        timers.find_next(store)?;
        if timers.saved.read_time == 0 {
            // From here on a crash leaves something to go on from.
            timers.unsaved(store.log().min_offset(), now)?.save(timers.disk.as_ref())?;
        }
        Ok(timers)
    }

    /// Brings wheel and log into agreement. Units up to the checkpoint are in the wheel; those behind may not be,
    /// and the device may have kept a slot without the unit that it names.
    fn recover(&mut self, log_end: PhysicalOffset) -> Result<(), StoreError> {
        let slots = self.wheel.load(self.horizon.read_time())?;
        self.waiting = slots.iter().map(|slot| i64::from(slot.count)).sum();
        let from = if self.wheel.is_new { self.log.begin() } else { self.saved.log_flushed };
        self.link(from, log_end)?;
        let torn: Vec<_> = slots.into_iter().filter(|slot| slot.last >= self.log.end()).collect();
        if !torn.is_empty() {
            for slot in torn {
                self.waiting -= i64::from(slot.count);
                self.wheel.put(Slot { first: NONE, last: NONE, count: 0, ..slot });
            }
            self.link(self.log.begin(), log_end)?;
        }
        Ok(())
    }

    /// Makes the wheel name the units from a position on, and ends the log at the first whose record is not there.
    fn link(&mut self, from: i64, log_end: PhysicalOffset) -> Result<(), StoreError> {
        let (mut found, read_time) = (Vec::new(), self.horizon.read_time());
        self.log.recover(from, |at, unit| {
            let is_whole = unit.physical_offset.plus(usize::try_from(unit.size).unwrap_or(0)) <= log_end;
            if is_whole && unit.slot >= read_time {
                found.push((at, unit.slot, unit.deletes));
            }
            is_whole
        })?;
        for (at, time, deletes) in found {
            let slot = self.wheel.get(time)?;
            if slot.is_none_or(|slot| slot.last < at) {
                self.chain(slot, time, at, deletes);
            }
        }
        self.wheel.write()
    }

    /// Makes the unit at a position the last one of a slot.
    fn chain(&mut self, slot: Option<Slot>, time: i64, at: i64, deletes: bool) {
        let slot = slot.unwrap_or(Slot { time, first: NONE, last: NONE, count: 0 });
        let first = if slot.first == NONE { at } else { slot.first };
        let change = if deletes { -1 } else { 1 };
        self.waiting += i64::from(change);
        self.wheel.put(Slot { first, last: at, count: slot.count.saturating_add(change), ..slot });
    }

    /// Where to go on in the wheel's queue: behind the message of the last unit.
    fn find_next(&mut self, store: &Store) -> Result<(), StoreError> {
        let last = self.log.last()?;
        self.newest = last.map(|unit| unit.physical_offset);
        let record = last.and_then(|unit| {
            let bytes = store.record_at(unit.physical_offset)?;
            match examine(&bytes, unit.physical_offset, Verify::Layout) {
                Found::Record(record) => {
                    (record.topic == TIMER_WHEEL.as_bytes()).then_some(record.queue_offset)
                }
                Found::Blank(_) | Found::Bad(_) => None,
            }
        });
        let is_shorter = self.log.end() < self.saved.log_flushed;
        let next = match record.map(|offset| offset.plus(1)) {
            Some(next) if is_shorter => next,
            Some(next) => next.max(self.saved.queue_offset),
            None => self.saved.queue_offset,
        };
        let bounds = store.queues().get(TIMER_WHEEL, 0);
        let bounds = bounds.map(|queue| (queue.min_offset(), queue.next_offset()));
        self.next = bounds.map_or(QueueOffset(0), |(min, max)| next.min(max).max(min));
        Ok(())
    }

    /// Where deliveries that no checkpoint tells of begin in the log, if there may be some.
    pub fn delivered_from(&self) -> Option<PhysicalOffset> {
        self.saved.delivered_from
    }

    /// The log shows that the message of this record was delivered.
    pub fn was_delivered(&mut self, record: PhysicalOffset) {
        self.horizon.was_delivered(record);
    }

    /// The first message of the wheel's queue that is not in the wheel.
    pub fn next(&self) -> QueueOffset {
        self.next
    }

    /// Passes over messages of the wheel's queue.
    pub fn skip_to(&mut self, next: QueueOffset) {
        self.next = self.next.max(next);
    }

    /// Puts the next message of the wheel's queue into the wheel. It is in the files after [`Timers::write`].
    pub fn enqueue(&mut self, timed: &Timed<'_>, now: i64) -> Result<(), StoreError> {
        // Once each, also when the owner before has crashed on the way.
        if self.newest.is_none_or(|newest| newest < timed.physical_offset) {
            self.put(timed, now)?;
            self.newest = Some(timed.physical_offset);
        }
        self.next = self.next.max(timed.queue_offset.plus(1));
        self.changes += 1;
        Ok(())
    }

    fn put(&mut self, timed: &Timed<'_>, now: i64) -> Result<(), StoreError> {
        let precision = self.options.precision;
        let written = now - now.rem_euclid(precision);
        let ahead = self.horizon.slot_of(timed.out) - written;
        let window = self.options.window();
        let rolls = ahead >= window;
        let slot = match rolls {
            false => written + ahead,
            // What is left then is enough for another round.
            true if ahead - window < window / 3 => written + window / 2 - (window / 2) % precision,
            true => written + window,
        };
        let at = if rolls { slot + precision } else { timed.at };
        let deletes = timed.deletes.is_some();
        let known = self.wheel.get(slot)?;
        let unit = TimerUnit {
            previous: known.map_or(NONE, |slot| slot.last),
            rolls,
            deletes,
            enqueued: written,
            slot,
            physical_offset: timed.physical_offset,
            size: timed.size,
            topic_hash: string_hash(timed.real_topic),
            due: at,
        };
        let position = self.log.push(&unit)?;
        self.chain(known, slot, position, deletes);
        if slot < self.horizon.loaded() {
            self.wheel.taken(slot);
            self.near(&unit, timed.deletes);
        }
        Ok(())
    }

    fn near(&mut self, unit: &TimerUnit, deletes: Option<&[u8]>) {
        let end = unit.slot + self.options.precision;
        let due = if unit.due > 0 { unit.due } else { end };
        match deletes {
            Some(key) if !unit.rolls => self.horizon.delete(unit.slot, key),
            _ => self.horizon.add(Due {
                at: due.clamp(unit.slot, end),
                physical_offset: unit.physical_offset,
                size: unit.size,
                slot: unit.slot,
                enqueued: unit.enqueued,
                rolls: unit.rolls,
            }),
        }
    }

    /// Writes what was put into the wheel: units before the slots that name them.
    pub fn write(&mut self) -> Result<(), StoreError> {
        self.log.write()?;
        self.wheel.write()
    }

    /// Takes the slots out of the wheel whose time is near. `deleted_key` reads which message another one takes
    /// back.
    pub fn load(
        &mut self,
        now: i64,
        deleted_key: impl Fn(PhysicalOffset, i32) -> Option<Box<[u8]>>,
    ) -> Result<(), StoreError> {
        let precision = self.options.precision;
        let until = now - now.rem_euclid(precision) + precision;
        while let Some(time) = self.wheel.next(self.horizon.loaded()).filter(|time| *time <= until) {
            let mut position = self.wheel.get(time)?.map_or(NONE, |slot| slot.last);
            while let Some(unit) = self.log.read(position)? {
                let key = (unit.deletes && !unit.rolls).then(|| deleted_key(unit.physical_offset, unit.size));
                match key {
                    // It is not there any more, and takes nothing back.
                    Some(None) => {}
                    key => self.near(&unit, key.flatten().as_deref()),
                }
                // A chain goes back only.
                if unit.previous >= position {
                    break;
                }
                position = unit.previous;
            }
            self.wheel.taken(time);
            self.horizon.taken_until(time + precision);
        }
        self.horizon.taken_until(until + precision);
        Ok(())
    }

    /// Moves on in time. To be called when no delivery is under way.
    pub fn advance(&mut self, now: i64, log_end: PhysicalOffset) {
        let had_begun = self.horizon.unfinished().is_some();
        self.horizon.advance(now, log_end);
        let is_over = had_begun && self.horizon.unfinished().is_none();
        // Time alone is seldom worth a write to the device.
        let passed = self.horizon.read_time() - self.saved.read_time;
        self.changes += u64::from(is_over || passed > IDLE_SAVE);
    }

    /// Lets the next message go whose time has come.
    pub fn take(&mut self, now: i64) -> Option<Due> {
        self.horizon.take(now)
    }

    /// Takes one back that was not stored.
    pub fn give_back(&mut self, due: Due) {
        self.horizon.give_back(due);
    }

    /// So many deliveries are done, by which so many fewer messages wait.
    pub fn delivered(&mut self, count: u64, fewer: i64) {
        self.waiting -= fewer;
        self.changes += count;
    }

    /// Whether a message was taken back, by any of its keys.
    pub fn is_deleted(&self, due: &Due, keys: impl Iterator<Item = impl AsRef<[u8]>>) -> bool {
        self.horizon.is_deleted(due.slot, keys)
    }

    /// When the next message is due.
    pub fn head(&self) -> Option<i64> {
        self.horizon.head()
    }

    /// When there is something to do next: a message that is due, or a slot to be taken out a slot before its time.
    pub fn next_look(&self) -> Option<i64> {
        let slot = self.wheel.next(self.horizon.loaded()).map(|time| time - self.options.precision);
        self.horizon.head().into_iter().chain(slot).min()
    }

    /// When the slot is over that deliveries have begun of: RocketMQ, which knows no half one, may go on from there.
    pub fn unfinished(&self) -> Option<i64> {
        self.horizon.unfinished()
    }

    /// Messages that wait.
    pub fn waiting(&self) -> i64 {
        self.waiting.max(0)
    }

    /// Messages that wait in the slot of a time.
    pub fn waiting_at(&self, out: i64) -> i64 {
        let slot = self.wheel.get(self.horizon.slot_of(out)).ok().flatten();
        slot.map_or(0, |slot| slot.count.max(0).into())
    }

    /// Rises with everything that is worth saving.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How far it is.
    pub fn checkpoint(&self) -> TimerCheckpoint {
        TimerCheckpoint {
            read_time: self.horizon.read_time(),
            log_flushed: self.log.end(),
            queue_offset: self.next,
            delivered_from: Some(self.horizon.delivered_from()),
            ..self.saved
        }
    }

    /// What is to be saved now; what it says to be delivered must be on the device first. Drops the oldest files
    /// of the timer log where the log begins behind them.
    pub fn unsaved(&mut self, log_begin: PhysicalOffset, now: i64) -> Result<Unsaved, StoreError> {
        self.write()?;
        self.log.delete_before(log_begin)?;
        self.saved = self.checkpoint();
        self.saved.version = self.saved.version.next(now, 0);
        let mut files = self.log.newest()?;
        files.push(self.wheel.file()?);
        Ok(Unsaved { files, checkpoint: self.saved, checkpoint_path: self.checkpoint_path.clone() })
    }

    /// The file system of its files.
    pub fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }
}

/// A wheel at rest is saved when it has turned for so long, ms.
const IDLE_SAVE: i64 = 60_000;
