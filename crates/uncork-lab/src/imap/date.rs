//! INTERNALDATE: `"17-Jul-1996 02:44:25 -0700"`, and back in the zone +0000.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::token::SyntaxError;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Seconds since 1970 in UTC.
pub(crate) type Seconds = i64;

/// Parses a date-time as it stands between the quotes. Its day may begin with a space
/// instead of a zero (RFC 3501, `date-day-fixed`).
pub(crate) fn parse(text: &[u8]) -> Result<Seconds, SyntaxError> {
    from_text(text).ok_or(SyntaxError::Expected(
        "a date as in \"17-Jul-1996 02:44:25 -0700\"",
    ))
}

fn from_text(text: &[u8]) -> Option<Seconds> {
    if text.len() != 26 {
        return None;
    }
    let separators = [
        (2, b'-'),
        (6, b'-'),
        (11, b' '),
        (14, b':'),
        (17, b':'),
        (20, b' '),
    ];
    if separators.iter().any(|(at, byte)| text[*at] != *byte) {
        return None;
    }
    let day = if text[0] == b' ' {
        digits(&text[1..2])?
    } else {
        digits(&text[..2])?
    };
    let month = month(&text[3..6])?;
    let year = digits(&text[7..11])?;
    let (hour, minute) = (digits(&text[12..14])?, digits(&text[15..17])?);
    // A leap second is a minute's 61st: the second before it is the nearest there is.
    let second = digits(&text[18..20])?.min(if &text[18..20] == b"60" { 59 } else { 99 });
    let (zone_hours, zone_minutes) = (digits(&text[22..24])?, digits(&text[24..26])?);
    let sign = match text[21] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if zone_minutes > 59 {
        return None;
    }
    let small = |number: i16| i8::try_from(number).ok();
    let civil = DateTime::new(
        year,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        0,
    )
    .ok()?;
    let offset = sign * (i32::from(zone_hours) * 3600 + i32::from(zone_minutes) * 60);
    let timestamp = Offset::from_seconds(offset)
        .ok()?
        .to_timestamp(civil)
        .ok()?;
    Some(timestamp.as_second())
}

/// Parses the date of SEARCH, `1-Feb-1994`, to the first second of that day.
pub(crate) fn parse_day(text: &[u8]) -> Result<Seconds, SyntaxError> {
    let parse = || {
        let mut parts = text.split(|byte| *byte == b'-');
        let (day, name, year) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || day.is_empty() || day.len() > 2 || year.len() != 4 {
            return None;
        }
        let (day, month, year) = (digits(day)?, month(name)?, digits(year)?);
        let civil = DateTime::new(
            year,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
            0,
            0,
            0,
            0,
        )
        .ok()?;
        Some(Offset::UTC.to_timestamp(civil).ok()?.as_second())
    };
    parse().ok_or(SyntaxError::Expected("a date as in 1-Feb-1994"))
}

/// Writes a date-time in the zone +0000. A time outside the years 0 to 9999, which only a
/// strange file can have, is written as 1970.
pub(crate) fn push(line: &mut String, seconds: Seconds) {
    use std::fmt::Write as _;
    let timestamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut civil = Offset::UTC.to_datetime(timestamp);
    if civil.year() < 0 {
        civil = Offset::UTC.to_datetime(Timestamp::UNIX_EPOCH);
    }
    let month = usize::try_from(civil.month())
        .ok()
        .and_then(|month| MONTHS.get(month.wrapping_sub(1)))
        .unwrap_or(&"Jan");
    let _ = write!(
        line,
        "{:02}-{month}-{:04} {:02}:{:02}:{:02} +0000",
        civil.day(),
        civil.year(),
        civil.hour(),
        civil.minute(),
        civil.second()
    );
}

fn digits(text: &[u8]) -> Option<i16> {
    text.iter().try_fold(0i16, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i16::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn month(name: &[u8]) -> Option<i16> {
    let at = MONTHS
        .iter()
        .position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    i16::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_back_in_utc() {
        let check = |input: &str, expected: Option<&str>| {
            let written = parse(input.as_bytes()).ok().map(|seconds| {
                let mut line = String::new();
                push(&mut line, seconds);
                line
            });
            assert_eq!(written.as_deref(), expected, "{input}");
        };
        check(
            "17-Jul-1996 02:44:25 -0700",
            Some("17-Jul-1996 09:44:25 +0000"),
        );
        check(
            " 1-Jan-2024 00:30:00 +0100",
            Some("31-Dec-2023 23:30:00 +0000"),
        );
        check(
            "01-jan-1969 00:00:00 +0000",
            Some("01-Jan-1969 00:00:00 +0000"),
        );
        check(
            "31-Dec-2016 23:59:60 +0000",
            Some("31-Dec-2016 23:59:59 +0000"),
        );
        check("29-Feb-2023 00:00:00 +0000", None);
        check("17-Jux-1996 02:44:25 -0700", None);
        check("17-Jul-1996 02:44:25 0700", None);
        check("17-Jul-1996 24:44:25 -0700", None);
        check("17-Jul-1996 02:44:25 -0760", None);
        check("17-Jul-1996 02:44:25 -9900", None);
        check("", None);
    }

    #[test]
    fn days() {
        assert_eq!(parse_day(b"1-Jan-1970"), Ok(0));
        assert_eq!(parse_day(b"02-Jan-1970"), Ok(86_400));
        assert!(parse_day(b"1-1-1970").is_err());
        assert!(parse_day(b"1-Jan-70").is_err());
    }

    #[test]
    fn absurd_times_are_written_too() {
        for seconds in [i64::MIN, i64::MAX, -62_135_596_801 * 2] {
            let mut line = String::new();
            push(&mut line, seconds);
            assert_eq!(line, "01-Jan-1970 00:00:00 +0000");
        }
    }
}
