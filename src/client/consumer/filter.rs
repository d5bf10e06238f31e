//! Which messages of a topic a consumer wants.

use std::collections::BTreeSet;

use crate::{
    client::ReceivedMessage,
    protocol::{
        message::string_hash,
        subscription::{EXPRESSION_SQL92, EXPRESSION_TAG, SUBSCRIBE_ALL, SubscriptionData},
    },
};

/// A filter that brokers apply.
///
/// ```
/// use castmq::client::Filter;
/// let (all, some) = (Filter::all(), Filter::tags(["new", "paid"]));
/// let sql = Filter::sql("price > 100 AND shop IS NOT NULL");
/// assert_eq!(some, Filter::tag_expression("paid || new"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Tags(BTreeSet<String>),
    Sql(String),
}

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self(Kind::Tags(BTreeSet::new()))
    }

    /// Messages with one of these tags; without any, or with `*` among them, everything.
    pub fn tags(tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut all = BTreeSet::new();
        for tags in tags {
            // A tag cannot hold what separates tags in an expression.
            let tags = tags.into();
            all.extend(tags.split("||").map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned));
        }
        if all.contains(SUBSCRIBE_ALL) { Self::all() } else { Self(Kind::Tags(all)) }
    }

    /// Tags as RocketMQ writes them: `a || b`, `*` for everything.
    pub fn tag_expression(expression: &str) -> Self {
        Self::tags([expression])
    }

    /// Messages whose properties fit the SQL92 expression. Brokers serve it when `enablePropertyFilter` is on.
    pub fn sql(expression: impl Into<String>) -> Self {
        Self(Kind::Sql(expression.into()))
    }

    /// The subscription as brokers are told it; `version` in ms since 1970.
    pub(super) fn subscription(&self, topic: &str, version: i64) -> SubscriptionData {
        let base = SubscriptionData { topic: topic.to_owned(), sub_version: version, ..Default::default() };
        match &self.0 {
            Kind::Tags(tags) if tags.is_empty() => {
                SubscriptionData { sub_string: SUBSCRIBE_ALL.to_owned(), ..base }
            }
            Kind::Tags(tags) => SubscriptionData {
                sub_string: tags.iter().map(String::as_str).collect::<Vec<_>>().join(" || "),
                code_set: tags.iter().map(|tag| string_hash(tag)).collect(),
                tags_set: tags.clone(),
                expression_type: EXPRESSION_TAG.to_owned(),
                ..base
            },
            Kind::Sql(expression) => SubscriptionData {
                sub_string: expression.clone(),
                expression_type: EXPRESSION_SQL92.to_owned(),
                ..base
            },
        }
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

impl From<&str> for Filter {
    fn from(expression: &str) -> Self {
        Self::tag_expression(expression)
    }
}

/// Whether a message passes: brokers filter by the hash of the tag, which several tags may share.
pub(super) fn passes(subscription: &SubscriptionData, message: &ReceivedMessage) -> bool {
    subscription.tags_set.is_empty() || message.tag().is_some_and(|tag| subscription.tags_set.contains(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_those_of_java() {
        let subscription = Filter::tag_expression("TagB || TagA").subscription("T", 7);
        assert_eq!(subscription.sub_string, "TagA || TagB");
        assert_eq!(subscription.code_set, [2_598_919, 2_598_920].into());
        assert_eq!((subscription.topic.as_str(), subscription.sub_version), ("T", 7));
        let all = Filter::from("*").subscription("T", 0);
        assert_eq!((all.sub_string.as_str(), all.tags_set.len()), ("*", 0));
        assert_eq!(Filter::tags(["*", "a"]), Filter::all());
        assert_eq!(Filter::tags(["a||b", "c"]), Filter::tag_expression("c || b || a"));
        assert_eq!(Filter::sql("a = 1").subscription("T", 0).expression_type, "SQL92");
    }
}
