//! System flags and keywords, as IMAP spells them and as a Maildir does.

use super::token::{Cursor, SyntaxError};

/// Keywords a message may have, and bytes a keyword may have.
const KEYWORDS_MAX: usize = 64;
const KEYWORD_BYTES_MAX: usize = 128;

/// The system flags of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SystemFlags(u8);

/// Name on the wire and letter in the file's name, in the order in which a Maildir wants
/// the letters.
const SYSTEM: [(SystemFlags, &str, char); 5] = [
    (SystemFlags::DRAFT, "\\Draft", 'D'),
    (SystemFlags::FLAGGED, "\\Flagged", 'F'),
    (SystemFlags::ANSWERED, "\\Answered", 'R'),
    (SystemFlags::SEEN, "\\Seen", 'S'),
    (SystemFlags::DELETED, "\\Deleted", 'T'),
];

impl SystemFlags {
    pub(crate) const DRAFT: Self = Self(1);
    pub(crate) const FLAGGED: Self = Self(2);
    pub(crate) const ANSWERED: Self = Self(4);
    pub(crate) const SEEN: Self = Self(8);
    pub(crate) const DELETED: Self = Self(16);

    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The letters after `:2,` in a file's name. Letters of other programs (`P`, and
    /// Dovecot's `a` to `z`) are passed over.
    pub(crate) fn from_letters(letters: &str) -> Self {
        SYSTEM
            .iter()
            .filter(|(_, _, letter)| letters.contains(*letter))
            .fold(Self(0), |all, (flag, _, _)| all.with(*flag))
    }

    pub(crate) fn push_letters(self, name: &mut String) {
        name.extend(
            SYSTEM
                .iter()
                .filter(|(flag, _, _)| self.contains(*flag))
                .map(|(_, _, letter)| letter),
        );
    }

    /// The flags that are set, with their names.
    pub(crate) fn each(self) -> impl Iterator<Item = (Self, &'static str)> {
        let set = SYSTEM
            .iter()
            .filter(move |(flag, _, _)| self.contains(*flag));
        set.map(|(flag, name, _)| (*flag, *name))
    }

    fn from_name(name: &str) -> Option<Self> {
        SYSTEM
            .iter()
            .find(|(_, known, _)| known.eq_ignore_ascii_case(name))
            .map(|(flag, _, _)| *flag)
    }
}

/// All flags of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) system: SystemFlags,
    /// Without repetition, in the order given. Each is an IMAP atom, so that a line of the
    /// index can hold them apart by spaces.
    pub(crate) keywords: Vec<String>,
}

impl Flags {
    /// Parses `(\Seen $Label)`.
    pub(crate) fn parse_list(cursor: &mut Cursor<'_>) -> Result<Self, SyntaxError> {
        cursor.byte(b'(', "a list of flags")?;
        let mut flags = Self::default();
        if cursor.take(b')') {
            return Ok(flags);
        }
        loop {
            flags.parse_one(cursor)?;
            if cursor.take(b')') {
                return Ok(flags);
            }
            cursor.space()?;
        }
    }

    /// Parses one flag and adds it. A name with a backslash that RFC 3501 does not know is
    /// refused, `\Recent` too: a client can't set it.
    pub(crate) fn parse_one(&mut self, cursor: &mut Cursor<'_>) -> Result<(), SyntaxError> {
        if cursor.take(b'\\') {
            let name = format!("\\{}", cursor.atom()?);
            let flag = SystemFlags::from_name(&name)
                .ok_or(SyntaxError::Expected("a known system flag"))?;
            self.system = self.system.with(flag);
            return Ok(());
        }
        let keyword = cursor.atom()?;
        if keyword.len() > KEYWORD_BYTES_MAX || self.keywords.len() >= KEYWORDS_MAX {
            return Err(SyntaxError::TooMany("keywords"));
        }
        self.add_keyword(keyword);
        Ok(())
    }

    fn add_keyword(&mut self, keyword: &str) {
        if !self.has_keyword(keyword) {
            self.keywords.push(keyword.to_owned());
        }
    }

    pub(crate) fn has_keyword(&self, keyword: &str) -> bool {
        self.keywords
            .iter()
            .any(|known| known.eq_ignore_ascii_case(keyword))
    }

    /// Reads the keywords of an index line; those beyond the bounds are dropped.
    pub(crate) fn from_words<'a>(
        system: SystemFlags,
        words: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut flags = Self {
            system,
            keywords: Vec::new(),
        };
        for word in words.take(KEYWORDS_MAX) {
            flags.add_keyword(word);
        }
        flags
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.system = self.system.with(other.system);
        for keyword in other
            .keywords
            .iter()
            .take(KEYWORDS_MAX.saturating_sub(self.keywords.len()))
        {
            self.add_keyword(keyword);
        }
    }

    pub(crate) fn remove(&mut self, other: &Self) {
        self.system = self.system.without(other.system);
        self.keywords.retain(|keyword| !other.has_keyword(keyword));
    }

    /// Writes the flags as FETCH lists them, without parentheses.
    pub(crate) fn push_names(&self, line: &mut String) {
        let system = self.system.each().map(|(_, name)| name);
        for (at, name) in system
            .chain(self.keywords.iter().map(String::as_str))
            .enumerate()
        {
            if at > 0 {
                line.push(' ');
            }
            line.push_str(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |input: &str, expected: Option<&str>| {
            let flags = Flags::parse_list(&mut Cursor::new(input.as_bytes())).ok();
            let names = flags.map(|flags| {
                let mut names = String::new();
                flags.push_names(&mut names);
                names
            });
            assert_eq!(names.as_deref(), expected, "{input}");
        };
        check("()", Some(""));
        check("(\\seen)", Some("\\Seen"));
        check(
            "($Label1 \\Flagged \\Draft $label1)",
            Some("\\Draft \\Flagged $Label1"),
        );
        check("(\\Recent)", None);
        check("(\\Junk)", None);
        check("(a  b)", None);
        check("(a", None);
        check("a", None);
        check(&format!("({})", "a".repeat(KEYWORD_BYTES_MAX + 1)), None);
        let many: Vec<String> = (0..=KEYWORDS_MAX).map(|n| format!("k{n}")).collect();
        check(&format!("({})", many.join(" ")), None);
    }

    #[test]
    fn letters() {
        let flags = SystemFlags::from_letters("STaP");
        assert_eq!(flags, SystemFlags::SEEN.with(SystemFlags::DELETED));
        let mut name = String::from(":2,");
        flags.with(SystemFlags::ANSWERED).push_letters(&mut name);
        assert_eq!(name, ":2,RST");
    }
}
