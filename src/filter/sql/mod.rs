//! SQL92 over a message's properties, as RocketMQ has it: what it accepts, answers and refuses was asked of
//! the original (tests/data/sql92.tsv).
//!
//! Deviations, all of them where nothing sensible is lost: expressions have limits in length and depth;
//! hexadecimal floats and digits of other scripts are no numbers.

mod error;
mod eval;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;
mod tree;

pub use error::{EvalError, Problem, SqlError};

use super::Filter;
use tree::Condition;

/// The longest expression, bytes.
pub const MAX_LENGTH: usize = 64 << 10;
/// How deep brackets, signs and NOT may nest.
pub const MAX_NESTING: usize = 128;
/// How many comparisons of comparisons (`a = 1 = TRUE`) there may be.
const MAX_CHAINED: usize = 32;

/// A condition on a message's properties.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    condition: Condition,
    lookups: usize,
}

impl Selector {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(expression: &str) -> Result<Self, SqlError> {
        let (condition, lookups) = parser::parse(expression)?;
        Ok(Self { condition, lookups })
    }

    /// What the expression says of a property text; `None` when it says neither yes nor no.
    ///
    /// # Errors
    /// A property cannot be compared as the expression wants it.
    pub fn evaluate(&self, properties: &[u8]) -> Result<Option<bool>, EvalError> {
        self.condition.evaluate(properties)
    }

    /// How often an evaluation goes through the properties at most.
    pub fn lookups(&self) -> usize {
        self.lookups
    }
}

impl Filter for Selector {
    fn accepts(&self, _tags_code: i64) -> bool {
        true
    }

    fn reads_properties(&self) -> bool {
        true
    }

    /// An expression that has no answer for it says no.
    fn accepts_properties(&self, properties: &[u8]) -> bool {
        self.evaluate(properties) == Ok(Some(true))
    }

    fn effort(&self, properties: &[u8]) -> usize {
        self.lookups.saturating_mul(properties.len())
    }
}
