//! The right to hold something of which there is little, given back when its holder is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seats for so many holders at a time: one where something has a single owner.
#[derive(Debug, Clone)]
pub struct Seats(Arc<AtomicUsize>);

impl Default for Seats {
    fn default() -> Self {
        Seats::new(1)
    }
}

impl Seats {
    /// So many, all free.
    pub fn new(count: usize) -> Self {
        Seats(Arc::new(AtomicUsize::new(count)))
    }

    /// Takes a seat, or `None` while all are taken.
    pub fn take(&self) -> Option<Lease> {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1));
        taken.is_ok().then(|| Lease(self.0.clone()))
    }
}

/// A taken seat; dropping it, also in an unwinding panic, frees it for a successor.
#[derive(Debug)]
pub struct Lease(Arc<AtomicUsize>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_after_its_holder_is_dropped() {
        let seats = Seats::default();
        let lease = seats.take();
        assert!(lease.is_some());
        assert!(seats.take().is_none());
        drop(lease);
        assert!(seats.take().is_some());
    }
}
