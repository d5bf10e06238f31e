//! From words to a tree: RocketMQ's grammar and what it checks while reading.
//!
//! ```text
//! any        = all { OR all }
//! all        = equality { AND equality }
//! equality   = comparison { (= | <>) comparison | IS [NOT] NULL }
//! comparison = unary { (< | <= | > | >=) unary | [NOT] BETWEEN unary AND unary
//!                    | [NOT] IN ( text {, text} ) | [NOT] (CONTAINS | STARTSWITH | ENDSWITH) text }
//! unary      = (+ | - | NOT) unary | literal | name | ( any )
//! ```
//! Two oddities are kept because subscriptions rely on what the original accepts: NOT binds closer than a
//! comparison, and what follows a whole expression is not looked at, but for its first word.

use super::error::{Problem, SqlError};
use super::eval::{Number, compare_numbers};
use super::lexer::{Lexer, Token};
use super::tree::{Condition, Literal, Operand, Order, TextTest};
use super::{MAX_CHAINED, MAX_LENGTH, MAX_NESTING};

pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    peeked: Option<(usize, Token<'a>)>,
    /// Brackets and signs around the current word.
    nesting: usize,
    /// Comparisons of comparisons so far: each makes the tree one deeper.
    chained: usize,
    /// Properties mentioned so far.
    lookups: usize,
}

type Parsed<T> = Result<T, SqlError>;

