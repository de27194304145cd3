//! What is encoded and has not left yet.
//!
//! Bytes gather here until something has to be waited for. So a pipelined batch leaves in one
//! departure, and where each literal waits for the server's `+`, the end of one mail and the
//! command for the next leave together: one round trip a mail.

use std::ops::Range;

use crate::imap::wire::Piece;
use crate::mail::{Mail, Text};

/// Gathered bytes leave when there are this many.
pub(crate) const FLUSH_BYTES: u64 = 256 * 1024;

/// Bytes that are ready to leave and have not been given to the kernel.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    text: Vec<u8>,
    parts: Vec<Part>,
    bytes: u64,
}

#[derive(Debug)]
enum Part {
    /// Of `text`.
    Text(Range<usize>),
    Literal(Text, u64),
}

impl Outgoing {
    pub(crate) fn text(&mut self, text: &str) {
        let start = self.text.len();
        self.text.extend_from_slice(text.as_bytes());
        self.bytes += text.len() as u64;
        match self.parts.last_mut() {
            Some(Part::Text(range)) => range.end = self.text.len(),
            _ => self.parts.push(Part::Text(start..self.text.len())),
        }
    }

    pub(crate) fn literal(&mut self, mail: &Mail) {
        self.bytes += mail.len;
        self.parts.push(Part::Literal(mail.text.clone(), mail.len));
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The pieces as they leave.
    pub(crate) fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::with_capacity(self.parts.len());
        pieces.extend(self.parts.iter().map(|part| match part {
            Part::Text(range) => Piece::Bytes(&self.text[range.clone()]),
            Part::Literal(Text::Memory(bytes), _) => Piece::Bytes(bytes),
            Part::Literal(Text::Spool(file), len) => Piece::File(file, *len),
        }));
        pieces
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.parts.clear();
        self.bytes = 0;
    }
}
