//! The header of a mail: where it begins and ends, and the fields in it that an import needs.

use memchr::memchr;

use super::repair::{Repair, Repairs};

/// Most bytes of a mail in which its header is looked for. It is as much as a mail may have in
/// memory, so that nobody has to read a file back for it.
pub(crate) const HEAD_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes of what may stand before the header.
const OPENING_BYTES_MAX: usize = 64 * 1024;

/// What programs put before the text when they save it as UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a mail begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// There is nothing in it but blank lines.
    Empty,
    /// With a field of a header, at this byte, when this is removed before it.
    Header { at: usize, removed: Repairs },
    /// With a line that is no field, in a header all the same. Servers that read on after it
    /// find sender, date and subject, so it is left as it is.
    DamagedHeader,
    /// With an empty line: a mail with no header, as RFC 5322 has it.
    EmptyLine,
    /// With text that is no header.
    Text,
}

impl Opening {
    /// Of a mail whose line ends are CRLF; only its first 64 KiB are looked at.
    pub(crate) fn of(mail: &[u8]) -> Self {
        let window = &mail[..mail.len().min(OPENING_BYTES_MAX)];
        let mut removed = Repairs::default();
        let mut at = 0;
        if window.starts_with(BYTE_ORDER_MARK) {
            removed.insert(Repair::ByteOrderMark);
            at = BYTE_ORDER_MARK.len();
        }
        while at < window.len() {
            let (line, rest) = split_line(&window[at..]);
            // The obsolete syntax allows `From : ada@example.org`, hence the field first.
            if field_name(line).is_some_and(is_field_name) {
                return Self::Header { at, removed };
            }
            if is_blank(line) {
                removed.insert(Repair::LeadingBlankLines);
            } else if is_from_line(line) {
                removed.insert(Repair::LeadingFromLine);
            } else {
                break;
            }
            at = window.len() - rest.len();
        }
        if at == mail.len() && !removed.contains(Repair::LeadingFromLine) {
            Self::Empty
        } else if mail.starts_with(b"\r\n") {
            Self::EmptyLine
        } else if has_usual_field(window) {
            Self::DamagedHeader
        } else {
            Self::Text
        }
    }
}

/// Whether a field that nearly every mail has is found before the first blank line.
fn has_usual_field(mut text: &[u8]) -> bool {
    const USUAL: [&[u8]; 8] = [
        b"from",
        b"to",
        b"subject",
        b"date",
        b"message-id",
        b"received",
        b"return-path",
        b"content-type",
    ];
    while !text.is_empty() {
        let (line, rest) = split_line(text);
        if is_blank(line) {
            return false;
        }
        let is_usual = |name: &[u8]| USUAL.iter().any(|usual| name.eq_ignore_ascii_case(usual));
        if field_name(line).is_some_and(is_usual) {
            return true;
        }
        text = rest;
    }
    false
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// The line that parts the mails of an mbox, quoted or not. Tools that cut an mbox leave it
/// behind, and servers take it for the end of the header (or for a broken one).
fn is_from_line(line: &[u8]) -> bool {
    line.strip_prefix(b">")
        .unwrap_or(line)
        .starts_with(b"From ")
}

/// RFC 5322, section 3.6.8: printable ASCII.
fn is_field_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

/// What stands before the first colon, without the blanks that the obsolete syntax allows
/// there.
fn field_name(line: &[u8]) -> Option<&[u8]> {
    memchr(b':', line).map(|colon| line[..colon].trim_ascii_end())
}

/// The first line, with its LF, and what follows it.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(memchr(b'\n', text).map_or(text.len(), |lf| lf + 1))
}

/// A field that an import needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    MessageId,
    Date,
    Received,
}

impl Field {
    /// Of a line that begins a field. The first letter decides before the colon is looked for:
    /// most lines of a header are none of these.
    fn of(line: &[u8]) -> Option<Self> {
        let (field, expected): (_, &[u8]) = match line.first()? {
            b'm' | b'M' => (Self::MessageId, b"message-id"),
            b'd' | b'D' => (Self::Date, b"date"),
            b'r' | b'R' => (Self::Received, b"received"),
            _ => return None,
        };
        let is_it = line
            .get(..expected.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(expected))
            && field_name(line)?.len() == expected.len();
        is_it.then_some(field)
    }
}

