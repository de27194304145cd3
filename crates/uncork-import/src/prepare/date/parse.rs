//! Dates as mail has them: RFC 5322 and what was written instead of it in thirty years.
//!
//! A date is taken word by word, and a word says by its form what it is: a month's name, a
//! clock, a zone, a number. So the order does not matter much, and what is no part of a date
//! (a weekday, right or wrong; a comment) is passed over.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Most bytes that are looked at. The longest that RFC 5322 makes has 31, and comments.
const DATE_BYTES_MAX: usize = 256;

/// The time that a date says; UTC where it says no zone, as RFC 5322, section 4.3 wants it.
pub(crate) fn parse(text: &[u8]) -> Option<Timestamp> {
    let mut parts = Parts::default();
    let mut rest = &text[..text.len().min(DATE_BYTES_MAX)];
    while let Some((word, after)) = next_word(rest) {
        parts.take(word);
        rest = after;
    }
    parts.timestamp()
}

/// The next word, comments passed over (RFC 5322, section 3.2.2), and what follows it.
fn next_word(mut text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_between = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b';');
    loop {
        match *text.first()? {
            b'(' => text = after_comment(text),
            byte if is_between(byte) => text = &text[1..],
            _ => break,
        }
    }
    let end = text
        .iter()
        .position(|&byte| is_between(byte) || byte == b'(');
    Some(text.split_at(end.unwrap_or(text.len())))
}

fn after_comment(text: &[u8]) -> &[u8] {
    let mut depth = 0_usize;
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'(' => depth += 1,
            b')' if depth == 1 => return &text[at + 1..],
            b')' => depth -= 1,
            _ => {}
        }
    }
    &[]
}

/// What the words so far have said.
#[derive(Default)]
struct Parts {
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
    clock: Option<Clock>,
    offset_seconds: Option<i32>,
}

#[derive(Clone, Copy)]
struct Clock {
    hour: i8,
    minute: i8,
    second: i8,
}

impl Parts {
    fn take(&mut self, word: &[u8]) {
        match word.first() {
            Some(b'+' | b'-') if self.clock.is_some() => self.take_offset(word),
            Some(byte) if byte.is_ascii_alphabetic() => self.take_name(word),
            Some(byte) if byte.is_ascii_digit() => self.take_digits(word),
            _ => {}
        }
    }

    fn take_digits(&mut self, word: &[u8]) {
        if self.take_iso_date(word) {
            return;
        }
        if word.contains(&b':') {
            self.take_clock(word);
        } else if word.contains(&b'-') {
            // `01-Feb-2003`
            word.split(|&byte| byte == b'-')
                .for_each(|part| self.take_day_month_or_year(part));
        } else {
            self.take_day_month_or_year(word);
        }
    }

    fn take_day_month_or_year(&mut self, word: &[u8]) {
        let (Some(number), rest) = leading_number(word) else {
            return self.take_name(word);
        };
        // `01/02/2003` is one day here and another there.
        if rest.first() == Some(&b'/') {
            return;
        }
        let digits = word.len() - rest.len();
        let day = i8::try_from(number).ok().filter(|day| *day > 0);
        if self.day.is_none() && digits <= 2 && day.is_some_and(|day| day <= 31) {
            self.day = day;
        } else if self.year.is_none() && digits <= 4 {
            self.year = full_year(number, digits);
        }
    }

    /// `2003-02-01`, and with it `T04:05:06Z` in the same word.
    fn take_iso_date(&mut self, word: &[u8]) -> bool {
        let (Some(date), Some(&separator)) = (word.get(..10), word.get(4)) else {
            return false;
        };
        let number = |range: std::ops::Range<usize>| match leading_number(&date[range]) {
            (Some(number), []) => Some(number),
            _ => None,
        };
        let parts = (number(0..4), number(5..7), number(8..10));
        let (Some(year), Some(month), Some(day)) = parts else {
            return false;
        };
        if separator != b'-' || date[7] != b'-' {
            return false;
        }
        self.year = i16::try_from(year).ok();
        self.month = i8::try_from(month).ok();
        self.day = i8::try_from(day).ok();
        if let Some((b'T' | b't' | b'_', clock)) = word[10..].split_first() {
            self.take_clock(clock);
        }
        true
    }

