//! The flags that a mail program keeps in the header of a mail in an mbox.

use std::borrow::Cow;

use super::header::fields;
use crate::mail::Flag;
use crate::source::keyword::keyword;

/// Most keywords of one mail; the rest of a longer list is no work of a mail program.
const KEYWORDS_MAX: usize = 64;

/// What the header says of the mail beside its text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Of Status and X-Status (mutt, Pine, Dovecot), X-Mozilla-Status (Thunderbird), and the
    /// keywords of X-Keywords and X-Mozilla-Keys.
    pub(super) flags: Vec<Flag>,
    /// The value of X-Gmail-Labels, as it stands there.
    pub(super) gmail_labels: Option<Vec<u8>>,
    /// Whether this is no mail but what Pine, UW IMAP and Dovecot keep of a folder.
    pub(super) is_folder_data: bool,
}

impl Status {
    /// Reads a header, or the start of one.
    pub(super) fn of(header: &[u8]) -> Self {
        let mut status = Self::default();
        let mut is_named_so = false;
        let mut has_folder_data = false;
        for (name, value) in fields(header) {
            // Most names are told by their first letter.
            match name.first() {
                Some(b'S' | b's' | b'X' | b'x') => {}
                _ => continue,
            }
            if name.eq_ignore_ascii_case(b"Status") {
                status.add_letters(value, &[(b'R', "\\Seen")]);
            } else if name.eq_ignore_ascii_case(b"X-Status") {
                status.add_letters(value, X_STATUS);
            } else if name.eq_ignore_ascii_case(b"X-Mozilla-Status") {
                status.add_bits(value, X_MOZILLA_STATUS);
            } else if name.eq_ignore_ascii_case(b"X-Mozilla-Keys")
                || name.eq_ignore_ascii_case(b"X-Keywords")
            {
                status.add_keywords(value);
            } else if name.eq_ignore_ascii_case(b"X-Gmail-Labels") {
                status.gmail_labels.get_or_insert_with(|| value.to_vec());
            } else if name.eq_ignore_ascii_case(b"Subject") {
                is_named_so |= value.starts_with(b"DON'T DELETE THIS MESSAGE");
            } else if name.eq_ignore_ascii_case(b"X-IMAP")
                || name.eq_ignore_ascii_case(b"X-IMAPbase")
            {
                has_folder_data = true;
            }
        }
        // The first true mail may have X-IMAPbase too.
        status.is_folder_data = is_named_so && has_folder_data;
        status
    }

    pub(super) fn add(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }

    fn add_letters(&mut self, value: &[u8], meanings: &[(u8, &'static str)]) {
        for &(letter, flag) in meanings {
            if value.contains(&letter) {
                self.add(Cow::Borrowed(flag));
            }
        }
    }

    fn add_bits(&mut self, value: &[u8], meanings: &[(u16, &'static str)]) {
        let bits = std::str::from_utf8(value)
            .ok()
            .and_then(|value| u16::from_str_radix(value, 16).ok())
            .unwrap_or(0);
        for &(bit, flag) in meanings {
            if bits & bit != 0 {
                self.add(Cow::Borrowed(flag));
            }
        }
    }

    fn add_keywords(&mut self, value: &[u8]) {
        let words = value.split(u8::is_ascii_whitespace);
        let keywords = words.filter_map(keyword).take(KEYWORDS_MAX);
        for keyword in keywords {
            self.add(keyword);
        }
    }
}

const X_STATUS: &[(u8, &str)] = &[
    (b'A', "\\Answered"),
    (b'F', "\\Flagged"),
    (b'T', "\\Draft"),
    (b'D', "\\Deleted"),
];

/// The bits of Thunderbird's `nsMsgMessageFlags` that IMAP has a word for.
///
/// A mail that was deleted stays in the file until the folder is compacted. To leave it out would
/// be a loss that nobody asked for, to show it again no better: it comes as deleted.
const X_MOZILLA_STATUS: &[(u16, &str)] = &[
    (0x0001, "\\Seen"),
    (0x0002, "\\Answered"),
    (0x0004, "\\Flagged"),
    (0x0008, "\\Deleted"),
    (0x1000, "$Forwarded"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: &[&str]) {
        assert_eq!(Status::of(header.as_bytes()).flags, expected, "{header:?}");
    }

    #[test]
    fn flags_of_headers() {
        check("Subject: a\n\nStatus: R\n", &[]);
        check("Status: O\n", &[]);
        check(
            "Status: RO\r\nX-Status: AF\r\n",
            &["\\Seen", "\\Answered", "\\Flagged"],
        );
        check(
            "x-status: DT\nstatus: R",
            &["\\Draft", "\\Deleted", "\\Seen"],
        );
        check("X-Mozilla-Status: 0001\n", &["\\Seen"]);
        check(
            "X-Mozilla-Status: 100f\n",
            &[
                "\\Seen",
                "\\Answered",
                "\\Flagged",
                "\\Deleted",
                "$Forwarded",
            ],
        );
        check("X-Mozilla-Status: 0000\nX-Mozilla-Status2: 00000001\n", &[]);
        check("X-Mozilla-Status: zzzz\n", &[]);
        check("X-Mozilla-Status: 123456789\n", &[]);
        check(
            "X-Mozilla-Keys: $label1 Junk                 \nX-Keywords: a(b \\Seen Junk\n x]y work\n",
            &["$label1", "Junk", "work"],
        );
        check("Status: R\nX-Mozilla-Status: 0001\n", &["\\Seen"]);
        let many = (0..100).map(|n| format!("k{n} ")).collect::<String>();
        let found = Status::of(format!("X-Keywords: {many}\n").as_bytes());
        assert_eq!(found.flags.len(), KEYWORDS_MAX);
    }

    #[test]
    fn folder_data() {
        for (header, expected) in [
            (
                "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n",
                true,
            ),
            ("X-IMAPbase: 1 2\nSubject: hello\n", false),
            ("Subject: DON'T DELETE THIS MESSAGE\n", false),
        ] {
            assert_eq!(
                Status::of(header.as_bytes()).is_folder_data,
                expected,
                "{header:?}"
            );
        }
    }
}
