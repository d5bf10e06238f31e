//! The right to be the only owner of something shared, given back when its holder is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A seat for one owner at a time.
#[derive(Debug, Default, Clone)]
pub struct Seat(Arc<AtomicBool>);

impl Seat {
    /// Takes the seat, or `None` while somebody has it.
    pub fn take(&self) -> Option<Lease> {
        let was_free = !self.0.swap(true, Ordering::AcqRel);
        was_free.then(|| Lease(self.0.clone()))
    }
}

/// A taken [`Seat`]; dropping it, also in an unwinding panic, frees the seat for a successor.
#[derive(Debug)]
pub struct Lease(Arc<AtomicBool>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_after_its_holder_is_dropped() {
        let seat = Seat::default();
        let lease = seat.take();
        assert!(lease.is_some());
        assert!(seat.take().is_none());
        drop(lease);
        assert!(seat.take().is_some());
    }
}
