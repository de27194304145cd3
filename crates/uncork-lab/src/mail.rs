//! Mail that looks real and is the same each time: the material of demos, tests and benches.
//!
//! A seed decides every byte, on every platform. The sizes are those of a mailbox: log-normal,
//! with a median of 3 KB, a mean of about 7 KB and at most [`LONGEST_BYTES`].
//!
//! ```
//! use uncork_lab::mail::MailGenerator;
//!
//! let mail = MailGenerator::new(7).next().expect("the mails never end");
//! assert!(mail.bytes.starts_with(b"Return-Path: <"));
//! ```
//!
//! # Limits
//! The mails are real-looking but not malformed: no NUL, no bare CR, no line over 998 bytes and
//! no message without a final line end. Their domains are reserved ones, so nothing can be
//! sent to anybody by mistake.

mod coding;
mod content;
mod dice;
mod flags;
mod folder;
mod header;
mod words;

use std::collections::VecDeque;

use jiff::Timestamp;

use self::dice::Dice;
pub use self::flags::{MailFlag, MailFlags};
pub use self::folder::{MaildirSummary, write_eml_folder, write_maildir};
use self::header::Occasion;

/// The longest mail, with LF line ends.
pub const LONGEST_BYTES: usize = 200_000;

/// The earliest internal date: 2018-01-01, 00:00 UTC.
const FIRST_SECOND: i64 = 1_514_764_800;

/// The internal dates spread over six years from the earliest, all in the past: some servers
/// replace one in the future by the present.
const SPREAD_SECONDS: u32 = 6 * 365 * 24 * 60 * 60;

/// How many mails before this one a mail may refer to.
const THREAD_LENGTH: usize = 5;

/// One mail. Its bytes have LF line ends, as in a Maildir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedMail {
    /// Header and body.
    pub bytes: Vec<u8>,
    /// When a server took it in, in whole seconds.
    pub internal_date: Timestamp,
    /// What its reader did with it.
    pub flags: MailFlags,
    /// Its Message-ID with the angle brackets. No two mails of a seed share one.
    pub message_id: String,
}

impl GeneratedMail {
    /// The bytes with CRLF line ends, as on the wire.
    #[must_use]
    pub fn bytes_crlf(&self) -> Vec<u8> {
        let mut crlf = Vec::with_capacity(self.bytes.len() + self.bytes.len() / 32);
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', &self.bytes) {
            crlf.extend_from_slice(&self.bytes[from..end]);
            crlf.extend_from_slice(b"\r\n");
            from = end + 1;
        }
        crlf.extend_from_slice(&self.bytes[from..]);
        crlf
    }

    /// The internal date as APPEND takes it, in UTC and without its quotes, such as
    /// `17-Jul-1996 02:44:25 +0000`.
    #[must_use]
    pub fn imap_internal_date(&self) -> String {
        // An RFC 3501 date-day-fixed: two characters, padded with a space.
        self.internal_date
            .strftime("%e-%b-%Y %H:%M:%S +0000")
            .to_string()
    }
}

/// Generates mails without end.
#[derive(Debug, Clone)]
pub struct MailGenerator {
    dice: Dice,
    ordinal: u64,
    /// The last [`THREAD_LENGTH`] Message-IDs at most, the latest last.
    thread: VecDeque<String>,
}

impl MailGenerator {
    /// The mails of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            ordinal: 0,
            thread: VecDeque::with_capacity(THREAD_LENGTH),
        }
    }
}

impl Iterator for MailGenerator {
    type Item = GeneratedMail;

    /// Always a mail.
    fn next(&mut self) -> Option<GeneratedMail> {
        let dice = &mut self.dice;
        let second = FIRST_SECOND + i64::from(dice.below(SPREAD_SECONDS));
        // Every second of the spread is within jiff's range, which ends in the year 9999.
        let internal_date = Timestamp::from_second(second).unwrap_or_default();
        let flags = draw_flags(dice);
        let mail_bytes = dice.mail_bytes(LONGEST_BYTES);
        let mut bytes = Vec::with_capacity(mail_bytes + 1_024);
        let occasion = Occasion {
            ordinal: self.ordinal,
            internal_date,
            mail_bytes,
            thread: self.thread.make_contiguous(),
        };
        let message_id = header::write(dice, &occasion, &mut bytes);
        content::write(dice, mail_bytes, &mut bytes);
        self.ordinal += 1;
        if self.thread.len() == THREAD_LENGTH {
            self.thread.pop_front();
        }
        self.thread.push_back(message_id.clone());
        Some(GeneratedMail {
            bytes,
            internal_date,
            flags,
            message_id,
        })
    }
}

