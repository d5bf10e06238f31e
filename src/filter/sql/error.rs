//! What can be wrong with an expression, and with a row that it is asked about.

use super::{MAX_LENGTH, MAX_NESTING};

/// Why a text is no SQL92 expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the SQL92 expression is wrong at character {at}: {problem}")]
pub struct SqlError {
    /// The character at which it is wrong, from 1.
    pub at: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A character that begins no word.
    #[error("{0:?} begins no name, number, text or sign")]
    Character(char),
    /// A text that does not end.
    #[error("the text has no closing quote")]
    OpenText,
    /// A word at the wrong place.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A number that is none in Java.
    #[error("the number is out of range: integers have 64 bits, others lie between 4.9e-324 and 1.8e308")]
    NumberRange,
    /// An operand of AND, OR, NOT or the whole that is neither true nor false.
    #[error("this is no condition: compare it with something")]
    NotCondition,
    /// An operand of `<` and the like.
    #[error("only numbers and properties can be compared by <, <=, >, >= and BETWEEN")]
    NotOrdered,
    /// NULL beside `=`.
    #[error("nothing equals NULL: use IS NULL or IS NOT NULL")]
    EqualsNull,
    /// TRUE or FALSE compared with another constant.
    #[error("TRUE and FALSE cannot be compared with a number or a text")]
    EqualsBoolean,
    /// BETWEEN with its bounds exchanged.
    #[error("the lower bound of BETWEEN is greater than the upper one")]
    BetweenNothing,
    /// IN behind something else than a name.
    #[error("only a property can be IN a list; a NOT before it needs brackets: NOT (a IN ('x'))")]
    NotProperty,
    /// Brackets, signs and chains.
    #[error("brackets and signs nest deeper than {MAX_NESTING}")]
    TooDeep,
    /// A text longer than any expression.
    #[error("it is longer than {MAX_LENGTH} bytes")]
    TooLong,
}

/// Why an expression has no answer for a row; the row does not match then, whatever else the expression says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A property that is compared with a number, or ordered, but is none.
    #[error("the property is not a number of the kind it is compared with")]
    NotANumber,
    /// `TRUE = a`: RocketMQ fails here, while `a = TRUE` has an answer.
    #[error("a condition cannot be compared with a text that stands to the right of it")]
    ConditionBeforeText,
}
