//! Durations as people write them.

use std::time::Duration;

/// Longest duration that is taken: nobody waits for more, and sums of two fit everywhere.
const SECONDS_MAX: f64 = 30.0 * 24.0 * 3600.0;

/// Reads `100ms`, `10s`, `1.5s`, `2m`, `1h`. A number alone is refused: it would be seconds to one
/// reader and milliseconds to another.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    read(text.trim()).ok_or_else(|| "write a duration such as 100ms, 10s or 2m".to_owned())
}

fn read(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (digits, unit) = text.split_at(end);
    let number: f64 = digits.parse().ok()?;
    let seconds = number * unit_seconds(unit.trim_start())?;
    let duration = (seconds <= SECONDS_MAX).then(|| Duration::try_from_secs_f64(seconds).ok())?;
    // What takes no time at all is never meant.
    duration.filter(|duration| !duration.is_zero())
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        #[track_caller]
        fn check(text: &str, expected: Option<Duration>) {
            assert_eq!(duration(text).ok(), expected, "{text}");
        }
        check("100ms", Some(Duration::from_millis(100)));
        check("10s", Some(Duration::from_secs(10)));
        check("1.5 s", Some(Duration::from_millis(1500)));
        check("2m", Some(Duration::from_secs(120)));
        check(" 1h ", Some(Duration::from_secs(3600)));
        check("250us", Some(Duration::from_micros(250)));
        for wrong in [
            "", "10", "s", "0s", "-1s", "1.2.3s", "1e3s", "5x", "1000h", "inf", "NaNs", "9e99h",
        ] {
            check(wrong, None);
        }
    }
}
