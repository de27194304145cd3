//! Finds the mail in a folder, by the names and places of its files.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::entry::{self, Guess};
use super::folder_name::LEVELS_MAX;
use super::format::{self, Format, HEAD_BYTES};
use super::packing::{Links, Packing, open_regular, read_up_to};
use super::unit::{Content, Unit};
use crate::mail::FolderPath;

/// Finds all mail beneath `root`: of one format, or for [`Format::Folder`] of any.
///
/// Symbolic links are not followed, so that no loop and no other user's folder is read.
pub(super) fn walk(root: &Path, wanted: Format) -> io::Result<Vec<Unit>> {
    // A relative path like `Mail` does not show that it is `Takeout/Mail`.
    let whole = root.canonicalize()?;
    let mut walk = Walk {
        above: whole.iter().map(OsStr::to_owned).collect(),
        wanted,
        units: Vec::new(),
        names: Vec::new(),
    };
    walk.directory(root, Surroundings::Any)?;
    walk.units.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.units)
}

/// In what a directory lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surroundings {
    /// In a Maildir: its name may begin with a dot.
    Maildir,
    Any,
}

struct Walk {
    /// The names from the file system's root to the source.
    above: Vec<OsString>,
    wanted: Format,
    units: Vec<Unit>,
    /// The names from the source to the directory that is being walked.
    names: Vec<OsString>,
}

impl Walk {
    fn directory(&mut self, directory: &Path, within: Surroundings) -> io::Result<()> {
        let is_maildir = is_maildir(directory);
        let mut subdirectories = Vec::new();
        let mut has_eml = false;
        if is_maildir && self.wants(Format::Maildir) {
            let folder = entry::maildir_folder(&self.levels());
            self.push(directory, folder, Content::Maildir, Format::Maildir, None);
        }
        for found in fs::read_dir(directory)? {
            let found = found?;
            let kind = found.file_type()?;
            if kind.is_dir() {
                if is_worth_a_walk(&found, is_maildir, within) {
                    subdirectories.push(found.file_name());
                }
            } else if kind.is_symlink() && found.path().is_dir() {
                self.leave_out(&found.path(), "is a symbolic link: those are not followed");
            } else if !is_maildir {
                // Beside `cur`, servers keep their indexes, and nobody keeps mail.
                has_eml |= self.file(&found, kind.is_file());
            }
        }
        if has_eml && self.wants(Format::Eml) {
            let folder = entry::eml_folder(&self.levels());
            self.push(directory, folder, Content::EmlFolder, Format::Eml, None);
        }
        let within = if is_maildir {
            Surroundings::Maildir
        } else {
            Surroundings::Any
        };
        for name in subdirectories {
            self.subdirectory(&directory.join(&name), name, within);
        }
        Ok(())
    }

    fn subdirectory(&mut self, path: &Path, name: OsString, within: Surroundings) {
        if self.names.len() == LEVELS_MAX {
            self.leave_out(path, "lies too deep in the source");
            return;
        }
        self.names.push(name);
        if let Err(error) = self.directory(path, within) {
            self.leave_out(path, &format!("can't be listed: {error}"));
        }
        self.names.pop();
    }

    /// Looks at a file; tells whether it is one of a folder of .eml files. Such folders are
    /// listed when their turn comes, because there may be a million.
    fn file(&mut self, found: &DirEntry, is_regular: bool) -> bool {
        let name = found.file_name();
        match entry::guess_by_name(name.as_bytes()) {
            Guess::Mail(_) => return true,
            Guess::PartOfMail if self.wants(Format::Eml) => {
                self.leave_out(&found.path(), entry::PART_OF_MAIL);
            }
            _ if !self.wants_mbox() || name.as_bytes().starts_with(b".") => {}
            _ if !is_regular => {}
            guess => self.perhaps_mbox(&found.path(), &name, guess),
        }
        false
    }

