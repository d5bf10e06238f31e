//! The supervision kernel: OTP's promises on top of actix.
//!
//! An actor is two halves. The **shell** ([`shell`], the only file that knows actix) never dies: it owns the
//! mailbox, so an [`Address`] stays valid over restarts. Inside it lives a [`Behaviour`], the volatile half,
//! which is dropped when it panics and built anew by its child's start function.
//!
//! What the kernel promises:
//! - **A panic is an event, not an end.** In a start function, in `started`, in a handler, in a spawned
//!   future, in `stopping`, in a destructor: each is caught, the behaviour is dropped, the supervisor decides.
//! - **A request is answered at once when its actor dies**, since its reply travels in the message and is
//!   dropped with it; what was queued behind it is served by the next behaviour.
//! - **Strategies are epochs.** A supervisor takes siblings along by raising their epoch; a shell that finds
//!   its epoch passed rebuilds before its next message. The raising happens in the failing shell's own panic
//!   path, so that no sibling takes one more step.
//! - **Budgets end in escalation.** A child that fails too often fails its supervisor; at the root the process
//!   ends, in order, with the reason. Only among the many alike of a dynamic supervisor is such a child given
//!   up alone, for the period of its budget: it answers at once with an error, and is then tried again.
//! - **Mailboxes are bounded.** [`Address::send`] gives the message back when there is no room.
//! - **Stop is ordered.** Children stop in reverse order of start, each after what it had queued, each within
//!   its time.
//!
//! What to know:
//! - Handlers are synchronous. Slow work goes into [`Cx::spawn`], whose result comes back as a message.
//! - A behaviour's state is lost in a crash. What must survive lives in a type that outlives it (an `Arc` that
//!   the start function clones).

mod address;
mod behaviour;
mod cell;
#[cfg(feature = "chaos")]
pub mod chaos;
mod clock;
mod guard;
mod message;
mod pulse;
mod shell;
mod spec;
mod supervisor;
mod tree;
mod watchdog;

pub use address::{Address, SendError};
pub use behaviour::{Behaviour, Cx, Readiness, StartError};
pub use cell::{Phase, Reason};
pub use clock::{Clock, Millis};
pub use guard::install_panic_hook;
pub use message::Message;
pub use spec::{Budget, Restart, Spec, Strategy};
pub use tree::{Branch, Exit, Node, Tree};
pub use watchdog::{Blocked, Watchdog};

#[cfg(test)]
mod tests;
