//! Types of values: how they are written, and in what unit they count.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use super::host;

/// A type that a key can have.
pub trait Value: Sized {
    /// The unit, "" if there is none to name.
    const UNIT: &'static str;
    /// What a value looks like, in words: "true or false".
    const KIND: &'static str;
    /// Reads a trimmed text; `None` if it is no such value.
    fn read(text: &str) -> Option<Self>;
    /// The text that [`Value::read`] reads back; `None` if the key is not set.
    fn text(&self) -> Option<String>;
    /// The number that a range compares, if it is one.
    fn number(&self) -> Option<u64> {
        None
    }
}

macro_rules! numbers {
    ($($ty:ty),+) => {$(
        impl Value for $ty {
            const UNIT: &'static str = "";
            const KIND: &'static str = "a whole number";
            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }
            fn number(&self) -> Option<u64> {
                Some(u64::from(*self))
            }
        }
    )+};
}
numbers!(u16, u32, u64);

macro_rules! quantities {
    ($($(#[$doc:meta])+ $name:ident in $unit:literal;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl Value for $name {
            const UNIT: &'static str = $unit;
            const KIND: &'static str = concat!("a whole number of ", $unit);
            fn read(text: &str) -> Option<Self> {
                text.parse().ok().map(Self)
            }
            fn text(&self) -> Option<String> {
                Some(self.0.to_string())
            }
            fn number(&self) -> Option<u64> {
                Some(self.0)
            }
        }
    )+};
}
quantities! {
    /// A time in milliseconds.
    Millis in "ms";
    /// A time in seconds.
    Seconds in "s";
    /// A time in hours.
    Hours in "h";
    /// A size in bytes.
    Bytes in "bytes";
    /// A size in pages of 4096 bytes.
    Pages in "pages of 4 KiB";
    /// A share in hundredths.
    Percent in "percent";
}

macro_rules! durations {
    ($($name:ident: $seconds:literal / $parts:literal;)+) => {$(
        impl $name {
            /// As a duration.
            pub const fn duration(self) -> Duration {
                Duration::from_millis(self.0.saturating_mul($seconds * 1000 / $parts))
            }
        }
        impl From<$name> for Duration {
            fn from(time: $name) -> Self {
                time.duration()
            }
        }
    )+};
}
durations! {
    Millis: 1 / 1000;
    Seconds: 1 / 1;
    Hours: 3600 / 1;
}

impl Bytes {
    /// As a length in memory; saturates on machines with small addresses.
    pub fn len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Whether there is nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Value for bool {
    const UNIT: &'static str = "";
    const KIND: &'static str = "true or false";
    fn read(text: &str) -> Option<Self> {
        text.to_ascii_lowercase().parse().ok()
    }
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    const UNIT: &'static str = "";
    const KIND: &'static str = "a text";
    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn text(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Value for IpAddr {
    const UNIT: &'static str = "";
    const KIND: &'static str = "an IP address";
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for PathBuf {
    const UNIT: &'static str = "";
    const KIND: &'static str = "a path";
    fn read(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| expand_home(text))
    }
    fn text(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

/// An empty text means "not set".
impl<T: Value> Value for Option<T> {
    const UNIT: &'static str = T::UNIT;
    const KIND: &'static str = T::KIND;
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::read(text).map(Some) }
    }
    fn text(&self) -> Option<String> {
        self.as_ref().and_then(T::text)
    }
    fn number(&self) -> Option<u64> {
        self.as_ref().and_then(T::number)
    }
}

const USER_HOME: &str = "${user.home}";

/// Puts the user's home directory in the place of `${user.home}`, as the JVM names it.
pub(super) fn expand_home(text: &str) -> PathBuf {
    match text.strip_prefix(USER_HOME) {
        Some(rest) => host::home_dir().join(rest.trim_start_matches('/')),
        None => Path::new(text).to_owned(),
    }
}

/// When data reaches the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushDiskType {
    /// Some time after the acknowledgement.
    AsyncFlush,
    /// Before the acknowledgement.
    SyncFlush,
}

/// What part a broker plays in replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerRole {
    /// Acknowledges without waiting for slaves.
    AsyncMaster,
    /// Acknowledges once `inSyncReplicas` copies exist.
    SyncMaster,
    /// Copies a master's log.
    Slave,
}

macro_rules! choices {
    ($($ty:ident: $kind:literal { $($variant:ident = $name:literal),+ })+) => {$(
        impl Value for $ty {
            const UNIT: &'static str = "";
            const KIND: &'static str = $kind;
            fn read(text: &str) -> Option<Self> {
                match text {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
            fn text(&self) -> Option<String> {
                Some(match self { $(Self::$variant => $name,)+ }.to_owned())
            }
        }
    )+};
}
choices! {
    FlushDiskType: "ASYNC_FLUSH or SYNC_FLUSH" { AsyncFlush = "ASYNC_FLUSH", SyncFlush = "SYNC_FLUSH" }
    BrokerRole: "ASYNC_MASTER, SYNC_MASTER or SLAVE" {
        AsyncMaster = "ASYNC_MASTER", SyncMaster = "SYNC_MASTER", Slave = "SLAVE"
    }
}

macro_rules! lists {
    ($($ty:ident: $kind:literal;)+) => {$(
        impl Value for $ty {
            const UNIT: &'static str = "";
            const KIND: &'static str = $kind;
            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn text(&self) -> Option<String> {
                let text = self.to_string();
                (!text.is_empty()).then_some(text)
            }
        }
    )+};
}
lists! {
    Addresses: "addresses host:port, separated by ;";
    HoursOfDay: "hours from 00 to 23, separated by ;";
    DelayLevels: "1 to 64 times like 1s 5m 2h 1d, separated by spaces";
}

/// The text is not in the form that the type's [`Value::KIND`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Addresses `host:port`, separated by `;`. May be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(pub Vec<String>);

impl FromStr for Addresses {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let each = text.split(';').map(str::trim).filter(|address| !address.is_empty());
        each.map(|address| match address.rsplit_once(':') {
            Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok() => Ok(address.to_owned()),
            _ => Err(Malformed),
        })
        .collect::<Result<_, _>>()
        .map(Self)
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == ',' || c.is_whitespace())
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(";"))
    }
}

