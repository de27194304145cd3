//! Where a head ends, and which beginnings of one need not be waited for any longer.

use super::Reject;
use super::line::{METHOD_BYTES_MAX, is_token_byte, target_too_long};
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
    let from = start.max(from.saturating_sub(2)).min(bytes.len());
    memchr::memchr_iter(b'\n', &bytes[from..]).find_map(|at| {
        let next = from + at + 1;
        Some(next + empty_line(&bytes[next..])?)
    })
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
