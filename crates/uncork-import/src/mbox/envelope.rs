//! The `From ` line between the mails of an mbox, and the stray lines that only look like one.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use memchr::memchr;

/// The longest `From ` line; a longer one is text.
const ENVELOPE_BYTES_MAX: usize = 1024;
/// The longest name of a header field that is looked for after a `From ` line.
const FIELD_NAME_BYTES_MAX: usize = 128;
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
        (Before::Text, Written::Dated(_)) => {
            separation == Separation::EnvelopeAlone && is_field(after)
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
    /// Nothing, as Thunderbird has it since 2023, or a `-`.
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

/// A date as it is written, before any calendar is asked.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    /// East of UTC. No zone is UTC (RFC 4155), and so is one that nobody knows.
    offset_minutes: i32,
}

impl Moment {
    fn parse(words: &[&str]) -> Option<Self> {
        let (first, rest) = words.split_first()?;
        if is_weekday(first) {
            Self::parse_ctime(rest).or_else(|| Self::parse_mail(rest))
        } else {
            Self::parse_mail(words)
        }
    }

    /// `Jan  1 00:00:00 2001`: what asctime(3) writes, with zones before or after the year.
    fn parse_ctime(words: &[&str]) -> Option<Self> {
        let [month, day, time, rest @ ..] = words else {
            return None;
        };
        let mut moment = Self::default();
        moment.set_day(day, month)?;
        moment.set_time(time)?;
        let year_at = rest.iter().position(|word| year(word).is_some())?;
        moment.year = year(rest[year_at])?;
        moment.set_zone(&rest[..year_at])?;
        moment.set_zone(&rest[year_at + 1..])?;
        Some(moment)
    }

    /// `1 Jan 2001 00:00:00 +0000`: a Date field's (RFC 5322, section 3.3).
    fn parse_mail(words: &[&str]) -> Option<Self> {
        let [day, month, written_year, time, rest @ ..] = words else {
            return None;
        };
        let mut moment = Self::default();
        moment.set_day(day, month)?;
        moment.year = year(written_year)?;
        moment.set_time(time)?;
        moment.set_zone(rest)?;
        Some(moment)
    }

    fn set_day(&mut self, day: &str, month: &str) -> Option<()> {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let month_at = MONTHS
            .iter()
            .position(|name| name.eq_ignore_ascii_case(month))?;
        self.month = i8::try_from(month_at + 1).ok()?;
        self.day = number(day, 2).filter(|day| (1..=31).contains(day))?;
        Some(())
    }

    fn set_time(&mut self, time: &str) -> Option<()> {
        let mut parts = time.split(':');
        self.hour = number(parts.next()?, 2).filter(|&hour| hour < 24)?;
        self.minute = number(parts.next()?, 2).filter(|&minute| minute < 60)?;
        self.second = match parts.next() {
            // A leap second is no reason to lose a mail.
            Some(second) => number(second, 2).filter(|&second| second <= 60)?.min(59),
            None => 0,
        };
        parts.next().is_none().then_some(())
    }

    /// Takes the words of a zone, `+0100`, `EST`, `MET DST`, `(PST)`, up to UUCP's `remote from`.
    fn set_zone(&mut self, words: &[&str]) -> Option<()> {
        for (at, &word) in words.iter().enumerate() {
            if word == "remote" && words.get(at + 1) == Some(&"from") {
                break;
            }
            let name = word.trim_start_matches('(').trim_end_matches(')');
            if let Some(minutes) = numeric_zone(name) {
                self.offset_minutes = minutes;
            } else if name == "DST" {
                self.offset_minutes += 60;
            } else if is_zone_name(name) {
                // `+0100 (CET)` says it twice; the number is surer.
                if self.offset_minutes == 0 {
                    self.offset_minutes = named_zone(name);
                }
            } else {
                return None;
            }
        }
        Some(())
    }

    /// The moment, unless there is none such, or it is the epoch, which is what programs write
    /// that know no date.
    fn timestamp(self) -> Option<Timestamp> {
        let civil = DateTime::new(
            self.year,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
            0,
        );
        let offset = Offset::from_seconds(self.offset_minutes * 60).ok()?;
        let zoned = civil.ok()?.to_zoned(TimeZone::fixed(offset)).ok()?;
        Some(zoned.timestamp()).filter(|&timestamp| timestamp > Timestamp::UNIX_EPOCH)
    }
}

fn is_weekday(word: &str) -> bool {
    const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let word = word.strip_suffix(',').unwrap_or(word);
    WEEKDAYS.iter().any(|name| name.eq_ignore_ascii_case(word))
}

/// A number of at most so many digits, and nothing else.
fn number(word: &str, digits_max: usize) -> Option<i8> {
    let is_number = word.len() <= digits_max && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_number)
}

/// A year of four digits, or of two as UUCP wrote them.
fn year(word: &str) -> Option<i16> {
    let year: i16 = word.parse().ok()?;
    match word.len() {
        _ if !word.bytes().all(|byte| byte.is_ascii_digit()) => None,
        4 => Some(year),
        2 if year < 70 => Some(2000 + year),
        2 => Some(1900 + year),
        _ => None,
    }
}

fn numeric_zone(word: &str) -> Option<i32> {
    let (sign, digits) = match word.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let digits: &[u8; 4] = digits.try_into().ok()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let [h1, h2, m1, m2] = digits.map(|digit| i32::from(digit - b'0'));
    let minutes = (h1 * 10 + h2) * 60 + m1 * 10 + m2;
    (minutes < 24 * 60).then_some(sign * minutes)
}

fn is_zone_name(word: &str) -> bool {
    (1..=5).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The names of RFC 822 and those of Europe; UTC for all others.
fn named_zone(word: &str) -> i32 {
    let hours = match word {
        "EST" | "CDT" => -5,
        "EDT" => -4,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        "MET" | "CET" | "BST" => 1,
        "MEST" | "CEST" | "EET" => 2,
        "EEST" | "MSK" => 3,
        "JST" | "KST" => 9,
        _ => 0,
    };
    hours * 60
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
        for (before, separation, rest, expected) in [
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
