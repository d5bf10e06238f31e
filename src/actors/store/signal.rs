//! A word to an actor that need not be said twice before it was heard.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::actors::supervision::{Address, Message};

/// Raised any number of times, it is one message in the actor's mailbox until the actor lowers it.
#[derive(Clone)]
pub(super) struct Signal {
    raised: Arc<AtomicBool>,
    tell: Arc<dyn Fn() + Send + Sync>,
}

impl Signal {
    /// A signal that tells `address` the message that `make` makes.
    pub(super) fn new<M: Message>(address: Address<M>, make: fn() -> M) -> Self {
        Self { raised: Arc::default(), tell: Arc::new(move || address.complete(make())) }
    }

    pub(super) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            (self.tell)();
        }
    }

    /// Called by the actor before it looks at what the signal is about; also when it starts, since the
    /// message may have been lost with the behaviour before.
    pub(super) fn lower(&self) {
        self.raised.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signal").field(&self.raised).finish()
    }
}
