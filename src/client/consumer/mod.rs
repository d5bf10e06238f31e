//! Receiving: pushed to handlers or taken at one's own pace, shared by a group or everything to everybody.

mod allocate;
mod asked;
mod delivery;
mod feed;
mod filter;
mod group;
mod lite;
mod offsets;
mod process;
mod pull;
mod push;
mod rebalance;
mod retry;
mod settings;

pub use allocate::Allocation;
pub use delivery::{Deliveries, Delivery, Outcome};
pub use filter::Filter;
pub use lite::{LiteConsumer, LiteConsumerBuilder, Seek};
pub use process::Limits;
pub use push::{PushConsumer, PushConsumerBuilder};
pub use settings::Start;
