//! Where requests end, for those who don't look at them.

use memchr::memmem;

/// The empty line that ends a request without a body.
const END: &[u8; 4] = b"\r\n\r\n";

/// Counts the requests of a connection by the empty lines at their ends, wherever a receive
/// cut them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RequestEnds {
    /// How much of [`END`] the bytes so far end with: less than all of it.
    matched: usize,
}

impl RequestEnds {
    /// How many requests end within these bytes, the next of the connection.
    pub(super) fn count(&mut self, mut bytes: &[u8]) -> usize {
        let mut count = 0;
        // Whole requests come at once nearly always: this walks the rest of a cut end only.
        while self.matched > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return count;
            };
            bytes = rest;
            self.matched = match byte {
                byte if byte == END[self.matched] => self.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            if self.matched == END.len() {
                self.matched = 0;
                count += 1;
            }
        }
        let mut rest = bytes;
        while let Some(at) = memmem::find(rest, END) {
            rest = &rest[at + END.len()..];
            count += 1;
        }
        let is_end = |&length: &usize| rest.ends_with(&END[..length]);
        self.matched = (1..END.len()).rev().find(is_end).unwrap_or(0);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_wherever_they_are_cut() {
        let check = |text: &[u8], expected: usize| {
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let mut ends = RequestEnds::default();
                    let parts = [&text[..first], &text[first..second], &text[second..]];
                    let count: usize = parts.map(|part| ends.count(part)).iter().sum();
                    assert_eq!(count, expected, "{text:?} cut at {first} and {second}");
                }
            }
        };
        check(b"", 0);
        check(b"GET / HTTP/1.1\r\nHost: a\r\n", 0);
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1);
        check(b"a\r\n\r\nb\r\n\r\nc\r\n\r", 2);
        check(b"a\r\r\n\r\n", 1);
        check(b"a\r\n\r\r\n\r\n", 1);
        check(b"a\r\n\r\n\r\n", 1);
    }
}
