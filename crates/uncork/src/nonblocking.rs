//! The same sender for event loops: a message that the socket does not take at once is gone on with
//! when it takes bytes again.

use std::io;

use crate::SendError;
use crate::message::Message;
use crate::plan::StreamFacts;
use crate::run::{Attempt, Counts, Position, Run, State, Step, Stop};
use crate::sender::prepare;
use crate::sys::{Tcp, TcpSocket};

/// Sends whole messages over a non-blocking TCP stream, for loops around `epoll` or `kqueue`; see
/// [`crate::Sender`].
///
/// No call waits. A message that could not leave whole is kept by the caller, with its
/// [`Progress`], and given again when the socket is writable:
///
/// ```
/// use uncork::Message;
/// use uncork::nonblocking::{Progress, Sender, Turn};
/// # use std::io::Read;
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let addr = listener.local_addr()?;
/// # let reader = std::thread::spawn(move || {
/// #     let mut all = Vec::new();
/// #     listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
/// #     all.len()
/// # });
/// let stream = std::net::TcpStream::connect(addr)?;
/// stream.set_nonblocking(true)?;
/// let mut sender = Sender::new(stream)?;
/// let body = vec![b'x'; 10_000_000];
/// let message = Message::new().bytes(b"head ").bytes(&body);
/// let mut progress = Progress::default();
/// loop {
///     match sender.send(&message, &mut progress, u64::MAX)? {
///         Turn::Finished => break,
///         Turn::Yielded => {} // others have their turn
///         Turn::Blocked => std::thread::yield_now(), // in life: back to the loop until it is writable
///     }
/// }
/// # drop(sender);
/// # assert_eq!(reader.join().unwrap(), 10_000_005);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// While a message is on its way, its last partial segment may be held; the last call lets it go. A
/// message that is given up in the middle leaves the stream incomplete: [`Sender::give_up`] releases
/// what is held, and the next message is refused with [`SendError::Incomplete`].
#[derive(Debug)]
pub struct Sender<S> {
    stream: S,
    state: State,
}

/// How far a message has come. The default is its beginning.
#[derive(Debug, Default)]
pub struct Progress {
    position: Option<Position>,
}

impl Progress {
    /// Whether a part of the message has been tried.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.position.is_some()
    }

    /// Bytes of the message that the kernel has taken.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.position.as_ref().map_or(0, Position::sent_bytes)
    }
}

/// How a call of [`Sender::send`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a message that is not finished has to be gone on with"]
pub enum Turn {
    /// The message has left, and nothing of it is held.
    Finished,
    /// The socket takes no more for now: go on when it is writable.
    Blocked,
    /// The budget is used up: go on when others have had their turn.
    Yielded,
}

impl<S: TcpSocket> Sender<S> {
    /// Takes a connected, non-blocking stream; see [`crate::Sender::new`].
    ///
    /// # Errors
    /// Whatever the kernel says to the options.
    #[doc(alias = "TCP_NODELAY")]
    pub fn new(stream: S) -> io::Result<Self> {
        let facts = prepare(&stream)?;
        Ok(Self::with_facts(stream, facts))
    }

    /// Takes a fresh stream that was accepted from a listener made by
    /// [`ListenOptions`](crate::ListenOptions), so that NODELAY is on already. Without a system call;
    /// `facts` are those of any earlier stream from that listener.
    pub fn with_facts(stream: S, facts: StreamFacts) -> Self {
        Self {
            stream,
            state: State::new(facts),
        }
    }

    /// Sends `message`, or goes on with it, until it has left, the socket takes no more, or
    /// `budget_bytes` have left with this call and more are to come. What is in memory may go beyond
    /// the budget; of files no more than it is read.
    ///
    /// The same message has to be given with the same progress until it is finished.
    ///
    /// # Errors
    /// See [`SendError`]. The stream is of no more use then.
    pub fn send(
        &mut self,
        message: &Message<'_>,
        progress: &mut Progress,
        budget_bytes: u64,
    ) -> Result<Turn, SendError> {
        let mut wire = Tcp::of(&self.stream);
        let mut run = match progress.position.take() {
            None => match Run::attempt(&mut wire, &mut self.state, message)? {
                Attempt::Left => return Ok(Turn::Finished),
                attempt => Run::after(wire, &mut self.state, message, attempt)?,
            },
            Some(position) => Run::resume(wire, &mut self.state, message, position),
        };
        run.bound(budget_bytes);
        loop {
            match run.step() {
                Ok(Step::Finished) => break,
                Ok(Step::Moved) if !run.is_at_bound() || run.has_all_sent() => {}
                Ok(Step::Moved) => {
                    progress.position = Some(run.pause());
                    return Ok(Turn::Yielded);
                }
                Err(Stop::WouldBlock(_)) => {
                    progress.position = Some(run.pause());
                    return Ok(Turn::Blocked);
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        drop(run);
        self.state.counts.messages += 1;
        Ok(Turn::Finished)
    }

    /// Gives up a message that is on its way: what the kernel holds of it leaves.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn give_up(&mut self, progress: &mut Progress) -> io::Result<()> {
        progress.position = None;
        self.state.release(&mut Tcp::of(&self.stream))
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
