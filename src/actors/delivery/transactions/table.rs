//! Which transactions are open: the rules, without files and actors.
//!
//! A half message that is asked about is copied to the end of its queue, as in RocketMQ, so that the queue can be
//! read in order and let go of. All copies belong to one transaction, which is known by the queue offset of the
//! first; whichever copy a producer names, its transaction ends once.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A transaction: the queue offset of its first half message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin(pub(super) i64);

/// The transactions of the half queue. It outlives every actor.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Half messages before this one were looked at.
    next: i64,
    /// The latest copy, of those that were copied.
    copies: HashMap<Origin, i64>,
    /// Ends, until the latest copy was looked at.
    ends: HashMap<Origin, End>,
    /// A copy is on its way to the log.
    is_copying: bool,
    /// Half messages that ended, and that no op message names yet.
    unsaid: BTreeSet<i64>,
    /// Op messages on their way to the log.
    saying: usize,
    /// Op messages that are needed still: their offset, and the highest half that they name.
    ops: VecDeque<(i64, i64)>,
    /// The op message after the last one.
    next_op: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    UnderWay,
    Done,
}

/// How a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It waits for its end.
    Open,
    /// Its end is on its way to the log.
    Ending,
    /// It has ended.
    Ended,
}

impl State {
    fn standing(&self, origin: Origin) -> Standing {
        match self.ends.get(&origin) {
            Some(End::UnderWay) => Standing::Ending,
            Some(End::Done) => Standing::Ended,
            None if origin.0 >= self.next || self.copies.contains_key(&origin) => Standing::Open,
            None => Standing::Ended,
        }
    }

    fn latest(&self, origin: Origin) -> i64 {
        self.copies.get(&origin).copied().unwrap_or(origin.0)
    }

    fn say(&mut self, half: i64) {
        if half >= self.next {
            self.unsaid.insert(half);
        }
    }
}

