//! What the server has stored, by its own word.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use uncork_lab::dovecot::Dovecot;

use super::maildir::Message;
use crate::command::output;

/// The IMAP flags and the letters of a Maildir that stand for them, sorted by letter.
const FLAGS: [(&str, char); 5] = [
    ("\\Draft", 'D'),
    ("\\Flagged", 'F'),
    ("\\Answered", 'R'),
    ("\\Seen", 'S'),
    ("\\Deleted", 'T'),
];

/// All messages in the INBOX of `user`.
pub(super) fn messages(doveadm: &Path, server: &Dovecot, user: &str) -> Result<Vec<Message>> {
    let text = output(
        Command::new(doveadm)
            .arg("-c")
            .arg(server.conf_path())
            .args(["-f", "tab", "fetch", "-u", user])
            .arg("size.virtual date.received.unixtime flags")
            .args(["mailbox", "INBOX"]),
    )?;
    // The first line has the names of the fields; without messages there is none.
    let lines = text.lines().skip(1);
    lines
        .map(|line| parse(line).with_context(|| format!("doveadm fetch printed {line:?}")))
        .collect()
}

/// How the stored messages differ from their source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// How many have a size that none should have.
    size: usize,
    /// How many have a date with flags that none should have.
    date_or_flags: usize,
}

impl Difference {
    /// Compares them; their order does not matter.
    pub(super) fn between(stored: &[Message], source: &[Message]) -> Self {
        let count = |aspect: fn(&Message) -> Message| {
            let mut stored: Vec<Message> = stored.iter().map(aspect).collect();
            let mut source: Vec<Message> = source.iter().map(aspect).collect();
            stored.sort();
            source.sort();
            surplus(&stored, &source)
        };
        Self {
            size: count(|message| Message {
                received: 0,
                flags: String::new(),
                ..*message
            }),
            date_or_flags: count(|message| Message {
                crlf_bytes: 0,
                ..message.clone()
            }),
        }
    }

    /// What differs, in words, or `None` if nothing does.
    pub(super) fn words(self) -> Option<String> {
        match (self.size, self.date_or_flags) {
            (0, 0) => None,
            (size, 0) => Some(format!(
                "{size} messages have another size than their source"
            )),
            (0, other) => Some(format!("{other} messages have another date or other flags")),
            (size, other) => Some(format!(
                "{size} messages have another size, {other} another date or other flags"
            )),
        }
    }
}

/// How many of the sorted `stored` are left when each of the sorted `source` takes its equal.
fn surplus(stored: &[Message], source: &[Message]) -> usize {
    let mut source = source.iter().peekable();
    let without_equal = |message: &&Message| {
        while source.next_if(|other| other < message).is_some() {}
        source.next_if(|other| other == message).is_none()
    };
    stored.iter().filter(without_equal).count()
}

fn parse(line: &str) -> Option<Message> {
    let mut fields = line.split('\t');
    let crlf_bytes = fields.next()?.parse().ok()?;
    let received = fields.next()?.parse().ok()?;
    let words: Vec<&str> = fields.next()?.split_ascii_whitespace().collect();
    let letters = FLAGS.iter().filter(|(flag, _)| words.contains(flag));
    Some(Message {
        crlf_bytes,
        received,
        flags: letters.map(|&(_, letter)| letter).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(crlf_bytes: u64, flags: &str) -> Message {
        Message {
            crlf_bytes,
            received: 1_500_000_000,
            flags: flags.to_owned(),
        }
    }

    #[test]
    fn a_line_is_a_message() {
        let line = "700\t1500000000\t\\Seen $Forwarded \\Flagged";
        assert_eq!(parse(line), Some(message(700, "FS")));
        assert_eq!(parse("700\t1500000000\t"), Some(message(700, "")));
        assert_eq!(parse("700\tyesterday\t"), None);
    }

    #[test]
    fn each_message_that_differs_counts_once() {
        let source = [message(1, ""), message(2, ""), message(2, "")];
        let check = |stored: &[Message], size, date_or_flags| {
            let expected = Difference {
                size,
                date_or_flags,
            };
            assert_eq!(Difference::between(stored, &source), expected);
        };
        check(&[message(2, ""), message(2, ""), message(1, "")], 0, 0);
        check(&[message(2, ""), message(1, ""), message(1, "")], 1, 0);
        check(&[message(1, "S"), message(2, "S"), message(3, "")], 1, 2);
        check(&[], 0, 0);
    }
}
