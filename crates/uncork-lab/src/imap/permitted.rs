//! Which flags a folder keeps (RFC 3501, PERMANENTFLAGS).

use super::flags::{Flags, SystemFlags};

/// The system flags, as a list of FLAGS has them.
pub(crate) const SYSTEM_FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

/// The flags that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PermanentFlags {
    /// All, new keywords too (`\*`).
    All,
    /// The system flags, and no keyword.
    System,
    /// These, `\*` among them standing for any keyword.
    Listed(Vec<String>),
}

/// What becomes of a flag that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpermitted {
    /// It is dropped without a word, as most servers do.
    Dropped,
    /// The command with it is refused.
    Refused,
}

impl PermanentFlags {
    /// The list without its parentheses.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::All => format!("{SYSTEM_FLAGS} \\*"),
            Self::System => SYSTEM_FLAGS.to_owned(),
            Self::Listed(names) => names.join(" "),
        }
    }

    /// Drops what is not kept, and tells whether there was anything.
    pub(crate) fn drop_others(&self, flags: &mut Flags) -> bool {
        let listed = |name: &str| match self {
            Self::All => true,
            Self::System => name.starts_with('\\') && name != "\\*",
            Self::Listed(names) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
        };
        let mut dropped = false;
        let mut kept = SystemFlags::default();
        for (flag, name) in flags.system.each() {
            if listed(name) {
                kept = kept.with(flag);
            } else {
                dropped = true;
            }
        }
        flags.system = kept;
        let before = flags.keywords.len();
        if !listed("\\*") {
            flags.keywords.retain(|keyword| listed(keyword));
        }
        dropped || flags.keywords.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::token::Cursor;

    #[test]
    fn what_is_kept() {
        let check = |permanent: &PermanentFlags, input: &str, expected: &str| {
            let mut flags = Flags::parse_list(&mut Cursor::new(input.as_bytes())).unwrap();
            let dropped = permanent.drop_others(&mut flags);
            let mut names = String::new();
            flags.push_names(&mut names);
            assert_eq!(names, expected, "{permanent:?} {input}");
            assert_eq!(dropped, input != format!("({expected})"));
        };
        check(&PermanentFlags::All, "(\\Seen $a b)", "\\Seen $a b");
        check(&PermanentFlags::System, "(\\Seen $a b)", "\\Seen");
        let listed = |names: &[&str]| {
            PermanentFlags::Listed(names.iter().map(ToString::to_string).collect())
        };
        check(&listed(&["\\Seen", "$A"]), "(\\Draft $a b)", "$a");
        check(
            &listed(&["\\Seen", "\\*"]),
            "(\\Draft \\Seen b)",
            "\\Seen b",
        );
        check(&listed(&[]), "(\\Seen)", "");
    }
}
