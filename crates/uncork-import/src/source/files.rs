//! Folders with one file a mail: Maildirs, and folders of .eml files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::entry::PARTIAL_EMLX;
use super::maildir::{self, Keywords};
use super::names::{Names, Order, Start};
use super::packing::{CHUNK_BYTES, Counted};
use super::text::{self, Shape};
use super::unit::whole;
use crate::mail::{Flag, FolderPath, Found, Position, Sink};
use crate::prepare::date;

/// How often a folder is listed anew because files are not where they were. Who renames all of
/// a folder once costs one listing; a folder that never rests must not be listed for each mail.
const RELISTINGS_MAX: u32 = 256;

/// What a folder of files is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Maildir,
    Eml,
}

impl Kind {
    /// The directories that hold the mails.
    fn directories(self) -> &'static [&'static str] {
        match self {
            // Neither do servers deliver from `tmp`, nor is a mail in it whole.
            Self::Maildir => &["cur", "new"],
            Self::Eml => &[""],
        }
    }

    fn order(self) -> Order {
        match self {
            Self::Maildir => Order::Delivery,
            Self::Eml => Order::Natural,
        }
    }

    /// Whether a file is a mail by its name. Dovecot and Courier keep files of their own beside
    /// `cur`, never in it; a name that begins with a dot is no mail (maildir(5)), such as NFS's
    /// `.nfs…` for a file that was deleted while somebody read it, or macOS's `._x.eml`.
    fn is_mail(self, name: &[u8]) -> bool {
        let is_hidden = name.starts_with(b".");
        !is_hidden && (self == Self::Maildir || eml_shape(name).is_some())
    }
}

/// What a file of one mail is by its name, if it is one.
pub(super) fn eml_shape(name: &[u8]) -> Option<Shape> {
    let ends_with = |suffix: &[u8]| super::folder_name::ends_with_ignore_case(name, suffix);
    match name {
        [b'.', ..] => None,
        _ if ends_with(PARTIAL_EMLX) => None,
        _ if ends_with(b".eml") => Some(Shape::Mail),
        _ if ends_with(b".emlx") => Some(Shape::Emlx),
        _ => None,
    }
}

/// Counts the mails of a folder by their names.
pub(super) fn count(kind: Kind, folder: &Path) -> u64 {
    let mut count = 0;
    for directory in open_directories(kind, folder).into_iter().flatten() {
        // What can't be listed is said when it is read.
        let _ = directory.list(kind, |_| count += 1);
    }
    count
}

/// Reads the mails of a folder in its order.
///
/// Symbolic links are not followed: a mailbox may be somebody else's than who imports it, and a
/// link in it lead to any file of theirs.
pub(super) fn read(
    kind: Kind,
    folder: &Path,
    path: &FolderPath,
    bytes_read: &AtomicU64,
    sink: &mut dyn Sink,
) -> ControlFlow<()> {
    let mut directories = Vec::new();
    for directory in open_directories(kind, folder) {
        match directory {
            Ok(directory) => directories.push(directory),
            Err((at, error)) => {
                sink.unreadable(whole(&at), path.clone(), cant_list(&error))?;
            }
        }
    }
    let keywords = match kind {
        Kind::Maildir => Keywords::of_maildir(folder),
        Kind::Eml => Keywords::default(),
    };
    Reader {
        kind,
        path,
        directories,
        keywords,
        bytes_read,
        buffer: vec![0; CHUNK_BYTES],
        relistings: 0,
    }
    .read_all(sink)
}

fn cant_list(error: &io::Error) -> String {
    format!("can't be listed: {error}")
}

/// One directory, open: its files are opened from here, without a walk down from the root.
struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

type DirectoryResult = Result<Directory, (PathBuf, io::Error)>;

fn open_directories(kind: Kind, folder: &Path) -> Vec<DirectoryResult> {
    let open = |name: &&str| {
        // Joining an empty name would add a slash.
        let path = if name.is_empty() {
            folder.to_owned()
        } else {
            folder.join(name)
        };
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // The folder itself may be a link by the user's own word, but not what is in it.
        flags.set(OFlags::NOFOLLOW, kind == Kind::Maildir);
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(fd) => Some(Ok(Directory { path, fd })),
            // Thunderbird's Maildirs have no `new`.
            Err(Errno::NOENT) if kind == Kind::Maildir => None,
            Err(error) => Some(Err((path, error.into()))),
        }
    };
    kind.directories().iter().filter_map(open).collect()
}

impl Directory {
    fn list(&self, kind: Kind, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if kind.is_mail(name) {
                each(name);
            }
        }
        Ok(())
    }
}

/// Why a file was not read.
enum Failure {
    /// It is no longer where it was listed.
    Gone,
    Unreadable(String),
}

struct Reader<'r> {
    kind: Kind,
    path: &'r FolderPath,
    directories: Vec<Directory>,
    keywords: Keywords,
    bytes_read: &'r AtomicU64,
    buffer: Vec<u8>,
    relistings: u32,
}

