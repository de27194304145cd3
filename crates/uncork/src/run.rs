//! The runner: carries a plan out, one system call a step, and survives what the socket and
//! the file do meanwhile. The blocking and the tokio sender both drive this one.

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;

use smallvec::SmallVec;

use crate::SendError;
use crate::message::{Message, Part};
use crate::plan::{
    COPY_BUFFER_BYTES, Departure, Plan, SENDFILE_CAP_BYTES, StreamFacts, Tail, WRITE_SLICES_MAX,
};

/// Slices that stand on the stack before a write has to allocate for them.
const INLINE_SLICES: usize = 16;

/// The system calls of one stream. `sys` has the real one, the tests a scripted one.
pub(crate) trait Wire {
    /// Writes what it can of `slices`; returns the bytes taken.
    fn write(&mut self, slices: &[IoSlice<'_>], tail: Tail) -> io::Result<usize>;
    /// Sends up to `len` bytes of `file` from `offset` on; returns the bytes taken, 0 at the
    /// end of the file. `ErrorKind::Unsupported` where this file can't be sent so.
    fn send_file(&mut self, file: &File, offset: u64, len: usize) -> io::Result<usize>;
    /// Reads a file at an offset, for files that can't be sent directly.
    fn read_file(&mut self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Holds partial segments from here on.
    fn cork(&mut self) -> io::Result<()>;
    /// Lets everything leave that a cork or [`Tail::More`] holds.
    fn release(&mut self) -> io::Result<()>;
}

/// What a sender keeps from message to message.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) facts: StreamFacts,
    pub(crate) counts: Counts,
    /// What the kernel was told to hold and has not been told to let go.
    held: Held,
    /// A message that was left in the middle: bytes sent, bytes in all.
    incomplete: Option<(u64, u64)>,
    /// Bytes that a burst has taken and not yet given to the kernel.
    pub(crate) burst: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    /// By `MSG_MORE`: the next write that says [`Tail::Push`] takes it along.
    ByFlag,
    ByCork,
}

/// What a sender has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages and finished bursts.
    pub messages: u64,
    /// Bytes that the kernel took.
    pub bytes: u64,
    /// System calls made for sending, those that were told to wait included.
    pub system_calls: u64,
}

impl State {
    pub(crate) fn new(facts: StreamFacts) -> Self {
        Self {
            facts,
            counts: Counts::default(),
            held: Held::Nothing,
            incomplete: None,
            burst: Vec::new(),
        }
    }

    /// Whether the stream still stands between two messages.
    pub(crate) fn check_complete(&self) -> Result<(), SendError> {
        match self.incomplete {
            // A burst that was forgotten, not dropped, leaves what it had gathered.
            None if !self.burst.is_empty() => Err(SendError::Incomplete {
                sent_bytes: 0,
                total_bytes: self.burst.len() as u64,
            }),
            None => Ok(()),
            Some((sent_bytes, total_bytes)) => Err(SendError::Incomplete {
                sent_bytes,
                total_bytes,
            }),
        }
    }

    pub(crate) fn mark_incomplete(&mut self, sent_bytes: u64, total_bytes: u64) {
        self.incomplete = Some((sent_bytes, total_bytes));
    }

    pub(crate) fn is_corked(&self) -> bool {
        self.held == Held::ByCork
    }

    pub(crate) fn cork<W: Wire>(&mut self, wire: &mut W) -> io::Result<()> {
        self.counts.system_calls += 1;
        wire.cork()?;
        self.held = Held::ByCork;
        Ok(())
    }

    /// Lets go of whatever is held. Without a system call where nothing is.
    pub(crate) fn release<W: Wire>(&mut self, wire: &mut W) -> io::Result<()> {
        if self.held == Held::Nothing {
            return Ok(());
        }
        self.counts.system_calls += 1;
        wire.release()?;
        self.held = Held::Nothing;
        Ok(())
    }
}

/// One message on its way. Dropping it before its end (an error, a panic, a cancelled future)
/// releases what is held; the stream is marked as incomplete from its first byte to its last.
pub(crate) struct Run<'m, 's, W: Wire> {
    wire: W,
    state: &'s mut State,
    parts: &'m [Part<'m>],
    total_bytes: u64,
    plan: Plan,
    /// The departure that is next, and where in it: a part, and bytes of that part.
    departure: usize,
    part: usize,
    part_bytes: u64,
    sent_bytes: u64,
    /// No `sendfile` is asked to go beyond this byte of the message.
    end_bytes: u64,
    /// Read from a file and not yet written: a short write leaves a rest.
    copied: Vec<u8>,
    copied_bytes: usize,
}

