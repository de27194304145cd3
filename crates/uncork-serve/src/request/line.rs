//! A request's first line: method, target and version (RFC 9112, section 3).

use super::{Method, Reject, Version};
use crate::limits::Limits;

/// Most bytes of a method; the longest registered one is `UPDATEREDIRECTREF`.
pub(super) const METHOD_BYTES_MAX: usize = 32;

/// The answer to a target that is longer than [`Limits::target_bytes`].
pub(super) const TARGET_TOO_LONG: Reject = Reject::new(414, "The request's target is too long");

/// The line, its parts not yet looked into but for the method and version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'b> {
    pub(super) method: Method<'b>,
    pub(super) target: &'b [u8],
    pub(super) version: Version,
}

/// Parses the line that a head begins with. What follows it is the second part.
pub(super) fn split<'b>(head: &'b [u8], limits: &Limits) -> Result<(Line<'b>, &'b [u8]), Reject> {
    let end = memchr::memchr(b'\n', head).ok_or(Reject::bad("The request has no end"))?;
    let (line, rest) = (&head[..end], &head[end + 1..]);
    let line = line
        .strip_suffix(b"\r")
        .ok_or(Reject::bad("A line does not end with CR LF"))?;
    let method_end = line
        .iter()
        .position(|&byte| !is_token_byte(byte))
        .unwrap_or(line.len());
    let (method, after) = line.split_at(method_end);
    if method.is_empty() || method.len() > METHOD_BYTES_MAX {
        return Err(Reject::bad("The request does not begin with a method"));
    }
    let after = after
        .strip_prefix(b" ")
        .ok_or(Reject::bad("The request does not begin with a method"))?;
    if target_too_long(after, limits) {
        return Err(TARGET_TOO_LONG);
    }
    let target_end =
        memchr::memchr(b' ', after).ok_or(Reject::bad("The request line has no version"))?;
    let line = Line {
        method: Method::of(method),
        target: &after[..target_end],
        version: version(&after[target_end + 1..])?,
    };
    Ok((line, rest))
}

/// Whether these bytes begin with a target, finished or not, that is longer than it may be.
pub(super) fn target_too_long(bytes: &[u8], limits: &Limits) -> bool {
    bytes
        .get(..=limits.target_bytes)
        .is_some_and(|bytes| memchr::memchr3(b' ', b'\r', b'\n', bytes).is_none())
}

fn version(bytes: &[u8]) -> Result<Version, Reject> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Reject::new(
                505,
                "Only HTTP/1.1 and HTTP/1.0 are spoken here",
            ))
        }
        _ => Err(Reject::bad("The request line does not end with a version")),
    }
}

impl<'b> Method<'b> {
    fn of(token: &'b [u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            other => Self::Other(other),
        }
    }
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
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
        )
}
