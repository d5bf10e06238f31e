//! Catching panics, and saying where they came from.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    cell::CellId,
    pulse::{FUTURE, beating},
};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A caught panic as text: its message and, when the hook is installed, where it was raised.
#[derive(Debug)]
pub(super) struct Panic(pub(super) String);

/// Runs `f`; a panic in it becomes an error.
///
/// `AssertUnwindSafe` holds because the caller drops whatever `f` may have left half-changed.
pub(super) fn guard<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    GUARDED.set(outer);
    result.map_err(|payload| Panic(describe(&*payload)))
}

fn describe(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned());
    match PLACE.take() {
        Some(place) => format!("panicked at {place}: {text}"),
        None => format!("panicked: {text}"),
    }
}

/// Makes panics that the kernel catches speak through the kernel's log line alone; others print as before.
/// Call it once, at the start of the process.
pub fn install_panic_hook() {
    let standard = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if GUARDED.get() {
            PLACE.set(info.location().map(|at| format!("{}:{}", at.file(), at.line())));
        } else {
            standard(info);
        }
    }));
}

/// A future whose panic, also in its destructor, is an error; it runs in an actor's name.
pub(super) struct Guarded<F> {
    future: Option<F>,
    actor: CellId,
}

impl<F: Future + Unpin> Guarded<F> {
    pub(super) fn new(future: F, actor: CellId) -> Self {
        Self { future: Some(future), actor }
    }
}

impl<F: Future + Unpin> Future for Guarded<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let actor = self.actor;
        let Some(future) = self.future.as_mut() else { return Poll::Pending };
        match guard(|| beating(actor, FUTURE, || Pin::new(future).poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        if let Err(Panic(text)) = guard(|| drop(future)) {
            tracing::warn!("a cancelled future {text}");
        }
    }
}
