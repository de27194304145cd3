//! The wildcards of LIST.

/// Whether a name fits a pattern in which `*` stands for anything and `%` for anything
/// without the separator.
///
/// Works row by row instead of backtracking: a pattern of many stars costs its length times
/// the name's, never more.
pub(crate) fn matches(pattern: &[u8], name: &str, separator: char) -> bool {
    let name = name.as_bytes();
    let is_separator = |byte: u8| char::from(byte) == separator;
    // reached[i]: the pattern so far can stand for the first i bytes of the name.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for byte in pattern {
        match byte {
            b'*' | b'%' => {
                for at in 0..name.len() {
                    reached[at + 1] |= reached[at] && (*byte == b'*' || !is_separator(name[at]));
                }
            }
            _ => {
                for at in (0..name.len()).rev() {
                    reached[at + 1] = reached[at] && name[at] == *byte;
                }
                reached[0] = false;
            }
        }
    }
    reached[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(
                matches(pattern.as_bytes(), name, '/'),
                expected,
                "{pattern} {name}"
            );
        };
        check("*", "a/b", true);
        check("%", "a/b", false);
        check("%", "a", true);
        check("%/%", "a/b", true);
        check("a*", "a", true);
        check("a*b", "a/x/b", true);
        check("a%b", "a/x/b", false);
        check("", "", true);
        check("", "a", false);
        check("a", "ab", false);
        check(&"*a".repeat(200), &"a".repeat(199), false);
    }
}
