//! By what a mail on the server is recognised without reading it.

use memchr::memchr;

use super::head::{Field, Head};
use crate::mail::Identity;

impl Identity {
    /// Of a header: a mail's own, or what a server gives of it for
    /// `BODY[HEADER.FIELDS (MESSAGE-ID DATE RECEIVED)]`. What does not fit into
    /// [`HEAD_BYTES_MAX`](crate::prepare::head::HEAD_BYTES_MAX) is left out.
    pub(crate) fn of_header(header: &[u8]) -> Self {
        Self::of(&Head::of(header))
    }

    /// Of a header that has been looked through.
    ///
    /// Servers fold anew and write names as they like, so a field is hashed unfolded, each run
    /// of blanks as one. A mail delivered twice differs in Received only, hence those count.
    pub(crate) fn of(head: &Head<'_>) -> Self {
        let mut canonical = Vec::with_capacity(head.bytes.len().min(2048));
        for value in head.values(Field::MessageId) {
            push_canonical(&mut canonical, b'M', value);
        }
        // A field without a value is the letter and the line end.
        let has_message_id = canonical
            .split(|&byte| byte == b'\n')
            .any(|value| value.len() > 1);
        for value in head.values(Field::Date) {
            push_canonical(&mut canonical, b'D', value);
        }
        for value in head.values(Field::Received) {
            push_canonical(&mut canonical, b'R', value);
        }
        let digest = blake3::hash(&canonical);
        let mut key = [0; 8];
        key.copy_from_slice(&digest.as_bytes()[..8]);
        Self {
            key: u64::from_le_bytes(key),
            has_message_id,
        }
    }
}

/// Appends the field's letter, its value with one space for each run of blanks and line ends,
/// and LF, which can't be in a value.
fn push_canonical(canonical: &mut Vec<u8>, letter: u8, mut value: &[u8]) {
    canonical.push(letter);
    let start = canonical.len();
    while !value.is_empty() {
        let end = memchr(b'\n', value).unwrap_or(value.len());
        push_line(canonical, start, trim_blanks(&value[..end]));
        value = value.get(end + 1..).unwrap_or_default();
    }
    canonical.push(b'\n');
}

/// Appends a line that neither begins nor ends with a blank, with a space before it unless it
/// is the value's first.
fn push_line(canonical: &mut Vec<u8>, start: usize, line: &[u8]) {
    if line.is_empty() {
        return;
    }
    if canonical.len() > start {
        canonical.push(b' ');
    }
    if has_single_spaces(line) {
        return canonical.extend_from_slice(line);
    }
    let words = line.split(|byte| is_blank(*byte));
    for (index, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if index > 0 {
            canonical.push(b' ');
        }
        canonical.extend_from_slice(word);
    }
}

/// Whether the only blanks in it are spaces, each between words, as in nearly every line. It has
/// no branch for a byte, so that many are looked at in one step.
fn has_single_spaces(line: &[u8]) -> bool {
    let odd = line.iter().zip(&line[1..]).fold(0, |odd, (&byte, &next)| {
        odd | u8::from(byte == b'\t')
            | u8::from(byte == b'\r')
            | (u8::from(byte == b' ') & u8::from(next == b' '))
    });
    odd == 0
}

