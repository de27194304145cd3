//! Line endings: IMAP wants CRLF, a Maildir holds LF.

use memchr::memchr_iter;

/// Appends `text` to `out` with every bare LF made CRLF.
///
/// `last` is the byte before `text` (0 at the start of a message), so that a CRLF cut in two by
/// a chunk's end stays one; the byte to hand on is returned.
pub(crate) fn extend_crlf(out: &mut Vec<u8>, text: &[u8], last: u8) -> u8 {
    let mut start = 0;
    for at in memchr_iter(b'\n', text) {
        let before = if at == 0 { last } else { text[at - 1] };
        if before != b'\r' {
            out.extend_from_slice(&text[start..at]);
            out.extend_from_slice(b"\r\n");
            start = at + 1;
        }
    }
    out.extend_from_slice(&text[start..]);
    text.last().copied().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn endings() {
        for (text, expected) in [
            ("", ""),
            ("a", "a"),
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb\n", "a\r\nb\r\n"),
            ("\n\n\r\n", "\r\n\r\n\r\n"),
            ("a\rb\r\r\n\n", "a\rb\r\r\n\r\n"),
        ] {
            let mut out = Vec::new();
            extend_crlf(&mut out, text.as_bytes(), 0);
            assert_eq!(out, expected.as_bytes(), "{text:?}");
        }
    }

    proptest! {
        /// Chunks of any size give what the whole gives.
        #[test]
        fn chunks_do_not_matter(
            text in "[a\r\n]{0,60}",
            size in 1usize..7,
        ) {
            let text = text.as_bytes();
            let mut whole = Vec::new();
            extend_crlf(&mut whole, text, 0);
            let (mut chunked, mut last) = (Vec::new(), 0);
            for chunk in text.chunks(size) {
                last = extend_crlf(&mut chunked, chunk, last);
            }
            prop_assert_eq!(&chunked, &whole);
        }
    }
}
