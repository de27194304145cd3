//! The tokens of an IMAP command, cut from a slice (RFC 3501, section 9).
//!
//! A command is parsed from one slice in which literals stand as they do on the wire:
//! `{5}`, CRLF and five bytes.

use std::borrow::Cow;

use thiserror::Error;

/// Why a command can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum SyntaxError {
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("{0} not supported here")]
    Unsupported(&'static str),
    #[error("too many or too deeply nested {0}")]
    TooMany(&'static str),
}

/// A literal announced at the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) bytes: u64,
    pub(crate) waits: Waits,
}

/// Whether the client waits for `+` before it sends the literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    ForContinuation,
    No,
}

/// What is left of a command.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn end(&self) -> Result<(), SyntaxError> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(SyntaxError::Expected("the end of the command"))
        }
    }

    /// Takes this byte if it is next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    pub(crate) fn byte(&mut self, byte: u8, name: &'static str) -> Result<(), SyntaxError> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(SyntaxError::Expected(name))
        }
    }

    pub(crate) fn space(&mut self) -> Result<(), SyntaxError> {
        self.byte(b' ', "a space")
    }

    /// Takes this word, in any case, if it is next. What follows it is not looked at.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let found = self
            .rest
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
        if found {
            self.rest = &self.rest[word.len()..];
        }
        found
    }

    /// Takes bytes as long as they fit; may be none.
    pub(crate) fn run(&mut self, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self
            .rest
            .iter()
            .position(|byte| !fits(*byte))
            .unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(length);
        self.rest = rest;
        run
    }

    pub(crate) fn atom(&mut self) -> Result<&'a str, SyntaxError> {
        text(self.run(is_atom), "an atom")
    }

    /// A command's tag: an astring without `+`.
    pub(crate) fn tag(&mut self) -> Result<&'a str, SyntaxError> {
        text(self.run(|byte| is_astring(byte) && byte != b'+'), "a tag")
    }

    pub(crate) fn number(&mut self) -> Result<u64, SyntaxError> {
        let digits = text(self.run(|byte| byte.is_ascii_digit()), "a number")?;
        digits
            .parse()
            .map_err(|_| SyntaxError::Expected("a number in range"))
    }

    /// An astring: an atom (in which `]` is allowed), a quoted string or a literal.
    pub(crate) fn astring(&mut self) -> Result<Cow<'a, [u8]>, SyntaxError> {
        self.string_or(is_astring, "a string")
    }

    /// The pattern of LIST: an astring in which `%` and `*` are allowed.
    pub(crate) fn list_pattern(&mut self) -> Result<Cow<'a, [u8]>, SyntaxError> {
        self.string_or(
            |byte| is_astring(byte) || matches!(byte, b'%' | b'*'),
            "a pattern",
        )
    }

    fn string_or(
        &mut self,
        fits: impl Fn(u8) -> bool,
        name: &'static str,
    ) -> Result<Cow<'a, [u8]>, SyntaxError> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => {
                let run = self.run(fits);
                if run.is_empty() {
                    Err(SyntaxError::Expected(name))
                } else {
                    Ok(Cow::Borrowed(run))
                }
            }
        }
    }

    /// A quoted string; `\"` and `\\` are the only escapes (RFC 3501).
    pub(crate) fn quoted(&mut self) -> Result<Cow<'a, [u8]>, SyntaxError> {
        self.byte(b'"', "a quote")?;
        let plain = self.run(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut unescaped = plain.to_vec();
        loop {
            if self.take(b'"') {
                return Ok(Cow::Owned(unescaped));
            }
            self.byte(b'\\', "the end of a quoted string")?;
            match self.peek() {
                Some(byte @ (b'"' | b'\\')) => {
                    self.take(byte);
                    unescaped.push(byte);
                }
                _ => {
                    return Err(SyntaxError::Expected(
                        "a quote or backslash after a backslash",
                    ));
                }
            }
            unescaped.extend_from_slice(
                self.run(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0)),
            );
        }
    }

    /// The head of a literal, `{n}` or `{n+}`.
    pub(crate) fn literal_head(&mut self) -> Result<Literal, SyntaxError> {
        self.byte(b'{', "a literal")?;
        let bytes = self.number()?;
        let waits = if self.take(b'+') {
            Waits::No
        } else {
            Waits::ForContinuation
        };
        self.byte(b'}', "the end of the literal's size")?;
        Ok(Literal { bytes, waits })
    }

    fn literal(&mut self) -> Result<&'a [u8], SyntaxError> {
        let head = self.literal_head()?;
        self.byte(b'\r', "a line end after the literal's size")?;
        self.byte(b'\n', "a line end after the literal's size")?;
        let length = usize::try_from(head.bytes).unwrap_or(usize::MAX);
        if length > self.rest.len() {
            return Err(SyntaxError::Expected("the whole literal"));
        }
        let (literal, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(literal)
    }
}

