//! What is in a message: servers that refuse it for that, and servers that change it.
//!
//! Cyrus is the model of the strict, and its `munge8bit` one of the alterations.

use std::borrow::Cow;

use super::message_head::Octets;

/// Which messages are refused for what is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strictness {
    /// A NUL in a literal that is no literal8 (RFC 3501 forbids it).
    pub nul: Verdict,
    /// A CR without LF, or an LF without CR.
    pub bare_newline: Verdict,
    /// A header line that is no field, a leading `From ` line for example, or no header at all.
    pub bad_header: Verdict,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    #[default]
    Taken,
    /// The APPEND is answered NO.
    No,
    /// The APPEND is answered BAD.
    Bad,
}

/// What is changed in a message before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// A field `X-Altered: 1` is put before the others, so that the size differs too.
    HeaderAdded,
    /// Bytes of the header that are not ASCII become `X`.
    HeaderMasked,
    /// A NUL becomes 0x80, as Dovecot has it.
    NulReplaced,
}

impl Default for Strictness {
    /// Everything is taken.
    fn default() -> Self {
        Self {
            nul: Verdict::Taken,
            bare_newline: Verdict::Taken,
            bad_header: Verdict::Taken,
        }
    }
}

impl Strictness {
    /// NO to all of it.
    #[must_use]
    pub fn cyrus() -> Self {
        Self {
            nul: Verdict::No,
            bare_newline: Verdict::No,
            bad_header: Verdict::No,
        }
    }
}

/// Sees a message as it comes, in pieces, and changes it.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    strictness: Strictness,
    alterations: &'a [Alteration],
    header: HeaderScan,
    previous: u8,
    has_nul: bool,
    has_bare_newline: bool,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(
        mut strictness: Strictness,
        alterations: &'a [Alteration],
        octets: Octets,
    ) -> Self {
        if octets == Octets::Any {
            strictness.nul = Verdict::Taken;
        }
        Self {
            strictness,
            alterations,
            header: HeaderScan::default(),
            previous: 0,
            has_nul: false,
            has_bare_newline: false,
        }
    }

    /// What is stored before the message.
    pub(crate) fn prefix(&self) -> &'static [u8] {
        if self.alters(Alteration::HeaderAdded) {
            b"X-Altered: 1\r\n"
        } else {
            b""
        }
    }

    /// What is stored of the next piece, which has the same length.
    pub(crate) fn pass<'b>(&mut self, piece: &'b [u8]) -> Cow<'b, [u8]> {
        let mut stored = Cow::Borrowed(piece);
        if self.strictness == Strictness::default() && self.alterations.is_empty() {
            return stored;
        }
        let header = self.header.feed(piece);
        self.look_for_newlines(piece);
        let has_nul = memchr::memchr(0, piece).is_some();
        self.has_nul |= has_nul;
        if self.alters(Alteration::HeaderMasked) && !piece[..header].is_ascii() {
            for byte in &mut stored.to_mut()[..header] {
                if !byte.is_ascii() {
                    *byte = b'X';
                }
            }
        }
        if self.alters(Alteration::NulReplaced) && has_nul {
            for byte in stored.to_mut() {
                if *byte == 0 {
                    *byte = 0x80;
                }
            }
        }
        stored
    }

    /// What becomes of the message, and why.
    pub(crate) fn verdict(&self) -> (Verdict, &'static str) {
        let header_is_bad = self.header.is_bad || !self.header.has_field;
        let newline_is_bare = self.has_bare_newline || self.previous == b'\r';
        let found = [
            (
                self.has_nul,
                self.strictness.nul,
                "Message contains NUL characters",
            ),
            (
                newline_is_bare,
                self.strictness.bare_newline,
                "Message contains bare newlines",
            ),
            (
                header_is_bad,
                self.strictness.bad_header,
                "Message contains invalid header",
            ),
        ];
        let refused = found
            .iter()
            .find(|(found, verdict, _)| *found && *verdict != Verdict::Taken);
        refused.map_or((Verdict::Taken, ""), |(_, verdict, why)| (*verdict, why))
    }

    fn alters(&self, alteration: Alteration) -> bool {
        self.alterations.contains(&alteration)
    }

    fn look_for_newlines(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        self.has_bare_newline |= self.previous == b'\r' && piece[0] != b'\n';
        for at in memchr::memchr2_iter(b'\r', b'\n', piece) {
            let before = if at == 0 {
                self.previous
            } else {
                piece[at - 1]
            };
            self.has_bare_newline |= match piece[at] {
                b'\n' => before != b'\r',
                _ => piece.get(at + 1).is_some_and(|next| *next != b'\n'),
            };
        }
        self.previous = *last;
    }
}

