//! A message: a sequence of parts that belong together on the wire.

use std::fs::File;
use std::ops::Range;

use smallvec::SmallVec;

use crate::plan::PartShape;

/// Parts of a message that stand inline, without an allocation.
pub(crate) const INLINE_PARTS: usize = 8;

/// One part of a [`Message`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// `len` bytes of an open file, from `offset` on. The file's own position is not used.
    File {
        file: &'a File,
        offset: u64,
        len: u64,
    },
}

impl Part<'_> {
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        match *self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File { len, .. } => len,
        }
    }

    pub(crate) fn shape(&self) -> PartShape {
        match *self {
            Part::Bytes(bytes) => PartShape::Bytes(bytes.len()),
            Part::File { offset, len, .. } => PartShape::File { offset, len },
        }
    }
}

/// A message: borrowed bytes and ranges of open files, in the order in which they leave.
///
/// What makes bytes a message is that the peer can do nothing with a part of them: a header
/// and its body, a command and its literal, a length and its payload. The sender gives them to
/// the kernel so that they fill segments, and lets nothing hold the last byte.
///
/// ```
/// use uncork::Message;
/// let message = Message::new().bytes(b"HTTP/1.1 204 No Content\r\n").bytes(b"\r\n");
/// assert_eq!(message.len(), 27);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Message<'a> {
    parts: SmallVec<[Part<'a>; INLINE_PARTS]>,
    len: u64,
}

impl<'a> Message<'a> {
    /// A message with no parts yet.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes that are in memory.
    #[inline]
    #[must_use]
    pub fn bytes(mut self, bytes: &'a [u8]) -> Self {
        self.push(Part::Bytes(bytes));
        self
    }

    /// Appends the bytes `range` of an open file.
    ///
    /// The file's position is neither used nor moved. The range is a promise: where the file
    /// turns out to be shorter while it is sent, the send fails with
    /// [`SendError::FileTooShort`](crate::SendError::FileTooShort); where it has grown, exactly
    /// the range is sent. A reversed range is empty.
    #[inline]
    #[must_use]
    pub fn file(mut self, file: &'a File, range: Range<u64>) -> Self {
        self.push(Part::File {
            file,
            offset: range.start,
            len: range.end.saturating_sub(range.start),
        });
        self
    }

    /// Length of the whole message in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the message has no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(crate) fn push(&mut self, part: Part<'a>) {
        self.len = self.len.saturating_add(part.len());
        self.parts.push(part);
    }

    pub(crate) fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    pub(crate) fn shapes(&self) -> SmallVec<[PartShape; INLINE_PARTS]> {
        self.parts.iter().map(Part::shape).collect()
    }
}

/// Any sequence of byte slices is a message of these parts.
impl<'a> FromIterator<&'a [u8]> for Message<'a> {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(pieces: I) -> Self {
        pieces.into_iter().fold(Self::new(), Message::bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_add_up_and_reversed_ranges_are_empty() {
        let file = tempfile::tempfile().unwrap();
        #[expect(clippy::reversed_empty_ranges, reason = "the case under test")]
        let message = Message::new()
            .bytes(b"head")
            .file(&file, 10..30)
            .file(&file, 9..3)
            .bytes(b"");
        assert_eq!(message.len(), 24);
        assert_eq!(message.parts().len(), 4);
        assert!(Message::new().is_empty());
    }
}
