//! The date in a `From ` line, in the ways that programs have written it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// A date as it is written, before any calendar is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moment {
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
    /// Parses the words of a date, all of them.
    pub(super) fn parse(words: &[&str]) -> Option<Self> {
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
    pub(super) fn timestamp(self) -> Option<Timestamp> {
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
