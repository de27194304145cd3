//! What is encoded and has not left yet.
//!
//! Bytes gather here until something has to be waited for. So a pipelined batch leaves in one
//! departure, and where each literal waits for the server's `+`, the end of one mail and the
//! command for the next leave together: one round trip a mail.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::rc::Rc;

use crate::batch::{Batch, CHUNK_BYTES, Content, read_chunk};
use crate::lines::extend_crlf;
use crate::wire::{self, NotSent, Writer};

/// Gathered bytes leave when there are this many.
pub(crate) const FLUSH_BYTES: u64 = 256 * 1024;

/// Bytes that are ready to leave and have not been given to the kernel.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    text: Vec<u8>,
    pieces: Vec<Piece>,
    bytes: u64,
}

#[derive(Debug)]
enum Piece {
    Text(Range<usize>),
    Literal(Rc<Batch>, usize),
}

impl Outgoing {
    pub(crate) fn text(&mut self, text: &str) {
        let start = self.text.len();
        self.text.extend_from_slice(text.as_bytes());
        self.bytes += text.len() as u64;
        match self.pieces.last_mut() {
            Some(Piece::Text(range)) => range.end = self.text.len(),
            _ => self.pieces.push(Piece::Text(start..self.text.len())),
        }
    }

    pub(crate) fn literal(&mut self, batch: &Rc<Batch>, mail: usize) {
        self.bytes += batch.mails[mail].len;
        self.pieces.push(Piece::Literal(Rc::clone(batch), mail));
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The pieces as they leave.
    pub(crate) fn contents(&self) -> impl Iterator<Item = (Content<'_>, u64)> {
        self.pieces.iter().map(|piece| match piece {
            Piece::Text(range) => {
                let text = &self.text[range.clone()];
                (Content::Memory(text), text.len() as u64)
            }
            Piece::Literal(batch, mail) => (batch.content(*mail), batch.mails[*mail].len),
        })
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.pieces.clear();
        self.bytes = 0;
    }

    /// Sends everything as one message. Where a long mail's bare LFs become CRLF, it is rewritten
    /// into a file first, in bounded memory.
    ///
    /// # Errors
    /// Which side failed; see [`NotSent`].
    pub(crate) async fn send(&self, writer: &mut Writer) -> Result<(), NotSent> {
        let mut rewritten = Vec::new();
        for (content, len) in self.contents() {
            if let Content::BareLf(file) = content {
                rewritten.push(rewrite(file, len).map_err(NotSent::Source)?);
            }
        }
        let mut rewritten = rewritten.iter();
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for (content, len) in self.contents() {
            pieces.extend(match content {
                Content::Memory(bytes) => Some(wire::Piece::Bytes(bytes)),
                Content::File(file) => Some(wire::Piece::File(file, len)),
                Content::BareLf(_) => rewritten.next().map(|file| wire::Piece::File(file, len)),
            });
        }
        writer.send(&pieces).await
    }
}

/// A copy of the file with CRLF for each bare LF, which has to come to `len` bytes.
fn rewrite(file: &File, len: u64) -> io::Result<File> {
    let mut copy = tempfile::tempfile()?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut rewritten = Vec::with_capacity(2 * CHUNK_BYTES);
    let (mut offset, mut written, mut last) = (0, 0, 0);
    while written < len {
        let read = read_chunk(file, offset, u64::MAX, &mut chunk)?;
        rewritten.clear();
        last = extend_crlf(&mut rewritten, &chunk[..read], last);
        offset += read as u64;
        written += rewritten.len() as u64;
        if written > len {
            let grown = "it has more lines than when it was measured";
            return Err(io::Error::other(grown));
        }
        copy.write_all(&rewritten)?;
    }
    Ok(copy)
}
