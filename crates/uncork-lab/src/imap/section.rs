//! Cuts sections out of a message: its header, some fields of it, its text.

use std::borrow::Cow;

/// Part of a message (RFC 3501, `section`); MIME parts are not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Whole,
    Header,
    Text,
    /// The fields of these names, or all but those.
    Fields {
        names: Vec<String>,
        listed: Listed,
    },
}

/// What a list of field names selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Wanted,
    Unwanted,
}

impl Section {
    /// Whether the header is all that is needed of the file.
    pub(crate) fn is_in_header(&self) -> bool {
        matches!(self, Self::Header | Self::Fields { .. })
    }

    pub(crate) fn cut<'a>(&self, message: &'a [u8]) -> Cow<'a, [u8]> {
        let (header, text) = message.split_at(header_end(message).unwrap_or(message.len()));
        match self {
            Self::Whole => Cow::Borrowed(message),
            Self::Header => Cow::Borrowed(header),
            Self::Text => Cow::Borrowed(text),
            Self::Fields { names, listed } => {
                let mut found: Vec<u8> = fields(header)
                    .filter(|field| {
                        names.iter().any(|name| field.is(name)) == (*listed == Listed::Wanted)
                    })
                    .flat_map(|field| field.lines.iter().copied())
                    .collect();
                found.extend_from_slice(b"\r\n");
                Cow::Owned(found)
            }
        }
    }
}

/// Where the text begins: after the first empty line. `None` where there is none.
pub(crate) fn header_end(message: &[u8]) -> Option<usize> {
    if message.starts_with(b"\r\n") {
        return Some(2);
    }
    if message.starts_with(b"\n") {
        return Some(1);
    }
    memchr::memchr_iter(b'\n', message).find_map(|at| match &message[at + 1..] {
        [b'\r', b'\n', ..] => Some(at + 3),
        [b'\n', ..] => Some(at + 2),
        _ => None,
    })
}

/// A header field with the lines it is folded over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    lines: &'a [u8],
}

impl<'a> Field<'a> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.lines
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
            && matches!(
                self.lines[name.len()..].trim_ascii_start().first(),
                Some(b':')
            )
    }

    /// What follows the colon, folding included.
    pub(crate) fn value(&self) -> &'a [u8] {
        let colon = memchr::memchr(b':', self.lines).map_or(self.lines.len(), |at| at + 1);
        &self.lines[colon..]
    }
}

/// The fields of a header, without the empty line at its end.
pub(crate) fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        if rest.is_empty() || rest.starts_with(b"\r\n") || rest.starts_with(b"\n") {
            return None;
        }
        let end = memchr::memchr_iter(b'\n', rest)
            .map(|at| at + 1)
            .find(|at| !matches!(rest.get(*at), Some(b' ' | b'\t')))
            .unwrap_or(rest.len());
        let (lines, after) = rest.split_at(end);
        rest = after;
        Some(Field { lines })
    })
}

/// Whether `needle` stands in `hay`, in any case of ASCII. `needle` is in lower case.
pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(&hay.to_ascii_lowercase(), needle).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"From: a\r\nSubject: b\r\n c\r\nTo:d\r\n\r\nText\r\n\r\nmore";

    #[test]
    fn sections() {
        let check = |section: Section, expected: &[u8]| {
            assert_eq!(section.cut(MAIL), expected, "{section:?}");
        };
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        check(Section::Whole, MAIL);
        check(
            Section::Header,
            b"From: a\r\nSubject: b\r\n c\r\nTo:d\r\n\r\n",
        );
        check(Section::Text, b"Text\r\n\r\nmore");
        check(
            Section::Fields {
                names: names(&["subject", "TO", "x"]),
                listed: Listed::Wanted,
            },
            b"Subject: b\r\n c\r\nTo:d\r\n\r\n",
        );
        check(
            Section::Fields {
                names: names(&["subject"]),
                listed: Listed::Unwanted,
            },
            b"From: a\r\nTo:d\r\n\r\n",
        );
        check(
            Section::Fields {
                names: names(&["Sub"]),
                listed: Listed::Wanted,
            },
            b"\r\n",
        );
    }

    #[test]
    fn header_ends() {
        let check =
            |message: &[u8], expected: Option<usize>| assert_eq!(header_end(message), expected);
        check(b"a: b\n\nc", Some(6));
        check(b"a: b\r\n\r\n", Some(8));
        check(b"\r\nc", Some(2));
        check(b"\nc", Some(1));
        check(b"a: b\r\n", None);
        check(b"", None);
    }
}