/// The literal announced at the end of this line.
pub(crate) fn trailing_literal(line: &[u8]) -> Option<Literal> {
    if line.last() != Some(&b'}') {
        return None;
    }
    let brace = memchr::memrchr(b'{', line)?;
    let mut cursor = Cursor::new(&line[brace..]);
    let literal = cursor.literal_head().ok()?;
    cursor.is_at_end().then_some(literal)
}

pub(crate) fn is_atom(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

fn is_astring(byte: u8) -> bool {
    is_atom(byte) || byte == b']'
}

fn text<'a>(run: &'a [u8], name: &'static str) -> Result<&'a str, SyntaxError> {
    match std::str::from_utf8(run) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(SyntaxError::Expected(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn astrings() {
        let check = |input: &[u8], expected: Option<&[u8]>, rest: &[u8]| {
            let mut cursor = Cursor::new(input);
            assert_eq!(
                cursor.astring().ok().as_deref(),
                expected,
                "{:?}",
                String::from_utf8_lossy(input)
            );
            if expected.is_some() {
                assert_eq!(cursor.rest, rest);
            }
        };
        check(b"INBOX (", Some(b"INBOX"), b" (");
        check(b"a]b", Some(b"a]b"), b"");
        check(br#""a b" c"#, Some(b"a b"), b" c");
        check(br#""a\"b\\c""#, Some(br#"a"b\c"#), b"");
        check(br#""""#, Some(b""), b"");
        check(b"{3}\r\na\r\n x", Some(b"a\r\n"), b" x");
        check(b"{3+}\r\nabc", Some(b"abc"), b"");
        check(b"{4}\r\nabc", None, b"");
        check(b"{99999999999999999999}\r\nabc", None, b"");
        check(br#""open"#, None, b"");
        check(br#""a\x""#, None, b"");
        check(b"", None, b"");
        check(b"(", None, b"");
        check(b"\xff", None, b"");
    }

    #[test]
    fn literals_at_line_ends() {
        let check = |input: &[u8], expected: Option<(u64, Waits)>| {
            let found = trailing_literal(input).map(|literal| (literal.bytes, literal.waits));
            assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(input));
        };
        check(b"a LOGIN {3}", Some((3, Waits::ForContinuation)));
        check(b"{0+}", Some((0, Waits::No)));
        check(b"a {3} ", None);
        check(b"a {3", None);
        check(b"a {}", None);
        check(b"a {-1}", None);
        check(b"a {+}", None);
        check(b"a {3++}", None);
        check(b"}", None);
        check(b"a {18446744073709551616}", None);
    }

    #[test]
    fn tags_and_numbers() {
        assert_eq!(Cursor::new(b"a1 x").tag(), Ok("a1"));
        assert!(Cursor::new(b"+ x").tag().is_err());
        assert!(Cursor::new(b" x").tag().is_err());
        assert_eq!(Cursor::new(b"42)").number(), Ok(42));
        assert!(Cursor::new(b"x").number().is_err());
    }
}