/// The condition, and how many properties it mentions.
pub(super) fn parse(text: &str) -> Parsed<(Condition, usize)> {
    let mut parser = Parser { lexer: Lexer::new(text), peeked: None, nesting: 0, chained: 0, lookups: 0 };
    if text.len() > MAX_LENGTH {
        return Err(parser.lexer.error(0, Problem::TooLong));
    }
    let (at, _) = parser.peek()?;
    let whole = parser.any()?;
    Ok((parser.condition(at, whole)?, parser.lookups))
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> Parsed<(usize, Token<'a>)> {
        match self.peeked {
            Some(peeked) => Ok(peeked),
            None => Ok(*self.peeked.insert(self.lexer.next()?)),
        }
    }

    fn next(&mut self) -> Parsed<(usize, Token<'a>)> {
        let next = self.peek()?;
        self.peeked = None;
        Ok(next)
    }

    /// Whether the next word is this one; it is taken then.
    fn take(&mut self, token: Token<'_>) -> Parsed<bool> {
        let is_next = self.peek()?.1 == token;
        if is_next {
            self.peeked = None;
        }
        Ok(is_next)
    }

    fn expect(&mut self, token: Token<'_>, expected: &'static str) -> Parsed<()> {
        let (at, _) = self.peek()?;
        if self.take(token)? { Ok(()) } else { self.fail(at, Problem::Expected(expected)) }
    }

    fn fail<T>(&self, at: usize, problem: Problem) -> Parsed<T> {
        Err(self.lexer.error(at, problem))
    }

    fn any(&mut self) -> Parsed<Operand> {
        self.joined(Token::Or, Self::all, Condition::Any)
    }

    fn all(&mut self) -> Parsed<Operand> {
        self.joined(Token::And, Self::equality, Condition::All)
    }

    fn joined(
        &mut self,
        word: Token<'_>,
        part: fn(&mut Self) -> Parsed<Operand>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Parsed<Operand> {
        let (at, _) = self.peek()?;
        let first = part(self)?;
        if self.peek()?.1 != word {
            return Ok(first);
        }
        let mut conditions = vec![self.condition(at, first)?];
        while self.take(word)? {
            let (at, _) = self.peek()?;
            let next = part(self)?;
            conditions.push(self.condition(at, next)?);
        }
        Ok(join(conditions).into())
    }

    fn condition(&self, at: usize, operand: Operand) -> Parsed<Condition> {
        match operand {
            Operand::Condition(condition) => Ok(*condition),
            Operand::Property(name) => Ok(Condition::Bare(name)),
            Operand::Literal(_) | Operand::Negated(_) => self.fail(at, Problem::NotCondition),
        }
    }

    fn equality(&mut self) -> Parsed<Operand> {
        let (left_at, _) = self.peek()?;
        let mut left = self.comparison()?;
        for link in 0.. {
            let (at, token) = self.peek()?;
            if !matches!(token, Token::Equal | Token::NotEqual | Token::Is) {
                break;
            }
            self.chain(at, link)?;
            self.next()?;
            let (condition, is_negated) = if token == Token::Is {
                let is_negated = self.take(Token::Not)?;
                self.expect(Token::Null, "NULL or NOT NULL behind IS")?;
                (Condition::IsNull(left), is_negated)
            } else {
                let (right_at, _) = self.peek()?;
                let right = self.comparison()?;
                self.check_equal((left_at, &left), (right_at, &right))?;
                (Condition::Equal(left, right), token == Token::NotEqual)
            };
            left = condition.negated_if(is_negated).into();
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Parsed<Operand> {
        let (left_at, _) = self.peek()?;
        let mut left = self.unary()?;
        for link in 0.. {
            let (at, token) = self.peek()?;
            let Some(starts) = Comparison::of(token) else { break };
            self.chain(at, link)?;
            self.next()?;
            left = match starts {
                Comparison::Not => {
                    let (at, token) = self.next()?;
                    match Comparison::of(token) {
                        Some(Comparison::Not | Comparison::Ordered(_)) | None => {
                            let known = "BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH behind NOT";
                            return self.fail(at, Problem::Expected(known));
                        }
                        Some(comparison) => self.compared((left_at, left), comparison, true)?,
                    }
                }
                comparison => self.compared((left_at, left), comparison, false)?,
            }
            .into();
        }
        Ok(left)
    }

    fn compared(
        &mut self,
        (left_at, left): (usize, Operand),
        comparison: Comparison,
        is_negated: bool,
    ) -> Parsed<Condition> {
        Ok(match comparison {
            Comparison::Ordered(order) => {
                let (at, _) = self.peek()?;
                let right = self.unary()?;
                self.check_ordered(left_at, &left)?;
                self.check_ordered(at, &right)?;
                Condition::Ordered(left, order, right)
            }
            Comparison::Between => {
                let (low_at, _) = self.peek()?;
                let low = self.unary()?;
                self.expect(Token::And, "AND between the bounds of BETWEEN")?;
                let (high_at, _) = self.peek()?;
                let high = self.unary()?;
                self.check_ordered(left_at, &left)?;
                self.check_ordered(low_at, &low)?;
                self.check_ordered(high_at, &high)?;
                if let (Some(low), Some(high)) = (low.as_number(), high.as_number())
                    && !is_negated
                    && compare_numbers(low, high).is_gt()
                {
                    return self.fail(low_at, Problem::BetweenNothing);
                }
                Condition::Between { value: left, low, high, is_negated }
            }
            Comparison::In => {
                let mut texts = self.list()?;
                texts.sort_unstable();
                let Operand::Property(name) = left else { return self.fail(left_at, Problem::NotProperty) };
                Condition::In { name, texts: texts.into(), is_negated }
            }
            Comparison::Text(test) => Condition::Text { value: left, test, search: self.text()?, is_negated },
            Comparison::Not => return self.fail(left_at, Problem::Expected("a comparison")),
        })
    }

    fn list(&mut self) -> Parsed<Vec<Box<str>>> {
        self.expect(Token::Open, "( behind IN")?;
        let mut texts = vec![self.text()?];
        while self.take(Token::Comma)? {
            texts.push(self.text()?);
        }
        self.expect(Token::Close, ", or ) in the list of IN")?;
        Ok(texts)
    }

    fn text(&mut self) -> Parsed<Box<str>> {
        match self.next()? {
            (_, Token::Text(text)) => Ok(unquoted(text)),
            (at, _) => self.fail(at, Problem::Expected("a text in single quotes")),
        }
    }

    fn unary(&mut self) -> Parsed<Operand> {
        let (at, token) = self.next()?;
        let literal = match token {
            Token::Plus => return self.nested(at, Self::unary),
            Token::Minus => return Ok(Operand::Negated(Box::new(self.nested(at, Self::unary)?))),
            Token::Not => {
                let (inner_at, _) = self.peek()?;
                let inner = self.nested(at, Self::unary)?;
                return Ok(self.condition(inner_at, inner)?.negated_if(true).into());
            }
            Token::Open => {
                let inner = self.nested(at, Self::any)?;
                self.expect(Token::Close, ") for the bracket that was opened")?;
                return Ok(inner);
            }
            Token::Name(name) => {
                self.lookups += 1;
                return Ok(Operand::Property(name.into()));
            }
            Token::True => return Ok(Condition::Constant(Some(true)).into()),
            Token::False => return Ok(Condition::Constant(Some(false)).into()),
            Token::Null => return Ok(Condition::Constant(None).into()),
            Token::Text(text) => Literal::Text(unquoted(text)),
            Token::Integer(digits) => Literal::Number(self.in_range(at, integer(digits))?),
            Token::Float(digits) => Literal::Number(self.in_range(at, float(digits))?),
            _ => return self.fail(at, Problem::Expected("a name, a number, a text or a bracket")),
        };
        Ok(Operand::Literal(literal))
    }

    fn in_range(&self, at: usize, number: Option<Number>) -> Parsed<Number> {
        number.map_or_else(|| self.fail(at, Problem::NumberRange), Ok)
    }

    fn nested(&mut self, at: usize, inner: fn(&mut Self) -> Parsed<Operand>) -> Parsed<Operand> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return self.fail(at, Problem::TooDeep);
        }
        let inner = inner(self)?;
        self.nesting -= 1;
        Ok(inner)
    }

    fn chain(&mut self, at: usize, link: usize) -> Parsed<()> {
        self.chained += usize::from(link > 0);
        if self.chained > MAX_CHAINED { self.fail(at, Problem::TooDeep) } else { Ok(()) }
    }

    fn check_ordered(&self, at: usize, operand: &Operand) -> Parsed<()> {
        match operand {
            Operand::Literal(Literal::Text(_)) | Operand::Condition(_) => self.fail(at, Problem::NotOrdered),
            Operand::Literal(Literal::Number(_)) | Operand::Property(_) | Operand::Negated(_) => Ok(()),
        }
    }

    fn check_equal(&self, left: (usize, &Operand), right: (usize, &Operand)) -> Parsed<()> {
        for (at, operand) in [left, right] {
            if operand.as_constant() == Some(None) {
                return self.fail(at, Problem::EqualsNull);
            }
        }
        if left.1.as_constant().is_some() && matches!(right.1, Operand::Literal(_)) {
            return self.fail(right.0, Problem::EqualsBoolean);
        }
        Ok(())
    }
}

/// How a comparison begins.
#[derive(Clone, Copy)]
enum Comparison {
    Ordered(Order),
    Between,
    In,
    Text(TextTest),
    Not,
}

impl Comparison {
    fn of(token: Token<'_>) -> Option<Self> {
        Some(match token {
            Token::Less => Self::Ordered(Order::Less),
            Token::LessEqual => Self::Ordered(Order::LessEqual),
            Token::Greater => Self::Ordered(Order::Greater),
            Token::GreaterEqual => Self::Ordered(Order::GreaterEqual),
            Token::Between => Self::Between,
            Token::In => Self::In,
            Token::Contains => Self::Text(TextTest::Contains),
            Token::StartsWith => Self::Text(TextTest::StartsWith),
            Token::EndsWith => Self::Text(TextTest::EndsWith),
            Token::Not => Self::Not,
            _ => return None,
        })
    }
}

fn unquoted(text: &str) -> Box<str> {
    text.replace("''", "'").into()
}

/// An int when it fits, as in Java: properties beside it are read as the same kind.
fn integer(digits: &str) -> Option<Number> {
    let long: i64 = digits.parse().ok()?;
    Some(i32::try_from(long).map_or(Number::Long(long), Number::Int))
}

/// Neither zero nor infinite: the original refuses 0.0.
fn float(digits: &str) -> Option<Number> {
    let double: f64 = digits.parse().ok()?;
    (double > 0.0 && double.is_finite()).then_some(Number::Double(double))
}
