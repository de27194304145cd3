//! What may be a keyword of a mail.

use std::borrow::Cow;

use crate::mail::Flag;

/// The longest keyword; what is longer would be refused by most servers.
const KEYWORD_BYTES_MAX: usize = 128;

/// A word as an IMAP keyword, if it can be one: an atom (RFC 9051, section 9) that does not
/// begin like a system flag.
pub(crate) fn keyword(word: &[u8]) -> Option<Flag> {
    let is_atom = word
        .iter()
        .all(|byte| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(byte));
    let is_keyword = is_atom && (1..=KEYWORD_BYTES_MAX).contains(&word.len());
    let word = std::str::from_utf8(word).ok().filter(|_| is_keyword)?;
    Some(Cow::Owned(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords() {
        for word in ["$Label1", "a", "x[y", "~", &"k".repeat(KEYWORD_BYTES_MAX)] {
            assert_eq!(keyword(word.as_bytes()).as_deref(), Some(word));
        }
        let long = "k".repeat(KEYWORD_BYTES_MAX + 1);
        for word in ["", "\\Seen", "a b", "a(b", "x]y", "\u{fc}", "a\r", &long] {
            assert_eq!(keyword(word.as_bytes()), None, "{word:?}");
        }
    }
}
