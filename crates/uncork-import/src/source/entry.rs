//! The files in an archive, each taken by its path just as a file in a folder is.

use std::io::{self, ErrorKind, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::files::eml_shape;
use super::folder_name::{Levels, ends_with_ignore_case};
use super::format::HEAD_BYTES;
use super::maildir::{self, Keywords};
use super::mbox::{Place, Variant, looks_like_mbox, read_mbox};
use super::packing::{CHUNK_BYTES, read_up_to};
use super::text::{self, Shape};
use crate::mail::{FolderPath, Found, Position, Sink};
use crate::options::Labels;

/// Most bytes of an entry's path that are kept.
pub(super) const PATH_BYTES_MAX: usize = 4096;

/// What a file is by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    /// A mail in `cur` or `new` of a Maildir.
    MaildirMail,
    /// A file with one mail in it.
    Mail(Shape),
    Mbox,
    /// An mbox if it begins like one.
    PerhapsMbox,
    /// An archive, or something packed.
    Packed,
    /// Apple Mail's, of a mail that is only partly on that machine.
    PartOfMail,
    NoMail,
}

/// What a file within an archive is by its path.
pub(super) fn guess(path: &[&[u8]]) -> Guess {
    let Some((name, above)) = path.split_last() else {
        return Guess::NoMail;
    };
    if name.starts_with(b".") {
        return Guess::NoMail;
    }
    match above.last().copied() {
        Some(b"cur") => Guess::MaildirMail,
        // `new` is a common word, but a name that begins with the time of delivery is not.
        Some(b"new") if name.first().is_some_and(u8::is_ascii_digit) => Guess::MaildirMail,
        _ => guess_by_name(name),
    }
}

/// What a file is by its name alone.
pub(super) fn guess_by_name(name: &[u8]) -> Guess {
    const PACKED: [&[u8]; 10] = [
        b".zip", b".tar", b".tgz", b".gz", b".zst", b".bz2", b".xz", b".7z", b".rar", b".pst",
    ];
    let ends_with = |suffix: &[u8]| ends_with_ignore_case(name, suffix);
    if name.starts_with(b".") {
        return Guess::NoMail;
    }
    if ends_with(PARTIAL_EMLX) {
        return Guess::PartOfMail;
    }
    if let Some(shape) = eml_shape(name) {
        return Guess::Mail(shape);
    }
    if ends_with(b".mbox") || ends_with(b".mbx") {
        return Guess::Mbox;
    }
    if PACKED.iter().any(|suffix| ends_with(suffix)) {
        return Guess::Packed;
    }
    // Thunderbird's have no extension, mailing lists' are `2004-January.txt`, and mutt's and
    // logrotate's end in a number.
    let extension = memchr::memrchr(b'.', name).map(|dot| &name[dot + 1..]);
    let is_plain =
        extension.is_none_or(|word| word == b"txt" || word.iter().all(u8::is_ascii_digit));
    if is_plain {
        Guess::PerhapsMbox
    } else {
        Guess::NoMail
    }
}

/// The folder of the mails in a directory of .eml files.
pub(super) fn eml_folder(directories: &[&[u8]]) -> FolderPath {
    let mut levels = Levels::default();
    let mut is_in_apple_mailbox = false;
    for name in directories {
        if ends_with_ignore_case(name, b".mbox") {
            is_in_apple_mailbox = true;
            levels.push_plain(&name[..name.len() - ".mbox".len()]);
        } else if !(is_in_apple_mailbox && is_apple_shelf(name)) {
            levels.push_plain(name);
        }
    }
    levels.into_path()
}

/// Apple Mail sorts the files of a mailbox into `Name.mbox/UUID/Data/1/2/Messages`.
fn is_apple_shelf(name: &[u8]) -> bool {
    let is_number = name.iter().all(u8::is_ascii_digit);
    let is_uuid = name.len() == 36 && name.iter().filter(|&&byte| byte == b'-').count() == 4;
    is_number || is_uuid || matches!(name, b"Data" | b"Messages")
}

/// The folder of the mails in a Maildir.
pub(super) fn maildir_folder(directories: &[&[u8]]) -> FolderPath {
    let mut levels = Levels::default();
    for name in directories {
        levels.push_maildir(name);
    }
    levels.into_path()
}

