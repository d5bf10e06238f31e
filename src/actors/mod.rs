//! Everything that lives: the supervision kernel and the trees of nameserver and broker.

pub mod broker;
pub mod delivery;
pub mod groups;
pub mod live;
pub mod nameserver;
pub mod process;
pub mod registration;
pub mod remoting;
pub mod statistics;
pub mod store;
pub mod supervision;
pub mod topics;
