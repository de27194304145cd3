//! Where mail comes from: what a path is, and reading it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

mod emlx;
mod entry;
mod files;
mod folder_name;
mod format;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod keyword;
mod maildir;
pub(crate) mod mbox;
mod names;
mod packing;
pub(crate) mod takeout;
mod tar;
mod text;
mod tree;
mod unit;
mod zip;

pub use self::format::{Format, UnknownFormat};
pub(crate) use self::unit::Unit;

use self::packing::{Links, Packing};
use self::unit::Content;
use crate::mail::FolderPath;

/// The path that stands for standard input.
const STDIN: &str = "-";

/// Mail on this machine.
///
/// To open a source is to look for its folders and at the first bytes of its files; the mails
/// are listed and read when their turn comes.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    format: Format,
    /// By what a file was found to be that.
    evidence: &'static str,
    units: Vec<Unit>,
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
    /// A file that is no mail.
    #[error(
        "{} holds no mail: it is no mbox (its first line would begin with `From `), no .eml file, \
         and no .zip, .tar, .gz or .zst with such in it{hint}; `--format` says what it is where \
         that can't be seen",
        path.display()
    )]
    NotMail {
        /// The file.
        path: PathBuf,
        /// What it is instead, or nothing.
        hint: &'static str,
    },
    /// A folder with no mail in it.
    #[error(
        "{} holds no mail: no Maildir (a folder with `cur` and `new` in it), no mbox (its first \
         line begins with `From `) and no .eml files{left_out}; `--format` says what it is where \
         that can't be seen",
        path.display()
    )]
    NoMailInFolder {
        /// The folder.
        path: PathBuf,
        /// Something in it that was passed over, or nothing.
        left_out: String,
    },
    /// The format that was asked for is none of files, or of folders.
    #[error("{} is {found}, which can't be of format {format}", path.display())]
    WrongFormat {
        /// The path.
        path: PathBuf,
        /// A file, a folder, …
        found: &'static str,
        /// What was asked for.
        format: Format,
    },
    /// A .zip archive has its directory at its end.
    #[error(
        "a .zip archive can't be read from a stream, because it is read from its end: save it as \
         a file and name that"
    )]
    ZipStream,
}

