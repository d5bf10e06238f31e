//! Everything that lives: the supervision kernel and the trees of nameserver and broker.

pub mod groups;
pub mod remoting;
pub mod supervision;
pub mod topics;
