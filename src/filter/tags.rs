//! Tag expressions: `a || b`.

use super::{Filter, FilterError};
use crate::protocol::{message::tags_code, subscription::SUBSCRIBE_ALL};

pub(super) fn parse(expression: &str) -> Result<Filter, FilterError> {
    let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
    let codes: Box<[i64]> = tags.clone().map(|tag| tags_code(Some(tag.as_bytes()))).collect();
    if expression.trim().is_empty() || tags.eq([SUBSCRIBE_ALL]) {
        Ok(Filter::All)
    } else if codes.is_empty() {
        Err(FilterError::NoTag)
    } else {
        Ok(Filter::Tags(codes))
    }
}
