//! The `From ` line between the mails of an mbox, and the stray lines that only look like one.

use jiff::Timestamp;
use memchr::memchr;

use super::moment::Moment;

/// The longest `From ` line; a longer one is text.
const ENVELOPE_BYTES_MAX: usize = 1024;
/// The longest name of a header field that is looked for after a `From ` line.
const FIELD_NAME_BYTES_MAX: usize = 128;
/// What Windows programs put before a text in UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// How much of the input has to be seen, from a `From ` line on, to judge it.
pub(super) const JUDGED_BYTES: usize = ENVELOPE_BYTES_MAX + FIELD_NAME_BYTES_MAX;
/// Most words of a sender: `"a b c"@host`, and `a at host` of mailing lists' archives.
const SENDER_WORDS_MAX: usize = 6;

/// A line that begins a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope {
    /// Length of the line, with its end.
    pub(super) line_bytes: usize,
    /// When the mail was received, if the line says so.
    pub(super) received: Option<Timestamp>,
}

/// What stands before a `From ` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// An empty line, or the start of the input.
    EmptyLine,
    Text,
}

/// How the mails of an mbox are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separation {
    /// By an empty line and an envelope (RFC 4155).
    EmptyLine,
    /// By an envelope and a header field after it: some exporters forget the empty line.
    EnvelopeAlone,
}

/// Judges a line that begins with `From `: the envelope, if a mail begins here.
///
/// `rest` is the input from the line on: [`JUDGED_BYTES`] of it, or all that is left.
pub(super) fn envelope(rest: &[u8], before: Before, separation: Separation) -> Option<Envelope> {
    let (line, after) = first_line(rest)?;
    let written = Written::parse(line.strip_prefix(b"From ")?)?;
    let is_separator = match (before, written) {
        (Before::EmptyLine, Written::Dated(_)) => true,
        (Before::EmptyLine, Written::Bare) => is_field(after),
        // Thunderbird has left out the empty line at times; nobody else writes these two lines.
        (Before::Text, _) if after.starts_with(b"X-Mozilla-Status:") => true,
        // Just as sure is the sender that Eudora does not know.
        (Before::Text, Written::Dated(_)) => {
            let is_sure =
                separation == Separation::EnvelopeAlone || line.starts_with(b"From ???@??? ");
            is_sure && is_field(after)
        }
        (Before::Text, Written::Bare) => false,
    };
    is_separator.then(|| Envelope {
        line_bytes: rest.len() - after.len(),
        received: written.received(),
    })
}

/// The envelope of an mbox's first line, where anything after `From ` will do if a header field
/// follows: better a mail without its date than a file without its mails.
pub(super) fn first_envelope(rest: &[u8]) -> Option<Envelope> {
    envelope(rest, Before::EmptyLine, Separation::EmptyLine).or_else(|| {
        let (line, after) = first_line(rest)?;
        (line.starts_with(b"From ") && is_field(after)).then(|| Envelope {
            line_bytes: rest.len() - after.len(),
            received: None,
        })
    })
}

/// What stands after a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    Mail(Envelope),
    Nothing,
}

/// What follows a mail that ends at `at` by its Content-Length: a `From ` line or the end, with
/// at most one empty line between, whose length is given; `None` where it does not end there.
pub(super) fn follows(input: &[u8], at: usize) -> Option<(usize, Follows)> {
    let rest = input.get(at..)?;
    let line_end_bytes = match rest {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ if at == 0 || input[at - 1] == b'\n' || rest.is_empty() => 0,
        _ => return None,
    };
    let rest = &rest[line_end_bytes..];
    let follows = if rest.is_empty() {
        Follows::Nothing
    } else {
        Follows::Mail(envelope(rest, Before::EmptyLine, Separation::EmptyLine)?)
    };
    Some((line_end_bytes, follows))
}

/// The length of the empty line at the end of a text; 0 if there is none.
pub(super) fn empty_line_bytes(text: &[u8]) -> usize {
    if text.ends_with(b"\n\r\n") {
        2
    } else {
        usize::from(text.ends_with(b"\n\n"))
    }
}

