//! A message of unknown size, corked until it is finished.

use std::io;

use crate::SendError;
use crate::message::Part;
use crate::plan::{Departure, Tail};
use crate::run::{Run, State, Wire};
use crate::sender::drive;
use crate::sys::{Tcp, TcpSocket};

/// What a burst gathers before it makes a system call.
///
/// `write!` hands over a few bytes at a time; without this each of them would be a call. A page's
/// head or a command fits, so that most bursts need no cork and one call. (Chosen, not measured.)
pub const BURST_BUFFER_BYTES: usize = 16 * 1024;

/// A message whose size is not known when it begins.
///
/// What is written gathers in a buffer of [`BURST_BUFFER_BYTES`]; when that is full the socket
/// is corked, and full segments leave from then on. [`Burst::finish`] lets the rest leave; so
/// does dropping the burst, but an error is then lost, and the sender refuses its next message
/// if not all bytes could leave. A burst that stays within its buffer costs one system call.
///
/// On a blocking socket whose peer does not read, dropping waits as `finish` does. A panic while
/// a burst is open lets out what was written, and the sender then refuses its next message.
///
/// Linux lets go of a cork by itself after 200 ms: whoever pauses that long in a burst should
/// say [`flush`](io::Write::flush) before.
#[derive(Debug)]
pub struct Burst<'s, S: TcpSocket> {
    stream: &'s S,
    open: OpenBurst<'s>,
}

impl<'s, S: TcpSocket> Burst<'s, S> {
    pub(crate) fn new(stream: &'s S, state: &'s mut State) -> Result<Self, SendError> {
        let open = OpenBurst::new(&mut Tcp::of(stream), state)?;
        Ok(Self { stream, open })
    }

    /// Lets everything leave, and takes the cork off.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn finish(mut self) -> Result<(), SendError> {
        self.spill(b"", Tail::Push)?;
        self.open.finish(&mut Tcp::of(self.stream))
    }

    /// Sends what is gathered, and `bytes` after it.
    fn spill(&mut self, bytes: &[u8], tail: Tail) -> Result<(), SendError> {
        let gathered = self.open.begin_spill(&mut Tcp::of(self.stream), tail)?;
        let parts = [Part::Bytes(&gathered), Part::Bytes(bytes)];
        let run = self.open.run(Tcp::of(self.stream), &parts, tail)?;
        drive(self.stream, run)?;
        self.open.end_spill(gathered);
        Ok(())
    }
}

impl<S: TcpSocket> io::Write for Burst<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.open.gather(bytes)? {
            self.spill(bytes, Tail::More)?;
        }
        Ok(bytes.len())
    }

    /// Lets everything leave that was written so far; the burst goes on.
    fn flush(&mut self) -> io::Result<()> {
        self.spill(b"", Tail::Push)?;
        Ok(self.open.release(&mut Tcp::of(self.stream))?)
    }
}

impl<S: TcpSocket> Drop for Burst<'_, S> {
    fn drop(&mut self) {
        if self.open.has_gathered() {
            // Where this fails with a part of the burst sent, the stream is incomplete.
            let _ = self.spill(b"", Tail::Push);
        }
        self.open.abandon(&mut Tcp::of(self.stream));
    }
}

/// The part of a burst that needs no particular kind of stream: the buffer, the cork, and
/// whether the stream can still be told to stand between two messages.
#[derive(Debug)]
pub(crate) struct OpenBurst<'s> {
    state: &'s mut State,
    bytes_before: u64,
    /// All that the burst was given, sent or not.
    total_bytes: u64,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// All that was written has been sent or is gathered.
    Open,
    /// A write is under way, or has failed.
    Spilling,
    Finished,
}

impl<'s> OpenBurst<'s> {
    /// Takes off a cork that an earlier burst left on (it was forgotten, not dropped).
    pub(crate) fn new<W: Wire>(wire: &mut W, state: &'s mut State) -> Result<Self, SendError> {
        state.check_complete()?;
        state.burst.clear();
        let mut open = Self {
            bytes_before: state.counts.bytes,
            total_bytes: 0,
            state,
            phase: Phase::Open,
        };
        open.release(wire)?;
        Ok(open)
    }

