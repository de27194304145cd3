//! Where a head ends, and which beginnings of one need not be waited for any longer.

use super::line::{METHOD_BYTES_MAX, is_token_byte, target_too_long};
use super::{Reject, scan};
use crate::limits::Limits;

/// Empty lines that a peer may send in front of a request: some used to send one after a body (RFC
/// 9112, section 2.2).
const BLANK_LINES_MAX: usize = 4;

/// The answer to a head that is longer than [`Limits::head_bytes`].
pub(super) const TOO_LONG: Reject = Reject::new(431, "The request's head is too long");

/// The bytes of the empty lines in front of a request.
pub(super) fn blank_bytes(bytes: &[u8]) -> usize {
    let lines = bytes.chunks_exact(2).take(BLANK_LINES_MAX);
    2 * lines.take_while(|&line| line == b"\r\n").count()
}

/// Whether these bytes are nothing but empty lines, and no more of them than may stand in front of a
/// request.
#[must_use]
pub fn is_blank(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'\r') && blank_bytes(bytes) == bytes.len()
}

/// The end of a head: just past its first empty line. `from` is how far an earlier call looked, and 0
/// in the first one, so that a peer that sends byte by byte costs no more than another.
///
/// Lines that end without a CR are found, too, and so is one empty line too many in front: what is
/// malformed gets its answer at once, and is not waited for.
#[must_use]
pub fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = blank_bytes(bytes);
    if let Some(end) = empty_line(&bytes[start..]) {
        return Some(start + end);
    }
    // An empty line is known by the LF before it, which may be the last but one that was seen.
    let mut at = start.max(from.saturating_sub(2));
    loop {
        at = scan::control(bytes, at)?;
        // At the CR of a line's end, its LF is next.
        let next = at + 1 + usize::from(bytes[at..].starts_with(b"\r\n"));
        if bytes[next - 1] == b'\n'
            && let Some(end) = empty_line(&bytes[next..])
        {
            return Some(next + end);
        }
        at = next;
    }
}

/// The length of the empty line that these bytes begin with.
fn empty_line(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// Whether the beginning of a head that has no end yet is enough to refuse it.
#[must_use]
pub fn early_reject(bytes: &[u8], limits: &Limits) -> Option<Reject> {
    let bytes = &bytes[blank_bytes(bytes)..];
    // The type of a TLS record that holds a handshake (RFC 8446, section 5.1).
    if bytes.first() == Some(&0x16) {
        return Some(Reject::bad("This port speaks plain HTTP, and not TLS"));
    }
    // The CR of an empty line whose LF is on its way.
    if bytes == b"\r" {
        return None;
    }
    let front = &bytes[..bytes.len().min(METHOD_BYTES_MAX + 1)];
    let method = front.iter().position(|&byte| !is_token_byte(byte));
    match method {
        Some(at) if at == 0 || front[at] != b' ' => {
            return Some(Reject::bad("The request does not begin with a method"));
        }
        None if front.len() > METHOD_BYTES_MAX => {
            return Some(Reject::bad("The request's method is too long"));
        }
        Some(at) => {
            let target = &bytes[at + 1..];
            if target_too_long(target, limits) {
                return Some(super::line::TARGET_TOO_LONG);
            }
        }
        None => {}
    }
    (bytes.len() >= limits.head_bytes).then_some(TOO_LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_heads() {
        let check = |bytes: &str, expected: Option<usize>| {
            let bytes = bytes.as_bytes();
            for from in 0..=expected.map_or(bytes.len(), |end| end - 1) {
                assert_eq!(head_end(bytes, from), expected, "{bytes:?} from {from}");
            }
        };
        check("", None);
        check("GET / HTTP/1.1\r\nA: b\r\n", None);
        check("GET / HTTP/1.1\r\n\r\nGET", Some(18));
        check("GET / HTTP/1.1\n\n", Some(16));
        check("GET / HTTP/1.1\n\r\n", Some(17));
        check("GET / HTTP/1.1\r\n\n", Some(17));
        check("a\r\n\r", None);
        check("a\r\r\n", None);
        check("\r\n\r\n\r\n\r\n", None);
        check("\r\n\r\n\r\n\r\n\r", None);
        check("\r\n\r\na\r\n\r\n", Some(9));
        check("\r\n\n", Some(3));
        assert_eq!(head_end(b"\r\n\r\n\r\n\r\n\r\n", 9), Some(10));
        assert_eq!(head_end(b"abc", 1000), None);
    }

    #[test]
    fn empty_lines() {
        assert!(is_blank(b"\r\n"));
        assert!(is_blank(b"\r\n\r\n\r\n\r\n"));
        for other in ["", "\r", "\n", "\r\n\r", "\r\nG", "\r\n\r\n\r\n\r\n\r\n"] {
            assert!(!is_blank(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn beginnings_that_are_refused() {
        let limits = Limits {
            head_bytes: 100,
            target_bytes: 10,
            ..Limits::default()
        };
        let check = |bytes: &str, expected: Option<u16>| {
            let status = early_reject(bytes.as_bytes(), &limits).map(|reject| reject.status);
            assert_eq!(status, expected, "{bytes:?}");
        };
        for good in [
            "",
            "\r",
            "\r\n\r",
            "G",
            "GET",
            "GET ",
            "GET /",
            "GET /234567890",
            "GET /234567890 HTTP/1.1\r\nA",
            "\r\nGET /",
            "GET /\r\nsomething",
        ] {
            check(good, None);
        }
        for bad in [
            "\x16\x03\x01",
            "\0",
            " ",
            "\n",
            "\rG",
            "GET\t",
            "GET\r\n",
            "(",
            "\r\n\r\n\r\n\r\n\r\n",
            "GE\u{e4}",
        ] {
            check(bad, Some(400));
        }
        check("GET /2345678901", Some(414));
        check(&"A".repeat(32), None);
        check(&"A".repeat(33), Some(400));
        check(&format!("GET / HTTP/1.1\r\n{}", "a".repeat(83)), None);
        check(&format!("GET / HTTP/1.1\r\n{}", "a".repeat(84)), Some(431));
        let reject = early_reject(b"\x16\x03\x01\x02", &limits).unwrap();
        assert!(reject.reason.contains("TLS"));
    }
}
