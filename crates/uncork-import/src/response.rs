//! What a server says: one response at a time, bounded, and only as deep as an importer needs.
//!
//! An importer acts on statuses, capabilities and a few numbers. Anything else is passed on as
//! text, so that no server's extension can confuse it.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};

/// Longest line of a response.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of a literal in a response: an importer asks for nothing longer.
const LITERAL_BYTES_MAX: u64 = 64 * 1024;

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    /// `+ …`: go on with the literal.
    Continue(String),
    /// `* OK …`, `* NO …`, `* BAD …`, `* BYE …`, `* PREAUTH …`.
    Untagged(Status),
    /// Any other `* …`.
    Data(String),
    /// The end of a command.
    Tagged(u32, Status),
}

/// A status and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) kind: StatusKind,
    /// What stands between brackets, such as `TRYCREATE` or `APPENDUID 1 5:9`.
    pub(crate) code: Option<String>,
    /// For people; free of control characters.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusKind {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

impl Status {
    /// The reason for a person: the text, with its code where there is one.
    pub(crate) fn reason(&self) -> String {
        match &self.code {
            Some(code) => format!("[{code}] {}", self.text),
            None => self.text.clone(),
        }
    }

    /// The capabilities in a `[CAPABILITY …]` code.
    pub(crate) fn capabilities(&self) -> Option<&str> {
        strip_word(self.code.as_deref()?, "CAPABILITY")
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResponseError {
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection broke")]
    Read(#[source] std::io::Error),
    #[error("the server sent a line of more than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("the server sent a literal of {0} bytes, which nothing asked for")]
    LiteralTooLong(u64),
    #[error("the server said `{0}`, which is no IMAP")]
    NotImap(String),
}

/// Reads one response with its literals. Not safe to cancel in the middle.
pub(crate) async fn read_response<R>(reader: &mut R) -> Result<Response, ResponseError>
where
    R: AsyncBufRead + Unpin,
{
    let mut text = Vec::new();
    loop {
        read_line(reader, &mut text).await?;
        let Some(literal_bytes) = literal_len(&text) else {
            break;
        };
        if literal_bytes > LITERAL_BYTES_MAX {
            return Err(ResponseError::LiteralTooLong(literal_bytes));
        }
        let mut literal = reader.take(literal_bytes);
        let read = literal.read_to_end(&mut text).await;
        if read.map_err(ResponseError::Read)? as u64 != literal_bytes {
            return Err(ResponseError::Closed);
        }
        if text.len() > LINE_BYTES_MAX {
            return Err(ResponseError::LineTooLong);
        }
    }
    parse(&text)
}

/// Appends one line, without its end.
async fn read_line<R>(reader: &mut R, line: &mut Vec<u8>) -> Result<(), ResponseError>
where
    R: AsyncBufRead + AsyncRead + Unpin,
{
    let start = line.len();
    let mut limited = reader.take(LINE_BYTES_MAX as u64);
    let read = limited.read_until(b'\n', line).await;
    let read = read.map_err(ResponseError::Read)?;
    if line.len() == start || !line.ends_with(b"\n") {
        return Err(if read == LINE_BYTES_MAX {
            ResponseError::LineTooLong
        } else {
            ResponseError::Closed
        });
    }
    line.pop();
    if line.ends_with(b"\r") {
        line.pop();
    }
    Ok(())
}

/// The length of the literal that a line announces at its end.
fn literal_len(line: &[u8]) -> Option<u64> {
    let open = memchr::memrchr(b'{', line.strip_suffix(b"}")?)?;
    let digits = std::str::from_utf8(&line[open + 1..line.len() - 1]).ok()?;
    digits.parse().ok()
}

fn parse(line: &[u8]) -> Result<Response, ResponseError> {
    let line = printable(line);
    let not_imap = || ResponseError::NotImap(line.chars().take(80).collect());
    if let Some(text) = line.strip_prefix('+') {
        return Ok(Response::Continue(text.trim_start().to_owned()));
    }
    let (tag, rest) = line.split_once(' ').ok_or_else(not_imap)?;
    match (tag, parse_status(rest)) {
        ("*", Some(status)) => Ok(Response::Untagged(status)),
        ("*", None) => Ok(Response::Data(rest.to_owned())),
        (tag, Some(status)) => match parse_tag(tag) {
            Some(tag) => Ok(Response::Tagged(tag, status)),
            None => Err(not_imap()),
        },
        (_, None) => Err(not_imap()),
    }
}

fn parse_status(text: &str) -> Option<Status> {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let kind = match kind.to_ascii_uppercase().as_str() {
        "OK" => StatusKind::Ok,
        "NO" => StatusKind::No,
        "BAD" => StatusKind::Bad,
        "BYE" => StatusKind::Bye,
        "PREAUTH" => StatusKind::PreAuth,
        _ => return None,
    };
    let coded = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (code, text) = match coded {
        Some((code, text)) => (Some(code.to_owned()), text),
        None => (None, rest),
    };
    Some(Status {
        kind,
        code,
        text: text.trim().to_owned(),
    })
}

/// Tags are `U` and a number.
pub(crate) fn tag_text(tag: u32) -> String {
    format!("U{tag}")
}

fn parse_tag(text: &str) -> Option<u32> {
    text.strip_prefix('U')?.parse().ok()
}

/// A server's text reaches terminals and reports: no control characters in it.
fn printable(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}

/// What follows `word` (in any case) and a space at the start of `text`.
pub(crate) fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (first, rest) = text.split_once(' ')?;
    first.eq_ignore_ascii_case(word).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn responses(bytes: &[u8]) -> (Vec<Response>, ResponseError) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut reader = tokio::io::BufReader::new(bytes);
            let mut all = Vec::new();
            loop {
                match read_response(&mut reader).await {
                    Ok(response) => all.push(response),
                    Err(error) => return (all, error),
                }
            }
        })
    }

    fn status(kind: StatusKind, code: Option<&str>, text: &str) -> Status {
        Status {
            kind,
            code: code.map(str::to_owned),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_transcript() {
        let (all, end) = responses(
            b"* OK [CAPABILITY IMAP4rev1 LITERAL+] ready\r\n\
              + \r\n+ go ahead\r\n+\r\n\
              * LIST () \"/\" {5}\r\na\r\nb}\r\n\
              * 3 EXISTS\r\n\
              U7 OK [APPENDUID 1 5:9] done\r\n\
              u8 no x\r\n",
        );
        let greeting = &all[0];
        let Response::Untagged(first) = greeting else {
            panic!("{greeting:?}");
        };
        assert_eq!(first.capabilities(), Some("IMAP4rev1 LITERAL+"));
        assert_eq!(all[1], Response::Continue(String::new()));
        assert_eq!(all[2], Response::Continue("go ahead".into()));
        assert_eq!(all[3], Response::Continue(String::new()));
        assert!(matches!(&all[4], Response::Data(text) if text.starts_with("LIST")));
        assert_eq!(all[5], Response::Data("3 EXISTS".into()));
        let expected = status(StatusKind::Ok, Some("APPENDUID 1 5:9"), "done");
        assert_eq!(all[6], Response::Tagged(7, expected));
        assert_eq!(all.len(), 7, "tags are case sensitive and ours");
        assert!(matches!(end, ResponseError::NotImap(_)));
    }

    #[test]
    fn what_is_no_imap() {
        let error = |bytes: &[u8]| responses(bytes).1.to_string();
        assert!(error(b"").contains("closed"));
        assert!(error(b"* OK cut").contains("closed"));
        assert!(error(b"220 smtp.example.org\r\n").contains("220 smtp.example.org"));
        assert!(error(b"SSH-2.0-OpenSSH\r\n").contains("SSH-2.0"));
        assert!(error(b"* X {99999999}\r\n").contains("99999999"));
        assert!(error(b"* X {5}\r\nab").contains("closed"));
        assert!(error(&[b'x'; LINE_BYTES_MAX + 1]).contains("line of more than"));
        let (all, _) = responses(b"* NO \x1b[31mred\r\n");
        assert_eq!(
            all,
            [Response::Untagged(status(
                StatusKind::No,
                None,
                "\u{fffd}[31mred"
            ))]
        );
    }
}
