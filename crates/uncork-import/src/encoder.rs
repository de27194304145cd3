//! The APPEND encoder: mails become commands.

use crate::capability::LiteralSupport;
use crate::date::internal_date;
use crate::mail::Mail;
use crate::outgoing::Outgoing;
use crate::response::tag_text;

/// Whether the literal that a piece of a command announces may follow at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    Follows,
    WaitsForContinuation,
}

/// Where in a command a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'m> {
    First {
        tag: u32,
        /// As an astring.
        mailbox: &'m str,
    },
    Next,
}

/// Writes APPEND commands.
#[derive(Debug)]
pub(crate) struct Encoder {
    literal: LiteralSupport,
}

impl Encoder {
    pub(crate) fn new(literal: LiteralSupport) -> Self {
        Self { literal }
    }

    /// What stands before a mail's literal: `U1 APPEND "INBOX" (\Seen) "date" {5+}`, or from
    /// ` (\Seen)` on for the next mail of the same command.
    pub(crate) fn announce(&self, outgoing: &mut Outgoing, place: Place<'_>, mail: &Mail) -> Announced {
        let mut text = match place {
            Place::First { tag, mailbox } => format!("{} APPEND {mailbox}", tag_text(tag)),
            Place::Next => String::new(),
        };
        if !mail.flags.is_empty() {
            text.push_str(" (");
            text.push_str(&mail.flags.join(" "));
            text.push(')');
        }
        if let Some(date) = mail.internal_date {
            text.push(' ');
            text.push_str(&internal_date(date));
        }
        let waits = self.literal.waits(mail.len);
        let plus = if waits { "" } else { "+" };
        let literal8 = if mail.has_nul { "~" } else { "" };
        text.push_str(&format!(" {literal8}{{{}{plus}}}\r\n", mail.len));
        outgoing.text(&text);
        if waits {
            Announced::WaitsForContinuation
        } else {
            Announced::Follows
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::batch::{Batch, Content};

    #[track_caller]
    fn check(literal: LiteralSupport, mails: &[&str], expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        for folder in ["cur", "new"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        for (n, mail) in mails.iter().enumerate() {
            let path = root.path().join(format!("cur/{n}.host:2,FS"));
            std::fs::write(&path, mail).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        }
        let source = crate::Source::open(root.path()).unwrap();
        let mut departures = Vec::new();
        crate::batch::fill_batches(&source, |batch| {
            departures = encode(literal, &Rc::new(batch));
            true
        });
        assert_eq!(departures, expected);
    }

    /// One command with all mails, cut where something has to be waited for.
    fn encode(literal: LiteralSupport, batch: &Rc<Batch>) -> Vec<String> {
        let encoder = Encoder::new("\"INBOX\"".into(), literal);
        let (mut outgoing, mut departures) = (Outgoing::default(), Vec::new());
        let flush = |outgoing: &mut Outgoing, departures: &mut Vec<String>| {
            let bytes = outgoing.contents().flat_map(|(content, _)| match content {
                Content::Memory(bytes) => bytes.to_vec(),
                _ => panic!("small mails are in memory"),
            });
            departures.push(String::from_utf8(bytes.collect()).unwrap());
            assert_eq!(outgoing.bytes(), departures.last().unwrap().len() as u64);
            outgoing.clear();
        };
        for (at, mail) in batch.mails.iter().enumerate() {
            let place = match at {
                0 => Place::First { tag: 1 },
                _ => Place::Next,
            };
            if encoder.announce(&mut outgoing, place, mail) == Announced::WaitsForContinuation {
                flush(&mut outgoing, &mut departures);
            }
            outgoing.literal(batch, at);
        }
        outgoing.text("\r\n");
        flush(&mut outgoing, &mut departures);
        departures
    }

    #[test]
    fn a_batch_with_literal_plus_is_one_departure() {
        check(
            LiteralSupport::Plus,
            &["A: b\n\nc\n", "D: e\r\n"],
            &[concat!(
                "U1 APPEND \"INBOX\" (\\Flagged \\Seen) \"09-Sep-2001 01:46:40 +0000\" {11+}\r\n",
                "A: b\r\n\r\nc\r\n",
                " (\\Flagged \\Seen) \"09-Sep-2001 01:46:40 +0000\" {6+}\r\n",
                "D: e\r\n\r\n",
            )],
        );
    }

    #[test]
    fn a_literal_that_waits_cuts_the_command() {
        check(
            LiteralSupport::Sync,
            &["A\n", "B\n"],
            &[
                "U1 APPEND \"INBOX\" (\\Flagged \\Seen) \"09-Sep-2001 01:46:40 +0000\" {3}\r\n",
                "A\r\n (\\Flagged \\Seen) \"09-Sep-2001 01:46:40 +0000\" {3}\r\n",
                "B\r\n\r\n",
            ],
        );
    }

    #[test]
    fn literal_minus_waits_past_4096_bytes() {
        let long = "x".repeat(5000);
        let departures: &[&str] = &[
            "U1 APPEND \"INBOX\" (\\Flagged \\Seen) \"09-Sep-2001 01:46:40 +0000\" {3+}\r\nA\r\n (\\Flagged \\Seen) \"09-Sep-2001 01:46:40 +0000\" {5000}\r\n",
            &format!("{long}\r\n"),
        ];
        check(LiteralSupport::Minus, &["A\n", &long], departures);
    }
}