impl Source {
    /// Finds out what a path is. `-` is an mbox on standard input.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let path = path.into();
        match Kind::of(&path)? {
            Kind::Folder => Self::open_folder(path, Format::Folder),
            Kind::Stream => Ok(Self::open_file(path, Format::Mbox, "a stream", None)),
            Kind::File => {
                let (bytes, head, unpacked) =
                    tree::read_head(&path, Links::Followed).map_err(unreadable(&path))?;
                match format_of_file(&path, &head, &unpacked) {
                    Some((format, evidence)) => {
                        Ok(Self::open_file(path, format, evidence, Some(bytes)))
                    }
                    None => Err(SourceError::NotMail {
                        path,
                        hint: format::hint(&head),
                    }),
                }
            }
        }
    }

    /// Takes a path for what it is said to be.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn open_as(path: impl Into<PathBuf>, format: Format) -> Result<Self, SourceError> {
        let path = path.into();
        let kind = Kind::of(&path)?;
        let wrong = |found| SourceError::WrongFormat {
            path: path.clone(),
            found,
            format,
        };
        match kind {
            Kind::Folder if !format.is_of_folders() => Err(wrong("a folder")),
            Kind::Folder => Self::open_folder(path, format),
            Kind::File if !format.is_of_files() => Err(wrong("a file")),
            Kind::File => {
                let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
                Ok(Self::open_file(
                    path,
                    format,
                    "as told",
                    Some(metadata.len()),
                ))
            }
            Kind::Stream if format == Format::Zip => Err(SourceError::ZipStream),
            Kind::Stream if !format.is_of_files() => Err(wrong("a stream")),
            Kind::Stream => Ok(Self::open_file(path, format, "a stream", None)),
        }
    }

    fn open_folder(path: PathBuf, wanted: Format) -> Result<Self, SourceError> {
        let units = tree::walk(&path, wanted).map_err(unreadable(&path))?;
        let mut formats = units
            .iter()
            .filter(|unit| unit.is_read())
            .map(|unit| unit.format);
        let Some(first) = formats.next() else {
            let left_out = units.first().map(Unit::description).unwrap_or_default();
            let comma = if left_out.is_empty() { "" } else { ", and " };
            return Err(SourceError::NoMailInFolder {
                path,
                left_out: format!("{comma}{left_out}"),
            });
        };
        let is_mixed = formats.any(|format| format != first);
        let format = if is_mixed { Format::Folder } else { first };
        Ok(Self {
            path,
            format,
            evidence: "",
            units,
        })
    }

    fn open_file(
        path: PathBuf,
        format: Format,
        evidence: &'static str,
        bytes: Option<u64>,
    ) -> Self {
        let unit = Unit {
            path: path.clone(),
            folder: FolderPath::default(),
            content: Content::File(format),
            format,
            bytes,
            links: Links::Followed,
        };
        Self {
            path,
            format,
            evidence,
            units: vec![unit],
        }
    }

    /// What it is.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Where it is; `-` is standard input.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many mails there are, where each is a file. Lists the folders, which takes a third
    /// of a second for a million mails.
    #[must_use]
    pub fn messages(&self) -> Option<u64> {
        let counts = self.units.iter().map(Unit::messages);
        counts.sum()
    }

    /// How many bytes there are to read, where that is known without asking for the size of
    /// each mail: of mboxes and archives as they are, packed or not.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let units = self.units.iter().filter(|unit| unit.is_read());
        units.map(|unit| unit.bytes).sum()
    }

    /// What was found, in words.
    #[must_use]
    pub fn description(&self) -> String {
        if let [unit] = &self.units[..]
            && let (Content::File(format), true) = (&unit.content, unit.path == self.path)
        {
            return format!("{} ({})", format.file_words(), self.evidence);
        }
        let count = |is_it: fn(&Content) -> bool| {
            let units = self.units.iter().filter(|unit| is_it(&unit.content));
            units.count()
        };
        let kinds = [
            (
                count(|content| *content == Content::Maildir),
                "Maildir",
                "Maildirs",
            ),
            (
                count(|content| *content == Content::EmlFolder),
                "folder of .eml files",
                "folders of .eml files",
            ),
            (
                count(|content| matches!(content, Content::File(_))),
                "mbox file",
                "mbox files",
            ),
        ];
        let kinds = kinds.into_iter().filter(|(count, ..)| *count > 0);
        let words: Vec<_> = kinds
            .map(|(count, one, many)| match count {
                1 => format!("1 {one}"),
                count => format!("{count} {many}"),
            })
            .collect();
        match (self.format, self.units.len()) {
            (Format::Maildir, 1) => "a Maildir (it has `cur` and `new`)".to_owned(),
            (Format::Eml, 1) => "a folder of .eml files".to_owned(),
            _ => format!("a tree of {}", words.join(", ")),
        }
    }

    /// The parts that can be read at the same time.
    pub(crate) fn units(&self) -> &[Unit] {
        &self.units
    }
}

/// What the kernel says of a path.
enum Kind {
    Folder,
    File,
    /// Standard input, or what a shell makes of `<(command)`.
    Stream,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, SourceError> {
        if path == Path::new(STDIN) {
            return Ok(Self::Stream);
        }
        let metadata = fs::metadata(path).map_err(unreadable(path))?;
        Ok(match metadata.file_type() {
            kind if kind.is_dir() => Self::Folder,
            kind if kind.is_file() => Self::File,
            _ => Self::Stream,
        })
    }
}

/// A file's format by its first bytes, else by its name; and by what of that.
fn format_of_file(path: &Path, head: &[u8], unpacked: &[u8]) -> Option<(Format, &'static str)> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let by_name = match entry::guess_by_name(name) {
        entry::Guess::Mail(_) => Some((Format::Eml, "by its name")),
        entry::Guess::Mbox => Some((Format::Mbox, "by its name")),
        _ if head.is_empty() => Some((Format::Mbox, "it is empty")),
        _ => None,
    };
    match format::of_head(head, unpacked) {
        // A mail that some program saved with its envelope is still one mail.
        Some(Format::Mbox) if by_name.is_some_and(|(format, _)| format == Format::Eml) => by_name,
        Some(Format::Mbox) => Some((Format::Mbox, "its first line begins with `From `")),
        Some(Format::Eml) => Some((Format::Eml, "its first line is a field of a mail's header")),
        Some(format) => Some((format, "by its first bytes")),
        None if Packing::of(head) == Packing::Plain => by_name,
        None => None,
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.to_owned();
    |source| SourceError::Unreadable { path, source }
}

#[cfg(test)]
mod tests;
