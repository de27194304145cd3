//! A request's header lines (RFC 9112, section 5): those that the server knows.

use super::line::is_token_byte;
use super::{HEADERS_MAX, Reject, Version, scan};
use crate::host::HostName;
use crate::limits::Limits;

/// A header field that the server looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `Accept-Encoding`
    AcceptEncoding,
    /// `Content-Length`
    ContentLength,
    /// `Expect`
    Expect,
    /// `Host`
    Host,
    /// `If-Match`
    IfMatch,
    /// `If-Modified-Since`
    IfModifiedSince,
    /// `If-None-Match`
    IfNoneMatch,
    /// `If-Range`
    IfRange,
    /// `If-Unmodified-Since`
    IfUnmodifiedSince,
    /// `Range`
    Range,
    /// `Referer`
    Referer,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `User-Agent`
    UserAgent,
}

/// How many names there are.
const NAMES: usize = Name::UserAgent as usize + 1;

/// A header field that may have come not at all, once, or several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Field<'b> {
    /// Not there.
    #[default]
    Absent,
    /// Its value.
    Once(&'b [u8]),
    /// There more than once.
    Several,
}

/// The header lines that are known, by where their values are: a third of the room that slices
/// take, as a request is moved about.
#[derive(Debug, Clone)]
pub(super) struct Fields<'b> {
    lines: &'b [u8],
    values: [Span; NAMES],
    connection: Connection,
}

/// Where a value is among the lines. It begins behind its name, and never at the first byte.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    const ABSENT: Self = Self { start: 0, end: 0 };
    const SEVERAL: Self = Self { start: 1, end: 0 };
}

/// What all `Connection` lines say.
#[derive(Debug, Clone, Copy, Default)]
struct Connection {
    close: bool,
    keep_alive: bool,
}

/// Parses all lines after the first one, through the empty one, which has to be the end.
#[inline]
pub(super) fn parse<'b>(lines: &'b [u8], limits: &Limits) -> Result<Fields<'b>, Reject> {
    let lines_max = limits.headers.min(HEADERS_MAX);
    let mut fields = Fields {
        lines,
        values: [Span::ABSENT; NAMES],
        connection: Connection::default(),
    };
    let mut count = 0;
    let mut at = 0;
    loop {
        let rest = &lines[at..];
        if let [b'\r', b'\n', after @ ..] = rest {
            return match after {
                [] => Ok(fields),
                // Whoever found the end of the head found another one.
                _ => Err(Reject::bad("The head does not end with its empty line")),
            };
        }
        let name_end = rest.iter().position(|&byte| !is_token_byte(byte));
        let name_end = name_end.ok_or(NO_END)?;
        if name_end == 0 || rest[name_end] != b':' {
            return Err(bad_name(rest, name_end));
        }
        let value = at + name_end + 1;
        let mut end = value;
        // A tab is a control character that a value may have.
        let end = loop {
            end = scan::control(lines, end).ok_or(NO_END)?;
            if lines[end] != b'\t' {
                break end;
            }
            end += 1;
        };
        match &lines[end..] {
            [b'\r', b'\n', ..] => {}
            [b'\r' | b'\n', ..] => return Err(Reject::bad("A line does not end with CR LF")),
            _ => return Err(Reject::bad("A header line has an invalid value")),
        }
        count += 1;
        if count > lines_max {
            return Err(Reject::new(431, "The request has too many header lines"));
        }
        fields.add(&rest[..name_end], value, end);
        at = end + 2;
    }
}

const NO_END: Reject = Reject::bad("The head does not end with its empty line");

#[cold]
fn bad_name(rest: &[u8], name_end: usize) -> Reject {
    match &rest[name_end..] {
        [b'\n', ..] | [b'\r', ..] => Reject::bad("A line does not end with CR LF"),
        _ => Reject::bad("A header line has an invalid name"),
    }
}