/// Where a message that is on its way was left off.
#[derive(Debug)]
pub(crate) struct Position {
    plan: Plan,
    departure: usize,
    part: usize,
    part_bytes: u64,
    sent_bytes: u64,
    copied: Vec<u8>,
    copied_bytes: usize,
}

impl Position {
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }
}

/// What came of trying a message with one call.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It has left, and is counted.
    Left,
    /// The call took less, or failed.
    Fell(io::Result<usize>),
    /// It is none for one call.
    Unfit,
}

/// What a step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is more to do.
    Moved,
    /// The message has left.
    Finished,
}

/// Why a step did not move.
pub(crate) enum Stop {
    /// The socket takes no more for now: what this call said.
    WouldBlock(&'static str),
    Failed(SendError),
}

impl<'m, 's, W: Wire> Run<'m, 's, W> {
    /// Starts a message by the plan that [`plan`](crate::plan::plan) makes for it. A cork that
    /// an earlier one left on (its guard was forgotten, not dropped) comes off.
    pub(crate) fn new(
        wire: W,
        state: &'s mut State,
        message: &'m Message<'_>,
    ) -> Result<Self, SendError> {
        let plan = crate::plan::plan(&message.shapes(), &state.facts);
        let mut run = Self::with_plan(wire, state, message.parts(), plan, 0)?;
        let released = run.state.release(&mut run.wire);
        released.map_err(|error| run.failed("setsockopt(uncork)", error))?;
        Ok(run)
    }

    /// Sends a message with one call where it is all in memory: that is what the plan of such a
    /// message comes to nearly always, and the plan itself would cost a tenth of a microsecond. What
    /// does not leave so goes on with [`Run::after`].
    #[inline]
    pub(crate) fn attempt(
        wire: &mut W,
        state: &mut State,
        message: &Message<'_>,
    ) -> Result<Attempt, SendError> {
        if state.held != Held::Nothing || message.is_empty() {
            return Ok(Attempt::Unfit);
        }
        state.check_complete()?;
        let written = match message.parts() {
            [Part::Bytes(bytes)] => wire.write(&[IoSlice::new(bytes)], Tail::Push),
            parts => match slices_of_bytes(parts) {
                Some(slices) => wire.write(&slices, Tail::Push),
                None => return Ok(Attempt::Unfit),
            },
        };
        state.counts.system_calls += 1;
        match written {
            Ok(taken) if taken as u64 == message.len() => {
                state.counts.bytes += message.len();
                state.counts.messages += 1;
                Ok(Attempt::Left)
            }
            fell => Ok(Attempt::Fell(fell)),
        }
    }

    /// Starts a message that an attempt has not sent, where that left off.
    pub(crate) fn after(
        wire: W,
        state: &'s mut State,
        message: &'m Message<'_>,
        attempt: Attempt,
    ) -> Result<Self, SendError> {
        let mut run = Self::new(wire, state, message)?;
        let Attempt::Fell(written) = attempt else {
            return Ok(run);
        };
        match written.map(|taken| run.wrote(taken, message.parts().len(), Tail::Push)) {
            Ok(Err(Stop::Failed(error))) => return Err(error),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                return Err(run.failed("sendmsg", error));
            }
            // The next step asks the socket again.
            Ok(_) | Err(_) => {}
        }
        Ok(run)
    }

