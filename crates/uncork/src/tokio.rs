//! The same sender over tokio's `TcpStream`.

use std::io;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use crate::SendError;
use crate::burst::OpenBurst;
use crate::draft::Draft;
use crate::message::{Message, Part};
use crate::plan::{SENDFILE_CAP_BYTES, StreamFacts, Tail};
use crate::run::{Counts, Run, State, Step, Stop};
use crate::sender::prepare;
use crate::sys::Tcp;

/// What lends a tokio `TcpStream` to a [`Sender`].
pub trait AsTcpStream {
    /// The stream.
    fn tcp_stream(&self) -> &TcpStream;
}

impl AsTcpStream for TcpStream {
    fn tcp_stream(&self) -> &TcpStream {
        self
    }
}

impl AsTcpStream for &TcpStream {
    fn tcp_stream(&self) -> &TcpStream {
        self
    }
}

impl AsTcpStream for Arc<TcpStream> {
    fn tcp_stream(&self) -> &TcpStream {
        self
    }
}

impl AsTcpStream for OwnedWriteHalf {
    fn tcp_stream(&self) -> &TcpStream {
        self.as_ref()
    }
}

/// Sends whole messages over a tokio TCP stream; see [`crate::Sender`].
///
/// Every future may be dropped: the socket is then uncorked, and if a part of a message had
/// left, the next send is refused with [`SendError::Incomplete`].
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// # use tokio::io::AsyncReadExt;
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let addr = listener.local_addr()?;
/// let stream = tokio::net::TcpStream::connect(addr).await?;
/// let mut sender = uncork::tokio::Sender::new(stream)?;
/// sender.send([&b"head "[..], b"body"]).await?;
/// # drop(sender);
/// # let mut all = String::new();
/// # listener.accept().await?.0.read_to_string(&mut all).await?;
/// # assert_eq!(all, "head body");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sender<S> {
    stream: S,
    state: State,
}

impl<S: AsTcpStream> Sender<S> {
    /// Takes a connected stream; see [`crate::Sender::new`].
    ///
    /// # Errors
    /// Whatever the kernel says to the options.
    #[doc(alias = "TCP_NODELAY")]
    pub fn new(stream: S) -> io::Result<Self> {
        let facts = prepare(stream.tcp_stream())?;
        Ok(Self {
            stream,
            state: State::new(facts),
        })
    }

    /// Sends these pieces as one message; see [`crate::Sender::send`].
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), SendError> {
        let message = Message::from_iter(pieces);
        self.send_message(&message).await
    }

    /// Sends a message; see [`crate::Sender::send_message`].
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_message(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        let stream = self.stream.tcp_stream();
        let run = Run::new(Tcp::of(stream), &mut self.state, message)?;
        drive(stream, run).await?;
        self.state.counts.messages += 1;
        Ok(())
    }

    /// Begins a message that ends with [`Draft::send`].
    pub fn message<'a>(&mut self) -> Draft<'_, 'a, Self> {
        Draft::new(self)
    }

    /// Begins a message whose size is not known; see [`crate::Sender::burst`].
    ///
    /// # Errors
    /// [`SendError::Incomplete`] after a message that was left in the middle.
    pub fn burst(&mut self) -> Result<Burst<'_>, SendError> {
        let stream = self.stream.tcp_stream();
        let open = OpenBurst::new(&mut Tcp::of(stream), &mut self.state)?;
        Ok(Burst { stream, open })
    }

    /// What this sender has done so far.
    pub fn counts(&self) -> Counts {
        self.state.counts
    }

    /// The facts by which it plans.
    pub fn facts(&self) -> StreamFacts {
        self.state.facts
    }

    /// The stream, for reading from it and for its options.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream back. NODELAY stays on.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsTcpStream> Draft<'_, '_, Sender<S>> {
    /// Sends it. A file that is not in the page cache is read meanwhile, and blocks the thread
    /// for that long.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(self) -> Result<(), SendError> {
        self.sender.send_message(&self.message).await
    }
}

