//! The names of mails in a Maildir, and the keywords beside them.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use super::keyword::keyword;
use super::packing::{Links, open_regular};
use crate::mail::Flag;

/// Most of a `dovecot-keywords` file that is read: 26 keywords need far less.
const KEYWORDS_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where the info part begins (maildir(5)): a colon, or what copies to Windows have for it. The
/// last is U+F03A, by which Samba, Cygwin and WSL stand for a colon.
const INFO_MARKS: [&[u8]; 4] = [b":2,", b";2,", b"!2,", b"\xef\x80\xba2,"];

/// A mail's name in two: what stays as long as the mail does, and the letters of its flags.
pub(super) fn split_name(name: &[u8]) -> (&[u8], &[u8]) {
    let found = INFO_MARKS
        .iter()
        .filter_map(|mark| Some((memchr::memmem::rfind(name, mark)?, mark.len())))
        .max();
    match found {
        Some((at, len)) => (&name[..at], &name[at + len..]),
        None => (name, b""),
    }
}

/// The seconds with which a name begins: when it was delivered.
pub(super) fn delivery_seconds(name: &[u8]) -> u64 {
    let digits = name.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    })
}

/// The keywords of a Maildir: what the letters from `a` on stand for.
#[derive(Debug, Default)]
pub(super) struct Keywords(Vec<Option<Flag>>);

impl Keywords {
    /// Reads Dovecot's file of a Maildir; without one there are none.
    pub(super) fn of_maildir(maildir: &Path) -> Self {
        let mut text = Vec::new();
        let read = open_regular(&maildir.join("dovecot-keywords"), Links::Refused)
            .and_then(|file| file.take(KEYWORDS_FILE_BYTES_MAX).read_to_end(&mut text));
        match read {
            Ok(_) => Self::parse(&text),
            Err(_) => Self::default(),
        }
    }

    /// Lines of a number, a space and a name. A name that no IMAP server would take is no
    /// keyword.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut keywords = vec![None; 26];
        for line in text.split(|&byte| byte == b'\n') {
            let Some((number, name)) = std::str::from_utf8(line)
                .ok()
                .and_then(|line| line.trim_end_matches('\r').split_once(' '))
            else {
                continue;
            };
            let slot = number
                .parse::<usize>()
                .ok()
                .and_then(|number| keywords.get_mut(number));
            if let Some(slot) = slot {
                *slot = keyword(name.as_bytes());
            }
        }
        Self(keywords)
    }

    /// The flags that letters stand for.
    pub(super) fn flags(&self, letters: &[u8]) -> Vec<Flag> {
        let mut flags = Vec::with_capacity(letters.len().min(8));
        for letter in letters {
            let flag = match letter {
                b'D' => Cow::Borrowed("\\Draft"),
                b'F' => Cow::Borrowed("\\Flagged"),
                b'P' => Cow::Borrowed("$Forwarded"),
                b'R' => Cow::Borrowed("\\Answered"),
                b'S' => Cow::Borrowed("\\Seen"),
                b'T' => Cow::Borrowed("\\Deleted"),
                b'a'..=b'z' => match self.0.get(usize::from(letter - b'a')) {
                    Some(Some(keyword)) => keyword.clone(),
                    _ => continue,
                },
                _ => continue,
            };
            if !flags.contains(&flag) {
                flags.push(flag);
            }
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn flags_of_names() {
        let keywords =
            Keywords::parse(b"0 $Label1\n1 NonJunk\r\n2 not an atom\n3 a(b\n25 z\n26 no\nx");
        for (name, expected) in [
            ("1.M1P1.host", &[][..]),
            ("1.M1P1.host:2,", &[]),
            ("1.M1P1.host:2,S", &["\\Seen"]),
            ("1.host:2,SSa", &["\\Seen", "$Label1"]),
            ("1.host;2,RS", &["\\Answered", "\\Seen"]),
            ("1.host!2,F", &["\\Flagged"]),
            ("1.host\u{f03a}2,T", &["\\Deleted"]),
            (
                "1.M1P1.host,S=9:2,DFPRST",
                &[
                    "\\Draft",
                    "\\Flagged",
                    "$Forwarded",
                    "\\Answered",
                    "\\Seen",
                    "\\Deleted",
                ],
            ),
            ("1.host:2,abcdez", &["$Label1", "NonJunk", "z"]),
            ("1.host:1,S", &[]),
            ("1.ho!2,st:2,S", &["\\Seen"]),
        ] {
            let (_, letters) = split_name(name.as_bytes());
            assert_eq!(keywords.flags(letters), expected, "{name}");
        }
        assert_eq!(Keywords::default().flags(b"Sab"), ["\\Seen"]);
    }

    proptest! {
        #[test]
        fn a_name_keeps_its_base_whatever_its_flags(
            base in "[ -9<-~]{1,40}",
            letters in "[A-Za-z]{0,9}",
        ) {
            let name = format!("{base}:2,{letters}");
            prop_assert_eq!(split_name(name.as_bytes()), (base.as_bytes(), letters.as_bytes()));
        }

        #[test]
        fn any_bytes_are_a_name(name in proptest::collection::vec(any::<u8>(), 0..60)) {
            let (base, letters) = split_name(&name);
            prop_assert!(name.starts_with(base) && name.ends_with(letters));
            let _ = Keywords::parse(&name).flags(letters);
            let _ = delivery_seconds(&name);
        }
    }
}
