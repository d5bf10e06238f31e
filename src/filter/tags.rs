//! Tag expressions: `a || b`.

use std::sync::Arc;

use super::{Filter, FilterError, SharedFilter};
use crate::protocol::{message::tags_code, subscription::SUBSCRIBE_ALL};

/// Everything.
#[derive(Debug)]
struct All;

impl Filter for All {
    fn accepts(&self, _tags_code: i64) -> bool {
        true
    }

    fn accepts_all(&self) -> bool {
        true
    }
}

/// Messages whose tags have one of these hash codes; the client compares the tags themselves.
#[derive(Debug)]
struct Tags(Box<[i64]>);

impl Filter for Tags {
    fn accepts(&self, tags_code: i64) -> bool {
        self.0.contains(&tags_code)
    }
}

pub(super) fn parse(expression: &str) -> Result<SharedFilter, FilterError> {
    let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
    let codes: Box<[i64]> = tags.clone().map(|tag| tags_code(Some(tag.as_bytes()))).collect();
    if expression.trim().is_empty() || tags.eq([SUBSCRIBE_ALL]) {
        Ok(Arc::new(All))
    } else if codes.is_empty() {
        Err(FilterError::NoTag)
    } else {
        Ok(Arc::new(Tags(codes)))
    }
}
