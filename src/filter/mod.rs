//! What a consumer wants of a queue. Pure: no store, no actors.
//!
//! # The seam
//! A [`Filter`] answers two questions and is asked nothing else: what the consume queue's word on a message says
//! ([`Filter::accepts`], before the log is touched), and, only where [`Filter::reads_properties`], what the
//! record's properties say ([`Filter::accepts_properties`]). Tags answer the first, SQL92 the second. A
//! further kind (the successor of the Java classes that RocketMQ 4 let users upload) is a module beside
//! them with a type that implements the trait, and an arm in [`parse`]: it sees borrowed bytes, can neither
//! block nor fail, and says by [`Filter::effort`] what it costs, so that no filter can hold a queue up.

pub mod sql;
mod tags;

use std::{fmt, sync::Arc};

use crate::protocol::{
    codes::ResponseCode,
    subscription::{EXPRESSION_SQL92, EXPRESSION_TAG, SubscriptionData},
};
use sql::{Selector, SqlError};

/// Decides which messages a pull gets.
pub trait Filter: fmt::Debug + Send + Sync {
    /// Whether the consume queue's word on a message lets it pass.
    fn accepts(&self, tags_code: i64) -> bool;

    /// Whether every message passes.
    fn accepts_all(&self) -> bool {
        false
    }

    /// Whether a message that [`Filter::accepts`] must be looked at before it passes.
    fn reads_properties(&self) -> bool {
        false
    }

    /// Whether a record's property text lets it pass.
    fn accepts_properties(&self, _properties: &[u8]) -> bool {
        true
    }

    /// How many bytes [`Filter::accepts_properties`] goes through at most.
    fn effort(&self, _properties: &[u8]) -> usize {
        0
    }
}

/// A filter as pulls share it.
pub type SharedFilter = Arc<dyn Filter>;

/// Why an expression is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// An expression language that is not served.
    #[error("the expression type {0} is not served: use TAG or SQL92")]
    UnknownType(String),
    /// Filters beside tags are switched off; the words are RocketMQ's (fact sheet: remoting 6.1).
    #[error("The broker does not support consumer to filter message by {0}")]
    Disabled(String),
    /// A list of tags without any.
    #[error("the expression names no tag: write tags with || between them, or * for all messages")]
    NoTag,
    /// A text that is no SQL92 expression.
    #[error(transparent)]
    Sql(#[from] SqlError),
}

impl FilterError {
    /// What a broker answers to a pull or to CHECK_CLIENT_CONFIG with such an expression.
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::Disabled(_) => ResponseCode::SYSTEM_ERROR,
            Self::UnknownType(_) | Self::NoTag | Self::Sql(_) => ResponseCode::SUBSCRIPTION_PARSE_FAILED,
        }
    }
}

/// The filter of an expression; no type means TAG.
///
/// # Errors
/// [`FilterError::UnknownType`], [`FilterError::NoTag`], [`FilterError::Sql`].
pub fn parse(expression_type: Option<&str>, expression: &str) -> Result<SharedFilter, FilterError> {
    match expression_type {
        None | Some("" | EXPRESSION_TAG) => tags::parse(expression),
        Some(EXPRESSION_SQL92) => Ok(Arc::new(Selector::parse(expression)?)),
        Some(other) => Err(FilterError::UnknownType(other.to_owned())),
    }
}

/// As [`parse`], at a broker that has property filters switched on or off (`enablePropertyFilter`).
///
/// # Errors
/// As [`parse`], and [`FilterError::Disabled`] for everything but tags when they are off.
pub fn admit(
    expression_type: Option<&str>,
    expression: &str,
    property_filters: bool,
) -> Result<SharedFilter, FilterError> {
    match expression_type {
        Some(other) if !property_filters && !matches!(other, "" | EXPRESSION_TAG) => {
            Err(FilterError::Disabled(other.to_owned()))
        }
        _ => parse(expression_type, expression),
    }
}

/// The filter that a consumer registered.
///
/// # Errors
/// As [`parse`].
pub fn of(subscription: &SubscriptionData) -> Result<SharedFilter, FilterError> {
    parse(Some(&subscription.expression_type), &subscription.sub_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::tags_code;

    #[test]
    fn a_filter_passes_the_tags_it_names_and_those_that_hash_alike() {
        let filter = parse(Some("TAG"), " AaAa ||b").unwrap();
        assert!(filter.accepts(tags_code(Some(b"BBBB"))), "the same hash");
        assert!(filter.accepts(tags_code(Some(b"b"))));
        assert!(!filter.accepts(tags_code(Some(b"c"))) && !filter.accepts(0));
        assert!(!filter.reads_properties());
    }

    #[test]
    fn no_expression_means_everything() {
        for all in ["", "*", " * "] {
            assert!(parse(None, all).unwrap().accepts_all(), "{all:?}");
        }
    }

    #[test]
    fn sql_is_asked_of_the_properties_alone() {
        let filter = parse(Some("SQL92"), "TAGS = 'x' AND price > 5").unwrap();
        assert!(filter.accepts(0) && filter.reads_properties());
        assert!(filter.accepts_properties(b"TAGS\x01x\x02price\x017\x02"));
        assert!(!filter.accepts_properties(b"TAGS\x01x\x02price\x015\x02"));
        assert!(!filter.accepts_properties(b""), "null is not true");
        assert!(!filter.accepts_properties(b"TAGS\x01x\x02price\x01high\x02"), "no answer is not true");
        assert_eq!(filter.effort(b"12345"), 10);
    }

    #[test]
    fn what_is_refused_has_its_code() {
        let code =
            |language, text, enabled| admit(Some(language), text, enabled).map(drop).map_err(|e| e.code());
        assert_eq!(code("XPATH", "/a", true), Err(ResponseCode::SUBSCRIPTION_PARSE_FAILED));
        assert_eq!(code("SQL92", "a >", true), Err(ResponseCode::SUBSCRIPTION_PARSE_FAILED));
        assert_eq!(code("SQL92", "", true), Err(ResponseCode::SUBSCRIPTION_PARSE_FAILED));
        assert_eq!(code("SQL92", "a > 1", false), Err(ResponseCode::SYSTEM_ERROR));
        assert!(code("SQL92", "a > 1", true).is_ok() && code("TAG", "a", false).is_ok());
        let disabled = admit(Some("SQL92"), "a > 1", false).unwrap_err();
        let remark = "The broker does not support consumer to filter message by SQL92";
        assert_eq!(disabled.to_string(), remark);
    }
}
