//! The APPEND encoder: mails become commands.

use super::outgoing::Outgoing;
use crate::imap::capability::LiteralSupport;
use crate::imap::response::tag_text;
use crate::mail::Mail;
use crate::prepare::date::internal_date;

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
    pub(crate) fn announce(
        &self,
        outgoing: &mut Outgoing,
        place: Place<'_>,
        mail: &Mail,
    ) -> Announced {
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
    use super::*;
    use crate::imap::wire::Piece;

    /// Writes one command with all mails, and cuts it where something has to be waited for.
    #[track_caller]
    fn check(literal: LiteralSupport, mails: &[Mail], expected: &[&str]) {
        let encoder = Encoder::new(literal);
        let (mut outgoing, mut departures) = (Outgoing::default(), Vec::new());
        let flush = |outgoing: &mut Outgoing, departures: &mut Vec<String>| {
            let bytes = outgoing.pieces().into_iter().flat_map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.to_vec(),
                Piece::File(..) => panic!("small mails are in memory"),
            });
            departures.push(String::from_utf8(bytes.collect()).unwrap());
            assert_eq!(outgoing.bytes(), departures.last().unwrap().len() as u64);
            outgoing.clear();
        };
        for (at, mail) in mails.iter().enumerate() {
            let place = match at {
                0 => Place::First {
                    tag: 1,
                    mailbox: "\"INBOX\"",
                },
                _ => Place::Next,
            };
            if encoder.announce(&mut outgoing, place, mail) == Announced::WaitsForContinuation {
                flush(&mut outgoing, &mut departures);
            }
            outgoing.literal(mail);
        }
        outgoing.text("\r\n");
        flush(&mut outgoing, &mut departures);
        assert_eq!(departures, expected);
    }

    fn dated(text: &str) -> Mail {
        Mail {
            flags: vec!["\\Flagged".into(), "\\Seen".into()],
            internal_date: jiff::Timestamp::from_second(1_000_000_000).ok(),
            ..Mail::sample(text)
        }
    }

    #[test]
    fn a_batch_with_literal_plus_is_one_departure() {
        let nul = Mail {
            has_nul: true,
            ..Mail::sample("\0")
        };
        check(
            LiteralSupport::Plus,
            &[dated("A: b\r\n\r\nc\r\n"), Mail::sample("D: e\r\n"), nul],
            &[concat!(
                "U1 APPEND \"INBOX\" (\\Flagged \\Seen) \"09-Sep-2001 01:46:40 +0000\" {11+}\r\n",
                "A: b\r\n\r\nc\r\n",
                " {6+}\r\n",
                "D: e\r\n",
                " ~{1+}\r\n\0\r\n",
            )],
        );
    }

    #[test]
    fn a_literal_that_waits_cuts_the_command() {
        check(
            LiteralSupport::Sync,
            &[Mail::sample("A\r\n"), Mail::sample("B\r\n")],
            &["U1 APPEND \"INBOX\" {3}\r\n", "A\r\n {3}\r\n", "B\r\n\r\n"],
        );
    }

    #[test]
    fn literal_minus_waits_past_4096_bytes() {
        let long = "x".repeat(5000);
        check(
            LiteralSupport::Minus,
            &[Mail::sample("A\r\n"), Mail::sample(&long)],
            &[
                "U1 APPEND \"INBOX\" {3+}\r\nA\r\n {5000}\r\n",
                &format!("{long}\r\n"),
            ],
        );
    }
}
