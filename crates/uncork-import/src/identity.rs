//! By what a mail on the server is recognised without reading it.

use crate::head::{Field, Head};
use crate::mail::Identity;

impl Identity {
    /// Of a header: a mail's own, or what a server gives of it for
    /// `BODY[HEADER.FIELDS (MESSAGE-ID DATE RECEIVED)]`. What does not fit into
    /// [`HEAD_BYTES_MAX`](crate::head::HEAD_BYTES_MAX) is left out.
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
fn push_canonical(canonical: &mut Vec<u8>, letter: u8, value: &[u8]) {
    canonical.push(letter);
    let start = canonical.len();
    canonical.resize(start + value.len(), 0);
    let text = &mut canonical[start..];
    // Each byte is written, and a blank behind a blank (or at the beginning) is then written
    // over: with no branch that depends on the bytes this is several times as fast.
    let (mut len, mut is_after_blank) = (0, true);
    for &byte in value {
        let is_blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        text[len] = if is_blank { b' ' } else { byte };
        len += usize::from(!(is_blank && is_after_blank));
        is_after_blank = is_blank;
    }
    if len > 0 && is_after_blank {
        len -= 1;
    }
    canonical.truncate(start + len);
    canonical.push(b'\n');
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

        #[test]
        fn any_bytes_have_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Identity::of_header(&bytes);
        }
    }
}