/// The first line without its end, and what follows.
fn first_line(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let seen = &rest[..rest.len().min(ENVELOPE_BYTES_MAX)];
    let (line, after) = match memchr(b'\n', seen) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None if seen.len() == rest.len() => (rest, &rest[rest.len()..]),
        None => return None,
    };
    Some((line.strip_suffix(b"\r").unwrap_or(line), after))
}

/// Whether a header field begins here (RFC 5322, section 2.2).
fn is_field(rest: &[u8]) -> bool {
    let start = &rest[..rest.len().min(FIELD_NAME_BYTES_MAX)];
    memchr(b':', start).is_some_and(|at| at > 0 && start[..at].iter().all(u8::is_ascii_graphic))
}

/// What a `From ` line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// A sender and a date; the date may be one that no calendar has.
    Dated(Option<Timestamp>),
    /// Nothing, as today's Thunderbird writes it, or a `-`.
    Bare,
}

impl Written {
    /// Parses what follows `From `; `None` where it is neither.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut words = Vec::with_capacity(8);
        for word in text.split(u8::is_ascii_whitespace) {
            if !word.is_empty() {
                words.push(std::str::from_utf8(word).unwrap_or("?"));
            }
        }
        if matches!(words[..], [] | ["-"]) {
            return Some(Self::Bare);
        }
        (0..words.len().min(SENDER_WORDS_MAX + 1)).find_map(|sender_words| {
            let (sender, date) = words.split_at(sender_words);
            let moment = Moment::parse(date).filter(|_| is_sender(sender))?;
            Some(Self::Dated(moment.timestamp()))
        })
    }

    fn received(self) -> Option<Timestamp> {
        match self {
            Self::Dated(received) => received,
            Self::Bare => None,
        }
    }
}

