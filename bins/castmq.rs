//! Nameserver and broker in one process, on defaults: for the first minute, and for tests. With
//! `castmq store`, the inspector of a stopped store; with `castmq tree`, the live tree of a running server; with
//! `castmq bench`, the load tool.

use std::{error::Error, process::ExitCode, time::Duration};

use castmq::{
    actors::{
        broker::{BrokerThreads, OpenBroker},
        nameserver::Nameserver,
        process::{self, Built},
        supervision::{Budget, Spec, Strategy},
    },
    bench_cli,
    config::args::{self, CastmqArgs, CastmqCommand},
    store_cli, tree_cli,
};

fn main() -> ExitCode {
    let args = match args::parse::<CastmqArgs>() {
        Ok(args) => args,
        Err(status) => return status,
    };
    match &args.command {
        Some(CastmqCommand::Store(command)) => return store_cli::run(command),
        Some(CastmqCommand::Tree(command)) => return tree_cli::run(command),
        Some(CastmqCommand::Bench(command)) => return bench_cli::run(command),
        None => {}
    }
    let loaded = match args::load(&args) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    process::run("castmq", &loaded.unused, |tree, threads| {
        let mut config = loaded.config;
        let handles = BrokerThreads::start(threads, config.broker.remoting_threads);
        let nameserver = Nameserver::bind(config.namesrv, loaded.file)?;
        let address = nameserver.address();
        // Only our own nameserver can be meant by the port that the system is to choose.
        for known in &mut config.broker.namesrv_addr.0 {
            if let Some(host) = known.strip_suffix(":0") {
                *known = format!("{host}:{}", address.port());
            }
        }
        let broker = OpenBroker::open(config.broker)?;
        let mut lines = vec![format!("nameserver: listening on {address}")];
        lines.extend(broker.lines());
        let close = broker.closing();

        let control = &handles.store.control;
        // Below them the budgets were generous: what reaches them ends the process.
        let none = Budget::new(0, Duration::ZERO);
        let below = |name| tree.root().branch(Spec::new(name, control).budget(none), Strategy::OneForOne);
        nameserver.grow(&below("nameserver"), std::slice::from_ref(&handles.store.background))?;
        broker.grow(&below("broker"), &handles)?;
        Ok::<_, Box<dyn Error>>(Built { lines, close: Some(close) })
    })
}
