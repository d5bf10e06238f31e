//! A configuration as text, and changes to it at run time (codes 25, 26, 318 and 319).

use super::{
    error::{ConfigError, KeyError, Place},
    key::{Applied, Effect, Key},
    known,
    layers::unknown,
    properties,
};

/// The key that names the keys which nobody may change from afar.
const BLACK_LIST: &str = "configBlackList";

/// Keys on the black list whatever it says: they lead to files, or to the list itself.
const ALWAYS_BLACK_LISTED: &[&str] =
    &[BLACK_LIST, "brokerConfigPath", "configStorePath", "kvConfigPath", "rocketmqHome"];

/// A configuration made of declared keys.
pub trait Config: Clone + Default + 'static {
    /// All keys, in the order of their declaration.
    fn keys() -> &'static [Key<Self>];

    /// Fills in what depends on several keys.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] if keys do not go together.
    fn settle(&mut self) -> Result<(), ConfigError>;

    /// The key of that name, `listenPort` or `listen_port`.
    fn key(name: &str) -> Option<&'static Key<Self>> {
        Self::keys().iter().find(|key| key.name == name || key.field == name)
    }

    /// All keys that are set, as `key=value` lines sorted by key: what codes 26 and 319 answer, and `-p` prints.
    fn properties_text(&self) -> String {
        text_of(self, |_| true)
    }

    /// As [`Config::properties_text`], the important keys only: what `-m` prints.
    fn important_text(&self) -> String {
        text_of(self, |key| key.important)
    }

    /// Changes one key at run time.
    ///
    /// # Errors
    /// [`KeyError`]: unknown, not allowed, black-listed, or read at start only.
    fn apply(&mut self, key: &str, value: &str) -> Result<Applied, KeyError> {
        let found = Self::key(key);
        let name = found.map_or(key, |key| key.name);
        if is_black_listed(self, name) {
            return Err(KeyError::BlackListed { key: name.to_owned() });
        }
        let Some(key) = found else {
            return if known::is_known(key) { Ok(Applied::NotUsed) } else { Err(unknown::<Self>(key)) };
        };
        let mut changed = self.clone();
        let applied = key.put(&mut changed, value)?;
        let differs = key.text(&changed) != key.text(self);
        if differs && key.effect == Effect::AtStart {
            return Err(KeyError::AtStartOnly { key: key.name, value: value.to_owned() });
        }
        *self = changed;
        Ok(applied)
    }

    /// Changes all keys that a text of properties names, or none. Returns those that change nothing
    /// because CastMQ does not use them.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for the first key that cannot change; [`ConfigError::Syntax`];
    /// [`ConfigError::Conflict`].
    fn apply_properties(&mut self, text: &str) -> Result<Vec<String>, ConfigError> {
        let all = properties::parse(text).map_err(|error| ConfigError::Syntax {
            place: Place::Request(error.line),
            problem: error.to_string(),
        })?;
        let mut changed = self.clone();
        let mut unused = Vec::new();
        for one in all {
            let applied = changed.apply(&one.key, &one.value);
            let place = Place::Request(one.line);
            if applied.map_err(|error| ConfigError::Setting { place, error })? == Applied::NotUsed {
                unused.push(one.key);
            }
        }
        changed.settle()?;
        *self = changed;
        Ok(unused)
    }
}

fn text_of<C: Config>(config: &C, wanted: impl Fn(&Key<C>) -> bool) -> String {
    let keys = C::keys().iter().filter(|key| wanted(key));
    let mut lines: Vec<String> =
        keys.filter_map(|key| key.text(config).map(|value| format!("{}={value}\n", key.name))).collect();
    lines.sort_unstable();
    lines.concat()
}

fn is_black_listed<C: Config>(config: &C, name: &str) -> bool {
    let list = C::key(BLACK_LIST).and_then(|key| key.text(config)).unwrap_or_default();
    ALWAYS_BLACK_LISTED.contains(&name) || list.split(';').any(|listed| listed.trim() == name)
}