/// Whether these words name a sender: an address, a user, `-`, `???@???`; none at all for the
/// empty return path of a bounce.
fn is_sender(words: &[&str]) -> bool {
    match words {
        [] | [_] | [_, "at", _] => true,
        [first, .., last] => first.starts_with('"') && last.contains("\"@"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// After an empty line, with nothing behind.
    #[track_caller]
    fn check(line: &str, expected: Option<Option<&str>>) {
        let found = envelope(line.as_bytes(), Before::EmptyLine, Separation::EmptyLine);
        let date = found.map(|found| {
            assert_eq!(found.line_bytes, line.len());
            found.received.map(|received| received.to_string())
        });
        let expected = expected.map(|date| date.map(str::to_owned));
        assert_eq!(date, expected, "{line:?}");
    }

    #[test]
    fn dated_envelopes() {
        for (line, date) in [
            (
                "ada@example.org Thu Feb  1 04:05:06 2001",
                "2001-02-01T04:05:06Z",
            ),
            ("- Thu Feb 01 04:05:06 2001\r", "2001-02-01T04:05:06Z"),
            (
                "MAILER-DAEMON Thu Feb  1 04:05 2001",
                "2001-02-01T04:05:00Z",
            ),
            ("???@??? Thu Feb  1 04:05:06 2001", "2001-02-01T04:05:06Z"),
            (
                "1828754568043628583@xxx Mon Apr 07 14:31:02 +0000 2025",
                "2025-04-07T14:31:02Z",
            ),
            ("ada Thu Feb  1 04:05:06 EST 2001", "2001-02-01T09:05:06Z"),
            (
                "ada Thu Feb  1 04:05:06 MET DST 2001",
                "2001-02-01T02:05:06Z",
            ),
            ("ada Thu Feb  1 04:05:06 2001 +0130", "2001-02-01T02:35:06Z"),
            (
                "ada Thu Feb  1 04:05:06 2001 remote from hopper",
                "2001-02-01T04:05:06Z",
            ),
            (
                "ada Thu, 1 Feb 2001 04:05:06 -0800 (PST)",
                "2001-02-01T12:05:06Z",
            ),
            ("ada 1 Feb 2001 04:05:06 XYZ", "2001-02-01T04:05:06Z"),
            ("ada Thu Feb  1 04:05 87", "1987-02-01T04:05:00Z"),
            (
                "ada at example.org  Thu Feb  1 04:05:06 2001",
                "2001-02-01T04:05:06Z",
            ),
            (
                "\"a b c\"@host Thu Feb  1 04:05:06 2001",
                "2001-02-01T04:05:06Z",
            ),
            ("Thu Feb  1 04:05:06 2001", "2001-02-01T04:05:06Z"),
            ("ada Sun Dec 31 23:59:60 1995", "1995-12-31T23:59:59Z"),
        ] {
            check(&format!("From {line}\n"), Some(Some(date)));
        }
    }

    #[test]
    fn envelopes_without_a_date_that_means_anything() {
        check("From - Thu Jan  1 00:00:00 1970\n", Some(None));
        check("From ada Thu Feb 30 00:00:00 2001\n", Some(None));
        check("From ada Thu Feb  1 00:00:00 1960", Some(None));
    }

    #[test]
    fn stray_lines() {
        for line in [
            "From now on, everything is different.",
            "From Monday to Thursday",
            "From ada@example.org",
            "From the office on Thu Feb  1 04:05:06 2001",
            "From ada Thu Feb  1 25:05:06 2001",
            "From ada Thu Feb  1 04:05:06",
            "From ada Thu Feb  1 04:05:06 2001 as I said",
            "From ada Thu Feb  1 04:05:06 +9900 2001",
            "From ada Thu Foo  1 04:05:06 2001",
            "From ada Thu Feb +1 04:05:06 2001",
            "From \u{e9} \u{e9} \u{e9}",
            "From ",
            "from ada Thu Feb  1 04:05:06 2001",
        ] {
            check(&format!("{line}\n"), None);
        }
        let long = format!("From {} Thu Feb  1 04:05:06 2001\n", "a".repeat(1024));
        check(&long, None);
    }

    #[test]
    fn what_stands_around() {
        use Before::{EmptyLine, Text};
        let dated = "From - Thu Feb  1 04:05:06 2001\n";
        let eudora = "From ???@??? Thu Feb  1 04:05:06 2001\r\n";
        for (before, separation, rest, expected) in [
            (
                Text,
                Separation::EmptyLine,
                &*format!("{eudora}To: a\r\n"),
                true,
            ),
            (
                Text,
                Separation::EmptyLine,
                &format!("{eudora}no field\r\n"),
                false,
            ),
            (
                EmptyLine,
                Separation::EmptyLine,
                "From \r\nSubject: a\r\n",
                true,
            ),
            (
                EmptyLine,
                Separation::EmptyLine,
                "From -\nSubject: a\n",
                true,
            ),
            (
                EmptyLine,
                Separation::EmptyLine,
                "From \nhere: there\n",
                true,
            ),
            (
                EmptyLine,
                Separation::EmptyLine,
                "From \nhere to there: x\n",
                false,
            ),
            (Text, Separation::EmptyLine, "From \nSubject: a\n", false),
            (
                Text,
                Separation::EmptyLine,
                "From \nX-Mozilla-Status: 0001\n",
                true,
            ),
            (
                Text,
                Separation::EmptyLine,
                &format!("{dated}Subject: a\n"),
                false,
            ),
            (
                Text,
                Separation::EmptyLine,
                &format!("{dated}X-Mozilla-Status: 0001\n"),
                true,
            ),
            (
                Text,
                Separation::EnvelopeAlone,
                &format!("{dated}Subject: a\n"),
                true,
            ),
            (
                Text,
                Separation::EnvelopeAlone,
                &format!("{dated}no field\n"),
                false,
            ),
        ] {
            let found = envelope(rest.as_bytes(), before, separation);
            assert_eq!(
                found.is_some(),
                expected,
                "{before:?} {separation:?} {rest:?}"
            );
        }
        assert!(first_envelope(b"From somewhere, 2001\nSubject: a\n").is_some());
        assert!(first_envelope(b"From somewhere, 2001\nDear Ada\n").is_none());
    }

    proptest! {
        /// Hostile lines end in an answer, and bytes behind what is judged do not change it.
        #[test]
        fn any_line(rest in prop::collection::vec(any::<u8>(), 0..80), more in "[a: \n]{0,20}") {
            let mut line = [b"From ", &rest[..]].concat();
            line.resize(JUDGED_BYTES, b'x');
            let short = envelope(&line, Before::EmptyLine, Separation::EnvelopeAlone);
            line.extend_from_slice(more.as_bytes());
            let long = envelope(&line, Before::EmptyLine, Separation::EnvelopeAlone);
            prop_assert_eq!(short, long);
        }
    }
}