    fn perhaps_mbox(&mut self, path: &Path, name: &OsStr, guess: Guess) {
        let is_worth_a_look = match guess {
            Guess::Mbox | Guess::PerhapsMbox => true,
            Guess::Packed => [&b".mbox.gz"[..], b".mbox.zst"]
                .iter()
                .any(|suffix| name.as_bytes().ends_with(suffix)),
            // Thunderbird has an index beside each mbox, whatever the name of that.
            _ => with_suffix(path, ".msf").exists(),
        };
        if !is_worth_a_look {
            if guess == Guess::Packed && self.wanted == Format::Folder {
                self.leave_out(path, "is packed: import it by itself, or unpack it first");
            }
            return;
        }
        let (bytes, head, unpacked) = match read_head(path, Links::Refused) {
            Ok(read) => read,
            Err(error) => {
                self.leave_out(path, &format!("can't be read: {error}"));
                return;
            }
        };
        let format = match format::of_head(&head, &unpacked) {
            Some(Format::Mbox) if self.wanted.is_plain_mbox() => Some(self.wanted),
            Some(found @ (Format::Mbox | Format::MboxGz | Format::MboxZst)) => Some(found),
            _ if guess == Guess::Mbox && self.wanted.is_plain_mbox() => Some(self.wanted),
            _ => None,
        };
        match format {
            Some(format) => {
                let head = if unpacked.is_empty() { head } else { unpacked };
                let folder = self.mbox_folder(name, &head);
                self.push(path, folder, Content::File(format), format, Some(bytes));
            }
            // An empty one has no mails, and is none the less an mbox.
            None if guess == Guess::Mbox && bytes > 0 => {
                self.leave_out(path, "is no mbox, whatever its name says");
            }
            None => {}
        }
    }

    fn mbox_folder(&self, name: &OsStr, head: &[u8]) -> FolderPath {
        let in_source = entry::mbox_folder(&self.levels(), name.as_bytes(), head);
        // Takeout and Apple say what it is by the folder above, which may be the source.
        let above = self.above.iter().chain(&self.names);
        let above: Vec<_> = above.map(|name| name.as_bytes()).collect();
        let is_root = entry::mbox_folder(&above, name.as_bytes(), head)
            .0
            .is_empty();
        let is_apple = self.names.is_empty()
            && name.as_bytes() == b"mbox"
            && above.last().is_some_and(|last| entry::is_mbox_name(last));
        if is_root || is_apple {
            FolderPath::default()
        } else {
            in_source
        }
    }

    fn wants(&self, format: Format) -> bool {
        self.wanted == format || self.wanted == Format::Folder
    }

    fn wants_mbox(&self) -> bool {
        self.wanted.is_plain_mbox() || self.wanted == Format::Folder
    }

    fn levels(&self) -> Vec<&[u8]> {
        self.names.iter().map(|name| name.as_bytes()).collect()
    }

    fn push(
        &mut self,
        path: &Path,
        folder: FolderPath,
        content: Content,
        format: Format,
        bytes: Option<u64>,
    ) {
        self.units.push(Unit {
            path: path.to_owned(),
            folder,
            content,
            format,
            bytes,
            links: Links::Refused,
        });
    }

    /// Something that is said when its turn comes, as what can't be read.
    fn leave_out(&mut self, path: &Path, reason: &str) {
        let content = Content::LeftOut(reason.to_owned());
        let folder = entry::eml_folder(&self.levels());
        self.push(path, folder, content, self.wanted, None);
    }
}

/// Whether a directory is a Maildir. Thunderbird's have no `new`, and what copies folders often
/// leaves out those that are empty.
pub(super) fn is_maildir(directory: &Path) -> bool {
    let has = |name| {
        let metadata = directory.join(name).symlink_metadata();
        metadata.is_ok_and(|metadata| metadata.is_dir())
    };
    has("cur") || (has("new") && has("tmp"))
}

fn is_worth_a_walk(found: &DirEntry, is_in_maildir: bool, within: Surroundings) -> bool {
    let name = found.file_name();
    let name = name.as_bytes();
    if is_in_maildir && matches!(name, b"cur" | b"new" | b"tmp") {
        return false;
    }
    // A hidden folder is a mailbox only among Maildirs: `.Sent`, beside `.cache`.
    let is_hidden = name.starts_with(b".");
    let is_mail_file = entry::guess_by_name(name) == Guess::Mail(super::text::Shape::Mail);
    let may_be_hidden = is_in_maildir || within == Surroundings::Maildir;
    !is_mail_file && (!is_hidden || may_be_hidden || is_maildir(&found.path()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The length of a file, its first bytes, and if it is packed the first bytes in it.
pub(super) fn read_head(path: &Path, links: Links) -> io::Result<(u64, Vec<u8>, Vec<u8>)> {
    let mut file = open_regular(path, links)?;
    let bytes = file.metadata()?.len();
    let mut head = vec![0; HEAD_BYTES];
    let read = read_up_to(&mut file, &mut head)?;
    head.truncate(read);
    let packing = Packing::of(&head);
    let mut unpacked = Vec::new();
    if packing != Packing::Plain {
        let mut input = packing.unpack(io::Read::chain(&head[..], file));
        unpacked.resize(HEAD_BYTES, 0);
        // What can't be unpacked to here has no format; what is damaged later, is told later.
        let read = read_up_to(&mut *input, &mut unpacked).unwrap_or(0);
        unpacked.truncate(read);
    }
    Ok((bytes, head, unpacked))
}