/// Hours of the local day, 0 to 23.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoursOfDay(pub Vec<u8>);

impl FromStr for HoursOfDay {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let each = text.split(';').map(str::trim).filter(|hour| !hour.is_empty());
        let hours: Vec<u8> = each
            .map(|hour| hour.parse().ok().filter(|hour| *hour < 24).ok_or(Malformed))
            .collect::<Result<_, _>>()?;
        if hours.is_empty() { Err(Malformed) } else { Ok(Self(hours)) }
    }
}

impl fmt::Display for HoursOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours: Vec<String> = self.0.iter().map(|hour| format!("{hour:02}")).collect();
        f.write_str(&hours.join(";"))
    }
}

/// The delay of each delay level: level 1 is the first. The text stays as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayLevels {
    text: String,
    delays: Vec<Duration>,
}

impl DelayLevels {
    /// The most levels that there can be.
    const MOST: usize = 64;

    /// The delays, level 1 first.
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    fn delay(word: &str) -> Option<Duration> {
        let unit = word.chars().next_back()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            _ => return None,
        };
        let count: u32 = word.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(u64::from(count) * seconds))
    }
}

impl FromStr for DelayLevels {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let delays: Option<Vec<Duration>> = text.split_whitespace().map(Self::delay).collect();
        match delays {
            Some(delays) if (1..=Self::MOST).contains(&delays.len()) => {
                Ok(Self { text: text.to_owned(), delays })
            }
            _ => Err(Malformed),
        }
    }
}

impl fmt::Display for DelayLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// RocketMQ's eighteen levels, 1 s to 2 h.
impl Default for DelayLevels {
    fn default() -> Self {
        let text = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h".to_owned();
        let delays = text.split_whitespace().filter_map(Self::delay).collect();
        Self { text, delays }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_eighteen_delay_levels_from_one_second_to_two_hours() {
        let levels = DelayLevels::default();
        assert_eq!(levels.delays().len(), 18);
        assert_eq!(levels.delays()[0], Duration::from_secs(1));
        assert_eq!(levels.delays()[17], Duration::from_secs(7200));
        assert_eq!(levels.to_string().parse(), Ok(levels));
    }

    #[test]
    fn lists_refuse_what_is_not_in_their_form() {
        for text in ["", "5", "5x", "s", "-1s", "1s,5s", "5é"] {
            assert_eq!(text.parse::<DelayLevels>(), Err(Malformed), "{text}");
        }
        for text in ["", "24", "4am", "-1"] {
            assert_eq!(text.parse::<HoursOfDay>(), Err(Malformed), "{text}");
        }
        for text in ["host", ":9876", "host:", "host:65536", "a:1,b:2"] {
            assert_eq!(text.parse::<Addresses>(), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn lists_read_what_rocketmq_writes() {
        assert_eq!("04;16".parse(), Ok(HoursOfDay(vec![4, 16])));
        assert_eq!(HoursOfDay(vec![4]).to_string(), "04");
        assert_eq!(
            "127.0.0.1:9876; ns2:9876;".parse(),
            Ok(Addresses(vec!["127.0.0.1:9876".into(), "ns2:9876".into()]))
        );
        assert_eq!("".parse(), Ok(Addresses::default()));
    }

    #[test]
    fn user_home_stands_only_at_the_start_of_a_path() {
        assert_eq!(expand_home("${user.home}/store"), host::home_dir().join("store"));
        assert_eq!(expand_home("/a/${user.home}"), Path::new("/a/${user.home}"));
    }
}
