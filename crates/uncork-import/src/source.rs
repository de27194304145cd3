//! Where mail comes from: what a path is, and reading it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

mod emlx;
mod entry;
mod files;
mod folder_name;
mod format;
mod maildir;
mod names;
mod old;
mod packing;
mod tar;
mod text;
mod tree;
mod zip;

pub use self::format::{Format, UnknownFormat};
pub(crate) use self::old::SourceMail;

use self::entry::{Entries, cant_read_on, guess_by_name};
use self::packing::{CHUNK_BYTES, Counted};
use self::text::Shape;
use crate::date;
use crate::mail::{FolderPath, Found, Position, Sink};
use crate::mbox::{Place, read_mbox};
use crate::options::Labels;

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
    units: Vec<Unit>,
}

/// A part of a source that can be read by itself, while others are read elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    path: PathBuf,
    folder: FolderPath,
    content: Content,
    format: Format,
    bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Maildir,
    EmlFolder,
    /// One file of the unit's format, or a stream.
    File(Format),
    /// Something that is not read, and why.
    LeftOut(String),
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
            Kind::Stream => Ok(Self::open_file(path, Format::Mbox, None)),
            Kind::File => {
                let (bytes, head, unpacked) = tree::read_head(&path).map_err(unreadable(&path))?;
                match format_of_file(&path, &head, &unpacked) {
                    Some(format) => Ok(Self::open_file(path, format, Some(bytes))),
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
                Ok(Self::open_file(path, format, Some(metadata.len())))
            }
            Kind::Stream if format == Format::Zip => Err(SourceError::ZipStream),
            Kind::Stream if !format.is_of_files() => Err(wrong("a stream")),
            Kind::Stream => Ok(Self::open_file(path, format, None)),
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
            units,
        })
    }

    fn open_file(path: PathBuf, format: Format, bytes: Option<u64>) -> Self {
        let unit = Unit {
            path: path.clone(),
            folder: FolderPath::default(),
            content: Content::File(format),
            format,
            bytes,
        };
        Self {
            path,
            format,
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
        if let [unit] = &self.units[..] {
            if let (Content::File(format), true) = (&unit.content, unit.path == self.path) {
                let stream = if unit.bytes.is_none() {
                    " from a stream"
                } else {
                    ""
                };
                return format!("{}{stream}", format.file_words());
            }
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

/// A file's format by its first bytes, else by its name.
fn format_of_file(path: &Path, head: &[u8], unpacked: &[u8]) -> Option<Format> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let by_name = match guess_by_name(name) {
        entry::Guess::Mail(_) => Some(Format::Eml),
        entry::Guess::Mbox => Some(Format::Mbox),
        _ if head.is_empty() => Some(Format::Mbox),
        _ => None,
    };
    match format::of_head(head, unpacked) {
        // A mail that some program saved with its envelope is still one mail.
        Some(Format::Mbox) => by_name.or(Some(Format::Mbox)),
        Some(format) => Some(format),
        None if packing::Packing::of(head) == packing::Packing::Plain => by_name,
        None => None,
    }
}

impl Unit {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that its mails are in, as far as they don't say otherwise.
    pub(crate) fn folder(&self) -> &FolderPath {
        &self.folder
    }

    /// What it is and where, in words.
    pub(crate) fn description(&self) -> String {
        let path = self.path.display();
        match &self.content {
            Content::Maildir => format!("the Maildir {path}"),
            Content::EmlFolder => format!("the folder of .eml files {path}"),
            Content::File(format) => format!("{path}, {}", format.file_words()),
            Content::LeftOut(reason) => format!("{path} {reason}"),
        }
    }

    /// How many mails are in it, where each is a file.
    pub(crate) fn messages(&self) -> Option<u64> {
        match self.content {
            Content::Maildir => Some(files::count(files::Kind::Maildir, &self.path)),
            Content::EmlFolder => Some(files::count(files::Kind::Eml, &self.path)),
            Content::File(Format::Eml) => Some(1),
            Content::File(_) => None,
            Content::LeftOut(_) => Some(0),
        }
    }

    /// Whether there is anything to read in it.
    fn is_read(&self) -> bool {
        !matches!(self.content, Content::LeftOut(_))
    }

    /// Reads all mails. What can't be read is told to the sink, and the rest goes on.
    /// `bytes_read` counts the bytes of the source, as they are on disk.
    pub(crate) fn read(
        &self,
        labels: Labels,
        bytes_read: &AtomicU64,
        sink: &mut dyn Sink,
    ) -> ControlFlow<()> {
        let (path, folder) = (&self.path, &self.folder);
        match &self.content {
            Content::Maildir => files::read(files::Kind::Maildir, path, folder, bytes_read, sink),
            Content::EmlFolder => files::read(files::Kind::Eml, path, folder, bytes_read, sink),
            Content::File(format) => match self.open() {
                Ok(file) => self.read_file(&file, *format, labels, bytes_read, sink),
                Err(error) => {
                    let reason = format!("can't be read: {error}");
                    sink.unreadable(unreadable_at(path), folder.clone(), reason)
                }
            },
            Content::LeftOut(reason) => {
                sink.unreadable(unreadable_at(path), folder.clone(), reason.clone())
            }
        }
    }

    fn open(&self) -> io::Result<File> {
        if self.path == Path::new(STDIN) {
            // A descriptor of our own, which closes without closing standard input.
            return Ok(File::from(rustix::io::dup(io::stdin())?));
        }
        File::open(&self.path)
    }

    fn read_file(
        &self,
        file: &File,
        format: Format,
        labels: Labels,
        bytes_read: &AtomicU64,
        sink: &mut dyn Sink,
    ) -> ControlFlow<()> {
        let counted = Counted {
            input: file,
            bytes: bytes_read,
        };
        let mut input = format.packing().unpack(counted);
        match format {
            Format::Zip => {
                let mut entries = Entries::new(Arc::from(&*self.path), labels, sink);
                let read = zip::read(file, bytes_read, &mut entries);
                end_archive(entries, read)
            }
            Format::Tar | Format::TarGz | Format::TarZst => {
                let mut entries = Entries::new(Arc::from(&*self.path), labels, sink);
                let read = tar::read(&mut *input, &mut entries);
                end_archive(entries, read)
            }
            Format::Eml => self.read_eml(file, &mut *input, sink),
            _ => {
                let place = Place {
                    file: Arc::from(&*self.path),
                    entry: None,
                    folder: self.folder.clone(),
                    file_time: file_time(file),
                };
                let read = read_mbox(&mut *input, &place, format.variant(), labels, sink);
                read.unwrap_or_else(|error| {
                    let reason = cant_read_on(&error);
                    sink.unreadable(unreadable_at(&self.path), self.folder.clone(), reason)
                })
            }
        }
    }

    fn read_eml(&self, file: &File, input: &mut dyn Read, sink: &mut dyn Sink) -> ControlFlow<()> {
        let name = self.path.file_name().unwrap_or_default();
        let shape = files::eml_shape(name.as_encoded_bytes()).unwrap_or(Shape::Mail);
        let position = unreadable_at(&self.path);
        match text::copy(input, shape, &mut vec![0; CHUNK_BYTES], sink) {
            Ok(told) => sink.mail(Found {
                position,
                folders: vec![self.folder.clone()],
                flags: told.flags,
                received: told.received,
                file_time: file_time(file),
            }),
            Err(error) => sink.unreadable(position, self.folder.clone(), error.to_string()),
        }
    }
}

fn end_archive(entries: Entries<'_>, read: io::Result<ControlFlow<()>>) -> ControlFlow<()> {
    match read {
        Ok(ControlFlow::Break(())) => ControlFlow::Break(()),
        Ok(ControlFlow::Continue(())) => entries.end(Ok(())),
        Err(error) => entries.end(Err(error)),
    }
}

fn file_time(file: &File) -> Option<jiff::Timestamp> {
    let modified = file.metadata().ok()?.modified().ok()?;
    date::from_file_time(modified)
}

/// The position of a whole file or folder.
fn unreadable_at(path: &Path) -> Position {
    Position {
        file: Arc::from(path),
        entry: None,
        offset: None,
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.to_owned();
    |source| SourceError::Unreadable { path, source }
}

#[cfg(test)]
mod tests;
