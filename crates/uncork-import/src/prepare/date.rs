//! INTERNALDATE: when a mail was received.

use std::time::SystemTime;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use memchr::memrchr_iter;

use super::head::{Field, Head};
use crate::mail::Found;
use crate::options::DateFrom;

mod parse;

pub(crate) use parse::parse;

/// How far a clock may be ahead. What is more so is no date of a mail, and Dovecot makes it now
/// without a word.
const AHEAD_HOURS_MAX: i64 = 2;

/// Most semicolons of a Received field that are tried.
const SEMICOLONS_MAX: usize = 4;

/// A date as `APPEND` takes it, `"01-Feb-2003 04:05:06 +0000"` with its quotes.
pub(crate) fn internal_date(timestamp: Timestamp) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let utc = Offset::UTC.to_datetime(timestamp);
    let month = usize::try_from(utc.month() - 1).unwrap_or(0);
    format!(
        "\"{:02}-{}-{:04} {:02}:{:02}:{:02} +0000\"",
        utc.day(),
        MONTHS[month % MONTHS.len()],
        utc.year(),
        utc.hour(),
        utc.minute(),
        utc.second(),
    )
}

/// A file's time, where IMAP can say it: not before 1970, not after 9999.
pub(crate) fn from_file_time(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok().filter(is_sayable)
}

/// What the dates of a mail come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// This one is its INTERNALDATE.
    Date(Timestamp),
    /// There are some, but none that is a date of our time.
    NoneUsable,
    /// There is none, or none is wanted.
    None,
}

impl Choice {
    /// Of what a source and a header say. Where the date that is asked for is not there or not
    /// usable, the others are tried in the order of [`DateFrom`]: any is nearer than today's.
    pub(crate) fn of(found: &Found, head: &Head<'_>, from: DateFrom, now: Timestamp) -> Self {
        let in_order = [
            DateFrom::Source,
            DateFrom::Received,
            DateFrom::Header,
            DateFrom::File,
        ];
        if from == DateFrom::Now {
            return Self::None;
        }
        let is_wanted = |candidate: &DateFrom| *candidate == from;
        let others = in_order.iter().filter(|other| !is_wanted(other));
        let mut choice = Self::None;
        for &candidate in in_order.iter().filter(|one| is_wanted(one)).chain(others) {
            match Candidate::of(candidate, found, head) {
                Candidate::Date(date) if is_usable(date, now) => return Self::Date(date),
                Candidate::Date(_) | Candidate::Unreadable => choice = Self::NoneUsable,
                Candidate::Missing => {}
            }
        }
        choice
    }
}

enum Candidate {
    Date(Timestamp),
    Unreadable,
    Missing,
}

impl Candidate {
    fn of(from: DateFrom, found: &Found, head: &Head<'_>) -> Self {
        let first = |field| head.values(field).next();
        let read = match from {
            DateFrom::Source => return found.received.map_or(Self::Missing, Self::Date),
            DateFrom::File => return found.file_time.map_or(Self::Missing, Self::Date),
            DateFrom::Received => first(Field::Received).map(of_received),
            DateFrom::Header => first(Field::Date)
                .filter(|value| !value.trim_ascii().is_empty())
                .map(parse),
            DateFrom::Auto | DateFrom::Now => None,
        };
        match read {
            Some(Some(date)) => Self::Date(date),
            Some(None) => Self::Unreadable,
            None => Self::Missing,
        }
    }
}

/// After 1970, before which many servers can't say a date, and not in the future. A time of
/// zero is what a program writes that knows none.
fn is_usable(date: Timestamp, now: Timestamp) -> bool {
    let ahead_max = SignedDuration::from_hours(AHEAD_HOURS_MAX);
    date > Timestamp::UNIX_EPOCH && date.duration_since(now) <= ahead_max
}

/// The date of a Received field: after the last semicolon (RFC 5322, section 3.6.7), or after
/// an earlier one where the last stands in a comment behind the date.
fn of_received(value: &[u8]) -> Option<Timestamp> {
    memrchr_iter(b';', value)
        .take(SEMICOLONS_MAX)
        .find_map(|at| parse(&value[at + 1..]))
}

