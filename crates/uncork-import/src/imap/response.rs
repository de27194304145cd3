//! What a server says: one response at a time, bounded, and only as deep as an importer needs.
//!
//! An importer acts on statuses, capabilities and a few numbers. Anything else is passed on as
//! text, so that no server's extension can confuse it.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use crate::mail::Digest;

/// Longest response, without its literals.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// Most literals in one response.
const LITERALS_MAX: usize = 16;

/// Longest literal in a response: no server stores a longer mail.
const LITERAL_BYTES_MAX: u64 = u32::MAX as u64;

/// What is kept of a literal; of the rest there is only the digest.
const LITERAL_HEAD_BYTES: usize = crate::prepare::head::HEAD_BYTES_MAX;

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    /// `+ …`: go on with the literal.
    Continue(String),
    /// `* OK …`, `* NO …`, `* BAD …`, `* BYE …`, `* PREAUTH …`.
    Untagged(Status),
    /// Any other `* …`.
    Data(Data),
    /// The end of a command.
    Tagged(u32, Status),
}

/// Untagged data. A literal's bytes are not in the text: its `{n}` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) text: String,
    /// In the order of their `{n}` in the text.
    pub(crate) literals: Vec<Literal>,
}

/// A literal that a server sent: a mail of any length is compared without being kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) len: u64,
    pub(crate) digest: Digest,
    /// Its first bytes, up to [`LITERAL_HEAD_BYTES`].
    pub(crate) head: Vec<u8>,
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
    /// A BYE that said this, as [`reason`](Self::reason) tells it.
    pub(crate) fn bye(reason: &str) -> Self {
        let (code, text) = split_code(reason);
        Self {
            kind: StatusKind::Bye,
            code,
            text: text.trim().to_owned(),
        }
    }

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
    #[error("the server sent a response of more than {RESPONSE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the server sent a literal of {0} bytes, which nothing asked for")]
    LiteralTooLong(u64),
    #[error("the server sent more than {LITERALS_MAX} literals in one response")]
    TooManyLiterals,
    #[error("the server said `{0}`, which is no IMAP")]
    NotImap(String),
}

/// Reads responses one by one.
///
/// What has been read of a response stays here, so that a [`next`](Self::next) that is dropped
/// in the middle (when an upload turns round to send a part of it again) loses nothing of it.
#[derive(Debug)]
pub(crate) struct Responses<R> {
    reader: R,
    /// The response so far: its lines without their ends and literals.
    text: Vec<u8>,
    /// Where in `text` the line begins that is being read.
    line_start: usize,
    literals: Vec<Literal>,
    /// The literal that is being read.
    open_literal: Option<OpenLiteral>,
}

#[derive(Debug)]
struct OpenLiteral {
    len: u64,
    bytes_left: u64,
    hasher: Box<blake3::Hasher>,
    head: Vec<u8>,
}

impl OpenLiteral {
    fn new(len: u64) -> Self {
        Self {
            len,
            bytes_left: len,
            hasher: Box::default(),
            head: Vec::new(),
        }
    }

    /// Takes what belongs to it of what was received; how many bytes that were.
    fn take(&mut self, received: &[u8]) -> usize {
        let left = usize::try_from(self.bytes_left).unwrap_or(usize::MAX);
        let piece = &received[..left.min(received.len())];
        self.hasher.update(piece);
        let room = LITERAL_HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&piece[..room.min(piece.len())]);
        self.bytes_left -= piece.len() as u64;
        piece.len()
    }

    fn close(self) -> Literal {
        Literal {
            len: self.len,
            digest: *self.hasher.finalize().as_bytes(),
            head: self.head,
        }
    }
}

