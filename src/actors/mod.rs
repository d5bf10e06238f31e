//! Everything that lives: the supervision kernel and the trees of nameserver and broker.

pub mod nameserver;
pub mod process;
pub mod registration;
pub mod remoting;
pub mod supervision;