fn trim_blanks(mut line: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = line {
        if !is_blank(*first) {
            break;
        }
        line = rest;
    }
    while let [rest @ .., last] = line {
        if !is_blank(*last) {
            break;
        }
        line = rest;
    }
    line
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_same(a: &str, b: &str) {
        let (a_is, b_is) = (
            Identity::of_header(a.as_bytes()),
            Identity::of_header(b.as_bytes()),
        );
        assert_eq!(a_is, b_is, "{a:?} and {b:?}");
    }

    #[track_caller]
    fn check_differs(a: &str, b: &str) {
        let (a_is, b_is) = (
            Identity::of_header(a.as_bytes()),
            Identity::of_header(b.as_bytes()),
        );
        assert_ne!(a_is.key, b_is.key, "{a:?} and {b:?}");
    }

    #[test]
    fn what_counts() {
        let mail = "Received: from a\r\n\tby b; date\r\nSubject: x\r\nMessage-ID: <1@a>\r\nDate: 1\r\n\r\nbody";
        check_same(
            mail,
            "message-id:<1@a>\nDATE : 1 \nReceived: from  a by b;\n date\n\n",
        );
        check_same(mail, &mail.replace("Subject: x", "Subject: y\r\nno colon"));
        check_differs(mail, &mail.replace("<1@a>", "<2@a>"));
        check_differs(mail, &mail.replace("Date: 1", "Date: 2"));
        check_differs(mail, &mail.replace("from a", "from c"));
        check_differs(
            "Received: a\nReceived: b\n\n",
            "Received: b\nReceived: a\n\n",
        );
        check_differs("Message-ID: a\nDate: b\n\n", "Message-ID: b\nDate: a\n\n");
        check_differs("Date: a\n\n", "Date: a\nDate: a\n\n");
        check_differs("Date: ab\n\n", "Date: a b\n\n");
    }

    #[test]
    fn message_ids() {
        for (header, expected) in [
            ("Message-ID: <1@a>\n\n", true),
            ("Message-ID:\n <1@a>\n\n", true),
            ("Message-ID: \nMessage-ID: <1@a>\n\n", true),
            ("Message-ID: \n \n\n", false),
            ("Date: 1\n\n", false),
            ("\nMessage-ID: <1@a>\n\n", false),
            ("", false),
        ] {
            let identity = Identity::of_header(header.as_bytes());
            assert_eq!(identity.has_message_id, expected, "{header:?}");
        }
    }

    /// A field as it may stand in a mail, and whether a server gives it when asked for those
    /// that count.
    fn field() -> impl Strategy<Value = (Vec<u8>, bool)> {
        let name = prop_oneof![
            Just(("Message-ID", true)),
            Just(("MESSAGE-id", true)),
            Just(("Date", true)),
            Just(("Received", true)),
            Just(("Subject", false)),
            Just(("X-Date", false)),
            Just(("Dates", false)),
            Just(("no colon", false)),
        ];
        let words = prop::collection::vec("[!-~]{0,4}|[\u{80}-\u{ff}]{1,2}", 0..5);
        (name, words, "[ \t]{0,2}").prop_map(|((name, counts), words, blank)| {
            let mut field = name.to_owned();
            if name != "no colon" {
                field.push_str(&blank);
                field.push(':');
            }
            for word in words {
                field.push(' ');
                // Latin-1 bytes, which are no UTF-8.
                field.push_str(&word);
            }
            (field.chars().map(|char| char as u8).collect(), counts)
        })
    }

    /// The fields, each space in them folded where the next of `folds` says so.
    fn header(fields: &[&[u8]], line_end: &[u8], folds: &[bool]) -> Vec<u8> {
        let mut folds = folds.iter().cycle();
        let mut header = Vec::new();
        for field in fields {
            let mut colon_seen = false;
            for &byte in *field {
                colon_seen |= byte == b':';
                if byte == b' ' && colon_seen && folds.next() == Some(&true) {
                    header.extend_from_slice(line_end);
                    header.push(b'\t');
                }
                header.push(byte);
            }
            header.extend_from_slice(line_end);
        }
        header.extend_from_slice(line_end);
        header
    }

    proptest! {
        #[test]
        fn whole_header_and_answer_of_a_server_are_one(
            fields in prop::collection::vec(field(), 0..10),
            lf in any::<bool>(),
            folds in prop::collection::vec(any::<bool>(), 1..8),
            folds_there in prop::collection::vec(any::<bool>(), 1..8),
        ) {
            let all: Vec<_> = fields.iter().map(|(field, _)| field.as_slice()).collect();
            let asked: Vec<_> = fields
                .iter()
                .filter(|(_, counts)| *counts)
                .map(|(field, _)| field.as_slice())
                .collect();
            let mut mail = header(&all, if lf { b"\n" } else { b"\r\n" }, &folds);
            mail.extend_from_slice(b"Message-ID: <of the body>\r\n");
            let answer = header(&asked, b"\r\n", &folds_there);
            prop_assert_eq!(Identity::of_header(&mail), Identity::of_header(&answer));
        }

        /// The short way for a line is the same as word by word.
        #[test]
        fn the_canonical_form_is_the_words_with_spaces_between(value in "[a \t\r\n]{0,40}") {
            let mut canonical = Vec::new();
            push_canonical(&mut canonical, b'M', value.as_bytes());
            let words: Vec<_> = value.split_ascii_whitespace().collect();
            prop_assert_eq!(canonical, format!("M{}\n", words.join(" ")).into_bytes());
        }

        #[test]
        fn any_bytes_have_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Identity::of_header(&bytes);
        }
    }
}