    /// Starts these parts by a plan of the caller's, `sent_bytes` into a message of which
    /// other runs have sent the beginning.
    pub(crate) fn with_plan(
        wire: W,
        state: &'s mut State,
        parts: &'m [Part<'m>],
        plan: Plan,
        sent_bytes: u64,
    ) -> Result<Self, SendError> {
        state.check_complete()?;
        let part = plan.first().map_or(0, first_part);
        Ok(Self {
            wire,
            state,
            parts,
            total_bytes: parts
                .iter()
                .map(Part::len)
                .fold(sent_bytes, u64::saturating_add),
            plan,
            departure: 0,
            part,
            part_bytes: 0,
            sent_bytes,
            end_bytes: u64::MAX,
            copied: Vec::new(),
            copied_bytes: 0,
        })
    }

    /// Goes on with the same message where [`Run::pause`] left it.
    pub(crate) fn resume(
        wire: W,
        state: &'s mut State,
        message: &'m Message<'_>,
        position: Position,
    ) -> Self {
        Self {
            wire,
            state,
            parts: message.parts(),
            total_bytes: message.len(),
            plan: position.plan,
            departure: position.departure,
            part: position.part,
            part_bytes: position.part_bytes,
            sent_bytes: position.sent_bytes,
            end_bytes: u64::MAX,
            copied: position.copied,
            copied_bytes: position.copied_bytes,
        }
    }

    /// Leaves off, to be gone on with later. What the kernel holds of the message stays held.
    pub(crate) fn pause(mut self) -> Position {
        let position = Position {
            plan: std::mem::take(&mut self.plan),
            departure: std::mem::take(&mut self.departure),
            part: self.part,
            part_bytes: self.part_bytes,
            sent_bytes: self.sent_bytes,
            copied: std::mem::take(&mut self.copied),
            copied_bytes: self.copied_bytes,
        };
        // An empty plan is a finished one, so that dropping `self` releases nothing.
        debug_assert!(self.is_finished());
        position
    }

    /// Lets no `sendfile` go more than `budget_bytes` beyond where the message is now.
    pub(crate) fn bound(&mut self, budget_bytes: u64) {
        self.end_bytes = self.sent_bytes.saturating_add(budget_bytes);
    }

    /// Whether the bound is reached.
    pub(crate) fn is_at_bound(&self) -> bool {
        self.sent_bytes >= self.end_bytes
    }

    /// Whether all bytes have left, and there is only a cork to be taken off.
    pub(crate) fn has_all_sent(&self) -> bool {
        self.sent_bytes == self.total_bytes
    }

    /// Makes one system call (two where a file has to be copied).
    pub(crate) fn step(&mut self) -> Result<Step, Stop> {
        match self.plan.get(self.departure) {
            None => return Ok(Step::Finished),
            Some(Departure::Cork) => {
                let corked = self.state.cork(&mut self.wire);
                corked.map_err(|error| self.stopped("setsockopt(cork)", error))?;
                self.next_departure();
            }
            Some(Departure::Uncork) => {
                let released = self.state.release(&mut self.wire);
                released.map_err(|error| self.stopped("setsockopt(uncork)", error))?;
                self.next_departure();
            }
            Some(Departure::Write { parts, tail }) => {
                let (end, tail) = (parts.end, *tail);
                self.write(end, tail)?;
            }
            Some(Departure::SendFile { part }) => {
                let part = *part;
                self.send_file(part)?;
            }
            Some(Departure::Copy { parts, tail }) => {
                let (end, tail) = (parts.end, *tail);
                self.copy(end, tail)?;
            }
        }
        Ok(if self.is_finished() {
            Step::Finished
        } else {
            Step::Moved
        })
    }

    /// Whether the message has left. One without bytes has from the start.
    pub(crate) fn is_finished(&self) -> bool {
        self.departure == self.plan.len()
    }

    /// Bytes of the message that the kernel has taken so far.
    #[cfg(feature = "tokio")]
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// The error for a system call of this message.
    pub(crate) fn failed(&self, call: &'static str, source: io::Error) -> SendError {
        SendError::Call {
            call,
            sent_bytes: self.sent_bytes,
            total_bytes: self.total_bytes,
            source,
        }
    }

    /// What a system call that moved nothing means.
    fn stopped(&self, call: &'static str, error: io::Error) -> Stop {
        match error.kind() {
            io::ErrorKind::WouldBlock => Stop::WouldBlock(call),
            _ => Stop::Failed(self.failed(call, error)),
        }
    }

    /// One vectored write of the parts from the current position up to `end`.
    fn write(&mut self, end: usize, tail: Tail) -> Result<(), Stop> {
        let mut slices: SmallVec<[IoSlice<'_>; INLINE_SLICES]> = SmallVec::new();
        let mut skip = usize_from(self.part_bytes);
        let mut is_whole = true;
        for part in &self.parts[self.part..end] {
            let Part::Bytes(bytes) = part else { continue };
            let rest = &bytes[std::mem::take(&mut skip)..];
            if rest.is_empty() {
                continue;
            }
            if slices.len() == WRITE_SLICES_MAX {
                is_whole = false;
                break;
            }
            slices.push(IoSlice::new(rest));
        }
        let tail = if is_whole { tail } else { Tail::More };
        self.state.counts.system_calls += 1;
        let taken = self.wire.write(&slices, tail);
        let taken = taken.map_err(|error| self.stopped("sendmsg", error))?;
        self.wrote(taken, end, tail)
    }

    /// Accounts for a write of the parts from the current position up to `end`.
    fn wrote(&mut self, taken: usize, end: usize, tail: Tail) -> Result<(), Stop> {
        self.took(taken, tail)?;
        let mut left = taken as u64;
        while self.part < end {
            let part_len = match self.parts[self.part] {
                Part::Bytes(bytes) => bytes.len() as u64,
                Part::File { .. } => 0,
            };
            let part_rest = part_len - self.part_bytes.min(part_len);
            if left < part_rest {
                self.part_bytes += left;
                return Ok(());
            }
            left -= part_rest;
            self.part += 1;
            self.part_bytes = 0;
        }
        self.next_departure();
        Ok(())
    }

    /// One `sendfile` of at most [`SENDFILE_CAP_BYTES`]; a file that refuses is copied instead.
    fn send_file(&mut self, part: usize) -> Result<(), Stop> {
        let Part::File { file, offset, len } = self.parts[part] else {
            unreachable!("the plan sends only file parts by sendfile");
        };
        let rest = len - self.part_bytes;
        let budget = self.end_bytes.saturating_sub(self.sent_bytes).max(1);
        let cap = usize_from(rest.min(budget)).min(SENDFILE_CAP_BYTES);
        self.state.counts.system_calls += 1;
        match self.wire.send_file(file, offset + self.part_bytes, cap) {
            Ok(0) => Err(self.too_short(rest)),
            Ok(taken) => {
                // Where the file or the socket's room ended early, Linux has told TCP that more
                // follows: `splice_direct_to_actor` in `fs/splice.c`, which takes it back at the
                // end of a file only from 6.5 on.
                let tail = if taken < cap { Tail::More } else { Tail::Push };
                self.took(taken, tail)?;
                self.part_bytes += taken as u64;
                if self.part_bytes == len {
                    self.next_departure();
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.plan[self.departure] = Departure::Copy {
                    parts: part..part + 1,
                    tail: Tail::Push,
                };
                Ok(())
            }
            Err(error) => Err(self.stopped("sendfile", error)),
        }
    }

    /// Fills the copy buffer from the parts up to `end` and writes it.
    fn copy(&mut self, end: usize, tail: Tail) -> Result<(), Stop> {
        self.fill(end)?;
        let is_last = self.part == end;
        let tail = if is_last { tail } else { Tail::More };
        self.state.counts.system_calls += 1;
        let rest = &self.copied[self.copied_bytes..];
        let taken = self.wire.write(&[IoSlice::new(rest)], tail);
        let taken = taken.map_err(|error| self.stopped("sendmsg", error))?;
        self.took(taken, tail)?;
        self.copied_bytes += taken;
        if is_last && self.copied_bytes == self.copied.len() {
            self.next_departure();
        }
        Ok(())
    }

    /// Tops up an empty copy buffer; does nothing while a short write has left a rest in it.
    fn fill(&mut self, end: usize) -> Result<(), Stop> {
        if self.copied_bytes < self.copied.len() {
            return Ok(());
        }
        self.copied_bytes = 0;
        let mut buffer = std::mem::take(&mut self.copied);
        buffer.clear();
        while self.part < end {
            let room = COPY_BUFFER_BYTES - buffer.len();
            if room == 0 && self.parts[self.part].len() > 0 {
                break;
            }
            let (part_len, taken) = match self.parts[self.part] {
                Part::Bytes(bytes) => {
                    let rest = &bytes[usize_from(self.part_bytes)..];
                    let piece = &rest[..rest.len().min(room)];
                    buffer.extend_from_slice(piece);
                    (bytes.len() as u64, piece.len())
                }
                Part::File { len: 0, .. } => (0, 0),
                Part::File { file, offset, len } => {
                    let rest = len - self.part_bytes;
                    let start = buffer.len();
                    buffer.resize(start + room.min(usize_from(rest)), 0);
                    self.state.counts.system_calls += 1;
                    let read =
                        self.wire
                            .read_file(file, offset + self.part_bytes, &mut buffer[start..]);
                    let read = match read {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                            buffer.truncate(start);
                            continue;
                        }
                        // A file that would block is a failure of the file, not the socket's
                        // word to wait.
                        Err(error) => {
                            return Err(Stop::Failed(SendError::Call {
                                call: "pread",
                                sent_bytes: self.sent_bytes,
                                total_bytes: self.total_bytes,
                                source: error,
                            }));
                        }
                        Ok(read) => read,
                    };
                    buffer.truncate(start + read);
                    if read == 0 {
                        return Err(self.too_short(rest));
                    }
                    (len, read)
                }
            };
            self.part_bytes += taken as u64;
            if self.part_bytes == part_len {
                self.part += 1;
                self.part_bytes = 0;
            }
        }
        self.copied = buffer;
        Ok(())
    }

    /// Accounts for bytes that the kernel took.
    fn took(&mut self, taken: usize, tail: Tail) -> Result<(), Stop> {
        if taken == 0 {
            let error = io::Error::from(io::ErrorKind::WriteZero);
            return Err(self.stopped("sendmsg", error));
        }
        self.sent_bytes += taken as u64;
        self.state.counts.bytes += taken as u64;
        // Until the end of the message takes it back: so it holds for a run that is dropped, and
        // for one that is forgotten.
        self.state
            .mark_incomplete(self.sent_bytes, self.total_bytes);
        self.state.held = match (self.state.held, tail) {
            (Held::ByCork, _) => Held::ByCork,
            (_, Tail::More) => Held::ByFlag,
            (_, Tail::Push) => Held::Nothing,
        };
        Ok(())
    }

    fn too_short(&self, missing_bytes: u64) -> Stop {
        Stop::Failed(SendError::FileTooShort {
            missing_bytes,
            sent_bytes: self.sent_bytes,
            total_bytes: self.total_bytes,
        })
    }

    fn next_departure(&mut self) {
        self.departure += 1;
        if let Some(next) = self.plan.get(self.departure) {
            self.part = first_part(next);
            self.part_bytes = 0;
        } else {
            self.state.incomplete = None;
        }
        self.copied.clear();
        self.copied_bytes = 0;
    }
}

impl<W: Wire> Drop for Run<'_, '_, W> {
    fn drop(&mut self) {
        if self.is_finished() {
            return;
        }
        // A stream that can't even be uncorked is dead: the next send will say so.
        let _ = self.state.release(&mut self.wire);
    }
}

/// The slices of a message that is all in memory, and has few of them.
fn slices_of_bytes<'m>(parts: &'m [Part<'_>]) -> Option<SmallVec<[IoSlice<'m>; INLINE_SLICES]>> {
    if parts.len() > INLINE_SLICES {
        return None;
    }
    let slices = parts.iter().map(|part| match part {
        Part::Bytes(bytes) => Some(IoSlice::new(bytes)),
        Part::File { .. } => None,
    });
    slices.collect()
}

/// The part with which a departure begins.
fn first_part(departure: &Departure) -> usize {
    match departure {
        Departure::Cork | Departure::Uncork => 0,
        Departure::SendFile { part } => *part,
        Departure::Write {
            parts: Range { start, .. },
            ..
        }
        | Departure::Copy {
            parts: Range { start, .. },
            ..
        } => *start,
    }
}

/// A length in memory. Saturates where a file is longer than the address space: every caller
/// caps it further.
fn usize_from(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
