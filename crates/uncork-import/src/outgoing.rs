//! What is encoded and has not left yet.
//!
//! Bytes gather here until something has to be waited for. So a pipelined batch leaves in one
//! departure, and where each literal waits for the server's `+`, the end of one mail and the
//! command for the next leave together: one round trip a mail.

use std::io;
use std::ops::Range;
use std::rc::Rc;

use tokio::net::tcp::OwnedWriteHalf;
use uncork::tokio::Sender;
use uncork::{Message, SendError};

use crate::batch::{Batch, CHUNK_BYTES, Content, read_chunk};
use crate::lines::extend_crlf;

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

    /// The pieces as one message, or `None` where a file has to be rewritten on the way.
    pub(crate) fn message(&self) -> Option<Message<'_>> {
        self.contents()
            .try_fold(Message::new(), |message, (content, len)| match content {
                Content::Memory(bytes) => Some(message.bytes(bytes)),
                Content::File(file) => Some(message.file(file, 0..len)),
                Content::BareLf(_) => None,
            })
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.pieces.clear();
        self.bytes = 0;
    }

    /// Gives everything to the kernel as one message; where a long mail's bare LFs become CRLF on
    /// the way, as a burst, in bounded memory.
    ///
    /// # Errors
    /// Which side failed; see [`NotSent`].
    pub(crate) async fn send(&self, sender: &mut Sender<OwnedWriteHalf>) -> Result<(), NotSent> {
        if let Some(message) = self.message() {
            return Ok(sender.send_message(&message).await?);
        }
        let mut burst = sender.burst()?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut rewritten = Vec::with_capacity(2 * CHUNK_BYTES);
        for (content, len) in self.contents() {
            match content {
                Content::Memory(bytes) => burst.write_all(bytes).await?,
                Content::File(file) => {
                    let mut offset = 0;
                    while offset < len {
                        let read = read_chunk(file, offset, len, &mut chunk);
                        let read = read.map_err(NotSent::Source)?;
                        burst.write_all(&chunk[..read]).await?;
                        offset += read as u64;
                    }
                }
                Content::BareLf(file) => {
                    let (mut offset, mut sent, mut last) = (0, 0, 0);
                    while sent < len {
                        let read = read_chunk(file, offset, u64::MAX, &mut chunk);
                        let read = read.map_err(NotSent::Source)?;
                        rewritten.clear();
                        last = extend_crlf(&mut rewritten, &chunk[..read], last);
                        offset += read as u64;
                        sent += rewritten.len() as u64;
                        if sent > len {
                            let grown = "it has more lines than when it was measured";
                            return Err(NotSent::Source(io::Error::other(grown)));
                        }
                        burst.write_all(&rewritten).await?;
                    }
                }
            }
        }
        Ok(burst.finish().await?)
    }
}

/// Which side kept something from being sent.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// A file is not what it was when it was measured, or can't be read any more.
    Source(io::Error),
    /// The connection.
    Socket(io::Error),
}

impl From<SendError> for NotSent {
    fn from(error: SendError) -> Self {
        match error {
            SendError::FileTooShort { .. } => NotSent::Source(error.into()),
            error => NotSent::Socket(error.into()),
        }
    }
}
