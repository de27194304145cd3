//! The names of folders: modified UTF-7 on the wire, Maildir++ on disk.
//!
//! Here the separator is `/`, whatever a client has to write (see `namespace`), on disk it is
//! `.`, and the parts keep their modified UTF-7 spelling on disk as Dovecot's do. A part
//! therefore can't hold a dot itself, which at once rules out `..` and hidden parts: the name
//! on disk is always one component that begins with a dot, goes on with something else and
//! holds no slash.

use thiserror::Error;

use super::modified_utf7;

/// Bytes of a name, and levels. A file's name may have 255 bytes.
const NAME_BYTES_MAX: usize = 200;
const LEVELS_MAX: usize = 16;

/// A name fit for the disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FolderName(String);

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NameError {
    #[error("a folder's name can't be empty or longer than {NAME_BYTES_MAX} bytes")]
    Length,
    #[error("a folder's name can't have more than {LEVELS_MAX} levels")]
    Levels,
    #[error("a folder's name can't begin or end with / or have // in it")]
    EmptyPart,
    #[error("character not allowed in a folder's name")]
    Character,
    #[error("the folder's name is no valid modified UTF-7")]
    ModifiedUtf7,
    #[error("Invalid mailbox name: it has to begin with the namespace's prefix")]
    Prefix,
}

impl FolderName {
    pub(crate) fn inbox() -> Self {
        Self("INBOX".to_owned())
    }

    /// Checks a name as a client sends it.
    pub(crate) fn from_wire(name: &[u8]) -> Result<Self, NameError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(NameError::Length);
        }
        let fits = |byte: u8| {
            matches!(byte, b' '..=b'~') && !matches!(byte, b'.' | b'%' | b'*' | b'\\' | b'"')
        };
        let text = match std::str::from_utf8(name) {
            Ok(text) if name.iter().all(|byte| fits(*byte)) => text,
            _ => return Err(NameError::Character),
        };
        if text.split('/').count() > LEVELS_MAX {
            return Err(NameError::Levels);
        }
        for part in text.split('/') {
            if part.is_empty() {
                return Err(NameError::EmptyPart);
            }
            if modified_utf7::decode(part).is_none() {
                return Err(NameError::ModifiedUtf7);
            }
        }
        // INBOX is the same in any case (RFC 3501, 5.1), and so is what stands below it.
        let (first, rest) = text.split_at(text.find('/').unwrap_or(text.len()));
        if first.eq_ignore_ascii_case("INBOX") {
            return Ok(Self(format!("INBOX{rest}")));
        }
        Ok(Self(text.to_owned()))
    }

    /// Reads the name of a directory beneath the root.
    pub(crate) fn from_disk(name: &str) -> Option<Self> {
        let wire = name.strip_prefix('.')?.replace('.', "/");
        Self::from_wire(wire.as_bytes())
            .ok()
            .filter(|name| *name != Self::inbox())
    }

    /// The directory beneath the root; `.` for INBOX, which is the root itself.
    pub(crate) fn to_disk(&self) -> String {
        if *self == Self::inbox() {
            ".".to_owned()
        } else {
            format!(".{}", self.0.replace('/', "."))
        }
    }

    /// The name as clients spell it.
    pub(crate) fn as_wire(&self) -> &str {
        &self.0
    }

    /// Whether it stands below the other.
    pub(crate) fn is_below(&self, other: &Self) -> bool {
        *self != *other && self.is_or_is_below(&other.0)
    }

    /// Whether it is the folder of this name, or stands below it.
    pub(crate) fn is_or_is_below(&self, name: &str) -> bool {
        let rest = self.0.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The folders above it, the topmost first.
    pub(crate) fn parents(&self) -> impl Iterator<Item = Self> + '_ {
        self.0
            .match_indices('/')
            .map(|(at, _)| Self(self.0[..at].to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |wire: &[u8], disk: Result<&str, NameError>| {
            let found = FolderName::from_wire(wire).map(|name| name.to_disk());
            assert_eq!(
                found.as_deref(),
                disk.as_ref().map(|disk| *disk),
                "{:?}",
                String::from_utf8_lossy(wire)
            );
        };
        check(b"inbox", Ok("."));
        check(b"Inbox/Sub", Ok(".INBOX.Sub"));
        check(b"Archive/2024/May 1", Ok(".Archive.2024.May 1"));
        check(b"Entw&APw-rfe", Ok(".Entw&APw-rfe"));
        check(b"a&-b", Ok(".a&-b"));
        check(b"", Err(NameError::Length));
        check(&[b'a'; NAME_BYTES_MAX + 1], Err(NameError::Length));
        check(b"..", Err(NameError::Character));
        check(b"../../etc", Err(NameError::Character));
        check(b"a/../b", Err(NameError::Character));
        check(b".hidden", Err(NameError::Character));
        check(b"a.b", Err(NameError::Character));
        check(b"/etc/passwd", Err(NameError::EmptyPart));
        check(b"a/", Err(NameError::EmptyPart));
        check(b"a//b", Err(NameError::EmptyPart));
        check(b"a\0b", Err(NameError::Character));
        check(b"a\x1bb", Err(NameError::Character));
        check(b"a\x7fb", Err(NameError::Character));
        check("Entwürfe".as_bytes(), Err(NameError::Character));
        check(b"a&b", Err(NameError::ModifiedUtf7));
        check(b"a&AGE-", Err(NameError::ModifiedUtf7));
        check(b"a&2AA-", Err(NameError::ModifiedUtf7));
        check(b"a&ABC", Err(NameError::ModifiedUtf7));
        check(
            "a/".repeat(LEVELS_MAX).trim_end_matches('/').as_bytes(),
            Ok(&".a".repeat(LEVELS_MAX)),
        );
        check(
            "a/".repeat(LEVELS_MAX + 1).trim_end_matches('/').as_bytes(),
            Err(NameError::Levels),
        );
    }

    #[test]
    fn disk_names_lead_back() {
        let name = FolderName::from_disk(".Archive.2024").unwrap();
        assert_eq!(name.as_wire(), "Archive/2024");
        assert_eq!(
            name.parents()
                .map(|parent| parent.to_disk())
                .collect::<Vec<_>>(),
            [".Archive"]
        );
        for strange in [".", "..", "cur", ".INBOX", "..a", ".a..b", "a.b"] {
            assert_eq!(FolderName::from_disk(strange), None, "{strange}");
        }
    }
}
