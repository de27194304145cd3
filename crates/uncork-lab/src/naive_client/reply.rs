//! What the server says: lines, bounded in length and number, and the literals inside them.

use std::io::{BufRead, BufReader, Read};

use super::ClientError;

/// The longest line that is taken, as imaplib's `_MAXLINE`.
pub(super) const LINE_BYTES_MAX: usize = 1_000_000;

/// How many untagged lines may come before the answer.
pub(super) const UNTAGGED_LINES_MAX: usize = 10_000;

/// The longest literal inside an untagged line. The client asks for nothing that has one.
pub(super) const LITERAL_BYTES_MAX: u64 = 1_000_000;

/// How much of a line an error quotes.
const QUOTED_BYTES: usize = 200;

/// What a server answers to a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+`: go on.
    Continuation,
    /// The tagged line.
    Done { ok: bool, line: String },
}

/// Reads replies; as imaplib's, through a buffer.
#[derive(Debug)]
pub(super) struct ReplyReader<S> {
    reader: BufReader<S>,
    last_line: String,
}

impl<S: Read> ReplyReader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            reader: BufReader::new(stream),
            last_line: String::new(),
        }
    }

    pub(super) fn stream(&self) -> &S {
        self.reader.get_ref()
    }

    /// Reads until the continuation or the answer to `tag`. A BYE before either is a refusal,
    /// unless the tagged answer follows, as it does after LOGOUT.
    pub(super) fn next_answer(&mut self, tag: &str) -> Result<Reply, ClientError> {
        for _ in 0..UNTAGGED_LINES_MAX {
            let line = self.line()?;
            if line.starts_with("* ") {
                self.skip_literals(&line)?;
            } else if line == "+" || line.starts_with("+ ") {
                return Ok(Reply::Continuation);
            } else if let Some(status) = line
                .strip_prefix(tag)
                .and_then(|rest| rest.strip_prefix(' '))
            {
                let ok = status == "OK" || status.starts_with("OK ");
                return Ok(Reply::Done { ok, line });
            } else {
                return Err(ClientError::Unexpected { line });
            }
        }
        Err(self.too_much(UNTAGGED_LINES_MAX, "untagged lines"))
    }

    /// The next line, without its CRLF. What is no UTF-8 in it is replaced: no decision hangs
    /// on it.
    pub(super) fn line(&mut self) -> Result<String, ClientError> {
        let mut bytes = Vec::new();
        let most = LINE_BYTES_MAX as u64 + 1;
        (&mut self.reader)
            .take(most)
            .read_until(b'\n', &mut bytes)
            .map_err(ClientError::Receive)?;
        if bytes.len() > LINE_BYTES_MAX {
            self.last_line = quoted(&bytes);
            return Err(self.too_much(LINE_BYTES_MAX, "bytes a line"));
        }
        let Some(line) = bytes.strip_suffix(b"\r\n") else {
            if bytes.ends_with(b"\n") {
                let line = quoted(&bytes);
                return Err(ClientError::Unexpected { line });
            }
            let last_line = std::mem::take(&mut self.last_line);
            return Err(ClientError::Closed { last_line });
        };
        self.last_line = quoted(line);
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    fn skip_literals(&mut self, line: &str) -> Result<(), ClientError> {
        let mut literal = literal_bytes(line);
        let mut sum = 0_u64;
        while let Some(bytes) = literal {
            sum = sum.saturating_add(bytes);
            if sum > LITERAL_BYTES_MAX {
                let most = usize::try_from(LITERAL_BYTES_MAX).unwrap_or(usize::MAX);
                return Err(self.too_much(most, "bytes of literals"));
            }
            // An end of file in here shows at the next line.
            std::io::copy(&mut (&mut self.reader).take(bytes), &mut std::io::sink())
                .map_err(ClientError::Receive)?;
            // Each turn costs a byte of the sum, so that empty literals come to an end too.
            sum = sum.saturating_add(1);
            literal = literal_bytes(&self.line()?);
        }
        Ok(())
    }

    fn too_much(&self, most: usize, unit: &'static str) -> ClientError {
        let line = self.last_line.clone();
        ClientError::TooMuch { most, unit, line }
    }
}

/// The `n` of a line that ends with `{n}`.
fn literal_bytes(line: &str) -> Option<u64> {
    let (_, digits) = line.strip_suffix('}')?.rsplit_once('{')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number that does not fit is more than is taken, whatever it is.
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn quoted(line: &[u8]) -> String {
    let beginning = &line[..line.len().min(QUOTED_BYTES)];
    String::from_utf8_lossy(beginning).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(said: &[u8]) -> Result<Reply, ClientError> {
        ReplyReader::new(said).next_answer("KLAB7")
    }

    #[test]
    fn answers_are_found_among_untagged_lines() {
        let done = |ok, line: &str| Reply::Done {
            ok,
            line: line.to_owned(),
        };
        for (said, expected) in [
            ("+ go on\r\n", Reply::Continuation),
            ("+\r\n", Reply::Continuation),
            ("* 3 EXISTS\r\n+ \r\n", Reply::Continuation),
            ("KLAB7 OK stored\r\n", done(true, "KLAB7 OK stored")),
            ("KLAB7 NO full\r\n", done(false, "KLAB7 NO full")),
            ("KLAB7 OKAY\r\n", done(false, "KLAB7 OKAY")),
            ("* BYE\r\nKLAB7 OK bye\r\n", done(true, "KLAB7 OK bye")),
            (
                "* LIST () {3}\r\nx\r\n y {2}\r\nzz\r\nKLAB7 BAD\r\n",
                done(false, "KLAB7 BAD"),
            ),
        ] {
            assert_eq!(answer(said.as_bytes()).unwrap(), expected, "{said:?}");
        }
    }

    #[test]
    fn errors_name_what_the_server_said() {
        let endless_literals = "* X {0}\r\n".to_owned() + &" {0}\r\n".repeat(1_000_001);
        for (said, expected) in [
            ("", "the server closed the connection"),
            (
                "* BYE too many\r\n",
                "the server closed the connection after it said: * BYE too many",
            ),
            (
                "* BYE\r\nKLAB7 O",
                "the server closed the connection after it said: * BYE",
            ),
            (
                "KLAB70 OK\r\n",
                "the server said what was not expected here: KLAB70 OK",
            ),
            (
                "KLAB7 OK\n",
                "the server said what was not expected here: KLAB7 OK",
            ),
            (
                "* X {99999999999999999999999}\r\n",
                "the server said too much: more than 1000000 bytes of literals, beginning with * X {99999999999999999999999}",
            ),
            (
                &endless_literals,
                "the server said too much: more than 1000000 bytes of literals, beginning with  {0}",
            ),
            (
                &"* 1 EXISTS\r\n".repeat(UNTAGGED_LINES_MAX),
                "the server said too much: more than 10000 untagged lines, beginning with * 1 EXISTS",
            ),
        ] {
            let error = answer(said.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_line_has_a_longest() {
        let mut longest = vec![b'x'; LINE_BYTES_MAX - 2];
        longest.extend(b"\r\n");
        assert!(ReplyReader::new(&longest[..]).line().is_ok());
        longest.insert(0, b'x');
        let error = ReplyReader::new(&longest[..]).line().unwrap_err();
        assert!(matches!(error, ClientError::TooMuch { .. }), "{error}");
    }
}
