//! The broker inside the test's process: the names under which these tests know it.

pub(crate) use castmq::testing::{
    Connection as Client, Got, RunningBroker as Running, message, pull, pulled, receipt,
};
