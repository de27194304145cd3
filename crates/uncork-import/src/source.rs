//! Where mail comes from: a Maildir, or a folder of .eml files.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What a source turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A folder with `cur` and `new` in it.
    Maildir,
    /// A folder with `*.eml` files in it.
    EmlFolder,
}

/// Mail on this machine: the names of all its files, in the order in which they are sent.
///
/// The names are kept in memory, about 100 bytes a mail; the mail itself is read when its turn
/// comes.
#[derive(Debug)]
pub struct Source {
    kind: SourceKind,
    root: PathBuf,
    files: Vec<SourceFile>,
    subfolders: usize,
}

/// One file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SourceFile {
    folder: &'static str,
    name: OsString,
}

/// Why there is nothing to import.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It is missing, or may not be read.
    #[error("{} can't be read", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is no folder.
    #[error(
        "{} is a file: this version imports a Maildir (a folder with `cur` and `new` in it) or a \
         folder of .eml files", path.display()
    )]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// A folder with neither kind of mail in it.
    #[error(
        "{} holds no mail: it is no Maildir (a folder with `cur` and `new` in it) and has no .eml \
         files", path.display()
    )]
    NotMail {
        /// The path.
        path: PathBuf,
    },
    /// A Maildir with nothing in it.
    #[error("the Maildir {} is empty", path.display())]
    Empty {
        /// The path.
        path: PathBuf,
    },
}

impl Source {
    /// Finds out what `root` is, and lists its files. A Maildir's mails are in the order of
    /// their names, which begin with the time of delivery; .eml files likewise by name.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let root = root.into();
        let metadata = fs::metadata(&root).map_err(unreadable(&root))?;
        if !metadata.is_dir() {
            return Err(SourceError::NotAFolder { path: root });
        }
        if root.join("cur").is_dir() && root.join("new").is_dir() {
            Self::open_maildir(root)
        } else {
            Self::open_eml_folder(root)
        }
    }

    fn open_maildir(root: PathBuf) -> Result<Self, SourceError> {
        let mut files = Vec::new();
        for folder in ["cur", "new"] {
            // Dovecot and Courier keep files of their own beside `cur`, never in it; a name
            // that begins with a dot is no mail (maildir(5)).
            list(&root.join(folder), |name| {
                if !name.as_encoded_bytes().starts_with(b".") {
                    files.push(SourceFile { folder, name });
                }
            })?;
        }
        files.sort_by(|a, b| delivery_order(&a.name).cmp(&delivery_order(&b.name)));
        let mut subfolders = 0;
        list(&root, |name| {
            let is_dotted = name.as_encoded_bytes().starts_with(b".");
            subfolders += usize::from(is_dotted && root.join(name).join("cur").is_dir());
        })?;
        if files.is_empty() {
            return Err(SourceError::Empty { path: root });
        }
        Ok(Self {
            kind: SourceKind::Maildir,
            root,
            files,
            subfolders,
        })
    }

    fn open_eml_folder(root: PathBuf) -> Result<Self, SourceError> {
        let mut files = Vec::new();
        list(&root, |name| {
            let is_eml = Path::new(&name)
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("eml"));
            // macOS keeps `._x.eml` beside `x.eml`, with the Finder's data in it.
            if is_eml && !name.as_encoded_bytes().starts_with(b".") {
                files.push(SourceFile { folder: "", name });
            }
        })?;
        if files.is_empty() {
            return Err(SourceError::NotMail { path: root });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            kind: SourceKind::EmlFolder,
            root,
            files,
            subfolders: 0,
        })
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// The number of files that are mail by their place and name.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.files.len()
    }

    /// Maildir++ subfolders, which this version does not import.
    #[must_use]
    pub fn subfolders(&self) -> usize {
        self.subfolders
    }

    /// The files, each with the flags that its name tells.
    pub(crate) fn mails(&self) -> impl Iterator<Item = SourceMail> + '_ {
        self.files.iter().map(|file| SourceMail {
            path: self.root.join(file.folder).join(&file.name),
            flags: match self.kind {
                SourceKind::Maildir => maildir_flags(&file.name),
                SourceKind::EmlFolder => Vec::new(),
            },
        })
    }
}

