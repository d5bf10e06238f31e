//! Attributes of topics and groups: which there are, and how a request changes them.

use std::collections::BTreeMap;

/// Attributes by name. In a request each name begins with `+` (set) or `-` (remove).
pub type Attributes = BTreeMap<String, String>;

/// Why a change of attributes is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// A part of the list that is neither `+name=value` nor `-name`.
    #[error("kv string format wrong: {0}, write +name=value or -name")]
    Format(String),
    /// A name that occurs twice.
    #[error("key duplication: {0}")]
    Duplicate(String),
    /// A name that nobody knows.
    #[error("unsupported key: {0}")]
    Unsupported(String),
    /// A new topic or group has nothing to remove.
    #[error("only add attribute is supported while creating. key: {0}")]
    OnlyAdd(String),
    /// An attribute that is fixed from the creation on.
    #[error("attempt to update an unchangeable attribute. key: {0}")]
    Unchangeable(String),
    /// An attribute to remove that is not there.
    #[error("attempt to delete a nonexistent key: {0}")]
    Nonexistent(String),
    /// A value that the attribute does not take.
    #[error("value is not in range for {name}: {value}")]
    Value {
        /// The attribute.
        name: String,
        /// Its value in the request.
        value: String,
    },
}

/// What values an attribute takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    OneOf(&'static [&'static str]),
    Number { least: i64, most: i64 },
}

/// One attribute that exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    name: &'static str,
    changeable: bool,
    kind: Kind,
}

/// Attributes of topics.
pub(super) const OF_TOPICS: &[Known] = &[
    Known { name: "queue.type", changeable: false, kind: Kind::OneOf(&["BatchCQ", "SimpleCQ", "RocksDBCQ"]) },
    Known { name: "cleanup.policy", changeable: false, kind: Kind::OneOf(&["DELETE", "COMPACTION"]) },
    Known {
        name: "message.type",
        changeable: true,
        kind: Kind::OneOf(&["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED", "PRIORITY"]),
    },
    Known { name: "reserve.time", changeable: true, kind: Kind::Number { least: -1, most: i64::MAX } },
];

/// Attributes of groups.
pub(super) const OF_GROUPS: &[Known] =
    &[Known { name: "priority.factor", changeable: true, kind: Kind::Number { least: 0, most: 100 } }];

/// Reads the list of a request, `+name=value,-name`.
///
/// # Errors
/// [`AttributeError::Format`], [`AttributeError::Duplicate`].
pub fn parse(list: &str) -> Result<Attributes, AttributeError> {
    let mut changes = Attributes::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) if name.starts_with('+') => (name, value),
            None if part.starts_with('-') => (part, ""),
            _ => return Err(AttributeError::Format(part.to_owned())),
        };
        if changes.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(AttributeError::Duplicate(name.to_owned()));
        }
    }
    Ok(changes)
}

/// The attributes after `changes`; `present` is `None` when topic or group is new.
pub(super) fn alter(
    known: &[Known],
    present: Option<&Attributes>,
    changes: &Attributes,
) -> Result<Attributes, AttributeError> {
    let mut altered = present.cloned().unwrap_or_default();
    for (change, value) in changes {
        let (is_set, name) = match (change.strip_prefix('+'), change.strip_prefix('-')) {
            (Some(name), _) => (true, name),
            (None, Some(name)) => (false, name),
            (None, None) => return Err(AttributeError::Format(change.clone())),
        };
        let own = || name.to_owned();
        if changes.contains_key(&format!("{}{name}", if is_set { '-' } else { '+' })) {
            return Err(AttributeError::Duplicate(own()));
        }
        let attribute = known.iter().find(|known| known.name == name);
        let attribute = attribute.ok_or_else(|| AttributeError::Unsupported(own()))?;
        match present {
            None if !is_set => return Err(AttributeError::OnlyAdd(own())),
            Some(_) if !attribute.changeable => return Err(AttributeError::Unchangeable(own())),
            _ => {}
        }
        if is_set {
            if !attribute.kind.takes(value) {
                return Err(AttributeError::Value { name: own(), value: value.clone() });
            }
            altered.insert(own(), value.clone());
        } else if altered.remove(name).is_none() {
            return Err(AttributeError::Nonexistent(own()));
        }
    }
    Ok(altered)
}

impl Kind {
    fn takes(self, value: &str) -> bool {
        match self {
            Self::OneOf(values) => values.contains(&value),
            Self::Number { least, most } => {
                value.parse().is_ok_and(|number| (least..=most).contains(&number))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(list: &str, present: Option<&str>) -> Result<Attributes, AttributeError> {
        let present = present.map(|list| {
            list.split(',')
                .filter_map(|part| part.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect::<Attributes>()
        });
        alter(OF_TOPICS, present.as_ref(), &parse(list)?)
    }

    #[test]
    fn attributes_are_set_and_removed() {
        let altered = change("+message.type=FIFO,-reserve.time", Some("reserve.time=5")).unwrap();
        assert_eq!(altered, Attributes::from([("message.type".to_owned(), "FIFO".to_owned())]));
        assert!(change("", None).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        use AttributeError::*;
        assert_eq!(change("message.type=FIFO", None), Err(Format("message.type=FIFO".into())));
        assert_eq!(change("+color=red", None), Err(Unsupported("color".into())));
        assert_eq!(change("-message.type", None), Err(OnlyAdd("message.type".into())));
        assert_eq!(change("+queue.type=BatchCQ", Some("")), Err(Unchangeable("queue.type".into())));
        assert_eq!(change("-message.type", Some("")), Err(Nonexistent("message.type".into())));
        assert_eq!(
            change("+message.type=NORMAL,-message.type", Some("")),
            Err(Duplicate("message.type".into()))
        );
        assert!(matches!(change("+message.type=SOMETHING", None), Err(Value { .. })));
        assert!(matches!(change("+reserve.time=soon", None), Err(Value { .. })));
    }
}
