//! Reads mbox files: many mails in one file, each after a `From ` line.
//!
//! The format was never settled. There are four variants (mboxo, mboxrd, mboxcl, mboxcl2), which
//! differ in how a line of text that begins with `From ` is told from one that begins a mail.
//! RFC 4155 describes what is common. How a file is written is told from its head, see
//! [`Style`]; where a mail begins is decided by what stands before and after the `From `, see
//! [`envelope`].

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::takeout;
use crate::mail::{FolderPath, Found, Position, Sink};
use crate::options::Labels;

use header::{HEADER_BYTES_MAX, header_end};
use splitter::{Event, Splitter};
use status::Status;
use style::{SAMPLE_BYTES, Style};

mod envelope;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod header;
mod moment;
mod splitter;
mod status;
mod style;
#[cfg(test)]
mod tests;

/// The mbox file, or the entry of an archive, that is read.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<Path>,
    /// The file within an archive.
    pub(crate) entry: Option<Arc<str>>,
    /// Where its mails go, unless they say so themselves (Google Takeout).
    pub(crate) folder: FolderPath,
    pub(crate) file_time: Option<Timestamp>,
}

impl Place {
    fn position(&self, offset: u64) -> Position {
        Position {
            file: Arc::clone(&self.file),
            entry: self.entry.clone(),
            offset: Some(offset),
        }
    }
}

/// How an mbox is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Variant {
    /// As the head of the file shows, see [`Style::of`].
    #[default]
    Auto,
    /// `From ` is quoted as `>From `, and `>From ` is not.
    Mboxo,
    /// Each `From ` with any number of `>` before it gets one more.
    Mboxrd,
    /// As mboxo, with a Content-Length.
    Mboxcl,
    /// Nothing is quoted, the Content-Length tells.
    Mboxcl2,
}

/// Whether a file is an mbox, by its first KiB or so.
pub(crate) fn looks_like_mbox(head: &[u8]) -> bool {
    let head = head.strip_prefix(envelope::BYTE_ORDER_MARK).unwrap_or(head);
    envelope::first_envelope(head.trim_ascii_start()).is_some()
}

/// Reads all mails of an mbox, in one pass and in bounded memory.
///
/// Text before the first `From ` line is given as unreadable, with its place. Folder data of
/// Pine, UW IMAP or Dovecot at the start of a file is passed over.
///
/// # Errors
/// Of the input; the mail that it cut short was given as unreadable.
pub(crate) fn read_mbox(
    input: &mut dyn Read,
    place: &Place,
    variant: Variant,
    labels: Labels,
    sink: &mut dyn Sink,
) -> io::Result<ControlFlow<()>> {
    let mut splitter = Splitter::new();
    let mut mails = Mails {
        place,
        labels,
        sink,
        offset: 0,
        received: None,
        head: Head::None,
    };
    let mut filled = Ok(true);
    while matches!(filled, Ok(true)) && splitter.unread().len() < SAMPLE_BYTES {
        filled = fill(&mut splitter, input);
    }
    // The mails before the place of an error are as good as any.
    let mut failed = filled.err();
    splitter.set_style(Style::of(splitter.unread(), variant));
    loop {
        let flow = match splitter.next() {
            Event::Begin { offset, received } => {
                mails.begin(offset, received);
                ControlFlow::Continue(())
            }
            Event::Text(piece) => {
                mails.text(piece);
                ControlFlow::Continue(())
            }
            Event::End => mails.end(),
            Event::Stray { offset, bytes } => mails.stray(offset, bytes),
            Event::More => match failed
                .take()
                .map_or_else(|| fill(&mut splitter, input), Err)
            {
                Ok(_) => ControlFlow::Continue(()),
                Err(error) => {
                    // The error is of more interest than whether another mail is wanted.
                    let _ = mails.cut_short(&error);
                    return Err(error);
                }
            },
            Event::Over => return Ok(ControlFlow::Continue(())),
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
}

/// Reads once. False at the end of the input.
fn fill(splitter: &mut Splitter, input: &mut dyn Read) -> io::Result<bool> {
    loop {
        match input.read(splitter.space()) {
            Ok(bytes) => {
                splitter.filled(bytes);
                return Ok(bytes > 0);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What the header of a mail says, once it is whole with this piece; until then `part` keeps it.
fn status_of(part: &mut Vec<u8>, piece: &[u8]) -> Option<Status> {
    let piece_head = &piece[..piece.len().min(HEADER_BYTES_MAX - part.len())];
    if part.is_empty() {
        // Nearly always the whole header is in the first piece, and needs no copy.
        if let Some(end) = header_end(piece_head, 0) {
            return Some(Status::of(&piece[..end]));
        }
    }
    let searched = part.len();
    part.extend_from_slice(piece_head);
    let end = header_end(part, searched);
    let is_full = part.len() == HEADER_BYTES_MAX;
    let end = end.or_else(|| is_full.then_some(part.len()))?;
    Some(Status {
        // Too late to leave it out: some of it has been handed on.
        is_folder_data: false,
        ..Status::of(&part[..end])
    })
}

/// Hands the mails on, with what their headers say of them.
struct Mails<'a> {
    place: &'a Place,
    labels: Labels,
    sink: &'a mut dyn Sink,
    /// Of the mail that is read.
    offset: u64,
    received: Option<Timestamp>,
    head: Head,
}

/// The header of the mail that is read.
enum Head {
    /// There is no such mail.
    None,
    /// Not whole yet: what there is of it.
    Part(Vec<u8>),
    Whole(Status),
}

impl Mails<'_> {
    fn begin(&mut self, offset: u64, received: Option<Timestamp>) {
        self.offset = offset;
        self.received = received;
        self.head = Head::Part(Vec::new());
    }

    fn text(&mut self, piece: &[u8]) {
        if let Head::Part(part) = &mut self.head
            && let Some(status) = status_of(part, piece)
        {
            self.head = Head::Whole(status);
        }
        if !self.is_folder_data() {
            self.sink.text(piece);
        }
    }

    fn is_folder_data(&self) -> bool {
        matches!(&self.head, Head::Whole(status) if status.is_folder_data)
    }

    fn end(&mut self) -> ControlFlow<()> {
        let mut status = match std::mem::replace(&mut self.head, Head::None) {
            Head::Whole(status) if status.is_folder_data => return ControlFlow::Continue(()),
            Head::Whole(status) => status,
            Head::Part(part) => Status::of(&part),
            Head::None => return ControlFlow::Continue(()),
        };
        let folders = match status.gmail_labels.take() {
            Some(value) => {
                let filed = takeout::file(&value, self.labels);
                filed.flags.into_iter().for_each(|flag| status.add(flag));
                filed.folders
            }
            None => vec![self.place.folder.clone()],
        };
        self.sink.mail(Found {
            position: self.place.position(self.offset),
            folders,
            flags: status.flags,
            received: self.received,
            file_time: self.place.file_time,
        })
    }

    fn stray(&mut self, offset: u64, bytes: u64) -> ControlFlow<()> {
        self.sink.unreadable(
            self.place.position(offset),
            self.place.folder.clone(),
            format!(
                "{bytes} bytes belong to no mail: an mbox begins with `From `, the sender and the \
                 date"
            ),
        )
    }

    /// Gives the mail that is read as unreadable, if there is one.
    fn cut_short(&mut self, error: &io::Error) -> ControlFlow<()> {
        if let Head::None = self.head {
            return ControlFlow::Continue(());
        }
        self.sink.unreadable(
            self.place.position(self.offset),
            self.place.folder.clone(),
            format!("the end of the mail can't be read: {error}"),
        )
    }
}