impl<'b> Fields<'b> {
    /// What the request says of `name`.
    #[inline]
    pub(super) fn get(&self, name: Name) -> Field<'b> {
        let Span { start, end } = self.values[name as usize];
        match start {
            0 => Field::Absent,
            start if end < start => Field::Several,
            start => Field::Once(&self.lines[start as usize..end as usize]),
        }
    }

    /// Adds the line whose value is at these places.
    #[inline]
    fn add(&mut self, name: &[u8], start: usize, end: usize) {
        let is = |known: &[u8]| is_named(name, known);
        let known = match name.len() {
            4 if is(b"host") => Name::Host,
            5 if is(b"range") => Name::Range,
            6 if is(b"expect") => Name::Expect,
            7 if is(b"referer") => Name::Referer,
            8 if is(b"if-match") => Name::IfMatch,
            8 if is(b"if-range") => Name::IfRange,
            10 if is(b"user-agent") => Name::UserAgent,
            10 if is(b"connection") => return self.connection.add(&self.lines[start..end]),
            13 if is(b"if-none-match") => Name::IfNoneMatch,
            14 if is(b"content-length") => Name::ContentLength,
            15 if is(b"accept-encoding") => Name::AcceptEncoding,
            17 if is(b"if-modified-since") => Name::IfModifiedSince,
            17 if is(b"transfer-encoding") => Name::TransferEncoding,
            19 if is(b"if-unmodified-since") => Name::IfUnmodifiedSince,
            _ => return,
        };
        let value = &self.lines[start..end];
        let trimmed = value.trim_ascii_start();
        let start = end - trimmed.len();
        let end = start + trimmed.trim_ascii_end().len();
        let span = &mut self.values[known as usize];
        *span = match (*span, u32::try_from(start), u32::try_from(end)) {
            (Span { start: 0, .. }, Ok(start), Ok(end)) => Span { start, end },
            _ => Span::SEVERAL,
        };
    }

    /// Whether the connection goes on.
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        let Connection { close, keep_alive } = self.connection;
        !close && (version == Version::Http11 || keep_alive)
    }

    /// RFC 9112, section 3.2. An empty one is legal: the target has no authority.
    #[inline]
    pub(super) fn host(&self, version: Version) -> Result<Option<HostName<'b>>, Reject> {
        match (self.get(Name::Host), version) {
            (Field::Absent, Version::Http10) | (Field::Once([]), _) => Ok(None),
            (Field::Absent, Version::Http11) => Err(Reject::bad("The request has no Host line")),
            (Field::Once(value), _) => HostName::parse(value)
                .map(Some)
                .ok_or(Reject::bad("The Host line is not a valid name")),
            (Field::Several, _) => Err(Reject::bad("The request has several Host lines")),
        }
    }

    /// The length of the body: digits alone, no sign, no list, no second line even if it says the
    /// same. No body is of use here, so none is decoded (RFC 9112, section 6.1).
    #[inline]
    pub(super) fn body_bytes(&self, version: Version) -> Result<u64, Reject> {
        match (
            self.get(Name::TransferEncoding),
            self.get(Name::ContentLength),
        ) {
            (Field::Absent, Field::Absent) => Ok(0),
            (Field::Absent, Field::Once(digits)) => {
                number(digits).ok_or(Reject::bad("The Content-Length is not a number"))
            }
            (Field::Absent, Field::Several) => {
                Err(Reject::bad("The request has several Content-Length lines"))
            }
            (coding, length) => Err(coded(coding, length, version)),
        }
    }

    /// Whether a body follows once the peer has heard that it may come.
    #[inline]
    pub(super) fn expects_continue(
        &self,
        version: Version,
        body_bytes: u64,
    ) -> Result<bool, Reject> {
        match self.get(Name::Expect) {
            Field::Absent => Ok(false),
            // RFC 9110, section 10.1.1: of HTTP/1.0 it is ignored.
            Field::Once(value) if value.eq_ignore_ascii_case(b"100-continue") => {
                Ok(version == Version::Http11 && body_bytes > 0)
            }
            _ => Err(Reject::new(
                417,
                "The request expects what is not known here",
            )),
        }
    }
}

/// Whether a name that consists of token bytes is a known one, spelled in lower case: letters differ
/// from capitals in one bit, and no other token byte becomes `-` or a letter with it.
#[inline]
fn is_named(name: &[u8], known: &[u8]) -> bool {
    let pairs = name.iter().zip(known);
    pairs.fold(0, |differs, (byte, known)| {
        differs | ((byte | 0x20) ^ known)
    }) == 0
}

impl Connection {
    fn add(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

#[cold]
fn coded(coding: Field<'_>, length: Field<'_>, version: Version) -> Reject {
    match coding {
        _ if length != Field::Absent => {
            Reject::bad("The request has both Transfer-Encoding and Content-Length")
        }
        _ if version == Version::Http10 => Reject::bad("HTTP/1.0 has no Transfer-Encoding"),
        Field::Once(value) if value.eq_ignore_ascii_case(b"chunked") => {
            Reject::new(411, "A body is only taken with its Content-Length")
        }
        _ => Reject::new(501, "The Transfer-Encoding is not known here"),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = (!digits.is_empty()).then_some(digits)?;
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
