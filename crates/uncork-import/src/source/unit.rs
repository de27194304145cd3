//! The parts of a source, and reading them.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;

use super::STDIN;
use super::entry::{Entries, cant_read_on};
use super::files;
use super::format::Format;
use super::mbox::{Place, read_mbox};
use super::packing::{CHUNK_BYTES, Counted, Links, open_regular};
use super::tar;
use super::text::{self, Shape};
use super::zip;
use crate::mail::{FolderPath, Found, Position, Sink};
use crate::options::Labels;
use crate::prepare::date;

/// A part of a source that can be read by itself, while others are read elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(super) path: PathBuf,
    pub(super) folder: FolderPath,
    pub(super) content: Content,
    pub(super) format: Format,
    /// Its size; not known of a stream, nor of a folder without a look at each file.
    pub(super) bytes: Option<u64>,
    pub(super) links: Links,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Maildir,
    EmlFolder,
    /// One file of the unit's format, or a stream.
    File(Format),
    /// Something that is not read, and why.
    LeftOut(String),
}

impl Unit {
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
    pub(super) fn is_read(&self) -> bool {
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
                    sink.unreadable(whole(path), folder.clone(), reason)
                }
            },
            Content::LeftOut(reason) => {
                sink.unreadable(whole(path), folder.clone(), reason.clone())
            }
        }
    }

    fn open(&self) -> io::Result<File> {
        if self.path == Path::new(STDIN) {
            // A descriptor of our own, which closes without closing standard input.
            return Ok(File::from(rustix::io::dup(io::stdin())?));
        }
        match self.bytes {
            Some(_) => open_regular(&self.path, self.links),
            // A FIFO, whose writer is waited for.
            None => File::open(&self.path),
        }
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
                    sink.unreadable(whole(&self.path), self.folder.clone(), reason)
                })
            }
        }
    }

    fn read_eml(&self, file: &File, input: &mut dyn Read, sink: &mut dyn Sink) -> ControlFlow<()> {
        let name = self.path.file_name().unwrap_or_default();
        let shape = files::eml_shape(name.as_encoded_bytes()).unwrap_or(Shape::Mail);
        let position = whole(&self.path);
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

fn file_time(file: &File) -> Option<Timestamp> {
    let modified = file.metadata().ok()?.modified().ok()?;
    date::from_file_time(modified)
}

/// The position of a whole file or folder.
pub(super) fn whole(path: &Path) -> Position {
    Position {
        file: Arc::from(path),
        entry: None,
        offset: None,
    }
}
