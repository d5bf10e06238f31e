//! Messages to send.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use super::{Error, Result};
use crate::protocol::{
    properties::{self, Properties, name},
    topic,
};

/// When a message shall reach its consumers.
///
/// ```
/// use std::time::Duration;
/// use castmq::client::{Delay, Message};
/// let reminder = Message::new("mails", "buy milk").delay(Delay::After(Duration::from_secs(90)));
/// let level = Message::new("mails", "in ten seconds").delay(Delay::Level(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delay {
    /// After the time of a delay level, 1 to 18: by default 1s 5s 10s 30s 1m … 10m 20m 30m 1h 2h.
    Level(u8),
    /// After a while; whole milliseconds, by default three days at most.
    After(Duration),
    /// At a time; by default three days ahead at most.
    At(SystemTime),
}

/// A message to send: a topic, a body, and what else is to be said of it.
///
/// ```
/// use castmq::client::Message;
/// let message = Message::new("orders", r#"{"id":42}"#).tag("new").key("42").property("shop", "berlin");
/// let message = message.flag(7).without_waiting();
/// assert_eq!(message.topic(), "orders");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a message does nothing until it is sent"]
pub struct Message {
    topic: String,
    body: Bytes,
    flag: i32,
    keys: String,
    properties: Vec<(Cow<'static, str>, String)>,
}

impl Message {
    /// A message for a topic.
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let (topic, body) = (topic.into(), body.into());
        Self { topic, body, flag: 0, keys: String::new(), properties: Vec::new() }
    }

    /// Gives it the tag that consumers filter by.
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.set(name::TAGS, tag.into())
    }

    /// Adds a key that the message can be looked up by; without white space.
    pub fn key(mut self, key: impl AsRef<str>) -> Self {
        if !self.keys.is_empty() {
            self.keys.push(' ');
        }
        self.keys.push_str(key.as_ref());
        self
    }

    /// Sets a property, for consumers and their SQL filters.
    pub fn property(self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.set(name, value.into())
    }

    /// Sets the application's own flag, 0 by default, handed back as it is.
    pub fn flag(self, flag: i32) -> Self {
        Self { flag, ..self }
    }

    /// Holds the message back.
    pub fn delay(self, delay: Delay) -> Self {
        match delay {
            Delay::Level(level) => self.set(name::DELAY, level.to_string()),
            Delay::After(delay) => self.set(name::TIMER_DELAY_MS, delay.as_millis().to_string()),
            Delay::At(time) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                self.set(name::TIMER_DELIVER_MS, since.as_millis().to_string())
            }
        }
    }

    /// Does not wait for flush and replication, whatever the broker's policy.
    pub fn without_waiting(self) -> Self {
        self.set(name::WAIT, "false".to_owned())
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub(super) fn set(mut self, name: impl Into<Cow<'static, str>>, value: String) -> Self {
        let name = name.into();
        self.properties.retain(|(known, _)| *known != name);
        self.properties.push((name, value));
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its keys, apart by blanks.
    pub(super) fn keys(&self) -> &str {
        &self.keys
    }

    pub(super) fn body_len(&self) -> usize {
        self.body.len()
    }

    pub(super) fn application_flag(&self) -> i32 {
        self.flag
    }

    /// Whether it waits at the broker before consumers see it.
    pub(super) fn is_delayed(&self) -> bool {
        [name::DELAY, name::TIMER_DELAY_MS, name::TIMER_DELAY_SEC, name::TIMER_DELIVER_MS]
            .iter()
            .any(|name| self.get(name).is_some())
    }

    /// Checks what the broker would refuse (fact sheet: client 2).
    pub(super) fn check(&self, max_size: usize) -> Result<()> {
        topic::validate_topic(&self.topic)
            .map_err(|error| Error::message(format!("topic {:?}: {error}", self.topic)))?;
        if topic::is_send_forbidden(&self.topic) {
            return Err(Error::message(format!("topic {} belongs to the system", self.topic)));
        }
        if self.body.is_empty() {
            return Err(Error::message("its body is empty"));
        }
        if self.body.len() > max_size {
            let len = self.body.len();
            return Err(Error::message(format!("its body has {len} bytes, {max_size} are allowed")));
        }
        Ok(())
    }

    /// The property text, with what the producer adds.
    pub(super) fn properties_with(&self, unique_id: &str, more: &[(&str, &str)]) -> Result<Bytes> {
        let mut properties = Properties::new();
        properties.set(name::UNIQ_KEY, unique_id).map_err(Error::message)?;
        if !self.keys.is_empty() {
            properties.set(name::KEYS, &self.keys).map_err(Error::message)?;
        }
        let own = self.properties.iter().map(|(name, value)| (name.as_ref(), value.as_str()));
        for (name, value) in own.chain(more.iter().copied()) {
            properties.set(name, value).map_err(Error::message)?;
        }
        let text = properties.into_bytes();
        if text.len() > properties::MAX_LEN {
            let (len, max) = (text.len(), properties::MAX_LEN);
            return Err(Error::message(format!("its properties have {len} bytes, {max} are allowed")));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_written_once_each() {
        let message = Message::new("T", "b").tag("a").tag("b").key("1").key("2").delay(Delay::Level(3));
        let text = message.properties_with("ID", &[]).unwrap();
        assert_eq!(text, b"UNIQ_KEY\x01ID\x02KEYS\x011 2\x02TAGS\x01b\x02DELAY\x013\x02"[..]);
        assert!(message.is_delayed());
    }

    #[test]
    fn what_a_broker_would_refuse_is_refused_here() {
        let refused = |message: Message| message.check(4).unwrap_err().to_string();
        assert_eq!(refused(Message::new("T", "")), "cannot send the message: its body is empty");
        assert!(refused(Message::new("T", "12345")).contains("5 bytes, 4 are allowed"));
        assert!(refused(Message::new("a b", "x")).contains("illegal characters"));
        assert!(refused(Message::new("SCHEDULE_TOPIC_XXXX", "x")).contains("system"));
        assert!(Message::new("T", "x").property("a\u{1}", "v").properties_with("ID", &[]).is_err());
    }
}
