//! What outlives the nameserver's actors, and what its readers see.

use std::sync::{Arc, PoisonError, RwLock};

use super::table::RouteTable;
use crate::{
    actors::supervision::{Clock, Millis},
    config::NamesrvConfig,
    protocol::kv::KvConfig,
};

/// A value that one actor replaces as a whole and everyone reads. An actor that dies half-way through a
/// change leaves the value before it.
#[derive(Debug, Default)]
pub(super) struct Published<T>(RwLock<Arc<T>>);

impl<T: Clone> Published<T> {
    pub(super) fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value as it is now.
    pub(super) fn load(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes a copy and publishes it. Only the owner does this, so that no change is lost.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut next = T::clone(&self.load());
        let result = change(&mut next);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        result
    }
}

/// All that a nameserver knows.
#[derive(Debug)]
pub(super) struct State {
    /// Changed by the actor `routes`.
    pub(super) routes: Published<RouteTable>,
    /// Changed by the actor `kv`.
    pub(super) kv: Published<KvConfig>,
    /// Changed by the actor `configuration`.
    pub(super) config: Published<NamesrvConfig>,
    pub(super) clock: Clock,
    /// Routes are served from then on.
    pub(super) ready_at: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_panics_half_way_changes_nothing() {
        let value = Published::new(vec![1]);
        let change = std::panic::AssertUnwindSafe(|| {
            value.change(|list| {
                list.push(2);
                panic!("half-way");
            })
        });
        assert!(std::panic::catch_unwind(change).is_err());
        assert_eq!(*value.load(), [1]);
        value.change(|list| list.push(3));
        assert_eq!(*value.load(), [1, 3]);
    }
}
