//! Tag expressions: `a || b`.

use super::Filter;
use crate::protocol::{message::tags_code, subscription::SUBSCRIBE_ALL};

pub(super) fn parse(expression: &str) -> Filter {
    let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
    let codes: Box<[i64]> = tags.clone().map(|tag| tags_code(Some(tag.as_bytes()))).collect();
    if codes.is_empty() || tags.eq([SUBSCRIBE_ALL]) { Filter::All } else { Filter::Tags(codes) }
}
