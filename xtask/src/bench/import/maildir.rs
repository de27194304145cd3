//! The Maildir that is imported.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::on_path;

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
    /// Writes `count` mails below `path`: the same ones for the same count.
    pub(super) fn create(path: &Path, count: u32) -> Result<Self> {
        for name in ["cur", "new", "tmp"] {
            let folder = path.join(name);
            on_path(fs::create_dir_all(&folder), "make", &folder)?;
        }
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for number in 0..count {
            write_mail(path, number, &mut random)?;
        }
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

/// A mail of 0.5 to 14 KB, its flags in its name, its date as the time of its file.
fn write_mail(maildir: &Path, number: u32, random: &mut Random) -> Result<()> {
    let received = 1_500_000_000 + u64::from(number) * 7919;
    let flags = ["", "S", "RS", "FS", "F"][random.below(5)];
    let date = jiff::Timestamp::from_second(1_500_000_000 + i64::from(number) * 7919)?;
    let mut text = format!(
        "From: Sender {number} <sender{number}@example.org>\n\
         To: Reader <reader@example.org>\n\
         Subject: Message {number}\n\
         Date: {}\n\
         Message-ID: <{number}@bench.example.org>\n\
         MIME-Version: 1.0\n\
         Content-Type: text/plain; charset=us-ascii\n\n",
        date.strftime("%a, %d %b %Y %H:%M:%S +0000"),
    );
    let size = 500 + random.below(13_500);
    while text.len() < size {
        let words = 4 + random.below(8);
        for _ in 0..words {
            text.push_str(["segment ", "literal ", "cork ", "hold ", "a "][random.below(5)]);
        }
        text.push('\n');
    }
    let path = maildir.join(format!("cur/{received}.M{number:06}P1.bench:2,{flags}"));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(received);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.set_modified(time)
    });
    on_path(written, "write", &path)
}

/// The size of a text once each bare LF has become CRLF.
fn crlf_bytes(text: &[u8]) -> u64 {
    let bare = |(at, &byte): (usize, &u8)| byte == b'\n' && (at == 0 || text[at - 1] != b'\r');
    let added = text.iter().enumerate().filter(|&pair| bare(pair)).count();
    (text.len() + added) as u64
}

/// A xorshift generator: the mails only have to be the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }
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
    fn the_mails_are_the_same_each_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = Maildir::create(&folder.path().join("a"), 20).expect("a Maildir");
        let second = Maildir::create(&folder.path().join("b"), 20).expect("a Maildir");
        let mut again = second.messages.clone();
        again.sort();
        first.messages.sort();
        assert_eq!(first.messages, again);
        assert_eq!(first.len(), 20);

        let copy = folder.path().join("c");
        second.link(&copy).expect("a copy");
        assert_eq!(Maildir::read(&copy).expect("a Maildir").len(), 20);
    }
}
