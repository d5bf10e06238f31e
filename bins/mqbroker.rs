//! The broker, by the name that RocketMQ's users type.

use std::process::ExitCode;

use castmq::{
    actors::{
        broker::{BrokerError, BrokerThreads, OpenBroker},
        process::{self, Built},
    },
    config::args::{self, BrokerArgs},
};

fn main() -> ExitCode {
    let loaded = match args::read::<BrokerArgs>() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    process::run("broker", &loaded.unused, |tree, threads| {
        let handles = BrokerThreads::start(threads, loaded.config.remoting_threads);
        let broker = OpenBroker::open(loaded.config)?;
        let (lines, close) = (broker.lines(), broker.closing());
        broker.grow(tree.root(), &handles)?;
        Ok::<_, BrokerError>(Built { lines, close: Some(close) })
    })
}
