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

/// How many messages are stored otherwise than they were. Their order does not matter.
pub(super) fn differing(stored: &[Message], source: &[Message]) -> usize {
    let sorted = |messages: &[Message]| {
        let mut messages = messages.to_vec();
        messages.sort();
        messages
    };
    let mut stored = sorted(stored);
    for message in sorted(source) {
        if let Ok(index) = stored.binary_search(&message) {
            stored.remove(index);
        }
    }
    stored.len()
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
        assert_eq!(
            differing(&[message(2, ""), message(2, ""), message(1, "")], &source),
            0
        );
        assert_eq!(
            differing(&[message(2, ""), message(1, ""), message(1, "")], &source),
            1
        );
        assert_eq!(
            differing(&[message(1, "S"), message(2, "S"), message(3, "")], &source),
            3
        );
    }
}
