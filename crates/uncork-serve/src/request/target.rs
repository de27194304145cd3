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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::Limits;
    use crate::request::parse;

    /// Host, path and query of a target, of which the first is the Host line's `h` if it says none.
    #[track_caller]
    fn check_target(line: &str, expected: Option<(&str, Option<&str>, Option<&str>)>) {
        let head = format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
        let parsed = parse(head.as_bytes(), &Limits::default());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let found = parsed.as_ref().ok().map(|request| {
            let host = request.host.as_ref().unwrap().to_string();
            (
                host,
                request.path.as_ref().map(|path| text(path.as_bytes())),
                request.query.map(text),
            )
        });
        let expected = expected.map(|(host, path, query)| {
            (
                host.to_owned(),
                path.map(str::to_owned),
                query.map(str::to_owned),
            )
        });
        assert_eq!(found, expected, "{line:?}");
        if let Err(reject) = parsed {
            assert_eq!(reject.status, 400, "{line:?}");
        }
    }

    #[test]
    fn targets() {
        let good = |line: &str, host, path, query| check_target(line, Some((host, path, query)));
        good("GET /", "h", Some("/"), None);
        good("GET /?", "h", Some("/"), Some(""));
        good("GET /a?b?c=../%zz\\", "h", Some("/a"), Some("b?c=../%zz\\"));
        good("GET //a///b//", "h", Some("/a/b/"), None);
        good("GET /%41%c3%A4/ä", "h", Some("/Aä/ä"), None);
        good("GET /%252e%252e%3f%23", "h", Some("/%2e%2e?#"), None);
        good(
            "GET /.well-known/..a/a../.../a.",
            "h",
            Some("/.well-known/..a/a../.../a."),
            None,
        );
        good("GET /:*@\"<>[]^`{|}", "h", Some("/:*@\"<>[]^`{|}"), None);
        good(
            "GET http://Example.org:80/a?b",
            "example.org",
            Some("/a"),
            Some("b"),
        );
        good("GET HTTPS://x", "x", Some("/"), None);
        good("GET http://x?b", "x", Some("/"), Some("b"));
        good("GET http://x//a", "x", Some("/a"), None);
        good("GET http://[::1]:80/", "[::1]", Some("/"), None);
        good("GET /http://x/", "h", Some("/http:/x/"), None);
        good("OPTIONS *", "h", None, None);
        good("OPTIONS /a", "h", Some("/a"), None);
        good("CONNECT x:443", "h", None, None);
        for bad in [
            "GET *",
            "PUT *",
            "GET a",
            "GET ?",
            "GET .",
            "GET x:80",
            "OPTIONS **",
            "CONNECT /",
            "CONNECT http://x/",
            "GET ftp://x/",
            "GET http:/x/",
            "GET http:x",
            "GET ://x/",
            "GET http:///a",
            "GET http://",
            "GET http://:80/",
            "GET http://u@x/",
            "GET http://u:p@x/",
            "GET http://x:y/",
            "GET http://x#/",
            "GET http://x\\y/",
            "GET /#a",
            "GET /a?b#c",
            "GET /\x01",
            "GET /\x7f",
            "GET /\0",
            "GET /?\x01",
            "GET /.",
            "GET /..",
            "GET /../a",
            "GET /a/../b",
            "GET /a/./b",
            "GET /a/..",
            "GET /%2e%2E/a",
            "GET /a/.%2e",
            "GET /%2e",
            "GET //../a",
            "GET /a//..",
            "GET http://x/../a",
            "GET /a\\b",
            "GET /a%5cb",
            "GET /..\\a",
            "GET /a%2fb",
            "GET /a%2F..%2fb",
            "GET /%00",
            "GET /a%0ab",
            "GET /%1F",
            "GET /%7f",
            "GET /%",
            "GET /%4",
            "GET /%4x",
            "GET /%x4",
            "GET /%%41",
            "GET /%+1",
            "GET /a%?41",
        ] {
            check_target(bad, None);
        }
        let head = b"GET /\xff%FE HTTP/1.0\r\n\r\n";
        let request = parse(head, &Limits::default()).unwrap();
        assert_eq!(request.path, Some(Path::Owned(b"/\xff\xfe".to_vec())));
        let head = b"GET /plain HTTP/1.0\r\n\r\n";
        let request = parse(head, &Limits::default()).unwrap();
        assert_eq!(request.path, Some(Path::Borrowed(b"/plain")));
        assert_eq!(request.host, None);
    }

    proptest! {
        #[test]
        fn any_target_holds(target in "/([a-z.]|/|%[2-6][0-9a-f]|\\.{1,2}/){0,12}") {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            crate::fuzzing::request_head(head.as_bytes());
        }
    }
}