impl<R> Responses<R>
where
    R: AsyncBufRead + Unpin,
{
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            text: Vec::new(),
            line_start: 0,
            literals: Vec::new(),
            open_literal: None,
        }
    }

    /// The next response with its literals. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<Response, ResponseError> {
        loop {
            if let Some(whole) = self.open_literal.take_if(|open| open.bytes_left == 0) {
                self.literals.push(whole.close());
            }
            // Nothing is taken from the reader before an await and kept after it.
            let received = self.reader.fill_buf().await.map_err(ResponseError::Read)?;
            if received.is_empty() {
                return Err(ResponseError::Closed);
            }
            if let Some(open) = &mut self.open_literal {
                let taken = open.take(received);
                self.reader.consume(taken);
                continue;
            }
            let end = memchr::memchr(b'\n', received);
            let taken = end.map_or(received.len(), |end| end + 1);
            if self.text.len() + taken > RESPONSE_BYTES_MAX {
                return Err(ResponseError::TooLong);
            }
            self.text.extend_from_slice(&received[..taken]);
            self.reader.consume(taken);
            if end.is_some() && !self.literal_follows()? {
                let response = parse(&self.text, &mut self.literals);
                self.text.clear();
                self.literals.clear();
                self.line_start = 0;
                return response;
            }
        }
    }

    /// Ends the line that has been read; whether it announces a literal. Only data has literals:
    /// a status may end in `{5}` because it repeats the command that it refuses.
    fn literal_follows(&mut self) -> Result<bool, ResponseError> {
        self.text.pop();
        if self.text.len() > self.line_start && self.text.ends_with(b"\r") {
            self.text.pop();
        }
        let Some(len) = literal_len(&self.text[self.line_start..]) else {
            return Ok(false);
        };
        if !matches!(parse(&self.text, &mut Vec::new()), Ok(Response::Data(_))) {
            return Ok(false);
        }
        if len > LITERAL_BYTES_MAX {
            return Err(ResponseError::LiteralTooLong(len));
        }
        if self.literals.len() == LITERALS_MAX {
            return Err(ResponseError::TooManyLiterals);
        }
        self.open_literal = Some(OpenLiteral::new(len));
        self.line_start = self.text.len();
        Ok(true)
    }
}

/// The length of the literal that a line announces at its end.
fn literal_len(line: &[u8]) -> Option<u64> {
    let open = memchr::memrchr(b'{', line.strip_suffix(b"}")?)?;
    number(std::str::from_utf8(&line[open + 1..line.len() - 1]).ok()?)
}

