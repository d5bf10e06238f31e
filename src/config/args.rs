//! The command lines of the binaries, with RocketMQ's options.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{bench_cli::BenchArgs, store_cli::StoreArgs, tree_cli::TreeArgs};

use super::{
    BrokerConfig, CastmqConfig, Config, ConfigError, Loaded, NamesrvConfig,
    layers::{self, Layers, Target},
};

/// What `--version` prints after the name.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (RocketMQ 5.4.0 protocol)");

/// Exit status for a command line or a configuration that is wrong, as clap's.
const USAGE: u8 = 2;

/// A binary: its command line and the configuration that comes of it.
pub trait Program: Parser {
    /// Its configuration.
    type Config;

    /// Puts all layers together: defaults, file, environment, command line.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that is wrong.
    fn load(&self, environment: &[(String, String)]) -> Result<Loaded<Self::Config>, ConfigError>;

    /// What `-p` or `-m` ask to print instead of starting.
    fn listing(&self, config: &Self::Config) -> Option<String>;
}

/// The one call of a `main`: the configuration to start with, or the status to exit with. Help, listings
/// and errors have been printed then.
/// ```no_run
/// use castmq::config::args::{self, BrokerArgs};
/// # use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     let loaded = match args::read::<BrokerArgs>() {
///         Ok(loaded) => loaded,
///         Err(status) => return status,
///     };
///     println!("port {}", loaded.config.listen_port);
///     ExitCode::SUCCESS
/// }
/// ```
///
/// # Errors
/// The exit status, after `--help`, `--version`, `-p`, `-m` or an error.
pub fn read<P: Program>() -> Result<Loaded<P::Config>, ExitCode> {
    load(&parse::<P>()?)
}

/// The first half of [`read`]: the command line.
///
/// # Errors
/// The exit status, after `--help`, `--version` or an error.
pub fn parse<P: Program>() -> Result<P, ExitCode> {
    P::try_parse().map_err(|answer| {
        let told = answer.print().is_ok();
        if told && !answer.use_stderr() { ExitCode::SUCCESS } else { ExitCode::from(USAGE) }
    })
}

/// The second half of [`read`]: the configuration that a command line gives.
///
/// # Errors
/// The exit status, after `-p`, `-m` or an error.
pub fn load<P: Program>(program: &P) -> Result<Loaded<P::Config>, ExitCode> {
    let loaded = program.load(&layers::process_environment()).map_err(|error| {
        eprintln!("{}: {error}", env!("CARGO_PKG_NAME"));
        ExitCode::from(USAGE)
    })?;
    match program.listing(&loaded.config) {
        Some(listing) => {
            // Whoever reads may stop early: `mqbroker -p | head`.
            let _ = std::io::stdout().write_all(listing.as_bytes());
            Err(ExitCode::SUCCESS)
        }
        None => Ok(loaded),
    }
}

/// The options that RocketMQ gives to every server.
#[derive(Args, Clone, Debug, Default)]
pub struct CommonArgs {
    /// Nameservers, host:port separated by `;`
    #[arg(short = 'n', long = "namesrvAddr", value_name = "ADDRESSES")]
    pub namesrv_addr: Option<String>,
    /// Configuration file: RON if it ends in .ron, else RocketMQ's properties
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Print all keys with their values, and exit
    #[arg(short = 'p', long = "printConfigItem")]
    pub print_config_item: bool,
    /// Print the important keys with their values, and exit
    #[arg(short = 'm', long = "printImportantConfig")]
    pub print_important_config: bool,
}

impl CommonArgs {
    fn layers<C: Target>(
        &self,
        defaults: C,
        environment: &[(String, String)],
    ) -> Result<Layers<C>, ConfigError> {
        let mut layers = Layers::over(defaults);
        if let Some(path) = &self.config_file {
            layers.file(path)?;
        }
        layers.environment(environment)?;
        if let Some(addresses) = &self.namesrv_addr {
            layers.option("-n", "namesrvAddr", addresses)?;
        }
        Ok(layers)
    }

    fn listing(&self, all: impl FnOnce() -> String, important: impl FnOnce() -> String) -> Option<String> {
        match (self.print_config_item, self.print_important_config) {
            (true, _) => Some(all()),
            (false, true) => Some(important()),
            (false, false) => None,
        }
    }
}

/// A RocketMQ nameserver
#[derive(Parser, Clone, Debug, Default)]
#[command(name = "mqnamesrv", display_name = "castmq", version = VERSION)]
pub struct NamesrvArgs {
    /// Options of every server; `-n` changes nothing here, as in RocketMQ.
    #[command(flatten)]
    pub common: CommonArgs,
}

impl Program for NamesrvArgs {
    type Config = NamesrvConfig;

    fn load(&self, environment: &[(String, String)]) -> Result<Loaded<NamesrvConfig>, ConfigError> {
        self.common.layers(NamesrvConfig::default(), environment)?.settled()
    }

    fn listing(&self, config: &NamesrvConfig) -> Option<String> {
        self.common.listing(|| config.properties_text(), || config.important_text())
    }
}

/// A RocketMQ broker
#[derive(Parser, Clone, Debug, Default)]
#[command(name = "mqbroker", display_name = "castmq", version = VERSION)]
pub struct BrokerArgs {
    /// Options of every server.
    #[command(flatten)]
    pub common: CommonArgs,
}

impl Program for BrokerArgs {
    type Config = BrokerConfig;

    fn load(&self, environment: &[(String, String)]) -> Result<Loaded<BrokerConfig>, ConfigError> {
        self.common.layers(BrokerConfig::default(), environment)?.settled()
    }

    fn listing(&self, config: &BrokerConfig) -> Option<String> {
        self.common.listing(|| config.properties_text(), || config.important_text())
    }
}

/// What `castmq` does other than serve.
#[derive(Subcommand, Clone, Debug)]
pub enum CastmqCommand {
    /// Look at a stopped broker's store: verify, dump, rebuild
    Store(StoreArgs),
    /// Show the actors of a running server
    Tree(TreeArgs),
    /// Measure a broker, this one or another that speaks RocketMQ's protocol: send, pull, wake
    Bench(BenchArgs),
}

/// A RocketMQ nameserver and broker in one process
#[derive(Parser, Clone, Debug, Default)]
#[command(name = "castmq", version = VERSION, args_conflicts_with_subcommands = true)]
pub struct CastmqArgs {
    /// What to do; nothing: serve.
    #[command(subcommand)]
    pub command: Option<CastmqCommand>,
    /// Options of every server.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Directory of all data [default: ./castmq-data]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// The nameserver's port [default: 9876]
    #[arg(long, value_name = "PORT")]
    pub namesrv_port: Option<u16>,
    /// The broker's port [default: 10911]
    #[arg(long, value_name = "PORT")]
    pub broker_port: Option<u16>,
}

impl Program for CastmqArgs {
    type Config = CastmqConfig;

    fn load(&self, environment: &[(String, String)]) -> Result<Loaded<CastmqConfig>, ConfigError> {
        let mut layers = self.common.layers(CastmqConfig::default(), environment)?;
        let config = layers.config();
        if let Some(dir) = &self.store {
            config.put_data_in(dir);
        }
        if let Some(port) = self.namesrv_port {
            config.namesrv.listen_port = port;
        }
        if let Some(port) = self.broker_port {
            config.broker.listen_port = port;
        }
        layers.settled()
    }

    fn listing(&self, config: &CastmqConfig) -> Option<String> {
        self.common.listing(|| config.properties_text(), || config.important_text())
    }
}
