//! A request's header lines (RFC 9112, section 5): those that the server knows.

use super::{Field, HEADERS_MAX, Reject, Version};
use crate::host::HostName;
use crate::limits::Limits;

/// Header lines for which there is room at first: more than browsers send. Room for
/// [`HEADERS_MAX`] has to be cleared for each request, and costs four times as much.
const HEADERS_USUAL: usize = 32;

/// What the header lines say.
#[derive(Debug, Default)]
pub(super) struct Fields<'b> {
    pub(super) host: Option<HostName>,
    pub(super) keep_alive: bool,
    pub(super) body_bytes: u64,
    pub(super) expects_continue: bool,
    pub(super) accept_encoding: Field<'b>,
    pub(super) if_none_match: Field<'b>,
    pub(super) if_match: Field<'b>,
    pub(super) if_modified_since: Field<'b>,
    pub(super) if_unmodified_since: Field<'b>,
    pub(super) if_range: Field<'b>,
    pub(super) range: Field<'b>,
    pub(super) referer: Field<'b>,
    pub(super) user_agent: Field<'b>,
}

/// Parses all lines after the first one, through the empty one.
pub(super) fn parse<'b>(
    lines: &'b [u8],
    version: Version,
    limits: &Limits,
) -> Result<Fields<'b>, Reject> {
    // httparse takes a bare LF for the end of a line. It refuses a bare CR itself.
    // Without a branch a byte, so that it is done sixteen bytes at a time.
    let pairs = lines.windows(2);
    let bare = pairs.fold(false, |bare, pair| {
        bare | ((pair[1] == b'\n') & (pair[0] != b'\r'))
    });
    if bare || lines.first() == Some(&b'\n') {
        return Err(Reject::bad("A line does not end with CR LF"));
    }
    let headers_max = limits.headers.min(HEADERS_MAX);
    let mut room = [httparse::EMPTY_HEADER; HEADERS_USUAL];
    match httparse::parse_headers(lines, &mut room[..headers_max.min(HEADERS_USUAL)]) {
        Err(httparse::Error::TooManyHeaders) if headers_max > HEADERS_USUAL => {
            many(lines, version, headers_max)
        }
        parsed => said(parsed, lines, version),
    }
}

#[cold]
fn many(lines: &[u8], version: Version, headers_max: usize) -> Result<Fields<'_>, Reject> {
    let mut room = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let parsed = httparse::parse_headers(lines, &mut room[..headers_max]);
    said(parsed, lines, version)
}

fn said<'b>(
    parsed: httparse::Result<(usize, &[httparse::Header<'b>])>,
    lines: &'b [u8],
    version: Version,
) -> Result<Fields<'b>, Reject> {
    match parsed {
        Ok(httparse::Status::Complete((bytes, headers))) if bytes == lines.len() => {
            let mut sifted = Sifted::default();
            for header in headers {
                sifted.add(header.name, header.value.trim_ascii());
            }
            sifted.fields(version)
        }
        // Whoever found the end of the head found another one.
        Ok(_) => Err(Reject::bad("The head does not end with its empty line")),
        Err(httparse::Error::TooManyHeaders) => {
            Err(Reject::new(431, "The request has too many header lines"))
        }
        Err(httparse::Error::HeaderName) => Err(Reject::bad("A header line has an invalid name")),
        Err(_) => Err(Reject::bad("A header line has an invalid value")),
    }
}

/// The lines by their names, not yet looked at all together.
#[derive(Default)]
struct Sifted<'b> {
    fields: Fields<'b>,
    host: Field<'b>,
    connection: Connection,
    content_length: Field<'b>,
    transfer_encoding: Field<'b>,
    expect: Field<'b>,
}

/// What all `Connection` lines say.
#[derive(Default)]
struct Connection {
    close: bool,
    keep_alive: bool,
}

