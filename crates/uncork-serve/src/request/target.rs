//! What a request is for: its target in each of its forms (RFC 9112, section 3.2), and the path in it,
//! decoded once.

use super::line::Line;
use super::{Method, Path, Reject};
use crate::host::HostName;

/// A target, taken apart.
#[derive(Debug)]
pub(super) struct Target<'b> {
    /// Of a target in absolute form.
    pub(super) host: Option<HostName>,
    pub(super) path: Option<Path<'b>>,
    pub(super) query: Option<&'b [u8]>,
}

pub(super) fn parse<'b>(line: &Line<'b>) -> Result<Target<'b>, Reject> {
    let none = Target {
        host: None,
        path: None,
        query: None,
    };
    if !line.target.iter().all(|&byte| is_target_byte(byte)) {
        return Err(Reject::bad(
            "The target has a control character or a fragment in it",
        ));
    }
    match (line.method, line.target) {
        (Method::Other(b"CONNECT"), authority) => {
            host(authority)?;
            Ok(none)
        }
        (Method::Options, b"*") => Ok(none),
        (_, [b'/', ..]) => origin(line.target, None),
        _ => absolute(line.target),
    }
}

/// No control character, space or `#`.
const fn is_target_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && byte != b'#'
}

/// `http://host[:port]/path?query`, also without the path. TLS may end in front of this server.
fn absolute(target: &[u8]) -> Result<Target<'_>, Reject> {
    let colon = target
        .windows(3)
        .position(|bytes| bytes == b"://")
        .unwrap_or(0);
    let (scheme, rest) = target.split_at(colon);
    let is_http = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    if !is_http {
        return Err(Reject::bad("The target is neither a path nor an HTTP URL"));
    }
    let rest = &rest[3..];
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    origin(rest, Some(host(authority)?))
}

/// The host of an authority; `@` is no part of one, so there is no user either.
fn host(authority: &[u8]) -> Result<HostName, Reject> {
    HostName::parse(authority).ok_or(Reject::bad("The target's host is not a valid name"))
}

/// A path and its query.
fn origin(target: &[u8], host: Option<HostName>) -> Result<Target<'_>, Reject> {
    let (raw, query) = match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    };
    let path = match raw {
        [] => Path::Borrowed(b"/"),
        raw => path(raw)?,
    };
    Ok(Target {
        host,
        path: Some(path),
        query,
    })
}

const DOT_SEGMENT: Reject = Reject::bad("The path has a `.` or `..` segment");
const BACKSLASH: Reject = Reject::bad("The path has a backslash in it");

/// Decodes a path that begins with `/`, where there is something to decode.
///
/// A client resolves `.` and `..` before it sends a path, and none encodes a `/` that separates
/// folders. Whoever sends them wants to know what they do.
fn path(raw: &[u8]) -> Result<Path<'_>, Reject> {
    let mut is_plain = true;
    let mut has_dots = false;
    let mut before = 0;
    for &byte in raw {
        match byte {
            b'%' => is_plain = false,
            b'\\' => return Err(BACKSLASH),
            b'/' if before == b'/' => is_plain = false,
            b'.' if before == b'/' => has_dots = true,
            _ => {}
        }
        before = byte;
    }
    if !is_plain {
        return decode(raw);
    }
    if has_dots && has_dot_segment(raw) {
        return Err(DOT_SEGMENT);
    }
    Ok(Path::Borrowed(raw))
}

#[cold]
fn decode(raw: &[u8]) -> Result<Path<'_>, Reject> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                decoded.push(encoded(*high, *low)?);
                rest = after;
            }
            (b'%', _) => return Err(BAD_ENCODING),
            // The one before it was not encoded either: those are refused.
            (b'/', _) if decoded.last() == Some(&b'/') => {}
            _ => decoded.push(*byte),
        }
    }
    if has_dot_segment(&decoded) {
        return Err(DOT_SEGMENT);
    }
    Ok(Path::Owned(decoded))
}

const BAD_ENCODING: Reject = Reject::bad("The path has a `%` without two hexadecimal digits");

/// The byte that two digits encode, where it may be part of a segment.
fn encoded(high: u8, low: u8) -> Result<u8, Reject> {
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(BAD_ENCODING);
    let value = digit(high)? << 4 | digit(low)?;
    match u8::try_from(value).map_err(|_| BAD_ENCODING)? {
        b'/' => Err(Reject::bad("The path has an encoded slash in it")),
        b'\\' => Err(BACKSLASH),
        0..0x20 | 0x7f => Err(Reject::bad("The path has a control character in it")),
        byte => Ok(byte),
    }
}

fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .any(|segment| matches!(segment, b"." | b".."))
}
