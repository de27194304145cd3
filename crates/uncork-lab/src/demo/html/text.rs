//! Figures as the page shows them.

/// What stands for a figure that is not known or not finite.
const UNKNOWN: &str = "–";

/// Above this a figure is written with an exponent.
const PLAIN_MAX: f64 = 1e15;

/// A whole number with thousands separators.
pub(super) fn count(number: u64) -> String {
    separated(&number.to_string())
}

/// A number of things, in words: "1 segment", "2 segments".
pub(super) fn counted(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(number))
}

/// Two or three digits that matter, or all that stand before the point.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size == 0.0 => return "0".to_owned(),
        _ if size < 0.001 => return "<0.001".to_owned(),
        _ if size < 0.009_95 => 4,
        _ if size < 0.999_5 => 3,
        _ if size < 9.995 => 2,
        _ if size < 99.95 => 1,
        _ => 0,
    };
    fixed(value, decimals)
}

/// A round number, as it was set or as an axis has it: without the digits that [`figure`] gives
/// to measured values.
pub(super) fn round(value: f64) -> String {
    if value == 0.0 || (0.001..100.0).contains(&value) {
        // Binary fractions are rounded away.
        format!("{}", (value * 1e6).round() / 1e6)
    } else {
        figure(value)
    }
}

/// A number with so many decimals.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return UNKNOWN.to_owned();
    }
    let size = value.abs();
    let sign = if value < 0.0 { "−" } else { "" };
    if size >= PLAIN_MAX {
        return format!("{sign}{size:.2e}");
    }
    format!("{sign}{}", separated(&format!("{size:.decimals$}")))
}

/// How many times as fast: "1.0×", "397×".
pub(super) fn times(factor: f64) -> String {
    if !factor.is_finite() {
        return UNKNOWN.to_owned();
    }
    let decimals = usize::from(factor.abs() < 9.95);
    format!("{}×", fixed(factor, decimals))
}

/// A time given in microseconds, in the unit that reads best.
pub(super) fn duration_us(micros: f64) -> String {
    match micros {
        _ if !micros.is_finite() => UNKNOWN.to_owned(),
        _ if micros < 999.5 => format!("{} µs", figure(micros)),
        _ => format!("{} ms", figure(micros / 1e3)),
    }
}

/// A size in bytes, in the unit in which it is a round number.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000, "GB"),
        (1 << 30, "GiB"),
        (1_000_000, "MB"),
        (1 << 20, "MiB"),
        (1_000, "KB"),
        (1 << 10, "KiB"),
    ];
    UNITS
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(
            || counted(bytes, "byte"),
            |(unit, name)| format!("{} {name}", count(bytes / unit)),
        )
}

/// A size in bytes, rounded.
#[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
pub(super) fn rough_size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return counted(bytes, "byte"),
        1_000..1_000_000 => (1e3, "KB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        _ => (1e9, "GB"),
    };
    format!("{} {name}", figure(bytes as f64 / unit))
}

/// Puts a comma before each group of three digits left of the point.
fn separated(digits: &str) -> String {
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::with_capacity(digits.len() + whole.len() / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_sensible_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.000_4, "<0.001"),
            (0.004_321, "0.0043"),
            (0.033_333, "0.033"),
            (0.105, "0.105"),
            (0.999_6, "1.00"),
            (9.996, "10.0"),
            (22.68, "22.7"),
            (99.96, "100"),
            (4390.4, "4,390"),
            (1_234_567.0, "1,234,567"),
            (-12_345.0, "−12,345"),
            (2e20, "2.00e20"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
            (f64::NEG_INFINITY, "–"),
        ] {
            assert_eq!(figure(value), expected, "{value}");
        }
    }

    #[test]
    fn round_numbers_have_no_more_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (20.0, "20"),
            (1_000.0, "1,000"),
            (1e-9, "<0.001"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(round(value), expected);
        }
    }

    #[test]
    fn factors_and_times() {
        assert_eq!(times(1.0), "1.0×");
        assert_eq!(times(9.96), "10×");
        assert_eq!(times(1321.6), "1,322×");
        assert_eq!(times(f64::NAN), "–");
        assert_eq!(duration_us(31.24), "31.2 µs");
        assert_eq!(duration_us(999.7), "1.00 ms");
        assert_eq!(duration_us(44_012.0), "44.0 ms");
        assert_eq!(duration_us(f64::INFINITY), "–");
    }

    #[test]
    fn counts_and_sizes() {
        assert_eq!(count(0), "0");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(counted(1, "segment"), "1 segment");
        assert_eq!(counted(0, "segment"), "0 segments");
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1_000, "1 KB"),
            (65_536, "64 KiB"),
            (300_000, "300 KB"),
            (1_048_576, "1 MiB"),
            (8_000_000, "8 MB"),
            (1_234, "1,234 bytes"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(rough_size(35_112_000), "35.1 MB");
    }
}