impl Table {
    /// A table whose halves below `next` and op messages below `next_op` are done with.
    pub(super) fn from(next: i64, next_op: i64) -> Self {
        Self(Mutex::new(State { next, next_op, ..State::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to end a transaction: whoever is told `Open` is the one who may.
    pub(super) fn begin(&self, origin: Origin) -> Standing {
        let mut state = self.state();
        let standing = state.standing(origin);
        if standing == Standing::Open {
            state.ends.insert(origin, End::UnderWay);
        }
        standing
    }

    /// It did not come to its end.
    pub(super) fn reopen(&self, origin: Origin) {
        self.state().ends.remove(&origin);
    }

    /// It has ended, by a word about the copy `half`. Says how many halves no op message names yet.
    pub(super) fn ended(&self, origin: Origin, half: i64) -> usize {
        let mut state = self.state();
        state.ends.insert(origin, End::Done);
        let latest = state.latest(origin);
        state.say(half);
        state.say(latest);
        state.unsaid.len()
    }

    /// The log shows that it has ended: unless that is known, it is said once more.
    pub(super) fn ended_before(&self, origin: Origin, half: i64) {
        if self.begin(origin) == Standing::Open {
            self.ended(origin, half);
        }
    }

    /// It was given up: nobody else needs to hear of it.
    pub(super) fn discarded(&self, origin: Origin) {
        self.state().ends.insert(origin, End::Done);
    }

    /// How the copy `half` stands: one that is followed by another is as good as ended.
    pub(super) fn look(&self, origin: Origin, half: i64) -> Standing {
        let state = self.state();
        if state.latest(origin) == half { state.standing(origin) } else { Standing::Ended }
    }

    /// The half message was looked at.
    pub(super) fn passed(&self, origin: Origin, half: i64) {
        let mut state = self.state();
        if half < state.next {
            return;
        }
        state.next = half + 1;
        if state.latest(origin) == half {
            state.copies.remove(&origin);
            state.ends.remove(&origin);
        }
    }

    /// Half messages before `half` are deleted.
    pub(super) fn skip_to(&self, half: i64) {
        let mut state = self.state();
        if half <= state.next {
            return;
        }
        state.next = half;
        state.copies.retain(|_, copy| *copy >= half);
        let State { ends, copies, .. } = &mut *state;
        ends.retain(|origin, _| origin.0 >= half || copies.contains_key(origin));
    }

    /// Begins to copy a half message; false while another copy is on its way.
    pub(super) fn begin_copy(&self) -> bool {
        !std::mem::replace(&mut self.state().is_copying, true)
    }

    /// The copy is on its way no more.
    pub(super) fn end_copy(&self) {
        self.state().is_copying = false;
    }

    /// The transaction's latest copy is this.
    pub(super) fn copied(&self, origin: Origin, half: i64) {
        let mut state = self.state();
        state.copies.insert(origin, half);
        if state.ends.get(&origin) == Some(&End::Done) {
            state.say(half);
        }
    }

    /// Takes the halves that an op message is to name.
    pub(super) fn take_unsaid(&self) -> Vec<i64> {
        std::mem::take(&mut self.state().unsaid).into_iter().collect()
    }

    /// An op message is on its way.
    pub(super) fn saying(&self) {
        self.state().saying += 1;
    }

    /// The op message that names `halves` is stored, at an offset of its queue, or is not.
    pub(super) fn said(&self, halves: &[i64], at: Option<i64>) {
        let mut state = self.state();
        state.saying -= 1;
        match (at, halves.iter().max()) {
            (Some(at), Some(highest)) => {
                state.ops.push_back((at, *highest));
                state.next_op = state.next_op.max(at + 1);
            }
            _ => state.unsaid.extend(halves),
        }
    }

    /// An op message that was there at the start.
    pub(super) fn recall_op(&self, at: i64, highest: i64) {
        let mut state = self.state();
        state.ops.push_back((at, highest));
        state.next_op = at + 1;
    }

    /// Whether op messages are on their way.
    pub(super) fn is_saying(&self) -> bool {
        self.state().saying > 0
    }

    /// The first half and the first op message that are needed still.
    pub(super) fn progress(&self) -> (i64, i64) {
        let mut state = self.state();
        let next = state.next;
        while state.ops.front().is_some_and(|(_, highest)| *highest < next) {
            state.ops.pop_front();
        }
        (next, state.ops.front().map_or(state.next_op, |(at, _)| *at))
    }

    /// Transactions whose ends are remembered, and halves that were copied.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.ends.len(), state.copies.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Origin = Origin(5);

    #[test]
    fn a_transaction_ends_once_whichever_copy_is_named() {
        let table = Table::from(5, 0);
        assert_eq!(table.look(ONE, 5), Standing::Open);
        table.copied(ONE, 9);
        table.passed(ONE, 5);
        assert_eq!((table.look(ONE, 5), table.look(ONE, 9)), (Standing::Ended, Standing::Open));
        assert_eq!(table.begin(ONE), Standing::Open);
        assert_eq!(table.begin(ONE), Standing::Ending, "by the copy, while the first is under way");
        assert_eq!(table.ended(ONE, 5), 1, "the latest copy is named, not the one that was looked at");
        assert_eq!(table.take_unsaid(), [9]);
        assert_eq!(table.begin(ONE), Standing::Ended);
        table.passed(ONE, 9);
        assert_eq!(table.begin(ONE), Standing::Ended, "also when it is forgotten");
        assert_eq!(table.counts(), (0, 0));
    }

    #[test]
    fn an_end_that_fails_leaves_it_open() {
        let table = Table::from(0, 0);
        assert_eq!(table.begin(ONE), Standing::Open);
        table.reopen(ONE);
        assert_eq!(table.begin(ONE), Standing::Open);
    }

    #[test]
    fn a_copy_that_comes_after_the_end_is_named_too() {
        let table = Table::from(0, 0);
        table.begin(ONE);
        table.ended(ONE, 5);
        table.copied(ONE, 9);
        assert_eq!(table.take_unsaid(), [5, 9]);
        assert_eq!(table.look(ONE, 9), Standing::Ended);
    }

    #[test]
    fn op_messages_are_needed_until_all_that_they_name_was_looked_at() {
        let table = Table::from(0, 7);
        for origin in [0, 1, 2] {
            table.ended(Origin(origin), origin);
        }
        let halves = table.take_unsaid();
        table.saying();
        table.said(&halves, None);
        assert_eq!(table.take_unsaid(), halves, "not stored, it is said again");
        table.saying();
        table.said(&halves, Some(7));
        assert!(!table.is_saying());
        table.passed(Origin(0), 0);
        assert_eq!(table.progress(), (1, 7));
        table.passed(Origin(1), 1);
        table.passed(Origin(2), 2);
        assert_eq!(table.progress(), (3, 8));
    }

    #[test]
    fn what_is_deleted_is_forgotten() {
        let table = Table::from(0, 0);
        table.ended(Origin(1), 1);
        table.ended(Origin(8), 8);
        table.copied(Origin(2), 6);
        table.skip_to(7);
        assert_eq!(table.counts(), (1, 0));
        assert_eq!(table.begin(Origin(2)), Standing::Ended);
    }

    #[test]
    fn one_copy_is_on_its_way_at_a_time() {
        let table = Table::from(0, 0);
        assert!(table.begin_copy() && !table.begin_copy());
        table.end_copy();
        assert!(table.begin_copy());
    }
}
