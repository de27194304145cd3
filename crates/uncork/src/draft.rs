//! A message being put together for one sender, blocking or tokio.

use std::fs::File;
use std::ops::Range;

use crate::message::Message;

/// A message being put together for one sender; it borrows the sender until it is sent.
#[derive(Debug)]
#[must_use = "a draft does nothing until it is sent"]
pub struct Draft<'s, 'a, T> {
    pub(crate) sender: &'s mut T,
    pub(crate) message: Message<'a>,
}

impl<'s, 'a, T> Draft<'s, 'a, T> {
    pub(crate) fn new(sender: &'s mut T) -> Self {
        Self {
            sender,
            message: Message::new(),
        }
    }

    /// Appends bytes that are in memory.
    pub fn bytes(mut self, bytes: &'a [u8]) -> Self {
        self.message = self.message.bytes(bytes);
        self
    }

    /// Appends a range of an open file; see [`Message::file`].
    pub fn file(mut self, file: &'a File, range: Range<u64>) -> Self {
        self.message = self.message.file(file, range);
        self
    }
}
