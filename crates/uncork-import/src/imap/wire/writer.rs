//! The half that sends: whole messages, sealed where there are layers.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ClientConnection;
use tokio::net::TcpStream;
use uncork::Message;
use uncork::tokio::Sender;

use super::layers::Layers;
use super::tls::{HANDSHAKE_READ_BYTES, Handshake, Tls};
use super::{NotSent, Piece, poll_stream};

/// A sealed departure leaves when it has this many bytes: more than an upload gathers, so that
/// one send is enough for all but long mails.
const DEPARTURE_BYTES: usize = 512 * 1024;

/// Files are read in pieces of this size where they can't go by sendfile. Bytes are taken in
/// such pieces too, so that a departure stays near its bound.
const CHUNK_BYTES: usize = 64 * 1024;

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
    pub(super) fn new(stream: Arc<TcpStream>, layers: Rc<RefCell<Layers>>) -> io::Result<Self> {
        Ok(Self {
            sender: Sender::new(stream)?,
            layers,
            departure: Vec::new(),
            file_chunk: Vec::new(),
            is_broken: false,
        })
    }

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
        let mut tls = Tls::new(connection);
        loop {
            self.departure.clear();
            let handshake = tls.shake_hands(&mut self.departure);
            // Where the handshake failed, this tells the peer why, if it still listens.
            let sent = self.sender.send([&self.departure[..]]).await;
            let handshake = handshake?;
            sent?;
            if handshake == Handshake::Done {
                break;
            }
            let mut buffer = [0; HANDSHAKE_READ_BYTES];
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

    /// Puts DEFLATE (RFC 4978) on the connection, inside of TLS where there is TLS. What has been
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