fn parse(line: &[u8], literals: &mut Vec<Literal>) -> Result<Response, ResponseError> {
    let line = printable(line);
    let not_imap = || ResponseError::NotImap(line.chars().take(80).collect());
    if let Some(text) = line.strip_prefix('+') {
        return Ok(Response::Continue(text.trim_start().to_owned()));
    }
    let (tag, rest) = line.split_once(' ').ok_or_else(not_imap)?;
    match (tag, parse_status(rest)) {
        ("*", Some(status)) => Ok(Response::Untagged(status)),
        ("*", None) => Ok(Response::Data(Data {
            text: rest.to_owned(),
            literals: std::mem::take(literals),
        })),
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
    let (code, text) = split_code(rest);
    Some(Status {
        kind,
        code,
        text: text.trim().to_owned(),
    })
}

fn split_code(text: &str) -> (Option<String>, &str) {
    let coded = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match coded {
        Some((code, text)) => (Some(code.to_owned()), text),
        None => (None, text),
    }
}

/// Tags are `U` and a number.
pub(crate) fn tag_text(tag: u32) -> String {
    format!("U{tag}")
}

fn parse_tag(text: &str) -> Option<u32> {
    number(text.strip_prefix('U')?)
}

/// A number as IMAP has it: digits and no sign, which Rust would take.
pub(crate) fn number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    let is_unsigned = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_unsigned.then(|| digits.parse().ok()).flatten()
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
    use proptest::prelude::*;

    fn responses(bytes: &[u8]) -> (Vec<Response>, ResponseError) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut reader = Responses::new(tokio::io::BufReader::new(bytes));
            let mut all = Vec::new();
            loop {
                match reader.next().await {
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
        let Response::Data(list) = &all[4] else {
            panic!("{:?}", all[4]);
        };
        assert_eq!(list.text, "LIST () \"/\" {5}");
        assert_eq!(list.literals.len(), 1);
        assert_eq!(list.literals[0].head, b"a\r\nb}");
        assert_eq!(
            list.literals[0].digest,
            *blake3::hash(b"a\r\nb}").as_bytes()
        );
        assert!(matches!(&all[5], Response::Data(data) if data.text == "3 EXISTS"));
        let expected = status(StatusKind::Ok, Some("APPENDUID 1 5:9"), "done");
        assert_eq!(all[6], Response::Tagged(7, expected));
        assert_eq!(all.len(), 7, "tags are case sensitive and ours");
        assert!(matches!(end, ResponseError::NotImap(_)));
    }

    /// A byte at a time, and whoever waits gives up after each.
    #[test]
    fn what_is_read_survives_being_dropped() {
        use tokio::io::AsyncWriteExt;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut server, client) = tokio::io::duplex(64);
            let mut responses = Responses::new(tokio::io::BufReader::new(client));
            let mut all = Vec::new();
            for byte in b"* LIST {6}\r\na\r\nb}\r {2}\r\n\r\n\r\n+\r\nU7 OK done\r\n" {
                server.write_all(&[*byte]).await.unwrap();
                tokio::select! {
                    biased;
                    response = responses.next() => all.push(response.unwrap()),
                    () = tokio::task::yield_now() => {}
                }
            }
            let [
                Response::Data(list),
                Response::Continue(_),
                Response::Tagged(7, _),
            ] = &all[..]
            else {
                panic!("{all:?}");
            };
            assert_eq!(list.text, "LIST {6} {2}");
            let heads: Vec<_> = list
                .literals
                .iter()
                .map(|literal| &literal.head[..])
                .collect();
            assert_eq!(heads, [&b"a\r\nb}\r"[..], b"\r\n"]);
        });
    }

    #[test]
    fn a_status_has_no_literal() {
        let (all, _) = responses(
            b"U4 NO can't take APPEND x {16}\r\nU5 OK done\r\n* NO {9}\r\n+ {3}\r\nU6 OK x\r\n",
        );
        assert_eq!(all.len(), 5, "{all:?}");
    }

    #[test]
    fn what_is_no_imap() {
        let error = |bytes: &[u8]| responses(bytes).1.to_string();
        assert!(error(b"").contains("closed"));
        assert!(error(b"* OK cut").contains("closed"));
        assert!(error(b"220 smtp.example.org\r\n").contains("220 smtp.example.org"));
        assert!(error(b"SSH-2.0-OpenSSH\r\n").contains("SSH-2.0"));
        assert!(error(b"U+7 OK done\r\n").contains("U+7 OK"));
        assert!(error(b"* X {99999999999}\r\n").contains("99999999999"));
        assert!(error(&b"* X {0}\r\n".repeat(20)).contains("more than 16 literals"));
        assert!(error(b"* X {5}\r\nab").contains("closed"));
        assert!(error(&[b'x'; RESPONSE_BYTES_MAX + 1]).contains("response of more than"));
        let (all, _) = responses(b"* X {+5}\r\nU7 OK done\r\n");
        assert_eq!(all.len(), 2, "a length has no sign");
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

    proptest! {
        /// Whatever a peer sends comes to an end, in responses that are free of control
        /// characters and an error.
        #[test]
        fn hostile_bytes(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..400),
                "[*+ U1OKNOBADYE\\[\\]{}0-9\r\n]{0,400}".prop_map(String::into_bytes),
            ],
        ) {
            let (all, _) = responses(&bytes);
            prop_assert!(all.len() <= bytes.len());
            for response in all {
                let text = match response {
                    Response::Continue(text) => text,
                    Response::Data(data) => data.text,
                    Response::Untagged(status) | Response::Tagged(_, status) => status.reason(),
                };
                prop_assert!(!text.contains(char::is_control));
            }
        }
    }
}
