//! What an expression says of a row. RocketMQ's typing rules: a property is text and is read as what it is
//! compared with; null is neither true nor false; a property that cannot be read ends the whole evaluation.

use std::cmp::Ordering;

use super::error::EvalError;
use super::tree::{Condition, Literal, Operand, Order, TextTest};
use crate::protocol::properties;

/// A number of the kind that Java would give it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i32),
    Long(i64),
    Double(f64),
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Boolean(bool),
    Number(Number),
    Text(&'a [u8]),
}

/// `None` is null.
type Evaluated<T> = Result<Option<T>, EvalError>;

impl Condition {
    /// The answer for a property text.
    pub(super) fn evaluate(&self, row: &[u8]) -> Evaluated<bool> {
        match self {
            Self::Constant(constant) => Ok(*constant),
            Self::Bare(name) => Ok(properties::get(row, name).map(|_| false)),
            Self::Not(condition) => Ok(condition.evaluate(row)?.map(|is| !is)),
            Self::All(conditions) => joined(conditions, row, false),
            Self::Any(conditions) => joined(conditions, row, true),
            Self::IsNull(operand) => Ok(Some(operand.value(row)?.is_none())),
            Self::Equal(left, right) => equal(left.value(row)?, right.value(row)?),
            Self::Ordered(left, order, right) => ordered(left.value(row)?, *order, right, row),
            Self::Between { value, low, high, is_negated } => {
                let value = value.value(row)?;
                let (below, above) = match is_negated {
                    false => (Order::GreaterEqual, Order::LessEqual),
                    true => (Order::Less, Order::Greater),
                };
                let first = ordered(value, below, low, row)?;
                if first == Some(*is_negated) {
                    return Ok(first);
                }
                let second = ordered(value, above, high, row)?;
                Ok(if second == Some(*is_negated) { second } else { first.and(second) })
            }
            Self::In { name, texts, is_negated } => Ok(properties::get(row, name).map(|value| {
                texts.binary_search_by(|text| text.as_bytes().cmp(value)).is_ok() != *is_negated
            })),
            Self::Text { value, test, search, is_negated } => Ok(Some(match value.text(search, row)? {
                Some(value) => test.holds(value, search) != *is_negated,
                None => false,
            })),
        }
    }
}

/// AND and OR: one that is `decisive` decides, even against null; those behind it are not looked at.
fn joined(conditions: &[Condition], row: &[u8], decisive: bool) -> Evaluated<bool> {
    let mut answer = Some(!decisive);
    for condition in conditions {
        match condition.evaluate(row)? {
            Some(is) if is == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => answer = None,
        }
    }
    Ok(answer)
}

/// Two nulls are equal; with one it depends on the side, as in the original.
fn equal(left: Option<Value<'_>>, right: Option<Value<'_>>) -> Evaluated<bool> {
    match (left, right) {
        (None, None) => Ok(Some(true)),
        (None, Some(_)) => Ok(None),
        (Some(_), None) => Ok(Some(false)),
        (Some(left), Some(right)) => Ok(Some(compare(left, right)?.is_eq())),
    }
}

fn ordered(left: Option<Value<'_>>, order: Order, right: &Operand, row: &[u8]) -> Evaluated<bool> {
    let Some(left) = left else { return Ok(None) };
    let Some(right) = right.value(row)? else { return Ok(None) };
    let ordering = match (left, right) {
        (Value::Text(left), Value::Text(right)) => compare_numbers(double(left)?, double(right)?),
        _ => compare(left, right)?,
    };
    Ok(Some(match order {
        Order::Less => ordering.is_lt(),
        Order::LessEqual => ordering.is_le(),
        Order::Greater => ordering.is_gt(),
        Order::GreaterEqual => ordering.is_ge(),
    }))
}

