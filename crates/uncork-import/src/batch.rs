//! Mails that travel together: read from disk, made CRLF, their sizes known.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::OFlags;

use crate::date;
use crate::lines::{count_bare_lf, extend_crlf};
use crate::source::{Source, SourceMail};

/// Most mails in one batch: one command spread over many, and few enough that halving a refused
/// batch down to one mail takes seven rounds. (Chosen, not measured.)
pub(crate) const BATCH_MESSAGES: usize = 100;

/// A batch that has come to this size is closed: what the server stores as one transaction,
/// and what is sent again if it is refused, stays small. (Some take 50 MiB a command at most.)
pub(crate) const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// A longer mail is not read into the batch but sent from its file.
pub(crate) const MEMORY_MAIL_BYTES: u64 = 1024 * 1024;

/// What is read of a long mail at a time.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Mails in the order in which they are sent.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) mails: Vec<Mail>,
    /// The mails that are in memory, one after the other.
    text: Vec<u8>,
    /// Files that could not be read, with the reason.
    pub(crate) unreadable: Vec<(PathBuf, String)>,
    bytes: u64,
}

/// A mail that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) path: PathBuf,
    pub(crate) flags: Vec<&'static str>,
    pub(crate) internal_date: Option<Timestamp>,
    /// Length as it is sent, in bytes.
    pub(crate) len: u64,
    literal: Literal,
}

#[derive(Debug)]
enum Literal {
    Memory(Range<usize>),
    Crlf(File),
    BareLf(File),
}

/// The bytes of a mail: where the sender takes them from.
pub(crate) enum Content<'b> {
    /// In memory, as they are sent.
    Memory(&'b [u8]),
    /// A file whose lines already end in CRLF.
    File(&'b File),
    /// A file whose bare LFs must be made CRLF on the way.
    BareLf(&'b File),
}

impl Batch {
    pub(crate) fn content(&self, mail: usize) -> Content<'_> {
        match &self.mails[mail].literal {
            Literal::Memory(range) => Content::Memory(&self.text[range.clone()]),
            Literal::Crlf(file) => Content::File(file),
            Literal::BareLf(file) => Content::BareLf(file),
        }
    }

    fn is_full(&self) -> bool {
        self.mails.len() + self.unreadable.len() >= BATCH_MESSAGES || self.bytes >= BATCH_BYTES
    }

    fn push(&mut self, mail: SourceMail, is_maildir: bool, scratch: &mut Vec<u8>) {
        match self.read(&mail, is_maildir, scratch) {
            Ok((literal, len, internal_date)) => {
                self.bytes += len;
                self.mails.push(Mail {
                    path: mail.path,
                    flags: mail.flags,
                    internal_date,
                    len,
                    literal,
                });
            }
            Err(error) => self.unreadable.push((mail.path, error.to_string())),
        }
    }

    fn read(
        &mut self,
        mail: &SourceMail,
        is_maildir: bool,
        scratch: &mut Vec<u8>,
    ) -> io::Result<(Literal, u64, Option<Timestamp>)> {
        let file = open(&mail.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("is no regular file"));
        }
        let file_date = metadata.modified().ok().and_then(date::from_file_time);
        // A Maildir keeps the time of delivery as the file's; an .eml file was made by an
        // export, which says nothing about the mail.
        let date_of = |head: &[u8]| match is_maildir {
            true => file_date,
            false => date::from_header(head).or(file_date),
        };
        if metadata.len() == 0 {
            return Err(io::Error::other(
                "is empty: servers refuse a mail of 0 bytes",
            ));
        }
        if metadata.len() > MEMORY_MAIL_BYTES {
            let (bare_lf, head) = scan(&file, metadata.len())?;
            let len = metadata.len() + bare_lf;
            let literal = if bare_lf == 0 {
                Literal::Crlf(file)
            } else {
                Literal::BareLf(file)
            };
            return Ok((literal, len, date_of(&head)));
        }
        scratch.clear();
        (&file).take(metadata.len()).read_to_end(scratch)?;
        if scratch.len() as u64 != metadata.len() {
            return Err(io::Error::other("became shorter while it was read"));
        }
        let start = self.text.len();
        extend_crlf(&mut self.text, scratch, 0);
        let range = start..self.text.len();
        let len = range.len() as u64;
        Ok((Literal::Memory(range), len, date_of(scratch)))
    }
}

