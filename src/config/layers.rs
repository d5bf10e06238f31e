//! Layers of settings, each over the one before: defaults, file, environment, command line.

use std::path::{Path, PathBuf};

use super::{
    Config,
    error::{ConfigError, KeyError, Place},
    key::Applied,
    known, properties, ron,
};

/// Environment variables that RocketMQ reads, with the keys that they set.
pub(super) const ROCKETMQ_VARIABLES: &[(&str, &str)] =
    &[("ROCKETMQ_HOME", "rocketmqHome"), ("NAMESRV_ADDR", "namesrvAddr")];

/// What every variable of ours starts with.
const OUR_PREFIX: &str = "CASTMQ_";

/// What settings can be put into: one program's configuration, or several in one file.
pub(super) trait Target {
    /// Sets one key, whenever it takes effect.
    fn put(&mut self, key: &str, value: &str) -> Result<Applied, KeyError>;

    /// The part that a file sets under this name.
    fn section(&mut self, _name: &str) -> Option<&mut dyn Target> {
        None
    }

    /// Which variables of RocketMQ's hold for it.
    fn rocketmq_variables(&self) -> &'static [(&'static str, &'static str)] {
        ROCKETMQ_VARIABLES
    }

    /// Fills in what depends on several keys, and refuses what does not go together.
    fn settle(&mut self) -> Result<(), ConfigError>;
}

impl<C: Config> Target for C {
    fn put(&mut self, key: &str, value: &str) -> Result<Applied, KeyError> {
        match C::key(key) {
            Some(key) => key.put(self, value),
            None if known::is_known(key) => Ok(Applied::NotUsed),
            None => Err(unknown::<C>(key)),
        }
    }

    fn settle(&mut self) -> Result<(), ConfigError> {
        Config::settle(self)
    }
}

/// The error for a key that nobody knows.
pub(super) fn unknown<C: Config>(key: &str) -> KeyError {
    let nearest = known::nearest(key, C::keys().iter().map(|key| key.name));
    KeyError::Unknown { key: key.to_owned(), nearest }
}

/// A configuration, and where it comes from.
#[derive(Clone, Debug)]
pub struct Loaded<C> {
    /// The configuration.
    pub config: C,
    /// The file of `-c`, if there was one.
    pub file: Option<PathBuf>,
    /// Settings that change nothing (keys of RocketMQ that CastMQ does not use, variables that start with
    /// `CASTMQ_` and name no key): worth one warning.
    pub unused: Vec<String>,
}

/// A configuration under construction.
pub(super) struct Layers<C>(Loaded<C>);

impl<C: Target> Layers<C> {
    /// The lowest layer.
    pub(super) fn over(defaults: C) -> Self {
        Self(Loaded { config: defaults, file: None, unused: Vec::new() })
    }

    /// What the layers give so far.
    pub(super) fn config(&mut self) -> &mut C {
        &mut self.0.config
    }

    /// The file's layer: RON if it is called `.ron`, Java properties otherwise.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let place = |line| Place::File(path.to_owned(), line);
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ron")) {
            ron::read(&text, &mut self.0.config, &mut self.0.unused, place)?;
        } else {
            self.properties(&text, place)?;
        }
        self.0.file = Some(path.to_owned());
        Ok(())
    }

    fn properties(&mut self, text: &str, place: impl Fn(usize) -> Place) -> Result<(), ConfigError> {
        let all = properties::parse(text)
            .map_err(|error| ConfigError::Syntax { place: place(error.line), problem: error.to_string() })?;
        for one in all {
            let applied = self.0.config.put(&one.key, &one.value);
            let applied = applied.map_err(|error| ConfigError::Setting { place: place(one.line), error })?;
            if applied == Applied::NotUsed {
                self.0.unused.push(one.key);
            }
        }
        Ok(())
    }

    /// The environment's layer: what RocketMQ reads there, then `CASTMQ_` with any key.
    pub(super) fn environment(&mut self, variables: &[(String, String)]) -> Result<(), ConfigError> {
        for (variable, key) in self.0.config.rocketmq_variables() {
            let set = variables.iter().find(|(name, value)| name == variable && !value.is_empty());
            if let Some((_, value)) = set {
                self.variable(variable, key, value)?;
            }
        }
        for (variable, value) in variables {
            let Some(key) = variable.strip_prefix(OUR_PREFIX).map(str::to_ascii_lowercase) else { continue };
            // Others write such variables too: Kubernetes does for a service called castmq. So no error.
            if !known::is_known(&key) || self.variable(variable, &key, value)? == Applied::NotUsed {
                self.0.unused.push(variable.clone());
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: &str, key: &str, value: &str) -> Result<Applied, ConfigError> {
        let place = || Place::Environment(variable.to_owned());
        self.0.config.put(key, value).map_err(|error| ConfigError::Setting { place: place(), error })
    }

    /// One setting of the command line.
    pub(super) fn option(&mut self, option: &'static str, key: &str, value: &str) -> Result<(), ConfigError> {
        let applied = self.0.config.put(key, value);
        applied.map_err(|error| ConfigError::Setting { place: Place::CommandLine(option), error })?;
        Ok(())
    }

    /// After the last layer.
    pub(super) fn settled(mut self) -> Result<Loaded<C>, ConfigError> {
        self.0.config.settle()?;
        Ok(self.0)
    }
}

/// The process's environment; a variable that is not Unicode is read as far as it is.
pub(super) fn process_environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}
