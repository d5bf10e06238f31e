//! Topics: their configuration, and which names are allowed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::data_version::DataVersion;
use super::json::{self, named_enum};

/// Prefix of the topic that holds a group's retries.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of the topic that holds a group's dead letters.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// Prefix of light queues, which share the records of other topics.
pub const LMQ_PREFIX: &str = "%LMQ%";
/// Prefix of system topics.
pub const SYSTEM_PREFIX: &str = "rmq_sys_";

/// Topic after which others are made automatically.
pub const AUTO_CREATE: &str = "TBW102";
/// Holds messages with a delay level; its queues are the levels.
pub const SCHEDULE: &str = "SCHEDULE_TOPIC_XXXX";
/// Name for benchmarks.
pub const BENCHMARK: &str = "BenchmarkTest";
/// Holds half messages.
pub const TRANS_HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Says which half messages are done.
pub const TRANS_OP_HALF: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Holds half messages whose check was given up.
pub const TRANS_CHECK_MAX_TIME: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Reserved for tests of a broker by itself.
pub const SELF_TEST: &str = "SELF_TEST_TOPIC";
/// Tells of pulls outside of a queue; nothing writes it any more.
pub const OFFSET_MOVED_EVENT: &str = "OFFSET_MOVED_EVENT";
/// Half messages kept in RocksDB.
pub const ROCKSDB_TRANS_HALF: &str = "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC";
/// Says which half messages in RocksDB are done.
pub const ROCKSDB_TRANS_OP_HALF: &str = "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC";
/// Holds messages for an arbitrary time.
pub const TIMER_WHEEL: &str = "rmq_sys_wheel_timer";
/// Traces of clients.
pub const TRACE: &str = "RMQ_SYS_TRACE_TOPIC";
/// Reserved name.
pub const CHECKPOINT: &str = "CHECKPOINT_TOPIC";

/// Topics of the system without the common prefix (fact sheet: store 7.1); those named after cluster and
/// broker come on top.
const SYSTEM_TOPICS: [&str; 13] = [
    AUTO_CREATE,
    SCHEDULE,
    BENCHMARK,
    TRANS_HALF,
    TRANS_OP_HALF,
    TRANS_CHECK_MAX_TIME,
    SELF_TEST,
    OFFSET_MOVED_EVENT,
    ROCKSDB_TRANS_HALF,
    ROCKSDB_TRANS_OP_HALF,
    TRACE,
    CHECKPOINT,
    TIMER_WHEEL,
];

/// Topics that clients must not send to.
const SEND_FORBIDDEN: [&str; 8] = [
    SCHEDULE,
    TRANS_HALF,
    TRANS_OP_HALF,
    TRANS_CHECK_MAX_TIME,
    SELF_TEST,
    OFFSET_MOVED_EVENT,
    ROCKSDB_TRANS_HALF,
    ROCKSDB_TRANS_OP_HALF,
];

/// Longest name of a topic, characters.
pub const MAX_TOPIC: usize = 127;
/// Longest name of a retry or dead letter topic, characters.
pub const MAX_RETRY_TOPIC: usize = 255;
/// Longest name of a group, characters.
pub const MAX_GROUP: usize = 120;

/// Why a name is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space.
    #[error("the specified name is blank")]
    Blank,
    /// Characters that do not belong into a name (or a path).
    #[error("the specified name contains illegal characters, allowed are letters, digits and % | - _")]
    IllegalCharacter,
    /// Too many characters.
    #[error("the specified name is longer than {max} characters")]
    TooLong {
        /// What is allowed.
        max: usize,
    },
}

/// Checks a topic that a client names (fact sheet: remoting 5.1).
///
/// # Errors
/// [`NameError`], for which a request is answered INVALID_PARAMETER.
pub fn validate_topic(topic: &str) -> Result<(), NameError> {
    let is_long = topic.starts_with(RETRY_PREFIX) || topic.starts_with(DLQ_PREFIX);
    validate(topic, if is_long { MAX_RETRY_TOPIC } else { MAX_TOPIC })
}

/// Checks a group that a client names.
///
/// # Errors
/// As [`validate_topic`].
pub fn validate_group(group: &str) -> Result<(), NameError> {
    validate(group, MAX_GROUP)
}

fn validate(name: &str, max: usize) -> Result<(), NameError> {
    if name.trim().is_empty() {
        Err(NameError::Blank)
    } else if !name.bytes().all(is_name_byte) {
        Err(NameError::IllegalCharacter)
    } else if name.len() > max {
        Err(NameError::TooLong { max })
    } else {
        Ok(())
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'|' | b'-' | b'_')
}