fn is_sayable(timestamp: &Timestamp) -> bool {
    (Timestamp::UNIX_EPOCH..Timestamp::MAX).contains(timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Position;
    use std::path::Path;

    fn from_header(mail: &[u8]) -> Option<Timestamp> {
        let head = Head::of(mail);
        let received = head.values(Field::Received).next().and_then(of_received);
        received.filter(is_sayable).or_else(|| {
            head.values(Field::Date)
                .next()
                .and_then(parse)
                .filter(is_sayable)
        })
    }

    #[track_caller]
    fn check(mail: &str, expected: Option<&str>) {
        let found = from_header(mail.as_bytes()).map(internal_date);
        let expected = expected.map(|date| format!("\"{date}\""));
        assert_eq!(found, expected, "{mail:?}");
    }

    #[test]
    fn dates_of_headers() {
        check(
            "Date: Tue, 1 Feb 2005 10:00:00 +0200\n\n",
            Some("01-Feb-2005 08:00:00 +0000"),
        );
        check(
            "date: 1 Feb 05 10:00 GMT\r\n\r\n",
            Some("01-Feb-2005 10:00:00 +0000"),
        );
        check(
            "Received: from a by b;\r\n\tWed, 02 Feb 2005 00:00:01 -0100\r\nReceived: x; 1 Jan 1999 00:00:00 +0000\r\nDate: Tue, 1 Feb 2005 10:00:00 +0200\r\n\r\n",
            Some("02-Feb-2005 01:00:01 +0000"),
        );
        // A Received without a date does not hide the Date.
        check(
            "Received: nonsense\nDate: 1 Feb 2005 10:00:00 +0000\n\n",
            Some("01-Feb-2005 10:00:00 +0000"),
        );
        // A wrong weekday is not worth losing the date for.
        check(
            "Date: Mon, 1 Feb 2005 10:00:00 +0000\n\n",
            Some("01-Feb-2005 10:00:00 +0000"),
        );
        check("Subject: x\n\nDate: 1 Feb 2005 10:00:00 +0000\n", None);
        check("Date: yesterday\n\n", None);
        check("Date: Thu, 1 Jan 1925 00:00:00 +0000\n\n", None);
        check("", None);
        // A semicolon in a comment behind the date.
        check(
            "Received: from a (cipher=b; bits=1) by c;\r\n 1 Feb 2005 10:00:00 +0000 (x; y)\r\n",
            Some("01-Feb-2005 10:00:00 +0000"),
        );
    }

    const NOW: i64 = 1_700_000_000;

    #[track_caller]
    fn check_choice(received: Option<i64>, head: &str, file: Option<i64>, expected: &[Choice]) {
        let time = |second: i64| Timestamp::from_second(second).unwrap();
        let found = Found {
            position: Position {
                file: Path::new("a").into(),
                entry: None,
                offset: None,
            },
            folders: Vec::new(),
            flags: Vec::new(),
            received: received.map(time),
            file_time: file.map(time),
        };
        let all = [
            DateFrom::Auto,
            DateFrom::Source,
            DateFrom::Received,
            DateFrom::Header,
            DateFrom::File,
            DateFrom::Now,
        ];
        let head = Head::of(head.as_bytes());
        let chosen = all.map(|from| Choice::of(&found, &head, from, time(NOW)));
        assert_eq!(chosen, expected);
    }

    #[test]
    fn choices() {
        let date = |second| Choice::Date(Timestamp::from_second(second).unwrap());
        let all = |choice| [choice, choice, choice, choice, choice, Choice::None];
        let head = "Received: x; 1 Jan 1971 00:00:00 +0000\nDate: 1 Jan 1972 00:00:00 +0000\n\n";
        let (of_received, of_date) = (date(31_536_000), date(63_072_000));
        check_choice(
            Some(1),
            head,
            Some(2),
            &[
                date(1),
                date(1),
                of_received,
                of_date,
                date(2),
                Choice::None,
            ],
        );
        check_choice(
            None,
            head,
            None,
            &[
                of_received,
                of_received,
                of_received,
                of_date,
                of_received,
                Choice::None,
            ],
        );
        // Neither zero nor the future.
        check_choice(Some(0), "", Some(NOW + 7200), &all(date(NOW + 7200)));
        check_choice(Some(0), "", Some(NOW + 7201), &all(Choice::NoneUsable));
        let long_ago = "Received: x; 1 Jan 1960 00:00:00 +0000\nDate: 1 Jan 1905 00:00:00 +0000\n";
        check_choice(None, long_ago, None, &all(Choice::NoneUsable));
        check_choice(None, long_ago, Some(9), &all(date(9)));
        check_choice(None, "Date: nonsense\n", None, &all(Choice::NoneUsable));
        check_choice(None, "Date: \n", None, &all(Choice::None));
        check_choice(None, "", None, &all(Choice::None));
    }
}