/// A message whose size is not known when it begins; see [`crate::Burst`].
///
/// Dropping it sends what the socket takes without waiting. If that is a part of the burst, the
/// sender refuses its next message; if it is nothing, the burst is lost without a word.
#[derive(Debug)]
pub struct Burst<'s> {
    stream: &'s TcpStream,
    open: OpenBurst<'s>,
}

impl Burst<'_> {
    /// Adds bytes to the message.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        if self.open.gather(bytes)? {
            return Ok(());
        }
        self.spill(bytes, Tail::More).await
    }

    /// Lets everything leave that was written so far; the burst goes on.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn flush(&mut self) -> Result<(), SendError> {
        self.spill(b"", Tail::Push).await?;
        self.open.release(&mut Tcp::of(self.stream))
    }

    /// Lets everything leave, and takes the cork off.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn finish(mut self) -> Result<(), SendError> {
        self.spill(b"", Tail::Push).await?;
        self.open.finish(&mut Tcp::of(self.stream))
    }

    async fn spill(&mut self, bytes: &[u8], tail: Tail) -> Result<(), SendError> {
        let gathered = self.open.begin_spill(&mut Tcp::of(self.stream), tail)?;
        let parts = [Part::Bytes(&gathered), Part::Bytes(bytes)];
        let run = self.open.run(Tcp::of(self.stream), &parts, tail)?;
        drive(self.stream, run).await?;
        self.open.end_spill(gathered);
        Ok(())
    }

    /// Sends what is gathered as far as the socket takes it at once.
    fn spill_now(&mut self) -> Result<(), SendError> {
        let gathered = self
            .open
            .begin_spill(&mut Tcp::of(self.stream), Tail::Push)?;
        let parts = [Part::Bytes(&gathered)];
        let mut run = self.open.run(Tcp::of(self.stream), &parts, Tail::Push)?;
        loop {
            match run.step() {
                Ok(Step::Finished) => break,
                Ok(Step::Moved) => {}
                // The run, dropped before its end, marks the stream as incomplete.
                Err(Stop::WouldBlock(_)) => return Ok(()),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        drop(run);
        self.open.end_spill(gathered);
        Ok(())
    }
}

impl Drop for Burst<'_> {
    fn drop(&mut self) {
        if self.open.has_gathered() {
            // Where this fails with a part of the burst sent, the stream is incomplete.
            let _ = self.spill_now();
        }
        self.open.abandon(&mut Tcp::of(self.stream));
    }
}

/// Steps a run to its end, waiting where the socket says so, and lets other tasks run after
/// every [`SENDFILE_CAP_BYTES`]: a reader fast enough would otherwise keep the thread.
async fn drive(stream: &TcpStream, mut run: Run<'_, '_, Tcp<'_>>) -> Result<(), SendError> {
    // Without bytes there is nothing to wait for, however full the socket is.
    if run.is_finished() {
        return Ok(());
    }
    let mut next_yield_bytes = run.sent_bytes() + SENDFILE_CAP_BYTES as u64;
    loop {
        let step = stream.async_io(Interest::WRITABLE, || match run.step() {
            Ok(step) => Ok(Ok(step)),
            Err(Stop::Failed(error)) => Ok(Err(error)),
            Err(Stop::WouldBlock(_)) => Err(io::ErrorKind::WouldBlock.into()),
        });
        match step.await {
            Ok(Ok(Step::Finished)) => return Ok(()),
            Ok(Ok(Step::Moved)) => {}
            Ok(Err(error)) => return Err(error),
            Err(error) => return Err(run.failed("epoll_wait", error)),
        }
        if run.sent_bytes() >= next_yield_bytes {
            next_yield_bytes = run.sent_bytes() + SENDFILE_CAP_BYTES as u64;
            tokio::task::yield_now().await;
        }
    }
}