/// Whether a topic may become a directory of the store, wherever the name came from. Beyond what clients
/// may use, `+` occurs in retry topics that a broker makes itself; dots and slashes never do.
pub fn is_storable(topic: &str) -> bool {
    (1..=MAX_RETRY_TOPIC).contains(&topic.len())
        && topic.bytes().all(|byte| is_name_byte(byte) || byte == b'+')
}

/// Whether the topic belongs to the system, whatever cluster and broker are called.
pub fn is_system_topic(topic: &str) -> bool {
    topic.starts_with(SYSTEM_PREFIX) || SYSTEM_TOPICS.contains(&topic)
}

/// Whether clients must not send to the topic.
pub fn is_send_forbidden(topic: &str) -> bool {
    SEND_FORBIDDEN.contains(&topic)
}

/// The topic that holds the retries of a group.
pub fn retry_topic(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

/// The topic that holds the dead letters of a group.
pub fn dlq_topic(group: &str) -> String {
    format!("{DLQ_PREFIX}{group}")
}

/// The group whose retries or dead letters the topic holds.
pub fn group_of(topic: &str) -> Option<&str> {
    topic.strip_prefix(RETRY_PREFIX).or_else(|| topic.strip_prefix(DLQ_PREFIX))
}

/// What may be done with a topic (fact sheet: remoting 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Perm(pub i32);

impl Perm {
    /// Queues have priorities.
    pub const PRIORITY: Self = Self(8);
    /// Consumers may read.
    pub const READ: Self = Self(4);
    /// Producers may write.
    pub const WRITE: Self = Self(2);
    /// Other topics may be made after this one.
    pub const INHERIT: Self = Self(1);
    /// Read and write.
    pub const READ_WRITE: Self = Self(6);

    /// Whether all bits of `other` are set.
    pub const fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Whether consumers may read.
    pub const fn is_readable(self) -> bool {
        self.allows(Self::READ)
    }
    /// Whether producers may write.
    pub const fn is_writable(self) -> bool {
        self.allows(Self::WRITE)
    }
    /// Whether other topics may be made after this one.
    pub const fn is_inherited(self) -> bool {
        self.allows(Self::INHERIT)
    }
    /// With the bits of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Without the bits of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for Perm {
    /// As the tools print it: `RW-`, with `X` for inherit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |bit, letter| if self.allows(bit) { letter } else { '-' };
        write!(f, "{}{}{}", letter(Self::READ, 'R'), letter(Self::WRITE, 'W'), letter(Self::INHERIT, 'X'))
    }
}

named_enum! {
    /// How many tags a message of the topic has.
    pub enum TopicFilterType {
        /// One.
        #[default]
        SingleTag = "SINGLE_TAG",
        /// Several.
        MultiTag = "MULTI_TAG",
    }
}

/// Configuration of a topic on one broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfig {
    /// Attributes such as `message.type` and `queue.type`.
    pub attributes: BTreeMap<String, String>,
    /// Whether the queues are meant to keep an order across brokers.
    pub order: bool,
    /// What may be done.
    pub perm: Perm,
    /// Queues that can be read.
    pub read_queue_nums: i32,
    /// How many tags a message has.
    pub topic_filter_type: TopicFilterType,
    /// Name.
    pub topic_name: String,
    /// 1: unit; 2: subscribed by units.
    pub topic_sys_flag: i32,
    /// Queues that can be written.
    pub write_queue_nums: i32,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: Perm::READ_WRITE,
            read_queue_nums: 16,
            topic_filter_type: TopicFilterType::SingleTag,
            topic_name: String::new(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
        }
    }
}

impl TopicConfig {
    /// A topic with as many queues to read as to write.
    pub fn new(name: impl Into<String>, queues: i32, perm: Perm) -> Self {
        Self {
            topic_name: name.into(),
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm,
            ..Self::default()
        }
    }

    /// The line of a compressed registration (fact sheet: remoting 2.2); `order` and the flags are not in it.
    ///
    /// # Errors
    /// None in practice: the attributes are text.
    pub fn to_line(&self) -> Result<String, json::JsonError> {
        let attributes = json::to_vec(&self.attributes)?;
        Ok(format!(
            "{} {} {} {} {} {}",
            self.topic_name,
            self.read_queue_nums,
            self.write_queue_nums,
            self.perm.0,
            self.topic_filter_type.as_str(),
            String::from_utf8_lossy(&attributes),
        ))
    }

