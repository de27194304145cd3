//! A request's first line: method, target and version (RFC 9112, section 3).

use super::target::{self, Target};
use super::{Method, Reject, Version};
use crate::limits::Limits;

/// Most bytes of a method; the longest registered one is `UPDATEREDIRECTREF`.
pub(super) const METHOD_BYTES_MAX: usize = 32;

/// The answer to a target that is longer than [`Limits::target_bytes`].
pub(super) const TARGET_TOO_LONG: Reject = Reject::new(414, "The request's target is too long");

/// The line, taken apart.
#[derive(Debug)]
pub(super) struct Line<'b> {
    pub(super) method: Method<'b>,
    pub(super) target: Target<'b>,
    pub(super) version: Version,
}

/// Parses the line that a head begins with. What follows it is the second part.
#[inline]
pub(super) fn parse<'b>(head: &'b [u8], limits: &Limits) -> Result<(Line<'b>, &'b [u8]), Reject> {
    let (method, rest) = method(head)?;
    if target_too_long(rest, limits) {
        return Err(TARGET_TOO_LONG);
    }
    let target =
        target::parse(method, rest).map_err(|reject| unknown_version(rest).unwrap_or(reject))?;
    let rest = rest[target.raw.len()..]
        .strip_prefix(b" ")
        .ok_or(Reject::bad("The request line has no version"))?;
    let (version, lines) = version(rest)?;
    let line = Line {
        method,
        target,
        version,
    };
    Ok((line, lines))
}

/// Whether these bytes begin with a target, finished or not, that is longer than it may be.
pub(super) fn target_too_long(bytes: &[u8], limits: &Limits) -> bool {
    bytes
        .get(..=limits.target_bytes)
        .is_some_and(|bytes| memchr::memchr3(b' ', b'\r', b'\n', bytes).is_none())
}

/// The method, and what follows the space behind it.
#[inline]
fn method(head: &[u8]) -> Result<(Method<'_>, &[u8]), Reject> {
    match head {
        [b'G', b'E', b'T', b' ', rest @ ..] => Ok((Method::Get, rest)),
        _ => other_method(head),
    }
}

#[cold]
fn other_method(head: &[u8]) -> Result<(Method<'_>, &[u8]), Reject> {
    let none = Reject::bad("The request does not begin with a method");
    let front = &head[..head.len().min(METHOD_BYTES_MAX + 1)];
    let end = front.iter().position(|&byte| !is_token_byte(byte));
    let (token, rest) = head.split_at(end.ok_or(none)?);
    let rest = rest.strip_prefix(b" ").ok_or(none)?;
    let method = match token {
        b"" => return Err(none),
        b"HEAD" => Method::Head,
        b"OPTIONS" => Method::Options,
        other => Method::Other(other),
    };
    Ok((method, rest))
}

/// The version, and what follows the end of its line.
#[inline]
fn version(bytes: &[u8]) -> Result<(Version, &[u8]), Reject> {
    match bytes.split_first_chunk::<10>() {
        Some((b"HTTP/1.1\r\n", lines)) => Ok((Version::Http11, lines)),
        Some((b"HTTP/1.0\r\n", lines)) => Ok((Version::Http10, lines)),
        _ => Err(no_version(bytes)),
    }
}

#[cold]
fn no_version(bytes: &[u8]) -> Reject {
    unknown_version(bytes).unwrap_or(match first_line(bytes) {
        [.., b'\r'] => Reject::bad("The request line does not end with a version"),
        _ => Reject::bad("A line does not end with CR LF"),
    })
}

/// What a request line that ends like this gets, where another version of HTTP may be right to write
/// it so.
#[cold]
fn unknown_version(bytes: &[u8]) -> Option<Reject> {
    match first_line(bytes) {
        [
            ..,
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0' | b'1',
            b'\r',
        ] => None,
        [.., b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b'\r']
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some(Reject::new(
                505,
                "Only HTTP/1.1 and HTTP/1.0 are spoken here",
            ))
        }
        _ => None,
    }
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    lines.next().unwrap_or_default()
}

/// `tchar` of RFC 9110, section 5.6.2.
#[inline]
pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};
