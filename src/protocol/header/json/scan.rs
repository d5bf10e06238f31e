//! A scanner over a JSON text that it may overwrite.

use std::ops::Range;

use super::HeaderError;

/// A value, by its place in the text.
pub(super) enum Scanned {
    /// `null`.
    Null,
    /// A string without its quotes, unescaped.
    Text(Range<usize>),
    /// A number, a boolean, an object or an array, as written.
    Other(Range<usize>),
}

/// Reads on from `at`; strings are unescaped where they stand.
pub(super) struct Scanner<'a> {
    text: &'a mut [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a mut [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// What stands at a place.
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        self.text.get(range).unwrap_or_default()
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is no white space, not yet taken.
    fn token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, HeaderError> {
        Err(HeaderError::Json { expected, at: self.at })
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: u8) -> bool {
        let found = self.token() == Some(token);
        self.at += usize::from(found);
        found
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), HeaderError> {
        if self.token().is_some() { self.expected("nothing more") } else { Ok(()) }
    }

    /// Takes `null` if it comes next.
    pub(super) fn null(&mut self) -> bool {
        self.token();
        let found = self.rest().starts_with(b"null");
        if found {
            self.at += b"null".len();
        }
        found
    }

    /// Reads an object; `member` gets each key and must take the value.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Range<usize>) -> Result<(), HeaderError>,
    ) -> Result<(), HeaderError> {
        if !self.take(b'{') {
            return self.expected("an object");
        }
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            if self.token() != Some(b'"') {
                return self.expected("a key");
            }
            let key = self.string()?;
            if !self.take(b':') {
                return self.expected("a colon");
            }
            member(self, key)?;
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return self.expected("a comma or the object's end");
            }
        }
    }

    /// Reads any value.
    pub(super) fn value(&mut self) -> Result<Scanned, HeaderError> {
        match self.token() {
            Some(b'"') => self.string().map(Scanned::Text),
            Some(b'{' | b'[') => self.nested().map(Scanned::Other),
            _ => self.literal(),
        }
    }

    /// A number, a boolean or null, up to the next separator.
    fn literal(&mut self) -> Result<Scanned, HeaderError> {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        let rest = self.rest();
        let literal = rest.get(..rest.iter().position(ends).unwrap_or(rest.len())).unwrap_or_default();
        let range = self.at..self.at + literal.len();
        let scanned = match literal {
            b"null" => Scanned::Null,
            b"true" | b"false" | [b'0'..=b'9' | b'-', ..] => Scanned::Other(range.clone()),
            _ => return self.expected("a value"),
        };
        self.at = range.end;
        Ok(scanned)
    }

    /// An object or array that nobody reads: brackets are counted, not recursed into, so that depth costs
    /// nothing.
    fn nested(&mut self) -> Result<Range<usize>, HeaderError> {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.skip_string()?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(start..self.at);
            }
        }
        self.expected("a closing bracket")
    }

    /// Moves from a string's opening quote to its closing one, leaving it as written.
    fn skip_string(&mut self) -> Result<(), HeaderError> {
        self.at += 1;
        loop {
            self.at += plain_run(self.rest());
            match self.peek() {
                Some(b'"') => return Ok(()),
                Some(_) => self.at += 2,
                None => return self.expected("a closing quote"),
            }
        }
    }

    /// Reads a string from its opening quote on, and unescapes it in place.
    fn string(&mut self) -> Result<Range<usize>, HeaderError> {
        self.at += 1;
        let start = self.at;
        let mut end = start;
        loop {
            let run = plain_run(self.rest());
            if end != self.at {
                self.text.copy_within(self.at..self.at + run, end);
            }
            end += run;
            self.at += run;
            let closing = self.peek();
            self.at += 1;
            match closing {
                Some(b'"') => return Ok(start..end),
                Some(_) => end = self.unescape(end)?,
                None => return self.expected("a closing quote"),
            }
        }
    }

    /// Reads an escape behind its backslash and writes what it means to `end`; returns where that ends.
    fn unescape(&mut self, end: usize) -> Result<usize, HeaderError> {
        let escape = self.peek();
        self.at += 1;
        let meant = match escape {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.code_point()?,
            _ => return self.expected("an escape"),
        };
        let mut utf8 = [0; 4];
        let utf8 = meant.encode_utf8(&mut utf8).as_bytes();
        if let Some(place) = self.text.get_mut(end..end + utf8.len()) {
            place.copy_from_slice(utf8);
        }
        Ok(end + utf8.len())
    }

    /// The digits behind `\u`, with a second escape where they are half a pair. A half without its other half
    /// is replaced: UTF-8 cannot hold it.
    fn code_point(&mut self) -> Result<char, HeaderError> {
        let unit = self.hex()?;
        if let high @ 0xd800..=0xdbff = unit
            && self.rest().starts_with(b"\\u")
        {
            let behind_high = self.at;
            self.at += 2;
            if let low @ 0xdc00..=0xdfff = self.hex()? {
                let pair = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = behind_high;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, HeaderError> {
        let Some(digits) =
            self.rest().first_chunk::<4>().filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        else {
            return self.expected("four hexadecimal digits");
        };
        let unit = digits
            .iter()
            .filter_map(|&digit| char::from(digit).to_digit(16))
            .fold(0, |unit, digit| unit << 4 | digit);
        self.at += digits.len();
        Ok(unit)
    }
}

/// How many bytes come before the next quote or backslash, eight at a time.
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    // The lowest marked byte is exact; a borrow may mark bytes above it only.
    let marks = |word: u64, byte: u8| {
        let zero_where_equal = word ^ (ONES * u64::from(byte));
        zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & HIGHS
    };
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let marked = marks(word, b'"') | marks(word, b'\\');
        if marked != 0 {
            return index * 8 + marked.trailing_zeros() as usize / 8;
        }
    }
    let tail = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
    chunks.len() * 8 + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_the_first_quote_or_backslash_wherever_it_stands() {
        for end in [b'"', b'\\'] {
            for at in 0..20 {
                let mut bytes = [b'!'; 24];
                bytes[at] = end;
                bytes[at + 2] = b'"';
                assert_eq!(plain_run(&bytes), at);
            }
        }
        assert_eq!(plain_run(&[0xe4; 19]), 19);
        assert_eq!(plain_run(b""), 0);
    }
}