    /// Takes bytes into the buffer; `false` where they do not fit any more.
    pub(crate) fn gather(&mut self, bytes: &[u8]) -> Result<bool, SendError> {
        self.check_open()?;
        let fits = self.state.burst.len() + bytes.len() <= BURST_BUFFER_BYTES;
        if fits {
            self.state.burst.extend_from_slice(bytes);
            self.total_bytes += bytes.len() as u64;
        }
        Ok(fits)
    }

    pub(crate) fn has_gathered(&self) -> bool {
        self.phase == Phase::Open && !self.state.burst.is_empty()
    }

    /// Hands the gathered bytes out for a write. Corks where more will follow.
    pub(crate) fn begin_spill<W: Wire>(
        &mut self,
        wire: &mut W,
        tail: Tail,
    ) -> Result<Vec<u8>, SendError> {
        self.check_open()?;
        if tail == Tail::More && self.state.facts.platform.cork && !self.state.is_corked() {
            let corked = self.state.cork(wire);
            corked.map_err(|error| self.failed("setsockopt(cork)", error))?;
        }
        self.phase = Phase::Spilling;
        Ok(std::mem::take(&mut self.state.burst))
    }

    pub(crate) fn run<'r, W: Wire>(
        &'r mut self,
        wire: W,
        parts: &'r [Part<'r>],
        tail: Tail,
    ) -> Result<Run<'r, 'r, W>, SendError> {
        let sent_bytes = self.sent_bytes();
        let parts_bytes: u64 = parts.iter().map(Part::len).sum();
        self.total_bytes = sent_bytes + parts_bytes;
        let write = Departure::Write {
            parts: 0..parts.len(),
            tail,
        };
        let plan = (parts_bytes > 0).then_some(write).into_iter().collect();
        Run::with_plan(wire, self.state, parts, plan, sent_bytes)
    }

    /// Takes the buffer back after a write that went through.
    pub(crate) fn end_spill(&mut self, mut gathered: Vec<u8>) {
        gathered.clear();
        self.state.burst = gathered;
        self.phase = Phase::Open;
    }

    pub(crate) fn release<W: Wire>(&mut self, wire: &mut W) -> Result<(), SendError> {
        let released = self.state.release(wire);
        released.map_err(|error| self.failed("setsockopt(uncork)", error))
    }

    pub(crate) fn finish<W: Wire>(&mut self, wire: &mut W) -> Result<(), SendError> {
        self.release(wire)?;
        self.phase = Phase::Finished;
        self.state.counts.messages += 1;
        Ok(())
    }

    /// The end of a burst that was dropped: nothing stays corked. A rest that could not leave
    /// has made the stream incomplete when its run was dropped; a panic in the middle of the
    /// burst does so here, for nobody can say that it was whole.
    pub(crate) fn abandon<W: Wire>(&mut self, wire: &mut W) {
        // A stream that can't even be uncorked is dead: the next send will say so.
        let _ = self.state.release(wire);
        self.state.burst.clear();
        let is_cut = self.phase != Phase::Finished && std::thread::panicking();
        if is_cut && self.sent_bytes() > 0 {
            self.state
                .mark_incomplete(self.sent_bytes(), self.total_bytes);
        }
    }

    fn sent_bytes(&self) -> u64 {
        self.state.counts.bytes - self.bytes_before
    }

    fn check_open(&self) -> Result<(), SendError> {
        match self.phase {
            Phase::Open => Ok(()),
            Phase::Spilling | Phase::Finished => Err(SendError::Incomplete {
                sent_bytes: self.sent_bytes(),
                total_bytes: self.total_bytes,
            }),
        }
    }

    fn failed(&self, call: &'static str, source: io::Error) -> SendError {
        SendError::Call {
            call,
            sent_bytes: self.sent_bytes(),
            total_bytes: self.total_bytes,
            source,
        }
    }
}
