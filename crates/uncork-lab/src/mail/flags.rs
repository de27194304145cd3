//! The flags of a mail, in the words of Maildir and of IMAP.

/// One flag that Maildir and IMAP both know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailFlag {
    /// `D`, `\Draft`.
    Draft,
    /// `F`, `\Flagged`.
    Flagged,
    /// `R`, `\Answered`.
    Replied,
    /// `S`, `\Seen`.
    Seen,
    /// `T`, `\Deleted`.
    Trashed,
}

impl MailFlag {
    /// All of them, in the order in which a Maildir name has them.
    pub const ALL: [Self; 5] = [
        Self::Draft,
        Self::Flagged,
        Self::Replied,
        Self::Seen,
        Self::Trashed,
    ];

    /// The letter in a Maildir name.
    #[must_use]
    pub fn maildir_letter(self) -> char {
        match self {
            Self::Draft => 'D',
            Self::Flagged => 'F',
            Self::Replied => 'R',
            Self::Seen => 'S',
            Self::Trashed => 'T',
        }
    }

    /// The name in IMAP.
    #[must_use]
    pub fn imap_name(self) -> &'static str {
        match self {
            Self::Draft => r"\Draft",
            Self::Flagged => r"\Flagged",
            Self::Replied => r"\Answered",
            Self::Seen => r"\Seen",
            Self::Trashed => r"\Deleted",
        }
    }
}

/// A set of flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MailFlags(u8);

impl MailFlags {
    /// The set with `flag` added.
    #[must_use]
    pub fn with(self, flag: MailFlag) -> Self {
        Self(self.0 | 1 << flag as u8)
    }

    /// Whether `flag` is in the set.
    #[must_use]
    pub fn contains(self, flag: MailFlag) -> bool {
        self.0 & 1 << flag as u8 != 0
    }

    /// Whether no flag is set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The letters behind the `:2,` of a Maildir name, in ASCII order as it must be.
    #[must_use]
    pub fn maildir_letters(self) -> String {
        self.iter().map(MailFlag::maildir_letter).collect()
    }

    /// The flag list of an APPEND, with its parentheses, such as `(\Answered \Seen)`.
    #[must_use]
    pub fn imap_list(self) -> String {
        let names: Vec<&str> = self.iter().map(MailFlag::imap_name).collect();
        format!("({})", names.join(" "))
    }

    /// The flags of the set.
    pub fn iter(self) -> impl Iterator<Item = MailFlag> {
        MailFlag::ALL
            .into_iter()
            .filter(move |flag| self.contains(*flag))
    }
}

impl FromIterator<MailFlag> for MailFlags {
    fn from_iter<I: IntoIterator<Item = MailFlag>>(flags: I) -> Self {
        flags.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_in_order() {
        use MailFlag::{Draft, Flagged, Replied, Seen, Trashed};
        for (flags, letters, list) in [
            (&[][..], "", "()"),
            (&[Seen], "S", r"(\Seen)"),
            (&[Seen, Replied], "RS", r"(\Answered \Seen)"),
            (
                &[Trashed, Seen, Replied, Flagged, Draft, Seen],
                "DFRST",
                r"(\Draft \Flagged \Answered \Seen \Deleted)",
            ),
        ] {
            let set: MailFlags = flags.iter().copied().collect();
            assert_eq!(set.maildir_letters(), letters);
            assert_eq!(set.imap_list(), list);
            assert_eq!(set.is_empty(), flags.is_empty());
        }
    }
}