/// A mail that has not been read yet.
#[derive(Debug, Clone)]
pub(crate) struct SourceMail {
    pub(crate) path: PathBuf,
    /// IMAP flags.
    pub(crate) flags: Vec<&'static str>,
}

/// The flags after `:2,` in a Maildir name (maildir(5)), as IMAP names them.
fn maildir_flags(name: &OsStr) -> Vec<&'static str> {
    let name = name.as_encoded_bytes();
    let Some(info) = memchr::memmem::rfind(name, b":2,") else {
        return Vec::new();
    };
    let mut flags: Vec<_> = name[info + 3..]
        .iter()
        .filter_map(|letter| match letter {
            b'D' => Some("\\Draft"),
            b'F' => Some("\\Flagged"),
            b'P' => Some("$Forwarded"),
            b'R' => Some("\\Answered"),
            b'S' => Some("\\Seen"),
            b'T' => Some("\\Deleted"),
            // Lower case letters are keywords of Dovecot's, named in a file of its own.
            _ => None,
        })
        .collect();
    flags.dedup();
    flags
}

/// Sorts by the seconds with which a Maildir name begins, then by the name: seconds of
/// different length do not sort as text.
fn delivery_order(name: &OsStr) -> (u64, &[u8]) {
    let bytes = name.as_encoded_bytes();
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    let seconds = digits.fold(0u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    (seconds, bytes)
}

fn list(folder: &Path, mut each: impl FnMut(OsString)) -> Result<(), SourceError> {
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        each(entry.map_err(unreadable(folder))?.file_name());
    }
    Ok(())
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> SourceError + '_ {
    |source| SourceError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_maildir_names() {
        for (name, expected) in [
            ("1.M1P1.host", &[][..]),
            ("1.M1P1.host:2,", &[]),
            ("1.M1P1.host:2,S", &["\\Seen"]),
            (
                "1.M1P1.host,S=9:2,DFPRST",
                &[
                    "\\Draft",
                    "\\Flagged",
                    "$Forwarded",
                    "\\Answered",
                    "\\Seen",
                    "\\Deleted",
                ],
            ),
            ("1.host:2,Sab", &["\\Seen"]),
            ("1.host:1,S", &[]),
        ] {
            assert_eq!(maildir_flags(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_maildir_is_listed_by_delivery_and_its_own_files_only() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["cur", "new", "tmp", ".Sent/cur"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in [
            "cur/1000000000.b:2,S",
            "new/999999999.a",
            "cur/.hidden",
            "tmp/1.half",
            "dovecot.index",
        ] {
            fs::write(root.path().join(file), "x").unwrap();
        }
        let source = Source::open(root.path()).unwrap();
        assert_eq!(source.kind(), SourceKind::Maildir);
        assert_eq!((source.messages(), source.subfolders()), (2, 1));
        let paths: Vec<_> = source.mails().map(|mail| mail.path).collect();
        assert!(paths[0].ends_with("new/999999999.a"), "{paths:?}");
    }

    #[test]
    fn what_is_no_mail_says_so() {
        let root = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            Source::open(root.path().join(name))
                .unwrap_err()
                .to_string()
        };
        fs::create_dir_all(root.path().join("empty/cur")).unwrap();
        fs::create_dir_all(root.path().join("empty/new")).unwrap();
        fs::create_dir_all(root.path().join("other")).unwrap();
        fs::write(root.path().join("other/photo.jpg"), "x").unwrap();
        assert!(open("missing").contains("can't be read"));
        assert!(open("empty").contains("is empty"));
        assert!(open("other").contains("holds no mail"));
        assert!(open("other/photo.jpg").contains("is a file"));
        fs::write(root.path().join("other/mail.EML"), "x").unwrap();
        fs::write(root.path().join("other/._mail.EML"), "x").unwrap();
        let source = Source::open(root.path().join("other")).unwrap();
        assert_eq!(
            (source.kind(), source.messages()),
            (SourceKind::EmlFolder, 1)
        );
    }
}