    /// `4:05`, `04:05:06`, `04:05:06.789`, with a zone behind it or not.
    fn take_clock(&mut self, word: &[u8]) {
        if self.clock.is_some() {
            return;
        }
        let (hour, rest) = leading_number(word);
        let (minute, rest) = rest.strip_prefix(b":").map_or((None, rest), leading_number);
        let (second, rest) = rest
            .strip_prefix(b":")
            .map_or((Some(0), rest), leading_number);
        let in_range = |number: Option<u32>, max: u32| {
            let number = number.filter(|number| *number <= max)?;
            i8::try_from(number).ok()
        };
        // A leap second is taken for the one before it.
        let parts = (
            in_range(hour, 23),
            in_range(minute, 59),
            in_range(second, 60),
        );
        if let (Some(hour), Some(minute), Some(second)) = parts {
            self.clock = Some(Clock {
                hour,
                minute,
                second: second.min(59),
            });
            let is_fraction = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',');
            let fraction = rest.iter().take_while(|byte| is_fraction(byte)).count();
            self.take_zone(&rest[fraction..]);
        }
    }

    /// A month before the clock, a zone or `PM` behind it. Anything else is a weekday.
    fn take_name(&mut self, word: &[u8]) {
        let is_before_clock = self.clock.is_none();
        match month(word) {
            // The last one counts: a Spanish Tuesday is `mar`.
            Some(month) if is_before_clock || self.month.is_none() => self.month = Some(month),
            _ if is_before_clock => {}
            _ => self.take_zone(word),
        }
    }

    /// `EST`, `GMT+0100`, `+0100`, `PM`, or nothing.
    fn take_zone(&mut self, word: &[u8]) {
        let letters = word
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        let (name, rest) = word.split_at(letters);
        if let Some(clock) = &mut self.clock {
            if name.eq_ignore_ascii_case(b"pm") && clock.hour < 12 {
                clock.hour += 12;
            } else if name.eq_ignore_ascii_case(b"am") && clock.hour == 12 {
                clock.hour = 0;
            }
        }
        if self.offset_seconds.is_none() {
            self.offset_seconds = named_zone(name).map(|hours| hours * 3600);
        }
        if let Some(b'+' | b'-') = rest.first() {
            self.take_offset(rest);
        }
    }

    /// `+0100`, `-01:00`, `+1`. One that no place on earth has says nothing.
    fn take_offset(&mut self, word: &[u8]) {
        let (number, rest) = leading_number(&word[1..]);
        let Some(number) = number else {
            return;
        };
        let digits = word.len() - 1 - rest.len();
        let (hours, minutes) = match rest.strip_prefix(b":").map(leading_number) {
            Some((Some(minutes), _)) => (number, minutes),
            _ if digits <= 2 => (number, 0),
            _ => (number / 100, number % 100),
        };
        if hours > 14 || minutes > 59 {
            return;
        }
        if let Ok(seconds) = i32::try_from(hours * 3600 + minutes * 60) {
            self.offset_seconds = Some(if word[0] == b'-' { -seconds } else { seconds });
        }
    }

    /// Midnight where no clock was said.
    fn timestamp(self) -> Option<Timestamp> {
        let clock = self.clock.unwrap_or(Clock {
            hour: 0,
            minute: 0,
            second: 0,
        });
        let Clock {
            hour,
            minute,
            second,
        } = clock;
        let (year, month, day) = (self.year?, self.month?, self.day?);
        let local = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        let offset = Offset::from_seconds(self.offset_seconds.unwrap_or(0)).ok()?;
        offset.to_timestamp(local).ok()
    }
}

/// The number at the beginning, of at most nine digits, and what follows it.
fn leading_number(text: &[u8]) -> (Option<u32>, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    if digits == 0 || digits > 9 {
        return (None, rest);
    }
    let value = number
        .iter()
        .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    (Some(value), rest)
}

/// RFC 5322, section 4.3: two digits up to 49 are of this century, others and three digits
/// count from 1900.
fn full_year(number: u32, digits: usize) -> Option<i16> {
    let year = match digits {
        4.. => number,
        3 => number + 1900,
        _ if number < 50 => number + 2000,
        _ => number + 1900,
    };
    i16::try_from(year).ok()
}

/// By the first three letters, which is how it is written, or more of it.
fn month(word: &[u8]) -> Option<i8> {
    const MONTHS: [(&[u8; 3], i8); 12] = [
        (b"jan", 1),
        (b"feb", 2),
        (b"mar", 3),
        (b"apr", 4),
        (b"may", 5),
        (b"jun", 6),
        (b"jul", 7),
        (b"aug", 8),
        (b"sep", 9),
        (b"oct", 10),
        (b"nov", 11),
        (b"dec", 12),
    ];
    let start = word.get(..3)?;
    MONTHS
        .iter()
        .find(|(name, _)| start.eq_ignore_ascii_case(*name))
        .map(|(_, month)| *month)
}