/// Most mails are read, some of them answered; a few are drafts or to be deleted.
fn draw_flags(dice: &mut Dice) -> MailFlags {
    let chances = [
        (MailFlag::Draft, 50),
        (MailFlag::Flagged, 15),
        (MailFlag::Trashed, 40),
    ];
    let mut flags: MailFlags = chances
        .into_iter()
        .filter_map(|(flag, n)| dice.one_in(n).then_some(flag))
        .collect();
    if !dice.one_in(6) {
        flags = flags.with(MailFlag::Seen);
        if dice.one_in(4) {
            flags = flags.with(MailFlag::Replied);
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// FNV-1a over all that the generator gives.
    fn fingerprint(mails: impl Iterator<Item = GeneratedMail>) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut feed = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        for mail in mails {
            feed(&mail.bytes);
            feed(mail.imap_internal_date().as_bytes());
            feed(mail.flags.maildir_letters().as_bytes());
        }
        hash
    }

    #[test]
    fn a_seed_decides_every_byte() {
        let of_seed = |seed| fingerprint(MailGenerator::new(seed).take(300));
        // Should it change, so do all numbers that were measured on these mails.
        assert_eq!(of_seed(1), 0xc08a_0806_37c7_6f8d);
        assert_ne!(of_seed(1), of_seed(2));
    }

    #[test]
    fn sizes_are_those_of_a_mailbox() {
        const MAILS: usize = 5_000;
        let mut sizes: Vec<usize> = MailGenerator::new(3)
            .take(MAILS)
            .map(|mail| mail.bytes.len())
            .collect();
        sizes.sort_unstable();
        let median = sizes[MAILS / 2] as f64;
        let mean = sizes.iter().sum::<usize>() as f64 / MAILS as f64;
        assert!((median / 3_000.0 - 1.0).abs() < 0.10, "median {median}");
        assert!((mean / 7_000.0 - 1.0).abs() < 0.15, "mean {mean}");
        assert!(sizes[MAILS - 1] <= LONGEST_BYTES);
        assert!(sizes[MAILS - 1] > LONGEST_BYTES / 2);
    }

    #[test]
    fn every_mail_is_well_formed() {
        let mut ids = BTreeSet::new();
        for mail in MailGenerator::new(4).take(1_000) {
            let bytes = &mail.bytes;
            assert!(bytes.ends_with(b"\n"));
            assert!(!bytes.contains(&b'\r') && !bytes.contains(&0));
            let longest = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
            assert!(longest < Some(998), "{longest:?}");
            let end = memchr::memmem::find(bytes, b"\n\n").unwrap();
            let header = String::from_utf8(bytes[..end].to_vec()).unwrap();
            for name in [
                "Return-Path",
                "Received",
                "Date",
                "From",
                "To",
                "Subject",
                "MIME-Version",
                "Content-Type",
            ] {
                let count = header
                    .lines()
                    .filter(|line| line.split(':').next() == Some(name))
                    .count();
                assert!(count == 1 || name == "Received" && count > 1, "{header}");
            }
            assert!(header.contains(&format!("\nMessage-ID: {}\n", mail.message_id)));
            assert!(ids.insert(mail.message_id));
        }
    }

    /// What a line of some mail must look like.
    #[test]
    fn nothing_is_missing_from_the_mixture() {
        let mails = MailGenerator::new(5).take(1_000);
        let all = mails.fold(Vec::new(), |mut all, mail| {
            all.extend_from_slice(&mail.bytes);
            all
        });
        for piece in [
            "\nCc: ",
            "\nIn-Reply-To: <",
            "\nReferences: <",
            "\nDKIM-Signature: ",
            "\nSubject: Re: ",
            "\nSubject: =?utf-8?B?",
            "\nSubject: =?iso-8859-1?Q?",
            "\nFrom: =?utf-8?Q?",
            "\nFrom: \"Smith, John\" <",
            "\nContent-Type: text/plain; charset=us-ascii\n",
            "\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n",
            "\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n",
            "format=flowed\n",
            "\nContent-Type: multipart/alternative;\n boundary=",
            "\nContent-Type: multipart/mixed;\n boundary=",
            "\nContent-Transfer-Encoding: quoted-printable\n",
            "\nContent-Transfer-Encoding: base64\n",
            "filename*=UTF-8''",
            "\nFrom the ",
            "\n.\n",
            "\n.the ",
            "\n> ",
        ] {
            let found = memchr::memmem::find(&all, piece.as_bytes());
            assert!(found.is_some(), "{piece:?} is in no mail");
        }
        let raw_subject = all
            .split(|byte| *byte == b'\n')
            .any(|line| line.starts_with(b"Subject: ") && !line.is_ascii());
        assert!(raw_subject);
    }

    #[test]
    fn line_ends_become_crlf() {
        for (bytes, expected) in [("", ""), ("a", "a"), ("a\n\nb\n", "a\r\n\r\nb\r\n")] {
            let mail = GeneratedMail {
                bytes: bytes.into(),
                internal_date: Timestamp::UNIX_EPOCH,
                flags: MailFlags::default(),
                message_id: String::new(),
            };
            assert_eq!(mail.bytes_crlf(), expected.as_bytes());
            assert_eq!(mail.imap_internal_date(), " 1-Jan-1970 00:00:00 +0000");
        }
    }
}
