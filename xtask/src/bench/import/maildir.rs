//! The Maildir that is imported.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use uncork_lab::mail::write_maildir;

use super::on_path;

/// Decides every byte of the mails.
const SEED: u64 = 1;

/// A Maildir on disk and what is in it.
#[derive(Debug)]
pub(super) struct Maildir {
    path: PathBuf,
    messages: Vec<Message>,
}

/// What an import has to keep of a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Message {
    /// The size with CRLF at the end of each line, as it goes over the wire.
    pub(super) crlf_bytes: u64,
    /// When it was received, in seconds since 1970: the time of its file.
    pub(super) received: i64,
    /// The letters of the file's name: `DFRST`, in this order.
    pub(super) flags: String,
}

impl Maildir {
    /// Writes `count` mails below `path`: the same ones each time.
    pub(super) fn create(path: &Path, count: usize) -> Result<Self> {
        on_path(write_maildir(path, SEED, count), "write", path)?;
        Self::read(path)
    }

    /// Looks at what is in `cur` and `new`.
    fn read(path: &Path) -> Result<Self> {
        let mut messages = Vec::new();
        for folder in ["cur", "new"].map(|name| path.join(name)) {
            for entry in on_path(fs::read_dir(&folder), "read", &folder)? {
                let file = on_path(entry, "read", &folder)?.path();
                messages.push(Message::read(&file)?);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            messages,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// All messages together, as they go over the wire.
    pub(super) fn crlf_bytes(&self) -> u64 {
        self.messages.iter().map(|m| m.crlf_bytes).sum()
    }

    /// Makes a Maildir of hard links, for importers that rename files or add some. Anybody may
    /// write in it, for Dovecot does not work as root.
    ///
    /// Its folders get a time in the past: mbsync sleeps for up to a second when one changed in
    /// the present second, since it then can't tell whether more is to come.
    pub(super) fn link(&self, to: &Path) -> Result<()> {
        let past = SystemTime::now() - Duration::from_secs(3600);
        for name in ["cur", "new", "tmp"] {
            let (from, to) = (self.path.join(name), to.join(name));
            on_path(fs::create_dir_all(&to), "make", &to)?;
            super::peer::open_to_all(&to)?;
            for entry in on_path(fs::read_dir(&from), "read", &from)? {
                let entry = on_path(entry, "read", &from)?;
                let file = to.join(entry.file_name());
                on_path(fs::hard_link(entry.path(), &file), "make", &file)?;
            }
            let age = File::open(&to).and_then(|folder| folder.set_modified(past));
            on_path(age, "set the time of", &to)?;
        }
        super::peer::open_to_all(to)
    }
}

impl Message {
    fn read(file: &Path) -> Result<Self> {
        let bytes = on_path(fs::read(file), "read", file)?;
        let metadata = on_path(fs::metadata(file), "look at", file)?;
        let name = file.to_string_lossy();
        let letters = name.rsplit_once(":2,").unwrap_or_default().1;
        Ok(Self {
            crlf_bytes: crlf_bytes(&bytes),
            received: metadata.mtime(),
            flags: letters.to_owned(),
        })
    }
}

/// The size of a text once each bare LF has become CRLF.
fn crlf_bytes(text: &[u8]) -> u64 {
    let bare = |(at, &byte): (usize, &u8)| byte == b'\n' && (at == 0 || text[at - 1] != b'\r');
    let added = text.iter().enumerate().filter(|&pair| bare(pair)).count();
    (text.len() + added) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_lf_grows() {
        assert_eq!(crlf_bytes(b"\na\r\nb\n"), 8);
        assert_eq!(crlf_bytes(b""), 0);
    }

    #[test]
    fn a_copy_holds_the_same_mails() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Maildir::create(&folder.path().join("a"), 20).expect("a Maildir");
        let path = folder.path().join("b");
        source.link(&path).expect("a copy");
        let sorted = |maildir: &Maildir| {
            let mut messages = maildir.messages().to_vec();
            messages.sort();
            messages
        };
        let copy = Maildir::read(&path).expect("a Maildir");
        assert_eq!(sorted(&copy), sorted(&source));
        assert_eq!(copy.len(), 20);
    }
}
