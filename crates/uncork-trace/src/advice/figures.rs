//! Figures as people read them.

/// A number with commas between its thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: "1 time", "2,000 times".
pub(super) fn counted(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(number))
}

/// Longest time that is written: a century. What is longer was computed from what can't be.
const MS_MAX: f64 = 100.0 * 365.0 * 86_400_000.0;

/// A time: `0.4 ms`, `43 ms`, `4.31 s`.
pub(super) fn time(ms: f64) -> String {
    match ms {
        ms if !(0.0..=MS_MAX).contains(&ms) => "–".to_owned(),
        ms if ms >= 999.5 => format!("{:.2} s", ms / 1000.0),
        ms if ms >= 9.95 => format!("{ms:.0} ms"),
        ms => format!("{ms:.1} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read() {
        assert_eq!(counted(1, "time"), "1 time");
        assert_eq!(counted(12_345, "time"), "12,345 times");
        assert_eq!(count(123), "123");
        assert_eq!(time(0.44), "0.4 ms");
        assert_eq!(time(43.2), "43 ms");
        assert_eq!(time(999.7), "1.00 s");
        assert_eq!(time(4310.0), "4.31 s");
    }
}
