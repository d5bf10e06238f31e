//! The nameserver, by the name that RocketMQ's users type.

use std::process::ExitCode;

use castmq::{
    actors::{
        nameserver::{Nameserver, NameserverError},
        process::{self, Built},
    },
    config::args::{self, NamesrvArgs},
};

fn main() -> ExitCode {
    let loaded = match args::read::<NamesrvArgs>() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    process::run("nameserver", &loaded.unused, |tree, threads| {
        let data = format!("key-value configuration in {}", loaded.config.kv_config_path.display());
        let count = loaded.config.remoting_threads;
        let nameserver = Nameserver::bind(loaded.config, loaded.file)?;
        let listening = format!("listening on {}", nameserver.address());
        let own = threads.start("routes");
        nameserver.grow(tree.root(), &[vec![own], threads.start_many("io", count)].concat())?;
        Ok::<_, NameserverError>(Built { lines: vec![listening, data], close: None })
    })
}
