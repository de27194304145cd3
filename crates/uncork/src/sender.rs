//! The sender over a blocking stream.

use std::io;

use socket2::SockRef;

use crate::burst::Burst;
use crate::draft::Draft;
use crate::message::Message;
use crate::plan::StreamFacts;
use crate::run::{Counts, Run, State, Step, Stop, Wire};
use crate::sys::{self, Ready, Tcp, TcpSocket};
use crate::{SendError, options};

/// Sends whole messages over a blocking TCP stream.
///
/// The stream has NODELAY on from [`Sender::new`] on, and is uncorked whenever no call of this
/// sender is under way. Reading goes on beside it: through [`Sender::get_ref`], or through a
/// clone of the stream. Do not write to the stream beside the sender.
///
/// `S` is anything that is or lends a TCP socket, such as `TcpStream` or `&TcpStream`. On a
/// non-blocking socket every send waits until the socket takes its bytes.
///
/// ```
/// use std::io::Read;
/// use std::net::{TcpListener, TcpStream};
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let addr = listener.local_addr()?;
/// # let reader = std::thread::spawn(move || {
/// #     let mut all = String::new();
/// #     listener.accept().unwrap().0.read_to_string(&mut all).unwrap();
/// #     all
/// # });
/// let mut sender = uncork::Sender::new(TcpStream::connect(addr)?)?;
/// let head = format!("{:>8}\r\n", 5);
/// sender.send([head.as_bytes(), b"hello", b"\r\n"])?;
/// # drop(sender);
/// # assert_eq!(reader.join().unwrap(), "       5\r\nhello\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sender<S> {
    stream: S,
    state: State,
}

impl<S: TcpSocket> Sender<S> {
    /// Takes a connected TCP stream, sets NODELAY, lifts a cork that may be on it, and reads
    /// the facts that planning needs. A few system calls, once a connection.
    ///
    /// # Errors
    /// Whatever the kernel says to these options, such as that this is no TCP socket.
    #[doc(alias = "TCP_NODELAY")]
    pub fn new(stream: S) -> io::Result<Self> {
        let facts = prepare(&stream)?;
        Ok(Self {
            stream,
            state: State::new(facts),
        })
    }

    /// Sends these pieces as one message: one vectored write, and the last byte leaves now.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), SendError> {
        self.send_message(&Message::from_iter(pieces))
    }

    /// Sends a message: in the fewest segments that its size allows, the last byte not held.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_message(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        let run = Run::new(Tcp::of(&self.stream), &mut self.state, message)?;
        drive(&self.stream, run)?;
        self.state.counts.messages += 1;
        Ok(())
    }

    /// Begins a message that ends with [`Draft::send`].
    pub fn message<'a>(&mut self) -> Draft<'_, 'a, Self> {
        Draft::new(self)
    }

    /// Begins a message whose size is not known: what is written into it leaves in full
    /// segments as it comes, and the rest when the burst is finished or dropped.
    ///
    /// # Errors
    /// [`SendError::Incomplete`] after a message that was left in the middle.
    pub fn burst(&mut self) -> Result<Burst<'_, S>, SendError> {
        Burst::new(&self.stream, &mut self.state)
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

impl<S: TcpSocket> Draft<'_, '_, Sender<S>> {
    /// Sends it.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(self) -> Result<(), SendError> {
        self.sender.send_message(&self.message)
    }
}

/// Sets the options of a stream that a sender takes over, and reads its facts.
pub(crate) fn prepare<S: TcpSocket>(stream: &S) -> io::Result<StreamFacts> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    Tcp::of(stream).release()?;
    Ok(StreamFacts {
        send_buffer_bytes: socket.send_buffer_size()? as u64,
        segment_bytes: options::segment_bytes(stream)?,
        platform: sys::PLATFORM,
    })
}

/// Steps a run to its end, waiting where the socket says so.
pub(crate) fn drive<S: TcpSocket>(
    stream: &S,
    mut run: Run<'_, '_, Tcp<'_>>,
) -> Result<(), SendError> {
    loop {
        match run.step() {
            Ok(Step::Finished) => return Ok(()),
            Ok(Step::Moved) => {}
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::WouldBlock(call)) => match sys::wait_writable(stream) {
                Ok(Ready::Writable) => {}
                Ok(Ready::TimedOut) => {
                    return Err(run.failed(call, io::ErrorKind::TimedOut.into()));
                }
                Err(error) => return Err(run.failed("poll", error)),
            },
        }
    }
}
