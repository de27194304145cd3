//! A mail on its way from a source to a server: where it was found, and what is sent of it.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

/// Where in a source a mail stands, as a person finds it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The file: a mail of its own, an mbox, or an archive.
    pub(crate) file: Arc<Path>,
    /// The file within an archive.
    pub(crate) entry: Option<Arc<str>>,
    /// Where the mail begins in an mbox, in bytes (of the entry, unpacked).
    pub(crate) offset: Option<u64>,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if let Some(entry) = &self.entry {
            write!(formatter, ": {entry}")?;
        }
        match self.offset {
            Some(offset) => write!(formatter, " at byte {offset}"),
            None => Ok(()),
        }
    }
}

/// A folder of a source: the names from its root down, as a person reads them (no modified
/// UTF-7). Empty for the root itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FolderPath(pub(crate) Vec<String>);

/// An IMAP flag (`\Seen`) or keyword.
pub(crate) type Flag = Cow<'static, str>;

/// What a source knows of a mail beside its text.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) position: Position,
    /// Where the mail lies in the source; several where it has several labels.
    pub(crate) folders: Vec<FolderPath>,
    pub(crate) flags: Vec<Flag>,
    /// When it was received by the source's own word: a Maildir file's time, the envelope of an
    /// mbox.
    pub(crate) received: Option<Timestamp>,
    /// The time of its file, or of the file that it is in.
    pub(crate) file_time: Option<Timestamp>,
}

/// Takes what a source reads, mail by mail: its text in pieces as they come, then what else is
/// known of it.
pub(crate) trait Sink {
    /// The next piece of the mail that is being read, as the source has it.
    fn text(&mut self, piece: &[u8]);

    /// The mail is whole. Breaks where nobody wants another.
    fn mail(&mut self, found: Found) -> ControlFlow<()>;

    /// The mail, or what should have been one, can't be read; its text so far is void.
    fn unreadable(
        &mut self,
        position: Position,
        folder: FolderPath,
        reason: String,
    ) -> ControlFlow<()>;
}

/// A mail that is ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) position: Position,
    pub(crate) flags: Vec<Flag>,
    pub(crate) internal_date: Option<Timestamp>,
    /// Length of the text, in bytes.
    pub(crate) len: u64,
    pub(crate) text: Text,
    /// Of the text as it is sent.
    pub(crate) digest: Digest,
    pub(crate) identity: Identity,
    /// Whether there is a NUL in the text, so that it needs a literal8 (RFC 3516).
    pub(crate) has_nul: bool,
}

/// The text of a mail: where the sender takes it from.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    Memory(Bytes),
    /// A file of our own that nobody else sees, with nothing else in it.
    Spool(Arc<File>),
}

/// The BLAKE3 digest of a mail as it is sent.
pub(crate) type Digest = [u8; 32];

/// By what a server's mail is recognised without reading it: the header fields that no two
/// mails share, put into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// Of Message-ID, Date and all Received fields.
    pub(crate) key: u64,
    /// Without one, the key says too little, and the text has to be compared.
    pub(crate) has_message_id: bool,
}

/// What is known of a mail that was sent, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) digest: Digest,
    pub(crate) identity: Identity,
    /// In bytes, as sent.
    pub(crate) len: u64,
}

/// A mail that a server has, by what it tells without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OnServer {
    pub(crate) uid: u32,
    pub(crate) identity: Identity,
    pub(crate) len: u64,
}

impl Mail {
    pub(crate) fn item(&self) -> Item {
        Item {
            digest: self.digest,
            identity: self.identity,
            len: self.len,
        }
    }
}

#[cfg(test)]
impl Mail {
    /// A mail with this text, and nothing else known of it.
    pub(crate) fn sample(text: &str) -> Self {
        Self {
            position: Position {
                file: Arc::from(Path::new("sample.eml")),
                entry: None,
                offset: None,
            },
            flags: Vec::new(),
            internal_date: None,
            len: text.len() as u64,
            text: Text::Memory(Bytes::from(text.to_owned())),
            digest: *blake3::hash(text.as_bytes()).as_bytes(),
            identity: Identity::of_header(text.as_bytes()),
            has_nul: false,
        }
    }
}