/// The fields of a header that an import needs, as they stand there.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    fields: Vec<(Field, &'a [u8])>,
    /// All of it, with the empty line at its end.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Head<'a> {
    /// Of a text that begins with a header: a mail, or what a server gives of one. Lines may
    /// end in CRLF or LF; lines that are no field are passed over, as servers do.
    pub(crate) fn of(text: &'a [u8]) -> Self {
        let window = &text[..text.len().min(HEAD_BYTES_MAX)];
        let mut fields = Vec::with_capacity(8);
        let mut rest = window;
        while !rest.is_empty() {
            let (line, after) = split_line(rest);
            if line == b"\r\n" || line == b"\n" {
                rest = after;
                break;
            }
            let Some(field) = Field::of(line) else {
                rest = after;
                continue;
            };
            let mut end = line.len();
            while matches!(rest.get(end), Some(b' ' | b'\t')) {
                end += split_line(&rest[end..]).0.len();
            }
            let value = memchr(b':', line).map_or(line.len(), |colon| colon + 1);
            fields.push((field, &rest[value..end]));
            rest = &rest[end..];
        }
        let bytes = &window[..window.len() - rest.len()];
        Self { fields, bytes }
    }

    /// The values of all fields of this name, in their order: folded, and with the blanks
    /// around them.
    pub(crate) fn values(&self, wanted: Field) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(field, _)| *field == wanted)
            .map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_opening(mail: &str, expected: Opening) {
        assert_eq!(Opening::of(mail.as_bytes()), expected, "{mail:?}");
    }

    fn header(at: usize, removed: &[Repair]) -> Opening {
        let mut repairs = Repairs::default();
        removed.iter().for_each(|&repair| repairs.insert(repair));
        Opening::Header {
            at,
            removed: repairs,
        }
    }

    #[test]
    fn openings() {
        use Repair::{ByteOrderMark, LeadingBlankLines, LeadingFromLine};
        check_opening("", Opening::Empty);
        check_opening("\r\n \t\r\n", Opening::Empty);
        check_opening("  ", Opening::Empty);
        check_opening("\u{feff}\r\n", Opening::Empty);
        check_opening("Subject: x\r\n", header(0, &[]));
        check_opening("From : ada@example.org\r\n", header(0, &[]));
        let from_line = [LeadingFromLine];
        check_opening("From x 10:00\r\nSubject: x\r\n", header(14, &from_line));
        check_opening("\r\n \r\nA: b\r\n", header(5, &[LeadingBlankLines]));
        let both = [LeadingFromLine, LeadingBlankLines];
        check_opening("\r\nFrom a\r\n>From b\r\n\r\nA: b\r\n", header(21, &both));
        check_opening("\u{feff}A: b\r\n", header(3, &[ByteOrderMark]));
        check_opening("\u{feff}b\r\n", Opening::Text);
        check_opening("\r\n\u{feff}A: b\r\n", Opening::EmptyLine);
        check_opening("\r\n >\r\nA: b\r\n", Opening::EmptyLine);
        check_opening("\r\nFrom x\r\n", Opening::EmptyLine);
        check_opening("From x\r\nhello\r\n", Opening::Text);
        check_opening("From x\r\n", Opening::Text);
        check_opening("From x\r\n\r\n", Opening::Text);
        check_opening(" A: b\r\n", Opening::Text);
        check_opening(": b\r\n", Opening::Text);
        check_opening("hello", Opening::Text);
        check_opening("hello\r\n\r\nFrom: a\r\n", Opening::Text);
        check_opening("hello\r\nFrom: a\r\n", Opening::DamagedHeader);
        check_opening(" by b\r\nX: y\r\nDATE : 1\r\n", Opening::DamagedHeader);
        let blank_lines = "\r\n".repeat(OPENING_BYTES_MAX / 2 + 1);
        check_opening(&blank_lines, Opening::EmptyLine);
    }

    #[track_caller]
    fn check_values(head: &str, field: Field, expected: &[&str]) {
        let head = Head::of(head.as_bytes());
        let found: Vec<_> = head
            .values(field)
            .map(|value| std::str::from_utf8(value).unwrap())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn values() {
        let head = "Received: a\r\n\tb\r\nX: y\r\n z\r\nDATE :1\r\nreceived:c\r\nno colon\r\n \
                    Date: 4\r\nDated: 2\r\nDate\r\n\r\nDate: 3\r\n";
        check_values(head, Field::Received, &[" a\r\n\tb\r\n", "c\r\n"]);
        check_values(head, Field::Date, &["1\r\n"]);
        check_values(head, Field::MessageId, &[]);
        check_values("Message-ID:", Field::MessageId, &[""]);
        check_values("Date: 1\n\nDate: 2\n", Field::Date, &[" 1\n"]);
        assert_eq!(Head::of(b"A: b\r\n\r\nbody").bytes, b"A: b\r\n\r\n");
        assert_eq!(Head::of(b"A: b").bytes, b"A: b");
    }
}
