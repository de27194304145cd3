//! The half that reads, opening what is sealed.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::layers::{Layers, Opened};
use super::{READ_BYTES, poll_stream};

/// The half that reads, with a buffer of what was read.
pub(crate) struct Reader {
    stream: Arc<TcpStream>,
    layers: Rc<RefCell<Layers>>,
    buffer: Box<[u8]>,
    /// `buffer[start..end]` has been read and not been taken.
    start: usize,
    end: usize,
}

impl Reader {
    pub(super) fn new(stream: Arc<TcpStream>, layers: Rc<RefCell<Layers>>) -> Self {
        Self {
            stream,
            layers,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// Reads into the empty buffer; leaves it empty at the end of the stream.
    fn poll_buffer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut layers = self.layers.borrow_mut();
        self.start = 0;
        self.end = 0;
        if layers.is_empty() {
            self.end = ready!(poll_stream(&self.stream, context, &mut self.buffer))?;
            layers.unread_bytes = self.end;
            return Poll::Ready(Ok(()));
        }
        loop {
            match layers.open(&mut self.buffer)? {
                Opened::Bytes(bytes) => {
                    self.end = bytes;
                    layers.unread_bytes = bytes;
                    return Poll::Ready(Ok(()));
                }
                Opened::End => return Poll::Ready(Ok(())),
                Opened::NeedsMore => {
                    let received = layers.received.space();
                    let read = ready!(poll_stream(&self.stream, context, received))?;
                    if read == 0 {
                        // TLS without its close_notify: IMAP says itself where an answer ends.
                        return Poll::Ready(Ok(()));
                    }
                    layers.received.filled(read);
                }
            }
        }
    }
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let unread = this
            .layers
            .borrow_mut()
            .inflate_unread(&this.buffer[this.start..this.end]);
        if unread {
            this.end = this.start;
        }
        if this.start == this.end {
            ready!(this.poll_buffer(context))?;
        }
        Poll::Ready(Ok(&this.buffer[this.start..this.end]))
    }

    fn consume(self: Pin<&mut Self>, bytes: usize) {
        let this = self.get_mut();
        this.start = (this.start + bytes).min(this.end);
        this.layers.borrow_mut().unread_bytes = this.end - this.start;
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(self.as_mut().poll_fill_buf(context))?;
        let taken = read.len().min(out.remaining());
        out.put_slice(&read[..taken]);
        self.consume(taken);
        Poll::Ready(Ok(()))
    }
}
