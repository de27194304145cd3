//! The two halves of a connection, and what may lie between them and the socket: TLS, DEFLATE.
//!
//! Without such a layer a message goes to the kernel as it is, files by sendfile. With one it is
//! sealed into departures of up to [`DEPARTURE_BYTES`] first, so that the records of one message
//! leave together as well.

use std::cell::RefCell;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConnection;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use uncork::tokio::Sender;
use uncork::{Message, SendError};

mod deflate;
mod layers;
pub(crate) mod link;
pub(crate) mod tls;

use layers::{Layers, Opened};

/// A sealed departure leaves when it has this many bytes.
const DEPARTURE_BYTES: usize = 256 * 1024;

/// Files are read in pieces of this size where they can't go by sendfile. Bytes are taken in
/// such pieces too, so that a departure stays near its bound.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is read from the socket at once.
const READ_BYTES: usize = 16 * 1024;

/// A part of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    Bytes(&'a [u8]),
    /// So many bytes of the file, from its start.
    File(&'a File, u64),
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

/// The two halves of a connected stream, with no layer yet.
pub(crate) fn split(stream: TcpStream) -> io::Result<(Writer, Reader)> {
    let stream = Arc::new(stream);
    let layers = Rc::new(RefCell::new(Layers::default()));
    let reader = Reader {
        stream: Arc::clone(&stream),
        layers: Rc::clone(&layers),
        buffer: vec![0; READ_BYTES].into_boxed_slice(),
        start: 0,
        end: 0,
    };
    let writer = Writer {
        sender: Sender::new(stream)?,
        layers,
        departure: Vec::new(),
        file_chunk: Vec::new(),
        is_broken: false,
    };
    Ok((writer, reader))
}

/// The half that sends.
pub(crate) struct Writer {
    sender: Sender<Arc<TcpStream>>,
    layers: Rc<RefCell<Layers>>,
    /// What is sealed and has not left; empty between two sends.
    departure: Vec<u8>,
    /// What has been read of a file and is not sealed yet.
    file_chunk: Vec<u8>,
    /// Whether a send was left in the middle: what its layers hold can't be taken back, and
    /// the peer would read the next message as its rest.
    is_broken: bool,
}

impl Writer {
    /// Sends the pieces as one message: all of it has left when this returns. Where it fails or
    /// is dropped before its end, nothing more can be sent.
    ///
    /// # Errors
    /// Which side failed; see [`NotSent`].
    pub(crate) async fn send(&mut self, pieces: &[Piece<'_>]) -> Result<(), NotSent> {
        if std::mem::replace(&mut self.is_broken, true) {
            let text = "an earlier message was left in the middle";
            let error = io::Error::new(io::ErrorKind::BrokenPipe, text);
            return Err(NotSent::Socket(error));
        }
        if self.layers.borrow().is_empty() {
            let message = pieces
                .iter()
                .fold(Message::new(), |message, piece| match *piece {
                    Piece::Bytes(bytes) => message.bytes(bytes),
                    Piece::File(file, len) => message.file(file, 0..len),
                });
            self.sender.send_message(&message).await?;
        } else {
            self.send_sealed(pieces).await?;
        }
        self.is_broken = false;
        Ok(())
    }

    async fn send_sealed(&mut self, pieces: &[Piece<'_>]) -> Result<(), NotSent> {
        let departure = &mut self.departure;
        let mut chunks = Chunks {
            pieces,
            offset: 0,
            buffer: &mut self.file_chunk,
        };
        departure.clear();
        if fill(departure, &mut chunks, &mut self.layers.borrow_mut())? == Filled::Whole {
            return Ok(self.sender.send([&departure[..]]).await?);
        }
        // The cork of a burst lets the end of one departure leave with the start of the next.
        let mut burst = self.sender.burst()?;
        loop {
            burst.write_all(departure).await?;
            // A server that reads fast enough would otherwise keep the reading side waiting.
            tokio::task::yield_now().await;
            departure.clear();
            if fill(departure, &mut chunks, &mut self.layers.borrow_mut())? == Filled::Whole {
                burst.write_all(departure).await?;
                return Ok(burst.finish().await?);
            }
        }
    }

    /// Puts TLS on the connection: whatever is sent or read from here on is sealed.
    pub(crate) async fn start_tls(&mut self, connection: ClientConnection) -> io::Result<()> {
        let mut tls = tls::Tls::new(connection);
        loop {
            self.departure.clear();
            let handshake = tls.shake_hands(&mut self.departure);
            // Where the handshake failed, this tells the peer why, if it still listens.
            let sent = self.sender.send([&self.departure[..]]).await;
            let handshake = handshake?;
            sent?;
            if handshake == tls::Handshake::Done {
                break;
            }
            let mut buffer = [0; tls::HANDSHAKE_READ_BYTES];
            let stream = self.sender.get_ref();
            let read = poll_fn(|context| poll_stream(stream, context, &mut buffer)).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            tls.received(&buffer[..read]);
        }
        self.layers.borrow_mut().tls = Some(tls);
        Ok(())
    }

    /// Puts DEFLATE (RFC 4978) on the connection, beneath nothing and above TLS: what has been
    /// read and not looked at yet is the start of the peer's compressed stream.
    pub(crate) fn start_deflate(&mut self) {
        self.layers.borrow_mut().start_deflate();
    }

    /// Bytes that were read from the peer and nobody has looked at.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.layers.borrow().unread_bytes
    }

    /// Acknowledges what has come at once, where the system can.
    ///
    /// A server with Nagle on holds an answer, or the `+` that a literal needs, until its answer
    /// before is acknowledged; left to itself, this side's kernel would do that 40 ms later.
    pub(crate) fn acknowledge_at_once(&self) {
        let _ = uncork::quickack(self.sender.get_ref().as_ref());
    }

    /// System calls made to send.
    pub(crate) fn system_calls(&self) -> u64 {
        self.sender.counts().system_calls
    }

    /// What the kernel knows of the connection; `None` where it does not tell.
    #[cfg(target_os = "linux")]
    pub(crate) fn tcp_info(&self) -> Option<uncork::TcpInfo> {
        uncork::TcpInfo::of(self.sender.get_ref().as_ref()).ok()
    }

    /// Data segments sent so far; `None` where the system does not tell.
    pub(crate) fn segments_sent(&self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        {
            self.tcp_info()?.data_segments_out.map(u64::from)
        }
        #[cfg(not(target_os = "linux"))]
        None
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sender.get_ref().as_fd()
    }
}

/// Whether a departure holds all that was left of a message.
#[derive(Debug, PartialEq, Eq)]
enum Filled {
    Whole,
    Part,
}

/// Seals what comes next of a message until the departure is full.
fn fill(
    departure: &mut Vec<u8>,
    chunks: &mut Chunks<'_, '_>,
    layers: &mut Layers,
) -> Result<Filled, NotSent> {
    while departure.len() < DEPARTURE_BYTES {
        let Some(chunk) = chunks.next().map_err(NotSent::Source)? else {
            layers.seal_end(departure).map_err(NotSent::Socket)?;
            return Ok(Filled::Whole);
        };
        layers.seal(chunk, departure).map_err(NotSent::Socket)?;
    }
    Ok(Filled::Part)
}

/// The bytes of pieces, some at a time.
struct Chunks<'p, 'b> {
    pieces: &'p [Piece<'p>],
    /// How far the first of the pieces has been taken.
    offset: u64,
    buffer: &'b mut Vec<u8>,
}

impl Chunks<'_, '_> {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        while let Some((piece, others)) = self.pieces.split_first() {
            let len = match *piece {
                Piece::Bytes(bytes) => bytes.len() as u64,
                Piece::File(_, len) => len,
            };
            let left = usize::try_from(len - self.offset).unwrap_or(usize::MAX);
            let taken = left.min(CHUNK_BYTES);
            if taken == 0 {
                self.pieces = others;
                self.offset = 0;
                continue;
            }
            let from = self.offset;
            self.offset += taken as u64;
            return match *piece {
                // The offset is within a slice, so it is a usize.
                Piece::Bytes(bytes) => Ok(Some(&bytes[bytes.len() - left..][..taken])),
                Piece::File(file, _) => {
                    self.buffer.resize(CHUNK_BYTES, 0);
                    let chunk = &mut self.buffer[..taken];
                    file.read_exact_at(chunk, from)?;
                    Ok(Some(chunk))
                }
            };
        }
        Ok(None)
    }
}

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

/// Reads what the stream has; 0 at its end.
fn poll_stream(
    stream: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(context))?;
        match stream.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Poll::Ready(read),
        }
    }
}
