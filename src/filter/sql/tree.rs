//! An expression that was read.

use super::eval::Number;

/// What is true, false, or neither.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// TRUE, FALSE, NULL.
    Constant(Option<bool>),
    /// A property that stands for a condition: null without it, else false, since no property is a boolean.
    Bare(Box<str>),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    IsNull(Operand),
    Equal(Operand, Operand),
    Ordered(Operand, Order, Operand),
    Between {
        value: Operand,
        low: Operand,
        high: Operand,
        is_negated: bool,
    },
    In {
        name: Box<str>,
        /// Sorted.
        texts: Box<[Box<str>]>,
        is_negated: bool,
    },
    Text {
        value: Operand,
        test: TextTest,
        search: Box<str>,
        is_negated: bool,
    },
}

impl Condition {
    pub(super) fn negated_if(self, is_negated: bool) -> Self {
        if is_negated { Self::Not(Box::new(self)) } else { self }
    }
}

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Literal(Literal),
    Property(Box<str>),
    Negated(Box<Operand>),
    Condition(Box<Condition>),
}

impl From<Condition> for Operand {
    fn from(condition: Condition) -> Self {
        Self::Condition(Box::new(condition))
    }
}

impl Operand {
    /// The number that it is by itself; one behind a minus is not looked into.
    pub(super) fn as_number(&self) -> Option<Number> {
        match self {
            Self::Literal(Literal::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// TRUE, FALSE or NULL.
    pub(super) fn as_constant(&self) -> Option<Option<bool>> {
        match self {
            Self::Condition(condition) => match **condition {
                Condition::Constant(constant) => Some(constant),
                _ => None,
            },
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Number(Number),
    Text(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}