impl Reader<'_> {
    fn read_all(&mut self, sink: &mut dyn Sink) -> ControlFlow<()> {
        let mut names = Names::new(self.kind.order());
        self.list(&mut names, Start::First, sink)?;
        let mut index = 0;
        loop {
            let Some(name) = names.get(index) else {
                let Some(next) = names.next() else {
                    return ControlFlow::Continue(());
                };
                self.list(&mut names, next, sink)?;
                index = 0;
                continue;
            };
            let directory = &self.directories[usize::from(name.directory)];
            let result = read_file(
                directory,
                name.bytes,
                self.kind,
                self.bytes_read,
                &mut self.buffer,
                sink,
            );
            match result {
                Ok((file_time, told)) => {
                    let found = self.found(directory, name.bytes, file_time, told);
                    sink.mail(found)?;
                    index += 1;
                }
                Err(Failure::Unreadable(reason)) => {
                    let at = directory.path.join(OsStr::from_bytes(name.bytes));
                    sink.unreadable(whole(&at), self.path.clone(), reason)?;
                    index += 1;
                }
                // A listing that ran while the file was renamed can show both of its names.
                Err(Failure::Gone) if names.is_twin(index) => index += 1,
                Err(Failure::Gone) => index = self.find_again(&mut names, index, sink)?,
            }
        }
    }

    fn list(&self, names: &mut Names, from: Start, sink: &mut dyn Sink) -> ControlFlow<()> {
        names.restart(from);
        for (number, directory) in (0u8..).zip(&self.directories) {
            let listed = directory.list(self.kind, |name| names.offer(number, name));
            if let Err(error) = listed {
                let at = whole(&directory.path);
                sink.unreadable(at, self.path.clone(), cant_list(&error))?;
            }
        }
        names.sort();
        ControlFlow::Continue(())
    }

    /// A mail server renames a mail when its flags change, and from `new` to `cur` when a
    /// client sees it first. Lists anew from the missing mail on, and returns where to go on.
    fn find_again(
        &mut self,
        names: &mut Names,
        index: usize,
        sink: &mut dyn Sink,
    ) -> ControlFlow<(), usize> {
        let (Some(name), Some(base)) = (names.get(index), names.base_of(index)) else {
            return ControlFlow::Continue(index);
        };
        let base = base.to_owned();
        let directory = &self.directories[usize::from(name.directory)];
        let at = whole(&directory.path.join(OsStr::from_bytes(name.bytes)));
        if self.relistings == RELISTINGS_MAX {
            let reason = "was renamed or deleted while the import ran, as others before it; \
                          import again when the folder is at rest";
            sink.unreadable(at, self.path.clone(), reason.to_owned())?;
            return ControlFlow::Continue(index + 1);
        }
        self.relistings += 1;
        self.list(names, Start::At(base.clone()), sink)?;
        if names.base_of(0) != Some(&base[..]) {
            let reason = "was deleted while the import ran".to_owned();
            sink.unreadable(at, self.path.clone(), reason)?;
        }
        ControlFlow::Continue(0)
    }

    fn found(
        &self,
        directory: &Directory,
        name: &[u8],
        file_time: Option<Timestamp>,
        told: text::Told,
    ) -> Found {
        let flags: Vec<Flag> = match self.kind {
            Kind::Maildir => self.keywords.flags(maildir::split_name(name).1),
            Kind::Eml => told.flags,
        };
        Found {
            position: Position {
                file: Arc::from(directory.path.join(OsStr::from_bytes(name))),
                entry: None,
                offset: None,
            },
            folders: vec![self.path.clone()],
            flags,
            // A Maildir keeps the time of delivery as the file's; an .eml file was made by an
            // export, whose time says nothing about the mail.
            received: match self.kind {
                Kind::Maildir => file_time,
                Kind::Eml => told.received,
            },
            file_time,
        }
    }
}

fn read_file(
    directory: &Directory,
    name: &[u8],
    kind: Kind,
    bytes_read: &AtomicU64,
    buffer: &mut [u8],
    sink: &mut dyn Sink,
) -> Result<(Option<Timestamp>, text::Told), Failure> {
    // Without NONBLOCK, to open a FIFO is to wait for who writes into it. For a regular file
    // the flag means nothing.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&directory.fd, name, flags, Mode::empty());
    let file = File::from(opened.map_err(|errno| match errno {
        Errno::NOENT => Failure::Gone,
        Errno::LOOP => Failure::Unreadable("is a symbolic link: those are not followed".to_owned()),
        // A socket.
        Errno::NXIO => Failure::Unreadable("is no regular file".to_owned()),
        errno => Failure::Unreadable(io::Error::from(errno).to_string()),
    })?);
    let failed = |error: io::Error| Failure::Unreadable(error.to_string());
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::Unreadable("is no regular file".to_owned()));
    }
    let file_time = metadata.modified().ok().and_then(date::from_file_time);
    let shape = match kind {
        Kind::Maildir => Shape::Mail,
        Kind::Eml => eml_shape(name).unwrap_or(Shape::Mail),
    };
    let mut input = Counted {
        input: Regular {
            file,
            is_at_end: false,
        },
        bytes: bytes_read,
    };
    let told = text::copy(&mut input, shape, buffer, sink).map_err(failed)?;
    Ok((file_time, told))
}

/// A regular file. It is at its end when it gives less than it was asked for, so that a small
/// mail takes one call and not two.
struct Regular {
    file: File,
    is_at_end: bool,
}

impl Read for Regular {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_at_end {
            return Ok(0);
        }
        let read = loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.is_at_end = read < buffer.len();
        Ok(read)
    }
}
