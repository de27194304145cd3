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
#[cfg(target_os = "linux")]
pub(crate) mod link;
pub(crate) mod tls;

use layers::{Layers, Opened};

/// A sealed departure leaves when it has this many bytes: more than an upload gathers, so that
/// one send is enough for all but long mails.
const DEPARTURE_BYTES: usize = 512 * 1024;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    /// Runs with both ends of a connection.
    fn with_pair<F: Future>(play: impl FnOnce(TcpStream, TcpStream) -> F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            let (client, server) = tokio::join!(client, listener.accept());
            play(client.unwrap(), server.unwrap().0).await
        })
    }

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[derive(Debug, Clone)]
    enum Part {
        Memory(Vec<u8>),
        File(Vec<u8>),
    }

    fn parts() -> impl Strategy<Value = Vec<Part>> {
        let bytes = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            (0usize..400_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        ];
        let part = (bytes, any::<bool>()).prop_map(|(bytes, in_file)| match in_file {
            true => Part::File(bytes),
            false => Part::Memory(bytes),
        });
        prop::collection::vec(part, 0..6)
    }

    /// Sends messages from one side to the other, both of them a writer and a reader of ours.
    async fn exchange(messages: &[Vec<Part>], is_compressed: bool, ends: (TcpStream, TcpStream)) {
        let (mut writer, _unread) = split(ends.0).unwrap();
        let (peer, mut reader) = split(ends.1).unwrap();
        let mut peer = peer;
        if is_compressed {
            writer.start_deflate();
            peer.start_deflate();
        }
        for message in messages {
            let files: Vec<File> = message
                .iter()
                .map(|part| match part {
                    Part::Memory(_) => file_of(b""),
                    Part::File(bytes) => file_of(bytes),
                })
                .collect();
            let pieces: Vec<Piece<'_>> = message
                .iter()
                .zip(&files)
                .map(|(part, file)| match part {
                    Part::Memory(bytes) => Piece::Bytes(bytes),
                    Part::File(bytes) => Piece::File(file, bytes.len() as u64),
                })
                .collect();
            let expected: Vec<u8> = message
                .iter()
                .flat_map(|part| match part {
                    Part::Memory(bytes) | Part::File(bytes) => bytes.iter().copied(),
                })
                .collect();
            let mut received = vec![0; expected.len()];
            let (sent, read) = tokio::join!(writer.send(&pieces), reader.read_exact(&mut received));
            sent.unwrap();
            read.unwrap();
            assert!(received == expected);
        }
        assert_eq!(peer.unread_bytes(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn whatever_is_sent_is_read(
            messages in prop::collection::vec(parts(), 1..4),
            is_compressed in any::<bool>(),
        ) {
            with_pair(|client, server| exchange(&messages, is_compressed, (client, server)));
        }
    }

    #[test]
    fn after_a_send_that_was_left_nothing_is_sent() {
        for is_compressed in [false, true] {
            with_pair(|client, server| async move {
                let (mut writer, _reader) = split(client).unwrap();
                if is_compressed {
                    writer.start_deflate();
                }
                // DEFLATE makes nothing of these bytes smaller than the buffers of the sockets.
                let mut dice = 1u32;
                let bytes: Vec<u8> = (0..24 << 20)
                    .map(|_| {
                        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (dice >> 24) as u8
                    })
                    .collect();
                let pieces = [Piece::Bytes(&bytes)];
                let left = timeout(Duration::from_millis(200), writer.send(&pieces)).await;
                assert!(left.is_err(), "nobody reads");
                let again = writer.send(&[Piece::Bytes(b"x")]).await;
                assert!(matches!(again, Err(NotSent::Socket(_))), "{again:?}");
                drop(server);
            });
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was() {
        for is_compressed in [false, true] {
            with_pair(|client, _server| async move {
                let (mut writer, _reader) = split(client).unwrap();
                if is_compressed {
                    writer.start_deflate();
                }
                let file = file_of(b"short");
                let short = writer.send(&[Piece::File(&file, 6)]).await;
                assert!(matches!(short, Err(NotSent::Source(_))), "{short:?}");
                let again = writer.send(&[Piece::Bytes(b"x")]).await;
                assert!(matches!(again, Err(NotSent::Socket(_))), "{again:?}");
            });
        }
    }
}
