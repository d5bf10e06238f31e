//! What a broker has acknowledged and delivered, kept where no crash of it can reach.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Notes acknowledgements and deliveries by queue, and finds what does not fit: a message that was acknowledged
/// and does not come, an offset that is given twice or left out, a delivery out of order. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    queues: BTreeMap<(String, i32), Queue>,
    totals: Totals,
    problems: Vec<String>,
}

#[derive(Debug, Default)]
struct Queue {
    /// What was delivered; the place is the offset.
    delivered: Vec<Box<[u8]>>,
    /// What was acknowledged and has not come yet.
    owed: BTreeMap<i64, Box<[u8]>>,
}

/// What a [`Ledger`] has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that were acknowledged.
    pub acknowledged: usize,
    /// Messages that were delivered, each counted once.
    pub delivered: usize,
    /// Messages that were delivered again.
    pub again: usize,
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A send was acknowledged with this offset.
    pub fn acknowledged(&self, topic: &str, queue_id: i32, offset: i64, body: &[u8]) {
        let mut book = self.book();
        book.totals.acknowledged += 1;
        let queue = book.queues.entry((topic.to_owned(), queue_id)).or_default();
        let problem = match usize::try_from(offset).ok().and_then(|at| queue.delivered.get(at)) {
            Some(delivered) if **delivered == *body => None,
            Some(_) => Some("is another message than was delivered"),
            None => queue.owed.insert(offset, body.into()).map(|_| "was given twice"),
        };
        if let Some(problem) = problem {
            book.problems.push(format!("{topic}:{queue_id}: the acknowledged offset {offset} {problem}"));
        }
    }

    /// A consumer was given this message.
    pub fn delivered(&self, topic: &str, queue_id: i32, offset: i64, body: &[u8]) {
        let mut book = self.book();
        let queue = book.queues.entry((topic.to_owned(), queue_id)).or_default();
        let next = queue.delivered.len() as i64;
        if let Some(before) = usize::try_from(offset).ok().and_then(|at| queue.delivered.get(at)) {
            let is_same = **before == *body;
            book.totals.again += 1;
            if !is_same {
                book.problems.push(format!("{topic}:{queue_id}: offset {offset} is two messages"));
            }
            return;
        }
        let owed = queue.owed.remove(&offset);
        queue.delivered.push(body.into());
        book.totals.delivered += 1;
        if offset != next {
            book.problems.push(format!("{topic}:{queue_id}: offset {offset} came where {next} is due"));
        }
        if owed.is_some_and(|owed| *owed != *body) {
            book.problems.push(format!("{topic}:{queue_id}: offset {offset} is not what was acknowledged"));
        }
    }

    /// Something else that must not be.
    pub fn problem(&self, text: String) {
        self.book().problems.push(text);
    }

    /// The offset that a consumer of the queue is to be given next.
    pub fn next(&self, topic: &str, queue_id: i32) -> i64 {
        self.book().queues.get(&(topic.to_owned(), queue_id)).map_or(0, |queue| queue.delivered.len() as i64)
    }

    /// Acknowledged messages that have not been delivered yet.
    pub fn owed(&self) -> usize {
        self.book().queues.values().map(|queue| queue.owed.len()).sum()
    }

    /// What was wrong so far, in lines; what has not come yet is not.
    ///
    /// # Errors
    /// That.
    pub fn problems(&self) -> Result<(), String> {
        let book = self.book();
        if book.problems.is_empty() { Ok(()) } else { Err(book.problems.join("\n")) }
    }

    /// The counts so far.
    pub fn totals(&self) -> Totals {
        self.book().totals
    }

    /// The counts, when nothing is owed and nothing was wrong.
    ///
    /// # Errors
    /// What is wrong, in lines.
    pub fn check(&self) -> Result<Totals, String> {
        let book = self.book();
        let mut text = String::new();
        for problem in book.problems.iter().take(20) {
            let _ = writeln!(text, "{problem}");
        }
        for ((topic, queue_id), queue) in &book.queues {
            if let Some((offset, _)) = queue.owed.first_key_value() {
                let (count, next) = (queue.owed.len(), queue.delivered.len());
                let _ = writeln!(
                    text,
                    "{topic}:{queue_id}: {count} acknowledged messages did not come, the first at {offset}, where {next} is due"
                );
            }
        }
        if text.is_empty() { Ok(book.totals) } else { Err(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_and_delivered_in_order_is_well_whichever_is_heard_of_first() {
        let ledger = Ledger::default();
        ledger.acknowledged("t", 0, 0, b"a");
        ledger.delivered("t", 0, 0, b"a");
        ledger.delivered("t", 0, 1, b"b");
        ledger.acknowledged("t", 0, 1, b"b");
        ledger.delivered("t", 0, 0, b"a");
        assert_eq!(ledger.check(), Ok(Totals { acknowledged: 2, delivered: 2, again: 1 }));
        assert_eq!((ledger.next("t", 0), ledger.next("t", 1), ledger.owed()), (2, 0, 0));
    }

    #[test]
    fn what_is_lost_left_out_given_twice_or_changed_is_a_problem() {
        let wrong: [fn(&Ledger); 6] = [
            |ledger| ledger.acknowledged("t", 0, 0, b"a"),
            |ledger| ledger.delivered("t", 0, 1, b"a"),
            |ledger| (0..2).for_each(|_| ledger.acknowledged("t", 0, 0, b"a")),
            |ledger| [b"a", b"b"].iter().for_each(|body| ledger.delivered("t", 0, 0, *body)),
            |ledger| {
                ledger.acknowledged("t", 0, 0, b"a");
                ledger.delivered("t", 0, 0, b"b");
            },
            |ledger| {
                ledger.delivered("t", 0, 0, b"b");
                ledger.acknowledged("t", 0, 0, b"a");
            },
        ];
        for (number, wrong) in wrong.iter().enumerate() {
            let ledger = Ledger::default();
            wrong(&ledger);
            assert!(ledger.check().is_err(), "case {number}");
        }
    }
}