    /// Reads the line of a compressed registration; older senders leave the attributes out.
    pub fn from_line(line: &str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let topic_name = words.next().filter(|name| !name.is_empty())?.to_owned();
        let mut number = || words.next()?.parse().ok();
        let (read_queue_nums, write_queue_nums, perm) = (number()?, number()?, Perm(number()?));
        let topic_filter_type = TopicFilterType::from_name(words.next()?)?;
        let attributes = match words.next() {
            None | Some("") => BTreeMap::new(),
            Some(text) => json::from_slice(text.as_bytes()).ok()?,
        };
        Some(Self {
            attributes,
            perm,
            read_queue_nums,
            topic_filter_type,
            topic_name,
            write_queue_nums,
            ..Self::default()
        })
    }
}

/// The file `topics.json` (fact sheet: store 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigTable {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Topics by name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_are_refused() {
        for topic in ["..", "a/b", "a\\b", "a.b", "a b", "a\0", "a\n", "ü", "a+b", "a@b", "T\u{2028}"] {
            assert_eq!(validate_topic(topic), Err(NameError::IllegalCharacter), "{topic:?}");
            assert!(validate_group(topic).is_err());
        }
        assert_eq!(validate_topic(" \t"), Err(NameError::Blank));
        assert_eq!(validate_topic(""), Err(NameError::Blank));
        assert!(validate_topic("%RETRY%ns%g|a-b_C9").is_ok());
    }

    #[test]
    fn lengths_are_bounded_by_kind() {
        assert!(validate_topic(&"t".repeat(127)).is_ok());
        assert_eq!(validate_topic(&"t".repeat(128)), Err(NameError::TooLong { max: 127 }));
        assert!(validate_topic(&retry_topic(&"g".repeat(248))).is_ok());
        assert!(validate_topic(&dlq_topic(&"g".repeat(251))).is_err());
        assert!(validate_group(&"g".repeat(120)).is_ok());
        assert!(validate_group(&"g".repeat(121)).is_err());
    }

    #[test]
    fn the_store_takes_what_brokers_make_but_no_path() {
        assert!(is_storable("%RETRY%g+T"));
        for topic in ["", ".", "..", "a/b", "a\0"] {
            assert!(!is_storable(topic));
        }
        assert!(!is_storable(&"t".repeat(256)));
    }

    #[test]
    fn system_topics_are_known() {
        assert!(is_system_topic("rmq_sys_REVIVE_LOG_c") && is_system_topic("TBW102"));
        assert!(!is_system_topic("T") && !is_system_topic("%RETRY%g"));
        assert!(is_send_forbidden(SCHEDULE) && !is_send_forbidden(AUTO_CREATE));
        assert_eq!(group_of("%DLQ%g"), Some("g"));
    }

    #[test]
    fn a_config_is_written_as_registered() {
        let text = br#"{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":8}"#;
        let config: TopicConfig = json::from_slice(text).unwrap();
        assert_eq!(config, TopicConfig::new("T", 8, Perm::READ_WRITE));
        assert_eq!(json::to_vec(&config).unwrap(), text);
    }

    #[test]
    fn lines_of_a_compressed_registration_are_read() {
        let line = r#"T 8 4 7 MULTI_TAG {"message.type":"FIFO and more"}"#;
        let config = TopicConfig::from_line(line).unwrap();
        assert_eq!((config.read_queue_nums, config.write_queue_nums, config.perm), (8, 4, Perm(7)));
        assert_eq!(config.to_line().unwrap(), line);
        assert!(TopicConfig::from_line("T 8 4 7 SINGLE_TAG").is_some());
        for line in ["", " 8 4 7 SINGLE_TAG", "T 8 4 x SINGLE_TAG", "T 8 4 7", "T 8 4 7 SINGLE_TAG {"] {
            assert!(TopicConfig::from_line(line).is_none(), "{line}");
        }
    }

    #[test]
    fn perms_print_as_the_tools_do() {
        assert_eq!(Perm(6).to_string(), "RW-");
        assert_eq!(Perm(7).without(Perm::WRITE).to_string(), "R-X");
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(line: String) {
            let _ = TopicConfig::from_line(&line);
            let _ = (validate_topic(&line), validate_group(&line), is_storable(&line));
        }
    }
}
