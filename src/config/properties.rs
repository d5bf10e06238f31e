//! Java's properties format, the form of RocketMQ's `.conf` files and of run-time changes (codes 25 and 318).
//!
//! `#` and `!` start a comment; `=`, `:` or white space ends a key; a line that ends in an odd number of
//! backslashes goes on in the next one; `\t \n \r \f \uXXXX` and a backslash before any other character
//! mean what they mean in Java. Later lines win over earlier ones: that is left to the caller.

use std::{iter::Peekable, str::Chars};

/// One `key=value` of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped; white space at its end belongs to it.
    pub value: String,
    /// The line on which it starts, from 1.
    pub line: usize,
}

/// An escape `\uXXXX` without four hexadecimal digits: the only text that is not properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\\u must be followed by four hexadecimal digits")]
pub struct MalformedEscape {
    /// The line on which the property starts, from 1.
    pub line: usize,
}

/// Reads all properties, in their order.
///
/// # Errors
/// On a `\u` that four hexadecimal digits do not follow.
pub fn parse(text: &str) -> Result<Vec<Property>, MalformedEscape> {
    logical_lines(text).map(|(line, content)| property(line, &content)).collect()
}

/// Joins continued lines; leaves out blank ones and comments.
fn logical_lines(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    let mut lines = natural_lines(text).enumerate();
    std::iter::from_fn(move || {
        let (number, first) = lines.find(|(_, line)| {
            let content = line.trim_start_matches(is_blank);
            !content.is_empty() && !content.starts_with(['#', '!'])
        })?;
        let mut content = first.trim_start_matches(is_blank).to_owned();
        while ends_in_continuation(&content) {
            content.pop();
            let Some((_, next)) = lines.next() else { break };
            content.push_str(next.trim_start_matches(is_blank));
        }
        Some((number + 1, content))
    })
}

/// Lines that end in `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn ends_in_continuation(line: &str) -> bool {
    line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
}

fn property(line: usize, content: &str) -> Result<Property, MalformedEscape> {
    let mut rest = content.chars().peekable();
    let key = unescape(&mut rest, |c| is_blank(c) || c == '=' || c == ':').ok_or(MalformedEscape { line })?;
    while rest.next_if(|c| is_blank(*c)).is_some() {}
    if rest.next_if(|c| matches!(c, '=' | ':')).is_some() {
        while rest.next_if(|c| is_blank(*c)).is_some() {}
    }
    let value = unescape(&mut rest, |_| false).ok_or(MalformedEscape { line })?;
    Ok(Property { key, value, line })
}

/// Reads up to an unescaped character that `ends`, or up to the end of the line.
fn unescape(rest: &mut Peekable<Chars<'_>>, ends: fn(char) -> bool) -> Option<String> {
    // Java's chars are UTF-16: two escapes may make one character.
    let mut units = Vec::new();
    while let Some(c) = rest.next_if(|c| !ends(*c)) {
        let unescaped = match c {
            '\\' => match rest.next() {
                Some('u') => {
                    units.push(utf16_unit(rest)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            plain => plain,
        };
        units.extend_from_slice(unescaped.encode_utf16(&mut [0; 2]));
    }
    Some(String::from_utf16_lossy(&units))
}

fn utf16_unit(rest: &mut Peekable<Chars<'_>>) -> Option<u16> {
    (0..4).try_fold(0, |unit: u16, _| {
        let digit = rest.next()?.to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|property| (property.key, property.value)).collect()
    }

    fn one(text: &str) -> (String, String) {
        pairs(text).remove(0)
    }

    #[test]
    fn every_separator_ends_a_key() {
        for text in ["a=b", "a:b", "a b", "  a = b", "a\t:\tb", "a   b"] {
            assert_eq!(one(text), ("a".into(), "b".into()), "{text}");
        }
        assert_eq!(one("a"), ("a".into(), String::new()));
        assert_eq!(one("a = = b"), ("a".into(), "= b".into()));
        assert_eq!(one("addr=127.0.0.1:9876"), ("addr".into(), "127.0.0.1:9876".into()));
    }

    #[test]
    fn comments_and_blank_lines_are_no_properties() {
        assert_eq!(pairs("# a=1\n\n  ! b=2\r\n\t\n"), []);
        assert_eq!(one("a=1 # not a comment").1, "1 # not a comment");
    }

    #[test]
    fn a_backslash_at_the_end_joins_lines() {
        assert_eq!(one("a=1,\\\n   2,\\\r\n  3").1, "1,2,3");
        assert_eq!(pairs("a=1\\\\\nb=2"), [("a".into(), "1\\".into()), ("b".into(), "2".into())]);
        assert_eq!(one("a=1\\").1, "1");
    }

    #[test]
    fn escapes_are_java_s() {
        assert_eq!(one(r"a\=b\ c=\t\u0041\:\q"), ("a=b c".into(), "\tA:q".into()));
        assert_eq!(one(r"a=\ud83d\ude00").1, "😀");
        assert_eq!(parse("x=1\na=\\u00g0"), Err(MalformedEscape { line: 2 }));
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        let lines: Vec<usize> = parse("# c\na=1\\\n2\r\n\nb=3").unwrap().iter().map(|p| p.line).collect();
        assert_eq!(lines, [2, 5]);
    }

    /// Writes a text so that any Java program reads it back.
    fn escape(text: &str) -> String {
        let unit = |unit: u16| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        };
        text.encode_utf16().map(unit).collect()
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn no_text_of_special_characters_makes_the_parser_panic(text in r"[\\u0a=: #!\r\n\t]{0,64}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_was_written_is_read_back(written in proptest::collection::vec((".{1,12}", ".{0,24}"), 0..8)) {
            let text: String =
                written.iter().map(|(key, value)| format!("{} = {}\n", escape(key), escape(value))).collect();
            prop_assert_eq!(pairs(&text), written);
        }
    }
}
