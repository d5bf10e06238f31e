//! What a consumer wants of a queue. Pure: no store, no actors.
//!
//! # The seam
//! A filter answers two questions and is asked nothing else: what the consume queue's word on a message says
//! ([`Filter::accepts`], before the log is touched), and, only where [`Filter::reads_properties`], what the
//! record's properties say ([`Filter::accepts_properties`]). Tags answer the first, SQL92 the second. A
//! further kind (the successor of the Java classes that RocketMQ 4 let users upload) is a module beside
//! them, a variant of [`Filter`], and an arm in [`Filter::parse`]: it sees borrowed bytes, can neither block
//! nor fail, and says by [`Filter::effort`] what it costs, so that no filter can hold a queue up.

pub mod sql;
mod tags;

use std::sync::Arc;

use crate::protocol::{
    codes::ResponseCode,
    subscription::{EXPRESSION_SQL92, EXPRESSION_TAG, SubscriptionData},
};
use sql::{Selector, SqlError};

/// Decides which messages a pull gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Everything.
    All,
    /// Messages whose tags have one of these hash codes; the client compares the tags themselves.
    Tags(Box<[i64]>),
    /// Messages whose properties the expression holds for.
    Sql(Arc<Selector>),
}

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

impl Filter {
    /// The filter of an expression; no type means TAG.
    ///
    /// # Errors
    /// [`FilterError::UnknownType`], [`FilterError::Sql`].
    pub fn parse(expression_type: Option<&str>, expression: &str) -> Result<Self, FilterError> {
        match expression_type {
            None | Some("" | EXPRESSION_TAG) => tags::parse(expression),
            Some(EXPRESSION_SQL92) => Ok(Self::Sql(Arc::new(Selector::parse(expression)?))),
            Some(other) => Err(FilterError::UnknownType(other.to_owned())),
        }
    }

    /// As [`Filter::parse`], at a broker that has property filters switched on or off
    /// (`enablePropertyFilter`).
    ///
    /// # Errors
    /// As [`Filter::parse`], and [`FilterError::Disabled`] for everything but tags when they are off.
    pub fn admit(
        expression_type: Option<&str>,
        expression: &str,
        property_filters: bool,
    ) -> Result<Self, FilterError> {
        match expression_type {
            Some(other) if !property_filters && !matches!(other, "" | EXPRESSION_TAG) => {
                Err(FilterError::Disabled(other.to_owned()))
            }
            _ => Self::parse(expression_type, expression),
        }
    }

    /// The filter that a consumer registered.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn of(subscription: &SubscriptionData) -> Result<Self, FilterError> {
        Self::parse(Some(&subscription.expression_type), &subscription.sub_string)
    }

    /// Whether the consume queue's word on a message lets it pass.
    pub fn accepts(&self, tags_code: i64) -> bool {
        match self {
            Self::All | Self::Sql(_) => true,
            Self::Tags(codes) => codes.contains(&tags_code),
        }
    }

    /// Whether a message that [`Filter::accepts`] must be looked at before it passes.
    pub fn reads_properties(&self) -> bool {
        matches!(self, Self::Sql(_))
    }

    /// Whether a record's property text lets it pass. An expression that has no answer for it says no.
    pub fn accepts_properties(&self, properties: &[u8]) -> bool {
        match self {
            Self::All | Self::Tags(_) => true,
            Self::Sql(selector) => selector.evaluate(properties) == Ok(Some(true)),
        }
    }

    /// How many bytes [`Filter::accepts_properties`] goes through at most.
    pub fn effort(&self, properties: &[u8]) -> usize {
        match self {
            Self::All | Self::Tags(_) => 0,
            Self::Sql(selector) => selector.lookups().saturating_mul(properties.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::tags_code;

    #[test]
    fn a_filter_passes_the_tags_it_names_and_those_that_hash_alike() {
        let filter = Filter::parse(Some("TAG"), " AaAa ||b").unwrap();
        assert!(filter.accepts(tags_code(Some(b"BBBB"))), "the same hash");
        assert!(filter.accepts(tags_code(Some(b"b"))));
        assert!(!filter.accepts(tags_code(Some(b"c"))) && !filter.accepts(0));
        assert!(!filter.reads_properties());
    }

    #[test]
    fn no_expression_means_everything() {
        for all in ["", "*", " * "] {
            assert_eq!(Filter::parse(None, all), Ok(Filter::All), "{all:?}");
        }
    }

    #[test]
    fn sql_is_asked_of_the_properties_alone() {
        let filter = Filter::parse(Some("SQL92"), "TAGS = 'x' AND price > 5").unwrap();
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
            |language, text, enabled| Filter::admit(Some(language), text, enabled).map_err(|e| e.code());
        assert_eq!(code("XPATH", "/a", true), Err(ResponseCode::SUBSCRIPTION_PARSE_FAILED));
        assert_eq!(code("SQL92", "a >", true), Err(ResponseCode::SUBSCRIPTION_PARSE_FAILED));
        assert_eq!(code("SQL92", "", true), Err(ResponseCode::SUBSCRIPTION_PARSE_FAILED));
        assert_eq!(code("SQL92", "a > 1", false), Err(ResponseCode::SYSTEM_ERROR));
        assert!(code("SQL92", "a > 1", true).is_ok() && code("TAG", "a", false).is_ok());
        let disabled = Filter::admit(Some("SQL92"), "a > 1", false).unwrap_err();
        let remark = "The broker does not support consumer to filter message by SQL92";
        assert_eq!(disabled.to_string(), remark);
    }
}
