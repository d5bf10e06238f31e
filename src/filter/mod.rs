//! What a consumer wants of a queue. Pure: no store, no actors.

mod tags;

use crate::protocol::subscription::{EXPRESSION_TAG, SubscriptionData};

/// Decides which messages a pull gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Everything.
    All,
    /// Messages whose tags have one of these hash codes; the client compares the tags themselves.
    Tags(Box<[i64]>),
}

/// Why an expression is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// An expression language that is not served.
    #[error("the expression type {0} is not served: use TAG")]
    UnknownType(String),
}

impl Filter {
    /// The filter of an expression; no type means TAG.
    ///
    /// # Errors
    /// [`FilterError::UnknownType`].
    pub fn parse(expression_type: Option<&str>, expression: &str) -> Result<Self, FilterError> {
        match expression_type {
            None | Some("" | EXPRESSION_TAG) => Ok(tags::parse(expression)),
            Some(other) => Err(FilterError::UnknownType(other.to_owned())),
        }
    }

    /// The filter that a consumer registered.
    ///
    /// # Errors
    /// [`FilterError::UnknownType`].
    pub fn of(subscription: &SubscriptionData) -> Result<Self, FilterError> {
        Self::parse(Some(&subscription.expression_type), &subscription.sub_string)
    }

    /// Whether the consume queue's word on a message lets it pass.
    pub fn accepts(&self, tags_code: i64) -> bool {
        match self {
            Self::All => true,
            Self::Tags(codes) => codes.contains(&tags_code),
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
    }

    #[test]
    fn no_expression_means_everything() {
        for all in ["", "*", " * ", "||"] {
            assert_eq!(Filter::parse(None, all), Ok(Filter::All), "{all:?}");
        }
    }

    #[test]
    fn an_unknown_language_is_an_error() {
        assert!(Filter::parse(Some("XPATH"), "/a").is_err());
    }
}
