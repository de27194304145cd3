//! Responses on their way to one peer: gathered, then one message of the library's.

use std::ops::Range;
use std::rc::Rc;

use smallvec::SmallVec;
use uncork::Message;
use uncork::nonblocking::Progress;
use uncork::plan::SENDFILE_CAP_BYTES;

use crate::accept_encoding::Coding;
use crate::resource::{Body, Kind, OpenFile, Representation, Resource};

/// Bodies up to this length are copied behind their head: the copy costs less than a slice of a
/// vectored write, and less than holding on to the resource.
const COPIED_BODY_BYTES: usize = 4096;

/// What is gathered before it departs, once it is more than this.
const GATHER_BYTES: u64 = 64 * 1024;

/// Responses that depart as one message.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Heads, and small bodies.
    text: Vec<u8>,
    pieces: SmallVec<[Piece; 4]>,
    len: u64,
    has_file: bool,
    /// How far they have come.
    pub progress: Progress,
}

#[derive(Debug)]
enum Piece {
    /// A range of the text.
    Text(Range<usize>),
    /// A range of a representation.
    Body(Rc<Resource>, Coding, Range<u64>),
}

impl Outgoing {
    /// Appends text by `write`; returns what that returns.
    pub(crate) fn text<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let start = self.text.len();
        let result = write(&mut self.text);
        let end = self.text.len();
        self.len += (end - start) as u64;
        match self.pieces.last_mut() {
            Some(Piece::Text(range)) => range.end = end,
            _ if start == end => {}
            _ => self.pieces.push(Piece::Text(start..end)),
        }
        result
    }

    /// Appends a range of a representation of a resource.
    pub(crate) fn body(
        &mut self,
        resource: &Rc<Resource>,
        representation: &Representation,
        range: Range<u64>,
    ) {
        if range.is_empty() {
            return;
        }
        match &representation.body {
            Body::Memory(bytes) => {
                let bytes = slice(bytes, &range);
                if bytes.len() <= COPIED_BODY_BYTES {
                    return self.text(|text| text.extend_from_slice(bytes));
                }
            }
            Body::File(_) => self.has_file = true,
        }
        self.len += range.end - range.start;
        let resource = Rc::clone(resource);
        self.pieces
            .push(Piece::Body(resource, representation.coding, range));
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in all.
    #[must_use]
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether it should depart before more responses are added: it is long, or has a file, which
    /// would have to wait in the cork for what comes behind it.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.has_file || self.len >= GATHER_BYTES
    }

    /// Makes it empty, and keeps its memory for the next one.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.pieces.clear();
        self.len = 0;
        self.has_file = false;
        self.progress = Progress::default();
    }

    /// All of it, where it is in memory.
    #[cfg(any(test, feature = "fuzzing"))]
    #[must_use]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.pieces.iter().flat_map(|piece| match piece {
            Piece::Text(range) => &self.text[range.clone()],
            Piece::Body(resource, coding, range) => match body(resource, *coding) {
                Some(Body::Memory(bytes)) => slice(bytes, range),
                _ => &[],
            },
        });
        bytes.copied().collect()
    }

    /// The message, and how far it has come.
    pub(crate) fn parts(&mut self) -> (Message<'_>, &mut Progress) {
        let Self {
            text,
            pieces,
            progress,
            ..
        } = self;
        let message = Message::new();
        // Most are one text, and a message is large to be moved.
        if let [Piece::Text(range)] = pieces.as_slice() {
            return (message.bytes(&text[range.clone()]), progress);
        }
        let message = pieces.iter().fold(message, |message, piece| match piece {
            Piece::Text(range) => message.bytes(&text[range.clone()]),
            Piece::Body(resource, coding, range) => match body(resource, *coding) {
                Some(Body::Memory(bytes)) => message.bytes(slice(bytes, range)),
                Some(Body::File(file)) => message.file(&file.file, range.clone()),
                None => message,
            },
        });
        (message, progress)
    }

    /// The range of a file that leaves next, if one does, and with which byte of the whole it ends.
    #[must_use]
    pub(crate) fn next_of_file(&self) -> Option<(&OpenFile, Range<u64>, u64)> {
        if !self.has_file {
            return None;
        }
        let mut skip = self.progress.sent_bytes();
        let mut before = 0;
        for piece in &self.pieces {
            let len = match piece {
                Piece::Text(range) => range.len() as u64,
                Piece::Body(_, _, range) => range.end - range.start,
            };
            if skip >= len {
                skip -= len;
                before += len;
                continue;
            }
            if let Piece::Body(resource, coding, range) = piece
                && let Some(Body::File(file)) = body(resource, *coding)
            {
                let start = range.start + skip;
                let end = range.end.min(start + SENDFILE_CAP_BYTES as u64);
                return Some((file, start..end, before + end - range.start));
            }
            before += len;
            // Text and memory that stand before the file leave with it.
            skip = 0;
        }
        None
    }
}

fn body(resource: &Resource, coding: Coding) -> Option<&Body> {
    match &resource.kind {
        Kind::Page(page) => page.of(coding).map(|representation| &representation.body),
        _ => None,
    }
}

/// A range of bytes in memory; ranges were decided by their length.
fn slice<'b>(bytes: &'b [u8], range: &Range<u64>) -> &'b [u8] {
    let at = |offset: u64| {
        usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len())
    };
    &bytes[at(range.start)..at(range.end)]
}
