//! How the names of folders are spelled on the wire: prefix, separator and charset.

use super::folder_name::{FolderName, NameError};
use super::modified_utf7;

/// The namespace of the user's own folders (RFC 2342).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// What all names but INBOX begin with, its separator included: `INBOX.`, or nothing.
    /// Names without it are refused, as Courier does.
    pub prefix: String,
    /// What stands between levels: `/` or `.`.
    pub separator: char,
}

/// In which charset names travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    ModifiedUtf7,
    /// After ENABLE UTF8=ACCEPT (RFC 6855).
    Utf8,
}

impl Default for Namespace {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            separator: '/',
        }
    }
}

impl Namespace {
    /// The folder that a client means.
    pub(crate) fn parse(&self, wire: &[u8], spelling: Spelling) -> Result<FolderName, NameError> {
        if wire.eq_ignore_ascii_case(b"INBOX") {
            return Ok(FolderName::inbox());
        }
        let name = match wire.split_at_checked(self.prefix.len()) {
            Some((prefix, name)) if prefix.eq_ignore_ascii_case(self.prefix.as_bytes()) => name,
            _ => return Err(NameError::Prefix),
        };
        let mut name = match spelling {
            Spelling::ModifiedUtf7 => std::str::from_utf8(name).map(str::to_owned),
            Spelling::Utf8 => std::str::from_utf8(name).map(modified_utf7::encode),
        }
        .map_err(|_| NameError::Character)?;
        if self.separator != '/' {
            if name.contains('/') {
                return Err(NameError::Character);
            }
            name = name.replace(self.separator, "/");
        }
        FolderName::from_wire(name.as_bytes())
    }

    /// The name as a client spells it.
    pub(crate) fn spell(&self, name: &FolderName, spelling: Spelling) -> String {
        if *name == FolderName::inbox() {
            return name.as_wire().to_owned();
        }
        let levels = match self.separator {
            '/' => name.as_wire().to_owned(),
            other => name.as_wire().replace('/', &other.to_string()),
        };
        let levels = match spelling {
            Spelling::ModifiedUtf7 => levels,
            Spelling::Utf8 => modified_utf7::decode(&levels).unwrap_or(levels),
        };
        format!("{}{levels}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_there_and_back() {
        let courier = Namespace {
            prefix: "INBOX.".to_owned(),
            separator: '.',
        };
        let check = |space: &Namespace, spelling: Spelling, wire: &str, expected: Option<&str>| {
            let name = space.parse(wire.as_bytes(), spelling).ok();
            let found = name.as_ref().map(FolderName::as_wire);
            assert_eq!(found, expected, "{wire}");
            if let Some(name) = &name {
                assert_eq!(space.spell(name, spelling), wire);
            }
        };
        let plain = Namespace::default();
        check(&plain, Spelling::ModifiedUtf7, "INBOX", Some("INBOX"));
        check(&plain, Spelling::ModifiedUtf7, "a/b", Some("a/b"));
        check(&plain, Spelling::Utf8, "für/b&", Some("f&APw-r/b&-"));
        check(&plain, Spelling::ModifiedUtf7, "für", None);
        check(&courier, Spelling::ModifiedUtf7, "INBOX", Some("INBOX"));
        check(&courier, Spelling::ModifiedUtf7, "INBOX.a.b", Some("a/b"));
        check(&courier, Spelling::Utf8, "INBOX.ü", Some("&APw-"));
        check(&courier, Spelling::ModifiedUtf7, "INBOX.a/b", None);
        check(&courier, Spelling::ModifiedUtf7, "INBOX.", None);
        check(&courier, Spelling::ModifiedUtf7, "a.b", None);
    }
}