impl<'b> Sifted<'b> {
    fn add(&mut self, name: &str, value: &'b [u8]) {
        let fields = &mut self.fields;
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let field = match name.len() {
            4 if is("host") => &mut self.host,
            5 if is("range") => &mut fields.range,
            6 if is("expect") => &mut self.expect,
            7 if is("referer") => &mut fields.referer,
            8 if is("if-match") => &mut fields.if_match,
            8 if is("if-range") => &mut fields.if_range,
            10 if is("user-agent") => &mut fields.user_agent,
            10 if is("connection") => return self.connection.add(value),
            13 if is("if-none-match") => &mut fields.if_none_match,
            14 if is("content-length") => &mut self.content_length,
            15 if is("accept-encoding") => &mut fields.accept_encoding,
            17 if is("if-modified-since") => &mut fields.if_modified_since,
            17 if is("transfer-encoding") => &mut self.transfer_encoding,
            19 if is("if-unmodified-since") => &mut fields.if_unmodified_since,
            _ => return,
        };
        *field = match field {
            Field::Absent => Field::Once(value),
            Field::Once(_) | Field::Several => Field::Several,
        };
    }

    fn fields(self, version: Version) -> Result<Fields<'b>, Reject> {
        let host = host(self.host, version)?;
        check_coding(self.transfer_encoding, self.content_length, version)?;
        let body_bytes = body_bytes(self.content_length)?;
        let expects_continue = match self.expect {
            Field::Absent => false,
            // RFC 9110, section 10.1.1: of HTTP/1.0 it is ignored.
            Field::Once(value) if value.eq_ignore_ascii_case(b"100-continue") => {
                version == Version::Http11 && body_bytes > 0
            }
            _ => {
                return Err(Reject::new(
                    417,
                    "The request expects what is not known here",
                ));
            }
        };
        let keep_alive = match version {
            Version::Http11 => !self.connection.close,
            Version::Http10 => self.connection.keep_alive && !self.connection.close,
        };
        Ok(Fields {
            host,
            keep_alive,
            body_bytes,
            expects_continue,
            ..self.fields
        })
    }
}

impl Connection {
    fn add(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

/// RFC 9112, section 3.2. An empty one is legal: the target has no authority.
fn host(field: Field<'_>, version: Version) -> Result<Option<HostName>, Reject> {
    match (field, version) {
        (Field::Absent, Version::Http10) | (Field::Once([]), _) => Ok(None),
        (Field::Absent, Version::Http11) => Err(Reject::bad("The request has no Host line")),
        (Field::Once(value), _) => HostName::parse(value)
            .map(Some)
            .ok_or(Reject::bad("The Host line is not a valid name")),
        (Field::Several, _) => Err(Reject::bad("The request has several Host lines")),
    }
}

/// RFC 9112, section 6.1. No body is of use here, so none is decoded.
fn check_coding(coding: Field<'_>, length: Field<'_>, version: Version) -> Result<(), Reject> {
    match coding {
        Field::Absent => Ok(()),
        _ if length != Field::Absent => Err(Reject::bad(
            "The request has both Transfer-Encoding and Content-Length",
        )),
        _ if version == Version::Http10 => Err(Reject::bad("HTTP/1.0 has no Transfer-Encoding")),
        Field::Once(value) if value.eq_ignore_ascii_case(b"chunked") => Err(Reject::new(
            411,
            "A body is only taken with its Content-Length",
        )),
        _ => Err(Reject::new(501, "The Transfer-Encoding is not known here")),
    }
}

/// Digits alone: no sign, no list, no second line even if it says the same.
fn body_bytes(length: Field<'_>) -> Result<u64, Reject> {
    let invalid = Reject::bad("The Content-Length is not a number");
    let digits = match length {
        Field::Absent => return Ok(0),
        Field::Once(digits) if !digits.is_empty() => digits,
        Field::Once(_) => return Err(invalid),
        Field::Several => {
            return Err(Reject::bad("The request has several Content-Length lines"));
        }
    };
    digits
        .iter()
        .try_fold(0_u64, |bytes, digit| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            bytes.checked_mul(10)?.checked_add(digit)
        })
        .ok_or(invalid)
}