/// Hours ahead of UTC. The names of RFC 5322, section 4.3, and those of Europe and Japan, which
/// are not there and found in mail all the same; what else there is has several meanings. The
/// military letters were used with either sign, so that they say nothing.
fn named_zone(name: &[u8]) -> Option<i32> {
    const ZONES: [(&str, i32); 21] = [
        ("GMT", 0),
        ("UTC", 0),
        ("UT", 0),
        ("Z", 0),
        ("EST", -5),
        ("EDT", -4),
        ("CST", -6),
        ("CDT", -5),
        ("MST", -7),
        ("MDT", -6),
        ("PST", -8),
        ("PDT", -7),
        ("CET", 1),
        ("MET", 1),
        ("MEZ", 1),
        ("CEST", 2),
        ("MEST", 2),
        ("MESZ", 2),
        ("EET", 2),
        ("EEST", 3),
        ("JST", 9),
    ];
    ZONES
        .iter()
        .find(|(zone, _)| name.eq_ignore_ascii_case(zone.as_bytes()))
        .map(|(_, hours)| *hours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = parse(text.as_bytes()).map_or("none".to_owned(), |time| time.to_string());
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn as_rfc_5322_has_it() {
        check("Tue, 1 Feb 2005 10:00:00 +0200", "2005-02-01T08:00:00Z");
        check(" 1 Feb 2005 10:00 -0130\r\n", "2005-02-01T11:30:00Z");
        check(
            "Tue,\r\n 01 Feb 2005\r\n\t9:08:07 GMT",
            "2005-02-01T09:08:07Z",
        );
        check(
            "Tue, 1 Feb 2005 10:00:00 +0000 (UTC)",
            "2005-02-01T10:00:00Z",
        );
        check(
            "(a (b\\)) Mar) Tue(,) , 1 Feb(3)2005 10:00:00 -0000",
            "2005-02-01T10:00:00Z",
        );
        check("31 Dec 1998 23:59:60 +0000", "1998-12-31T23:59:59Z");
    }

    #[test]
    fn obsolete_forms() {
        check("1 Feb 05 10:00 GMT", "2005-02-01T10:00:00Z");
        check("Tue, 1 Feb 94 10:00:00 EST", "1994-02-01T15:00:00Z");
        check("1 Feb 104 10:00:00 PDT", "2004-02-01T17:00:00Z");
        check("1 Feb 05 10:00:00 A", "2005-02-01T10:00:00Z");
        check("1 Feb 05 10:00:00 XYZ", "2005-02-01T10:00:00Z");
        check("1 Feb 2005 10:00:00 CET", "2005-02-01T09:00:00Z");
    }

    #[test]
    fn what_was_written_instead() {
        check("Mon Jan  5 10:00:00 2004", "2004-01-05T10:00:00Z");
        check("Mon Jan  5 10:00:00 EST 2004", "2004-01-05T15:00:00Z");
        check(
            "Mon Jan 05 2004 10:00:00 GMT+0100 (CET)",
            "2004-01-05T09:00:00Z",
        );
        check("Mon Jan  5 10:00:00 2004 +0100", "2004-01-05T09:00:00Z");
        check("Fri, 1 Feb 2005 10:00:00 +0000", "2005-02-01T10:00:00Z");
        check("Tuesday, February 1, 2005 4:05 PM", "2005-02-01T16:05:00Z");
        check("Tue, 1 Feb 2005 12:05:00 AM", "2005-02-01T00:05:00Z");
        check("01-Feb-2005 10:00:00 +0200", "2005-02-01T08:00:00Z");
        check("Tue, 01-Feb-05 10:00:00 GMT", "2005-02-01T10:00:00Z");
        check("2005-02-01T10:00:00Z", "2005-02-01T10:00:00Z");
        check("2005-02-01T10:00:00.123+02:00", "2005-02-01T08:00:00Z");
        check("2005-02-01 10:00:00 +0200", "2005-02-01T08:00:00Z");
        check("2005-02-01", "2005-02-01T00:00:00Z");
        check("1 Feb 2005 10:00:00-0500", "2005-02-01T15:00:00Z");
        check("mar, 1 feb 2005 10:00:00 +0000", "2005-02-01T10:00:00Z");
        check("1 Feb 2005 10:00:00 +9999", "2005-02-01T10:00:00Z");
        check("1 Feb 1901 00:00:00 +0000", "1901-02-01T00:00:00Z");
    }

    #[test]
    fn no_dates() {
        for text in [
            "",
            "yesterday",
            "01/02/2003 10:00:00",
            "31 Feb 2005 10:00:00 +0000",
            "1 Foo 2005 10:00:00 +0000",
            "10:00:00",
            "-",
            "(",
            "1 Feb",
            "99999999999 Feb 2005",
            "12345-12-12T",
        ] {
            check(text, "none");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_one_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }

        #[test]
        fn any_words_are_one_or_none(text in "([0-9]{1,12}|[a-zA-Z]{1,4}|[-+:T. (),]){0,20}") {
            parse(text.as_bytes());
        }

        #[test]
        fn a_date_that_was_written_is_read(
            seconds in 0i64..=253_402_207_200,
            zone_minutes in -840i32..=840,
        ) {
            let time = Timestamp::from_second(seconds).unwrap();
            let offset = Offset::from_seconds(zone_minutes * 60).unwrap();
            let zoned = time.to_zoned(offset.to_time_zone());
            for format in ["%a, %d %b %Y %H:%M:%S %z", "%FT%T%:z", "%a %b %e %T %Y %z"] {
                let written = zoned.strftime(format).to_string();
                prop_assert_eq!(parse(written.as_bytes()), Some(time), "{}", written);
            }
        }
    }
}