/// The folder of the mails in an mbox: a Takeout's mails have labels that say more than the
/// file's name, which is "All mail Including Spam and Trash" in some language.
pub(super) fn mbox_folder(directories: &[&[u8]], name: &[u8], head: &[u8]) -> FolderPath {
    let is_takeout = matches!(directories, [.., b"Takeout", _])
        || memchr::memmem::find(head, b"\nX-Gmail-Labels:").is_some();
    let mut levels = Levels::default();
    if is_takeout {
        return levels.into_path();
    }
    for directory in directories {
        levels.push_mbox(directory);
    }
    // Apple's exports are a file `mbox` in a folder `Name.mbox`.
    let is_apple = name == b"mbox" && directories.last().is_some_and(|last| is_mbox_name(last));
    if !is_apple {
        levels.push_mbox(name);
    }
    levels.into_path()
}

pub(super) fn is_mbox_name(name: &[u8]) -> bool {
    ends_with_ignore_case(name, b".mbox")
}

/// Takes the entries of an archive, one after the other.
pub(super) struct Entries<'s> {
    file: Arc<Path>,
    labels: Labels,
    sink: &'s mut dyn Sink,
    buffer: Vec<u8>,
    links: u64,
}

impl<'s> Entries<'s> {
    pub(super) fn new(file: Arc<Path>, labels: Labels, sink: &'s mut dyn Sink) -> Self {
        Self {
            file,
            labels,
            sink,
            buffer: vec![0; CHUNK_BYTES],
            links: 0,
        }
    }

    /// Takes a file out of the archive. Not all of the input need be read.
    pub(super) fn take(
        &mut self,
        path: &[u8],
        time: Option<Timestamp>,
        input: &mut dyn Read,
    ) -> ControlFlow<()> {
        let names = components(path);
        let (name, directories) = match names.split_last() {
            Some((name, directories)) => (*name, directories),
            None => return ControlFlow::Continue(()),
        };
        match guess(&names) {
            Guess::NoMail => ControlFlow::Continue(()),
            Guess::Packed => self.refuse(path, "is packed within the archive: unpack it first"),
            Guess::PartOfMail => self.refuse(path, PART_OF_MAIL),
            Guess::MaildirMail => {
                // The `dovecot-keywords` file may come later in the archive, or never.
                let flags = Keywords::default().flags(maildir::split_name(name).1);
                let folder = maildir_folder(&directories[..directories.len() - 1]);
                let result = text::copy(input, Shape::Mail, &mut self.buffer, self.sink);
                let told = result.map(|_| text::Told {
                    flags,
                    received: time,
                });
                self.tell(path, folder, time, told)
            }
            Guess::Mail(shape) => {
                let told = text::copy(input, shape, &mut self.buffer, self.sink);
                self.tell(path, eml_folder(directories), time, told)
            }
            guess @ (Guess::Mbox | Guess::PerhapsMbox) => {
                let mut head = [0; HEAD_BYTES];
                let read = match read_up_to(input, &mut head) {
                    Ok(read) => read,
                    Err(error) => return self.refuse(path, &error.to_string()),
                };
                let head = &head[..read];
                if guess == Guess::PerhapsMbox && !looks_like_mbox(head) {
                    return ControlFlow::Continue(());
                }
                let place = Place {
                    file: self.file.clone(),
                    entry: Some(entry_name(path)),
                    folder: mbox_folder(directories, name, head),
                    file_time: time,
                };
                let mut input = head.chain(input);
                match read_mbox(&mut input, &place, Variant::Auto, self.labels, self.sink) {
                    Ok(flow) => flow,
                    Err(error) => self.refuse(path, &cant_read_on(&error)),
                }
            }
        }
    }

    /// Tells the sink of a mail whose text it has, or could not have.
    fn tell(
        &mut self,
        path: &[u8],
        folder: FolderPath,
        file_time: Option<Timestamp>,
        told: io::Result<text::Told>,
    ) -> ControlFlow<()> {
        let position = self.position(path);
        match told {
            Ok(told) => self.sink.mail(Found {
                position,
                folders: vec![folder],
                flags: told.flags,
                received: told.received,
                file_time,
            }),
            Err(error) => self.sink.unreadable(position, folder, error.to_string()),
        }
    }

    /// An entry that would be mail and can't be had. What is no mail is nobody's loss.
    pub(super) fn refuse_if_mail(&mut self, path: &[u8], reason: &str) -> ControlFlow<()> {
        match guess(&components(path)) {
            Guess::NoMail => ControlFlow::Continue(()),
            _ => self.refuse(path, reason),
        }
    }

