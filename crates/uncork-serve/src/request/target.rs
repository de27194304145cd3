//! What a request is for: its target in each of its forms (RFC 9112, section 3.2), and the path in it,
//! decoded once.

use std::borrow::Cow;

use super::{Method, Reject};
use crate::host::HostName;

/// A target, taken apart.
#[derive(Debug)]
pub(super) struct Target<'b> {
    /// As it was sent.
    pub(super) raw: &'b [u8],
    /// Of a target in absolute form.
    pub(super) host: Option<HostName<'b>>,
    pub(super) path: Option<Cow<'b, [u8]>>,
    pub(super) query: Option<&'b [u8]>,
}

/// Parses the target that these bytes begin with, and that ends with a space.
#[inline]
pub(super) fn parse<'b>(method: Method<'b>, bytes: &'b [u8]) -> Result<Target<'b>, Reject> {
    match bytes {
        [b'/', ..] if method != Method::Other(b"CONNECT") => origin(bytes),
        _ => other_form(method, bytes),
    }
}

#[cold]
fn other_form<'b>(method: Method<'b>, bytes: &'b [u8]) -> Result<Target<'b>, Reject> {
    let end = memchr::memchr(b' ', bytes).unwrap_or(bytes.len());
    let raw = &bytes[..end];
    let none = Target {
        raw,
        host: None,
        path: None,
        query: None,
    };
    match (method, raw) {
        (Method::Other(b"CONNECT"), authority) => {
            host(authority)?;
            Ok(none)
        }
        (Method::Options, b"*") => Ok(none),
        _ => absolute(raw),
    }
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
    let mut parsed = origin(rest)?;
    parsed.host = Some(host(authority)?);
    parsed.raw = target;
    Ok(parsed)
}

/// The host of an authority; `@` is no part of one, so there is no user either.
fn host(authority: &[u8]) -> Result<HostName<'_>, Reject> {
    HostName::parse(authority).ok_or(Reject::bad("The target's host is not a valid name"))
}

const DOT_SEGMENT: Reject = Reject::bad("The path has a `.` or `..` segment");
const BACKSLASH: Reject = Reject::bad("The path has a backslash in it");

/// What a byte is to a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Slash,
    Percent,
    Backslash,
    /// It is not part of the path any more.
    End,
    /// A control character or `#`.
    Never,
}

const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Plain; 256];
    let mut byte = 0_u8;
    while byte < b' ' {
        kinds[byte as usize] = Kind::Never;
        byte += 1;
    }
    kinds[0x7f] = Kind::Never;
    kinds[b'#' as usize] = Kind::Never;
    kinds[b'/' as usize] = Kind::Slash;
    kinds[b'%' as usize] = Kind::Percent;
    kinds[b'\\' as usize] = Kind::Backslash;
    kinds[b'?' as usize] = Kind::End;
    kinds[b' ' as usize] = Kind::End;
    kinds
};

const fn kind(byte: u8) -> Kind {
    KINDS[byte as usize]
}

const NEVER: Reject = Reject::bad("The target has a control character or a fragment in it");

/// A path and its query, through the space behind them. The path is decoded where there is something
/// to decode.
///
/// A client resolves `.` and `..` before it sends a path, and none encodes a `/` that separates
/// folders. Whoever sends them wants to know what they do.
fn origin(bytes: &[u8]) -> Result<Target<'_>, Reject> {
    let mut is_plain = true;
    let mut has_dots = false;
    let mut end = 0;
    while let Some(&byte) = bytes.get(end) {
        match kind(byte) {
            Kind::Plain => {}
            Kind::Percent => is_plain = false,
            Kind::Slash => match bytes.get(end + 1) {
                Some(b'/') => is_plain = false,
                Some(b'.') => has_dots = true,
                _ => {}
            },
            Kind::End => break,
            Kind::Backslash => return Err(BACKSLASH),
            Kind::Never => return Err(NEVER),
        }
        end += 1;
    }
    let raw = &bytes[..end];
    let path = match raw {
        [] => Cow::Borrowed(&b"/"[..]),
        raw if !is_plain => Cow::Owned(decode(raw)?),
        raw if has_dots && has_dot_segment(raw) => return Err(DOT_SEGMENT),
        raw => Cow::Borrowed(raw),
    };
    let query = match bytes.get(end) {
        Some(b'?') => Some(query(&bytes[end + 1..])?),
        _ => None,
    };
    end += query.map_or(0, |query| 1 + query.len());
    Ok(Target {
        raw: &bytes[..end],
        host: None,
        path: Some(path),
        query,
    })
}

/// Whatever it says.
fn query(bytes: &[u8]) -> Result<&[u8], Reject> {
    let ends = |&byte: &u8| byte == b' ' || kind(byte) == Kind::Never;
    let end = bytes.iter().position(ends).unwrap_or(bytes.len());
    match bytes.get(end) {
        Some(b' ') | None => Ok(&bytes[..end]),
        Some(_) => Err(NEVER),
    }
}

#[cold]
fn decode(raw: &[u8]) -> Result<Vec<u8>, Reject> {
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
    Ok(decoded)
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
                request.path.as_deref().map(text),
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
        assert_eq!(request.path, Some(Cow::Owned(b"/\xff\xfe".to_vec())));
        let head = b"GET /plain HTTP/1.0\r\n\r\n";
        let request = parse(head, &Limits::default()).unwrap();
        assert!(matches!(request.path, Some(Cow::Borrowed(b"/plain"))));
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
