//! A level of a folder's name, made such that servers take it.

use std::borrow::Cow;

use super::mailbox::modified_utf7;

/// Longest level, encoded: servers keep it as a file name, which ends at 255 bytes, often with
/// something of their own beside it.
const LEVEL_BYTES_MAX: usize = 200;

/// Why a name is not the one of the source. Each reason is there once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes(Vec<&'static str>);

impl Notes {
    pub(crate) fn add(&mut self, text: &'static str) {
        if !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    /// For a person; `None` where there is nothing to say.
    pub(crate) fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join("; "))
    }
}

/// What stands for characters that can't be in a level.
pub(crate) fn replacement(delimiter: Option<char>) -> &'static str {
    match delimiter {
        Some('_') => "-",
        _ => "_",
    }
}

/// A level of a source without what servers refuse, or would take for something else.
pub(crate) fn safe_level<'l>(
    level: &'l str,
    delimiter: Option<char>,
    notes: &mut Notes,
) -> Cow<'l, str> {
    let replacement = replacement(delimiter);
    let is_delimiter = |char| Some(char) == delimiter;
    let mut safe = Cow::Borrowed(level);
    if safe.contains(is_delimiter) {
        notes.add("its name has the character that separates levels on the server");
        safe = Cow::Owned(safe.replace(is_delimiter, replacement));
    }
    if safe.contains(char::is_control) {
        notes.add("its name has control characters");
        safe = Cow::Owned(safe.replace(char::is_control, replacement));
    }
    if matches!(safe.as_ref(), "" | "." | "..") {
        notes.add("servers take no empty name, nor `.` and `..`");
        safe = Cow::Borrowed(replacement);
    }
    if let Some(end) = end_of_fitting(&safe) {
        notes.add("its name is too long for servers");
        safe = Cow::Owned(safe[..end].to_owned());
    }
    safe
}

/// Where a level has to be cut; `None` where it fits.
fn end_of_fitting(level: &str) -> Option<usize> {
    // In modified UTF-7 two bytes become five at most, and one becomes two.
    if level.len() * 5 / 2 <= LEVEL_BYTES_MAX {
        return None;
    }
    let fits = |end: usize| {
        end <= LEVEL_BYTES_MAX && modified_utf7(&level[..end]).len() <= LEVEL_BYTES_MAX
    };
    if fits(level.len()) {
        return None;
    }
    // Each character takes a byte at least, and a longer beginning is never shorter encoded.
    let starts = level.char_indices().map(|(start, _)| start);
    let starts: Vec<_> = starts.take(LEVEL_BYTES_MAX + 1).collect();
    let fitting = starts.partition_point(|start| fits(*start));
    fitting.checked_sub(1).map(|last| starts[last])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(level: &str, delimiter: Option<char>, expected: &str, reason: Option<&str>) {
        let mut notes = Notes::default();
        assert_eq!(safe_level(level, delimiter, &mut notes), expected);
        match (notes.text(), reason) {
            (None, None) => {}
            (Some(text), Some(reason)) => assert!(text.contains(reason), "{level}: {text}"),
            (text, _) => panic!("{level}: {text:?}"),
        }
    }

    #[test]
    fn levels() {
        check("Entwürfe", Some('.'), "Entwürfe", None);
        check("a/b", Some('.'), "a/b", None);
        check("a.b.c", Some('.'), "a_b_c", Some("separates levels"));
        check("a_b", Some('_'), "a-b", Some("separates levels"));
        check("a/b", None, "a/b", None);
        check("a\r\nb\0", None, "a__b_", Some("control characters"));
        check("", Some('/'), "_", Some("no empty name"));
        check("..", Some('/'), "_", Some("`..`"));
        check("..", Some('.'), "__", Some("separates levels"));
        check(
            ".\u{7}/",
            Some('/'),
            ".__",
            Some("levels on the server; its"),
        );
    }

    #[test]
    fn long_levels_are_cut_between_characters() {
        check(&"x".repeat(200), None, &"x".repeat(200), None);
        check(&"x".repeat(201), None, &"x".repeat(200), Some("too long"));
        let umlauts = "ü".repeat(300);
        let mut notes = Notes::default();
        let cut = safe_level(&umlauts, None, &mut notes);
        assert_eq!(modified_utf7(&cut).len(), 200);
        check(&"&".repeat(101), None, &"&".repeat(100), Some("too long"));
        // In UTF-8 it is the bytes themselves: 66 characters of 3.
        check(&"日".repeat(67), None, &"日".repeat(66), Some("too long"));
    }

    proptest! {
        #[test]
        fn any_level(
            level in any::<String>(),
            count in 1_usize..60,
            delimiter in prop::option::of(prop_oneof![Just('/'), Just('.'), Just('_')]),
        ) {
            let level = level.repeat(count);
            let mut notes = Notes::default();
            let safe = safe_level(&level, delimiter, &mut notes).into_owned();
            prop_assert!(!safe.is_empty() && safe != "." && safe != "..");
            prop_assert!(!safe.contains(char::is_control));
            prop_assert!(!safe.contains(|char| Some(char) == delimiter));
            prop_assert!(safe.len() <= LEVEL_BYTES_MAX);
            prop_assert!(modified_utf7(&safe).len() <= LEVEL_BYTES_MAX);
            prop_assert_eq!(notes.text().is_some(), safe != level);
            let mut again = Notes::default();
            prop_assert_eq!(safe_level(&safe, delimiter, &mut again), &safe[..]);
            prop_assert_eq!(again.text(), None);
        }
    }
}
