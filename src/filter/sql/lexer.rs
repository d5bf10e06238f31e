//! The words of an expression.

use super::error::{Problem, SqlError};

/// A word of the language.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Name(&'a str),
    /// What stands between the quotes; a quote within is doubled.
    Text(&'a str),
    Integer(&'a str),
    Float(&'a str),
    Not,
    And,
    Or,
    Between,
    In,
    Is,
    True,
    False,
    Null,
    Contains,
    StartsWith,
    EndsWith,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Open,
    Close,
    Comma,
    Plus,
    Minus,
    End,
}

const KEYWORDS: [(&str, Token<'static>); 12] = [
    ("NOT", Token::Not),
    ("AND", Token::And),
    ("OR", Token::Or),
    ("BETWEEN", Token::Between),
    ("IN", Token::In),
    ("IS", Token::Is),
    ("TRUE", Token::True),
    ("FALSE", Token::False),
    ("NULL", Token::Null),
    ("CONTAINS", Token::Contains),
    ("STARTSWITH", Token::StartsWith),
    ("ENDSWITH", Token::EndsWith),
];

/// The longer ones first.
const SYMBOLS: [(&str, Token<'static>); 11] = [
    ("<>", Token::NotEqual),
    ("<=", Token::LessEqual),
    (">=", Token::GreaterEqual),
    ("=", Token::Equal),
    ("<", Token::Less),
    (">", Token::Greater),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
    ("+", Token::Plus),
    ("-", Token::Minus),
];

/// Reads word after word, each only when it is asked for.
pub(super) struct Lexer<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    /// The next word and the byte at which it starts.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), SqlError> {
        self.skip_blank();
        let at = self.text.len() - self.rest.len();
        let Some(first) = self.rest.chars().next() else { return Ok((at, Token::End)) };
        let word = match first {
            '\'' => text(self.rest),
            'a'..='z' | 'A'..='Z' | '_' | '$' => name(self.rest),
            '0'..='9' | '.' => number(self.rest),
            _ => symbol(self.rest),
        };
        let (token, rest) = word.ok_or_else(|| {
            let problem = if first == '\'' { Problem::OpenText } else { Problem::Character(first) };
            self.error(at, problem)
        })?;
        self.rest = rest;
        Ok((at, token))
    }

    pub(super) fn error(&self, at: usize, problem: Problem) -> SqlError {
        let before = self.text.get(..at).unwrap_or(self.text);
        SqlError { at: before.chars().count() + 1, problem }
    }

    /// White space and comments. A `--` without a line's end behind it is two signs.
    fn skip_blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0C']);
            let line = self.rest.strip_prefix("--").and_then(|comment| comment.split_once(['\n', '\r']));
            let block = || self.rest.strip_prefix("/*").and_then(|comment| comment.split_once("*/"));
            let Some((_, behind)) = line.or_else(block) else { return };
            self.rest = behind;
        }
    }
}

/// A word and what follows it.
type Word<'a> = Option<(Token<'a>, &'a str)>;

fn symbol(rest: &str) -> Word<'_> {
    SYMBOLS.iter().find_map(|(symbol, token)| Some((*token, rest.strip_prefix(symbol)?)))
}

fn name(rest: &str) -> Word<'_> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    let (name, rest) = rest.split_at_checked(rest.bytes().take_while(is_part).count())?;
    let keyword = KEYWORDS.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(name));
    Some((keyword.map_or(Token::Name(name), |(_, token)| *token), rest))
}

fn text(rest: &str) -> Word<'_> {
    let inner = rest.strip_prefix('\'')?;
    let mut from = 0;
    loop {
        let quote = from + inner.get(from..)?.find('\'')?;
        let (text, behind) = inner.split_at_checked(quote)?;
        let behind = behind.strip_prefix('\'')?;
        if !behind.starts_with('\'') {
            return Some((Token::Text(text), behind));
        }
        from = quote + 2;
    }
}

/// Digits with a point or an exponent are a float. An integer has no leading zero and may end in `L`.
fn number(rest: &str) -> Word<'_> {
    let byte = |at: usize| rest.as_bytes().get(at).copied();
    let digits = |from: usize| rest.bytes().skip(from).take_while(u8::is_ascii_digit).count();
    let whole = digits(0);
    let mut end = whole;
    if byte(end) == Some(b'.') {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if let Some(b'e' | b'E') = byte(end) {
        let sign = usize::from(matches!(byte(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        end += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    if end > whole {
        let (float, rest) = rest.split_at_checked(end)?;
        return Some((Token::Float(float), rest));
    }
    if let Some(behind) = rest.strip_prefix('0') {
        return Some((Token::Integer("0"), behind));
    }
    let (integer, rest) = rest.split_at_checked(whole)?;
    Some((Token::Integer(integer), rest.strip_prefix(['l', 'L']).unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(text);
        std::iter::from_fn(|| lexer.next().ok().map(|(_, token)| token).filter(|token| *token != Token::End))
            .collect()
    }

    #[test]
    fn numbers_end_where_their_grammar_ends() {
        assert_eq!(words("007"), [Token::Integer("0"), Token::Integer("0"), Token::Integer("7")]);
        assert_eq!(words("00.5e1 5. .5 5e+1"), ["00.5e1", "5.", ".5", "5e+1"].map(Token::Float));
        assert_eq!(words("5L 5e"), [Token::Integer("5"), Token::Integer("5"), Token::Name("e")]);
    }

    #[test]
    fn comments_are_blank_and_an_open_one_is_none() {
        assert_eq!(words("a--x\r\n/* ' **/b"), [Token::Name("a"), Token::Name("b")]);
        assert_eq!(words("--1"), [Token::Minus, Token::Minus, Token::Integer("1")]);
        assert!(Lexer::new("/*/").next().is_err());
    }

    #[test]
    fn quotes_are_doubled_within_text_and_words_are_of_any_case() {
        assert_eq!(words("'it''s' nOt $n_1"), [Token::Text("it''s"), Token::Not, Token::Name("$n_1")]);
        let error = Lexer::new("'it''").next().unwrap_err();
        assert_eq!((error.at, error.problem), (1, Problem::OpenText));
    }
}
