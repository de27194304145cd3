//! The header of a mail, as far as an mbox keeps something of its own there.

use memchr::memchr;

/// Most bytes of a header that are looked at.
pub(super) const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Where the header ends in a mail's text, the empty line included; `None` where it goes on.
/// Up to `searched` there is no end.
pub(super) fn header_end(text: &[u8], searched: usize) -> Option<usize> {
    if text.starts_with(b"\n") {
        return Some(1);
    }
    if text.starts_with(b"\r\n") {
        return Some(2);
    }
    let mut from = searched.saturating_sub(b"\n\r".len());
    while let Some(at) = memchr(b'\n', &text[from..]).map(|at| from + at) {
        match text.get(at + 1..) {
            Some([b'\n', ..]) => return Some(at + 2),
            Some([b'\r', b'\n', ..]) => return Some(at + 3),
            _ => from = at + 1,
        }
    }
    None
}

/// The fields of a header: the name as it is written, and the value with its folding.
pub(super) fn fields(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = header;
    std::iter::from_fn(move || {
        while !matches!(rest, [] | [b'\n', ..] | [b'\r', b'\n', ..]) {
            let (field, after) = rest.split_at(field_end(rest));
            rest = after;
            if let Some(colon) = memchr(b':', field) {
                return Some((
                    field[..colon].trim_ascii_end(),
                    field[colon + 1..].trim_ascii(),
                ));
            }
        }
        None
    })
}

/// The first line and those folded into it (RFC 5322, section 2.2.3).
fn field_end(header: &[u8]) -> usize {
    let mut end = 0;
    while let Some(at) = memchr(b'\n', &header[end..]) {
        end += at + 1;
        if !matches!(header.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
    header.len()
}

/// The length of the body by the header's own word.
pub(super) fn content_length(header: &[u8]) -> Option<u64> {
    let (_, value) =
        fields(header).find(|(name, _)| name.eq_ignore_ascii_case(b"Content-Length"))?;
    let is_number = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        for (text, expected) in [
            ("", None),
            ("\nbody", Some(1)),
            ("\r\nbody", Some(2)),
            ("a: b", None),
            ("a: b\n", None),
            ("a: b\n\r", None),
            ("a: b\n\nbody\n\n", Some(6)),
            ("a: b\r\n\r\nbody", Some(8)),
            ("a: b\n c\n\n", Some(9)),
        ] {
            assert_eq!(header_end(text.as_bytes(), 0), expected, "{text:?}");
            for searched in 0..expected.unwrap_or(text.len()) {
                let found = header_end(text.as_bytes(), searched);
                assert_eq!(found, expected, "{text:?} from {searched}");
            }
        }
    }

    #[test]
    fn fields_of_headers() {
        for (header, expected) in [
            ("", &[][..]),
            ("\na: b", &[]),
            ("a: b", &[("a", "b")]),
            (
                "a: b\r\nC :d\r\n\te\r\n\r\nf: g",
                &[("a", "b"), ("C", "d\r\n\te")],
            ),
            ("no field\na:\n\n", &[("a", "")]),
            (": x\n y\nz:1\n", &[("", "x\n y"), ("z", "1")]),
        ] {
            let found: Vec<_> = fields(header.as_bytes())
                .map(|(name, value)| {
                    (
                        std::str::from_utf8(name).unwrap(),
                        std::str::from_utf8(value).unwrap(),
                    )
                })
                .collect();
            assert_eq!(found, expected, "{header:?}");
        }
    }

    #[test]
    fn lengths() {
        for (header, expected) in [
            ("Content-Length: 12\n", Some(12)),
            ("a: b\r\ncontent-length:0\r\n\r\n", Some(0)),
            ("Content-Length: -1\n", None),
            ("Content-Length: +1\n", None),
            ("Content-Length:\n", None),
            ("Content-Length: 99999999999999999999\n", None),
            ("a: b\n\nContent-Length: 1\n", None),
        ] {
            assert_eq!(content_length(header.as_bytes()), expected, "{header:?}");
        }
    }
}
