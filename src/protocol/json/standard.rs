//! From RocketMQ's JSON to standard JSON.

use super::JsonError;

/// Deepest nesting of objects and arrays that is read; bodies of the protocol stay below ten.
pub const MAX_DEPTH: usize = 64;

/// Turns RocketMQ's JSON into standard JSON: integer keys and object keys become strings, members that
/// are `null` and white space between tokens go. Standard text stays as it is otherwise; finer faults
/// (a malformed number or escape) are left for the parser behind to find.
///
/// # Errors
/// [`JsonError::Syntax`] and [`JsonError::TooDeep`]; the output is at most twice the input.
pub fn to_standard(text: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut rewriter =
        Rewriter { text, at: 0, out: Vec::with_capacity(text.len() + 16), in_object_key: false };
    rewriter.value(0)?;
    match rewriter.peek() {
        None => Ok(rewriter.out),
        Some(_) => Err(rewriter.fault("text after the end of the value")),
    }
}

struct Rewriter<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// An object key within an object key would double its escapes at each level; nobody sends one.
    in_object_key: bool,
}

/// What a value was, as far as its container must know.
#[derive(PartialEq)]
enum Read {
    Null,
    Value,
}

impl Rewriter<'_> {
    fn fault(&self, problem: &'static str) -> JsonError {
        JsonError::Syntax { problem, at: self.at }
    }

    /// The next byte that is not white space; it is not consumed.
    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Copies the next byte if it is the `wanted` one.
    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += 1;
            self.out.push(wanted);
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Read, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep { at: self.at });
        }
        match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => self.string()?,
            Some(_) => return self.scalar(),
            None => return Err(self.fault("the text ends where a value is due")),
        }
        Ok(Read::Value)
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        self.take(b'{');
        if self.take(b'}') {
            return Ok(());
        }
        let mut is_first = true;
        loop {
            let member_start = self.out.len();
            if !is_first {
                self.out.push(b',');
            }
            self.key(depth)?;
            if !self.take(b':') {
                return Err(self.fault("a colon is due"));
            }
            if self.value(depth + 1)? == Read::Null {
                self.out.truncate(member_start);
            } else {
                is_first = false;
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                _ if self.take(b'}') => return Ok(()),
                _ => return Err(self.fault("a comma or the end of the object is due")),
            }
        }
    }

    fn key(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => {
                self.out.push(b'"');
                self.run(|byte| byte == b'-' || byte.is_ascii_digit());
                self.out.push(b'"');
                Ok(())
            }
            Some(b'{') if !self.in_object_key => {
                self.in_object_key = true;
                let key_start = self.out.len();
                self.value(depth + 1)?;
                let key = self.out.split_off(key_start);
                quote(&key, &mut self.out);
                self.in_object_key = false;
                Ok(())
            }
            _ => Err(self.fault("a key is due")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.take(b'[');
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.peek() {
                Some(_) if self.take(b',') => {}
                Some(_) if self.take(b']') => return Ok(()),
                _ => return Err(self.fault("a comma or the end of the array is due")),
            }
        }
    }

    /// Copies a string as it is, escapes included.
    fn string(&mut self) -> Result<(), JsonError> {
        self.take(b'"');
        loop {
            self.run(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
            match self.text.get(self.at..) {
                Some([b'"', ..]) => {
                    self.at += 1;
                    self.out.push(b'"');
                    return Ok(());
                }
                Some([b'\\', escaped, ..]) if *escaped >= b' ' => {
                    self.at += 2;
                    self.out.extend_from_slice(&[b'\\', *escaped]);
                }
                _ => return Err(self.fault("a string does not end")),
            }
        }
    }

    /// Copies a number or a word; the parser behind checks which.
    fn scalar(&mut self) -> Result<Read, JsonError> {
        let start = self.at;
        self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'));
        match self.text.get(start..self.at) {
            None | Some([]) => Err(self.fault("a value is due")),
            Some(b"null") => Ok(Read::Null),
            Some(_) => Ok(Read::Value),
        }
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&byte| !belongs(byte)).unwrap_or(rest.len());
        self.out.extend_from_slice(rest.get(..len).unwrap_or_default());
        self.at += len;
    }
}

/// Writes JSON text, which holds no bare control characters, as a JSON string.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}
