//! Figures and names as people read them.

use indicatif::{DecimalBytes, HumanCount};

/// A number with commas between its thousands.
pub(crate) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A number of things: "1 mail", "2,000 mails".
pub(crate) fn counted(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(number))
}

/// The verb that goes with a number of things.
pub(crate) fn were(number: u64) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

/// The verb that goes with a number of things.
pub(crate) fn are(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// A size in decimal units, as file managers show it.
pub(crate) fn size(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}

/// A time, to the millisecond where it is short.
pub(crate) fn time(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// A rate in whole things a second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people; the cast saturates"
)]
pub(crate) fn rounded(rate: f64) -> u64 {
    rate.round() as u64
}

/// A text of a file's name, of a process or of the server, without what a terminal would obey, and
/// without what makes text look like something else.
pub(crate) fn printable(text: &str) -> String {
    uncork_sockets::harmless(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read() {
        assert_eq!(counted(1, "mail"), "1 mail");
        assert_eq!(counted(12_345, "mail"), "12,345 mails");
        assert_eq!(size(1_234_567_890), "1.23 GB");
        assert_eq!(time(0.0236), "24 ms");
        assert_eq!(time(61.24), "61.2 s");
        assert_eq!(rounded(f64::NAN), 0);
        assert_eq!(rounded(1234.5), 1235);
        assert_eq!(printable("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
        assert_eq!(printable("a\u{202e}b"), "a\u{fffd}b");
    }
}
