//! How to do the same again, in a form that a shell takes.

use std::ffi::OsString;

/// The option that lets refused mails be tried again.
const RETRY_REFUSED: &str = "--retry-refused";

/// The command that this process was started with, and with [`RETRY_REFUSED`].
pub(super) fn retry_command(arguments: impl Iterator<Item = OsString>) -> String {
    let words = arguments.map(|word| word.to_string_lossy().into_owned());
    let mut words: Vec<String> = words.map(|word| quoted(&word)).collect();
    if !words.iter().any(|word| word == RETRY_REFUSED) {
        words.push(RETRY_REFUSED.to_owned());
    }
    words.join(" ")
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        #[track_caller]
        fn check(words: &[&str], expected: &str) {
            assert_eq!(retry_command(words.iter().map(OsString::from)), expected);
        }
        check(
            &["uncork", "import", "a.mbox", "imaps://a%40b@c/Old"],
            "uncork import a.mbox imaps://a%40b@c/Old --retry-refused",
        );
        check(
            &[
                "uncork",
                "Local Folders",
                "it's",
                "",
                "a;b",
                "--retry-refused",
            ],
            r"uncork 'Local Folders' 'it'\''s' '' 'a;b' --retry-refused",
        );
    }
}
