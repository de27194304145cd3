//! The wall clock of a worker, rendered once a second for all responses and log lines of that second.

use std::time::{SystemTime, UNIX_EPOCH};

const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// The last second that has a year of four digits.
const SECONDS_MAX: u64 = 253_402_300_799;
const DAY_SECONDS: u64 = 86_400;

/// A wall clock that stands still between two [ticks](Clock::tick).
#[derive(Debug, Clone)]
pub struct Clock {
    seconds: u64,
    http_date: [u8; 29],
    log_date: [u8; 26],
    iso: [u8; 20],
}

impl Clock {
    /// The time of now.
    #[must_use]
    pub fn new() -> Self {
        Self::at(SystemTime::now())
    }

    /// A clock that shows this time. Times before 1970 and after 9999 are shown as the nearest second
    /// that has four digits of a year.
    #[must_use]
    pub fn at(time: SystemTime) -> Self {
        let mut clock = Self {
            seconds: 0,
            http_date: *b"Thu, 01 Jan 1970 00:00:00 GMT",
            log_date: *b"01/Jan/1970:00:00:00 +0000",
            iso: *b"1970-01-01T00:00:00Z",
        };
        clock.turn(time);
        clock
    }

    /// Looks at the time. Costs a call into the vDSO, and renders only when the second is another one.
    pub fn tick(&mut self) {
        self.turn(SystemTime::now());
    }

    /// `Sun, 22 Nov 2026 06:49:28 GMT` (RFC 9110, section 5.6.7).
    #[must_use]
    pub fn http_date(&self) -> &[u8; 29] {
        &self.http_date
    }

    /// `22/Nov/2026:06:49:28 +0000`, as the common log format has it.
    #[must_use]
    pub fn log_date(&self) -> &[u8] {
        &self.log_date
    }

    /// `2026-11-22T06:49:28Z` (RFC 3339).
    #[must_use]
    pub fn iso(&self) -> &[u8] {
        &self.iso
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        self.seconds
    }

    fn turn(&mut self, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs().min(SECONDS_MAX);
        if seconds == self.seconds {
            return;
        }
        self.seconds = seconds;
        self.render();
    }

    fn render(&mut self) {
        let (days, second) = (self.seconds / DAY_SECONDS, self.seconds % DAY_SECONDS);
        let (year, month, day) = civil(days);
        let time = [second / 3600, second / 60 % 60, second % 60];
        let month_name = MONTHS[month - 1];

        self.http_date[..3].copy_from_slice(WEEKDAYS[index(days % 7)]);
        two(&mut self.http_date[5..7], day);
        self.http_date[8..11].copy_from_slice(month_name);
        four(&mut self.http_date[12..16], year);
        clock_face(&mut self.http_date[17..25], time);

        two(&mut self.log_date[..2], day);
        self.log_date[3..6].copy_from_slice(month_name);
        four(&mut self.log_date[7..11], year);
        clock_face(&mut self.log_date[12..20], time);

        four(&mut self.iso[..4], year);
        two(&mut self.iso[5..7], month as u64);
        two(&mut self.iso[8..10], day);
        clock_face(&mut self.iso[11..19], time);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Year, month from 1, and day of a day since 1970: Howard Hinnant's `civil_from_days`, in which a year
/// begins in March so that the leap day is its last.
fn civil(days: u64) -> (u64, usize, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, index(month), day)
}

/// `06:49:28`; the colons stand there already.
fn clock_face(out: &mut [u8], [hour, minute, second]: [u64; 3]) {
    two(&mut out[..2], hour);
    two(&mut out[3..5], minute);
    two(&mut out[6..8], second);
}

fn four(out: &mut [u8], number: u64) {
    two(&mut out[..2], number / 100);
    two(&mut out[2..4], number % 100);
}

fn two(out: &mut [u8], number: u64) {
    out[0] = b'0' + (number / 10 % 10) as u8;
    out[1] = b'0' + (number % 10) as u8;
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a day of the week, a month"
)]
fn index(number: u64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Clock {
        Clock::at(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn known_times() {
        let check = |seconds, http: &str, log: &str, iso: &str| {
            let clock = at(seconds);
            assert_eq!(clock.http_date(), http.as_bytes());
            assert_eq!(clock.log_date(), log.as_bytes());
            assert_eq!(clock.iso(), iso.as_bytes());
            assert_eq!(clock.unix_seconds(), seconds);
        };
        check(
            0,
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "01/Jan/1970:00:00:00 +0000",
            "1970-01-01T00:00:00Z",
        );
        check(
            784_111_777,
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "06/Nov/1994:08:49:37 +0000",
            "1994-11-06T08:49:37Z",
        );
        check(
            951_827_696,
            "Tue, 29 Feb 2000 12:34:56 GMT",
            "29/Feb/2000:12:34:56 +0000",
            "2000-02-29T12:34:56Z",
        );
        check(
            SECONDS_MAX,
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "31/Dec/9999:23:59:59 +0000",
            "9999-12-31T23:59:59Z",
        );
    }

    #[test]
    fn out_of_the_calendar() {
        assert_eq!(
            Clock::at(UNIX_EPOCH - Duration::from_secs(1)).unix_seconds(),
            0
        );
        assert_eq!(at(SECONDS_MAX + 1).iso(), b"9999-12-31T23:59:59Z");
    }

    proptest::proptest! {
        #[test]
        fn as_httpdate(seconds in 0..=SECONDS_MAX) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            let clock = Clock::at(time);
            assert_eq!(&clock.http_date()[..], httpdate::fmt_http_date(time).as_bytes());
            let mut turned = at(seconds / 2);
            turned.turn(time);
            assert_eq!(turned.log_date(), clock.log_date());
        }
    }
}