/// Opens a file without waiting: to open a FIFO is otherwise to wait for who writes into it. For
/// a regular file the flag means nothing.
fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let opened = File::options().read(true).custom_flags(flags).open(path);
    // A socket can't be opened at all, and ENXIO tells nobody why.
    opened.map_err(|error| match path.metadata() {
        Ok(metadata) if !metadata.is_file() => io::Error::other("is no regular file"),
        _ => error,
    })
}

/// Reads a long file once: its number of bare LFs, and its first chunk.
fn scan(file: &File, len: u64) -> io::Result<(u64, Vec<u8>)> {
    let (mut bare_lf, mut last, mut head) = (0, 0, Vec::new());
    each_chunk(file, len, |chunk| {
        if head.is_empty() {
            head = chunk.to_vec();
        }
        let (count, next) = count_bare_lf(chunk, last);
        bare_lf += count;
        last = next;
    })?;
    Ok((bare_lf, head))
}

fn each_chunk(file: &File, len: u64, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    while offset < len {
        let read = read_chunk(file, offset, len, &mut chunk)?;
        each(&chunk[..read]);
        offset += read as u64;
    }
    Ok(())
}

/// Reads the next chunk of a file that promised `len` bytes.
///
/// # Errors
/// `UnexpectedEof` where the file has become shorter.
pub(crate) fn read_chunk(
    file: &File,
    offset: u64,
    len: u64,
    chunk: &mut [u8],
) -> io::Result<usize> {
    let room = usize::try_from(len - offset).map_or(chunk.len(), |rest| rest.min(chunk.len()));
    match file.read_at(&mut chunk[..room], offset)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}

/// Reads a source into batches and hands each to `deliver`, until that says to stop.
pub(crate) fn fill_batches(source: &Source, mut deliver: impl FnMut(Batch) -> bool) {
    let mut scratch = Vec::new();
    let mut batch = Batch::default();
    for mail in source.mails() {
        batch.push(mail, source.is_maildir(), &mut scratch);
        if batch.is_full() && !deliver(std::mem::take(&mut batch)) {
            return;
        }
    }
    if !batch.mails.is_empty() || !batch.unreadable.is_empty() {
        deliver(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches_of(mails: &[(&str, Vec<u8>)]) -> Vec<Batch> {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in mails {
            std::fs::write(root.path().join(name), bytes).unwrap();
        }
        let source = Source::open(root.path()).unwrap();
        let mut batches = Vec::new();
        fill_batches(&source, |batch| {
            batches.push(batch);
            true
        });
        batches
    }

    #[test]
    fn sizes_are_those_of_the_crlf_text() {
        let long_lf = b"0123456\n".repeat(200_000);
        let long_crlf = b"012345\r\n".repeat(200_000);
        let batches = batches_of(&[
            ("a.eml", b"A: b\n\nc\n".to_vec()),
            ("b.eml", long_lf.clone()),
            ("c.eml", long_crlf.clone()),
            ("d.eml", Vec::new()),
        ]);
        let [batch] = &batches[..] else {
            panic!("{} batches", batches.len());
        };
        let lens: Vec<_> = batch.mails.iter().map(|mail| mail.len).collect();
        assert_eq!(lens, [11, 1_800_000, 1_600_000]);
        assert!(matches!(
            batch.content(0),
            Content::Memory(b"A: b\r\n\r\nc\r\n")
        ));
        assert!(matches!(batch.content(1), Content::BareLf(_)));
        assert!(matches!(batch.content(2), Content::File(_)));
        assert_eq!(batch.unreadable.len(), 1);
        assert!(batch.unreadable[0].1.contains("0 bytes"));
    }

    #[test]
    fn batches_are_bounded_in_mails_and_bytes() {
        let names: Vec<_> = (0..250).map(|n| format!("{n:03}.eml")).collect();
        let small: Vec<_> = names
            .iter()
            .map(|n| (n.as_str(), b"A: b\n".to_vec()))
            .collect();
        let sizes: Vec<_> = batches_of(&small).iter().map(|b| b.mails.len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        let big: Vec<_> = names[..9]
            .iter()
            .map(|n| (n.as_str(), b"0123456789\r\n".repeat(80_000)))
            .collect();
        let sizes: Vec<_> = batches_of(&big).iter().map(|b| b.mails.len()).collect();
        assert_eq!(sizes, [5, 4]);
    }
}