    fn refuse(&mut self, path: &[u8], reason: &str) -> ControlFlow<()> {
        let position = self.position(path);
        self.sink
            .unreadable(position, FolderPath::default(), reason.to_owned())
    }

    /// A link is a second name of a file, or a way out of the archive.
    pub(super) fn link(&mut self) {
        self.links += 1;
    }

    /// The archive is at its end, or can't be read on.
    pub(super) fn end(self, result: io::Result<()>) -> ControlFlow<()> {
        let position = super::unit::whole(&self.file);
        if self.links > 0 {
            let reason = format!("{} links in it were not followed", self.links);
            self.sink
                .unreadable(position.clone(), FolderPath::default(), reason)?;
        }
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.sink
                    .unreadable(position, FolderPath::default(), cant_read_on(&error))
            }
        }
    }

    fn position(&self, path: &[u8]) -> Position {
        Position {
            file: self.file.clone(),
            entry: Some(entry_name(path)),
            offset: None,
        }
    }
}

/// How Apple Mail names a mail whose attachments are elsewhere.
pub(super) const PARTIAL_EMLX: &[u8] = b".partial.emlx";

pub(super) const PART_OF_MAIL: &str = "is only a part of its mail: let Apple Mail download the \
    rest, or export the mailbox from it";

/// Why a file or an archive ends before its end.
pub(super) fn cant_read_on(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "is cut short: what follows is not in it".to_owned(),
        _ => format!("can't be read on from here: {error}"),
    }
}

/// The names of a path; `.` and `..` lead nowhere in an archive.
fn components(path: &[u8]) -> Vec<&[u8]> {
    let names = path.split(|&byte| byte == b'/');
    names
        .filter(|name| !matches!(*name, b"" | b"." | b".."))
        .collect()
}

/// A path as a person reads it, without what a terminal would obey.
fn entry_name(path: &[u8]) -> Arc<str> {
    let text = String::from_utf8_lossy(&path[..path.len().min(PATH_BYTES_MAX)]);
    if text.contains(char::is_control) {
        return Arc::from(text.replace(char::is_control, "_"));
    }
    Arc::from(text)
}

/// An input that must have as many bytes as it was said to have.
pub(super) struct Exactly<R> {
    input: R,
    rest: u64,
}

impl<R: Read> Exactly<R> {
    pub(super) fn new(input: R, len: u64) -> Self {
        Self { input, rest: len }
    }

    /// Reads what is left, and gives it to nobody.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        if room == 0 {
            return Ok(0);
        }
        let read = self.input.read(&mut buffer[..room])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.rest -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_what_a_file_is() {
        for (path, expected) in [
            ("Maildir/cur/1.a:2,S", Guess::MaildirMail),
            ("Maildir/new/1.a", Guess::MaildirMail),
            ("Maildir/cur/.nfs0001", Guess::NoMail),
            ("Maildir/dovecot.index.cache", Guess::NoMail),
            ("src/new/main.rs", Guess::NoMail),
            ("src/new/a.eml", Guess::Mail(Shape::Mail)),
            ("a.EMLX", Guess::Mail(Shape::Emlx)),
            ("a.partial.emlx", Guess::PartOfMail),
            ("._a.eml", Guess::NoMail),
            ("All mail.mbox", Guess::Mbox),
            ("Inbox", Guess::PerhapsMbox),
            ("Inbox.msf", Guess::NoMail),
            ("archive.2004", Guess::PerhapsMbox),
            ("a.mbox.gz", Guess::Packed),
            ("outlook.pst", Guess::Packed),
            ("photo.jpg", Guess::NoMail),
            ("../..", Guess::NoMail),
            ("", Guess::NoMail),
        ] {
            assert_eq!(guess(&components(path.as_bytes())), expected, "{path}");
        }
    }

    #[test]
    fn names_of_entries_can_be_shown() {
        assert_eq!(&*entry_name(b"a\x1b[2J\n\xff"), "a_[2J_\u{fffd}");
        assert_eq!(entry_name(&[b'x'; 10_000]).len(), PATH_BYTES_MAX);
    }

    #[test]
    fn an_input_has_what_it_was_said_to_have() {
        let read = |len| {
            let mut text = String::new();
            let read = Exactly::new(&b"abc"[..], len).read_to_string(&mut text);
            read.map(|_| text).map_err(|error| error.kind())
        };
        assert_eq!(read(2), Ok("ab".to_owned()));
        assert_eq!(read(3), Ok("abc".to_owned()));
        assert_eq!(read(4), Err(ErrorKind::UnexpectedEof));
    }
}
