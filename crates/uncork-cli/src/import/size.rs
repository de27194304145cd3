//! Sizes as people write them.

/// Decimal units by their prefixes, smallest first; with an `i` they are binary.
const PREFIXES: &str = "KMGT";

/// Reads `500`, `500MB`, `1.5 GiB`, `2g`. Units are decimal, as mail providers state their
/// limits, unless they say otherwise (`GiB`).
pub(super) fn size(text: &str) -> Result<u64, String> {
    read(text.trim()).ok_or_else(|| "write a size such as 500MB, 2GB or 1GiB".to_owned())
}

fn read(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let number: f64 = digits.parse().ok()?;
    let bytes = number * unit_bytes(unit.trim_start())?;
    // A limit of nothing at all would wait for ever.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole enough, positive, and the range is checked"
    )]
    (1.0..=u64::MAX as f64)
        .contains(&bytes)
        .then_some(bytes as u64)
}

fn unit_bytes(unit: &str) -> Option<f64> {
    let unit = unit.to_ascii_uppercase();
    let unit = unit.strip_suffix('B').unwrap_or(&unit);
    let (unit, base) = match unit.strip_suffix('I') {
        Some(unit) => (unit, 1024.0_f64),
        None => (unit, 1000.0),
    };
    let mut letters = unit.chars();
    let power = match letters.next() {
        None if base == 1000.0 => 0,
        None => return None,
        Some(letter) => 1 + PREFIXES.find(letter)?,
    };
    let power = i32::try_from(power).ok()?;
    letters.next().is_none().then(|| base.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        #[track_caller]
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
        check("500", Some(500));
        check("500B", Some(500));
        check("500MB", Some(500_000_000));
        check("500 mb", Some(500_000_000));
        check("2g", Some(2_000_000_000));
        check("1GiB", Some(1 << 30));
        check("1.5KiB", Some(1536));
        check(" 3TB ", Some(3_000_000_000_000));
        for wrong in [
            "",
            "MB",
            "0",
            "0.1",
            "-1",
            "5X",
            "5iB",
            "5MBs",
            "1.2.3",
            "1e3",
            "9e99",
            "99999999999TB",
        ] {
            check(wrong, None);
        }
    }
}