impl Operand {
    fn value<'a>(&'a self, row: &'a [u8]) -> Evaluated<Value<'a>> {
        Ok(match self {
            Self::Literal(Literal::Number(number)) => Some(Value::Number(*number)),
            Self::Literal(Literal::Text(text)) => Some(Value::Text(text.as_bytes())),
            Self::Property(name) => properties::get(row, name).map(Value::Text),
            Self::Condition(condition) => condition.evaluate(row)?.map(Value::Boolean),
            Self::Negated(operand) => match operand.value(row)? {
                Some(Value::Number(number)) => Some(Value::Number(number.negated())),
                _ => None,
            },
        })
    }

    /// The text to search in; nothing is ever found by searching for nothing.
    fn text<'a>(&'a self, search: &str, row: &'a [u8]) -> Evaluated<&'a [u8]> {
        if search.is_empty() {
            return Ok(None);
        }
        Ok(match self.value(row)? {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        })
    }
}

impl TextTest {
    fn holds(self, value: &[u8], search: &str) -> bool {
        match self {
            // Text that is no UTF-8 is the only one that is copied.
            Self::Contains => String::from_utf8_lossy(value).contains(search),
            Self::StartsWith => value.starts_with(search.as_bytes()),
            Self::EndsWith => value.ends_with(search.as_bytes()),
        }
    }
}

/// Values of kinds that have nothing in common are unequal: the left one is the lesser.
fn compare(left: Value<'_>, right: Value<'_>) -> Result<Ordering, EvalError> {
    Ok(match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::Boolean(left), Value::Boolean(right)) => left.cmp(&right),
        (Value::Text(left), Value::Number(right)) => compare_numbers(right.kind_of(left)?, right),
        (Value::Number(left), Value::Text(right)) => compare_numbers(left, left.kind_of(right)?),
        (Value::Text(left), Value::Boolean(right)) => left.eq_ignore_ascii_case(b"true").cmp(&right),
        (Value::Boolean(_), Value::Text(_)) => return Err(EvalError::ConditionBeforeText),
        (Value::Boolean(_), Value::Number(_)) | (Value::Number(_), Value::Boolean(_)) => Ordering::Less,
    })
}

/// Java's order of doubles: 0.0 is greater than -0.0, NaN than everything, and equal to itself.
pub(super) fn compare_numbers(left: Number, right: Number) -> Ordering {
    match (left.as_long(), right.as_long()) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.as_double().total_cmp(&right.as_double()),
    }
}

impl Number {
    fn as_long(self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(i64::from(int)),
            Self::Long(long) => Some(long),
            Self::Double(_) => None,
        }
    }

    fn as_double(self) -> f64 {
        match self {
            Self::Int(int) => f64::from(int),
            Self::Long(long) => long as f64,
            Self::Double(double) => double,
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Int(int) => Self::Int(int.wrapping_neg()),
            Self::Long(long) => Self::Long(long.wrapping_neg()),
            Self::Double(double) => Self::Double(-double),
        }
    }

    /// The number in a text, if it is one of the same kind: `1.5` and `3000000000` are no ints.
    fn kind_of(self, text: &[u8]) -> Result<Self, EvalError> {
        let number = || std::str::from_utf8(text).ok();
        match self {
            Self::Int(_) => number().and_then(|text| text.parse().ok()).map(Self::Int),
            Self::Long(_) => number().and_then(|text| text.parse().ok()).map(Self::Long),
            Self::Double(_) => return double(text),
        }
        .ok_or(EvalError::NotANumber)
    }
}

/// What Java's `Double.valueOf` reads, but for hexadecimal numbers.
fn double(text: &[u8]) -> Result<Number, EvalError> {
    let text = std::str::from_utf8(text).map_err(|_| EvalError::NotANumber)?;
    let text = text.trim_matches(|char| char <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned {
        "NaN" => Ok(Number::Double(f64::NAN)),
        "Infinity" => Ok(Number::Double(sign * f64::INFINITY)),
        // Rust knows more names of these two.
        _ if unsigned.starts_with(|char: char| char.is_ascii_digit() || char == '.') => {
            let digits = unsigned.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(unsigned);
            let double: f64 = digits.parse().map_err(|_| EvalError::NotANumber)?;
            Ok(Number::Double(sign * double))
        }
        _ => Err(EvalError::NotANumber),
    }
}