/// Follows a message through its header.
#[derive(Debug, Default)]
struct HeaderScan {
    line: Line,
    has_field: bool,
    is_bad: bool,
}

/// Where in a line of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Start,
    Name,
    Value,
    /// The header is over.
    Text,
}

impl HeaderScan {
    /// Tells how many bytes of the piece belong to the header.
    fn feed(&mut self, piece: &[u8]) -> usize {
        for (at, byte) in piece.iter().enumerate() {
            match (self.line, byte) {
                (Line::Text, _) => return at,
                (Line::Value, b'\n') => self.line = Line::Start,
                (Line::Start, b'\r') | (Line::Value, _) => {}
                (Line::Start, b'\n') => self.line = Line::Text,
                (Line::Start, b' ' | b'\t') => {
                    self.is_bad |= !self.has_field;
                    self.line = Line::Value;
                }
                (Line::Name, b':') => {
                    self.has_field = true;
                    self.line = Line::Value;
                }
                (Line::Start | Line::Name, b'!'..=b'~') => {
                    self.is_bad |= *byte == b':';
                    self.line = Line::Name;
                }
                (Line::Name, b'\n') => {
                    self.is_bad = true;
                    self.line = Line::Start;
                }
                (Line::Start | Line::Name, _) => self.is_bad = true,
            }
        }
        piece.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Alteration; 3] = [
        Alteration::HeaderAdded,
        Alteration::HeaderMasked,
        Alteration::NulReplaced,
    ];

    fn run(message: &[u8], pieces: usize) -> (Vec<u8>, &'static str) {
        let mut filter = Filter::new(Strictness::cyrus(), &ALL, Octets::Text);
        let mut stored = filter.prefix().to_vec();
        for piece in message.chunks(pieces.max(1)) {
            stored.extend_from_slice(&filter.pass(piece));
        }
        (stored, filter.verdict().1)
    }

    #[test]
    fn verdicts() {
        let check = |message: &[u8], expected: &str| {
            let found = run(message, 3).1;
            assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(message));
        };
        check(b"A: b\r\n\r\ntext\r\n", "");
        check(b"A: b\r\n c\r\nD: e\r\n", "");
        check(b"A: b\r\n\r\n\0", "Message contains NUL characters");
        check(b"A: b\n\ntext", "Message contains bare newlines");
        check(b"A: b\r\n\r\nx\ry", "Message contains bare newlines");
        check(b"A: b\r\n\r\nx\r", "Message contains bare newlines");
        for bad in [
            "From a Mon\r\nA: b\r\n\r\n",
            " A: b\r\n\r\n",
            "\r\ntext",
            "no colon\r\n\r\n",
            "nocolon\r\n\r\n",
            ": b\r\n\r\n",
            "\u{e9}: b\r\n\r\n",
        ] {
            check(bad.as_bytes(), "Message contains invalid header");
        }
    }

    #[test]
    fn alterations() {
        let (stored, _) = run(b"A: \xe9\xe8\r\n\r\n\xe9\0", 4);
        assert_eq!(stored, b"X-Altered: 1\r\nA: XX\r\n\r\n\xe9\x80");
    }

    #[test]
    fn a_literal8_may_have_nul() {
        let mut filter = Filter::new(Strictness::cyrus(), &[], Octets::Any);
        assert_eq!(*filter.pass(b"A: b\r\n\r\n\0"), *b"A: b\r\n\r\n\0");
        assert_eq!(filter.verdict().0, Verdict::Taken);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            message in prop::collection::vec(prop::sample::select(b"a: \r\n\0\xe9".to_vec()), 0..40),
            pieces in 1usize..8,
        ) {
            prop_assert_eq!(run(&message, pieces), run(&message, message.len()));
        }
    }
}
