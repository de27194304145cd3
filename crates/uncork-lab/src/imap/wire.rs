//! One connection's bytes: lines and literals in, replies out.
//!
//! Everything received lands in one buffer, and lines and literals are handed out as slices
//! of it: a literal goes from the socket's buffer to the file with no copy in between but
//! the one into this buffer.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use thiserror::Error;

use super::fault_plan::{Ending, Limit};
use super::house::{House, Pulse};
use super::personality::Manners;
use super::pipe::Pipe;

/// The longest line, without the literals between lines.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// The largest literal that is handed out in one piece.
pub(crate) const CONTIGUOUS_BYTES_MAX: usize = 1024 * 1024;

/// What the buffer begins with. It grows to hold one contiguous literal and no further.
const BUFFER_BYTES: usize = 256 * 1024;

/// A read is not asked for less than this; what is left of the buffer is moved first.
const READ_BYTES_MIN: usize = 16 * 1024;

/// Replies collected beyond this leave though the read batch is not done.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// Replies held back at once to be said in reverse.
const HELD_MAX: usize = 64;

/// How long and how much is still read from a peer after the last reply. A close with
/// unread bytes sends RST, and RST may overtake the reply.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why nothing more comes from, or goes to, a connection.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    #[error("the peer closed the connection")]
    Closed,
    #[error("hung up, as a fault asked for")]
    HangUp,
    #[error("hung up in the middle of a reply, as a fault asked for")]
    Cut,
    #[error("silent from now on, as a fault asked for")]
    Silence,
    #[error("a line of more than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("a line without CR before its LF")]
    BareLineFeed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

/// A connection with its buffers.
#[derive(Debug)]
pub(crate) struct Wire {
    pipe: Pipe,
    house: Arc<House>,
    pulse: Arc<Pulse>,
    /// Bytes `start..end` have been received and not handed out. `start <= end <= len`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    received: u64,
    said: u64,
    replies: Vec<u8>,
    /// Replies that leave before the next read, the last first.
    held: Vec<String>,
}

impl Wire {
    pub(crate) fn new(pipe: Pipe, house: Arc<House>, pulse: Arc<Pulse>) -> Self {
        Self {
            pipe,
            house,
            pulse,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            received: 0,
            said: 0,
            replies: Vec::new(),
            held: Vec::new(),
        }
    }

    /// The next line, without its CRLF.
    pub(crate) fn line(&mut self) -> Result<&[u8], WireError> {
        let mut scanned = 0;
        let length = loop {
            let unseen = &self.buffer[self.start + scanned..self.end];
            if let Some(at) = memchr::memchr(b'\n', unseen) {
                break scanned + at;
            }
            scanned = self.end - self.start;
            if scanned > LINE_BYTES_MAX {
                return Err(WireError::LineTooLong);
            }
            self.fill(scanned + 1)?;
        };
        if length > LINE_BYTES_MAX {
            return Err(WireError::LineTooLong);
        }
        let line = &self.buffer[self.start..self.start + length];
        self.start += length + 1;
        line.strip_suffix(b"\r").ok_or(WireError::BareLineFeed)
    }

    /// The next `length` bytes in one piece; at most [`CONTIGUOUS_BYTES_MAX`].
    pub(crate) fn contiguous(&mut self, length: usize) -> Result<&[u8], WireError> {
        debug_assert!(length <= CONTIGUOUS_BYTES_MAX);
        while self.end - self.start < length {
            self.fill(length)?;
        }
        let from = self.start;
        self.start += length;
        Ok(&self.buffer[from..self.start])
    }

    /// What has been received of the next `most` bytes, at least one.
    pub(crate) fn chunk(&mut self, most: u64) -> Result<&[u8], WireError> {
        if self.start == self.end {
            self.fill(1)?;
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let from = self.start;
        self.start += most.min(self.end - from);
        Ok(&self.buffer[from..self.start])
    }

    /// Reads so many bytes and throws them away.
    pub(crate) fn discard(&mut self, bytes: u64) -> Result<(), WireError> {
        let mut left = bytes;
        while left > 0 {
            left -= self.chunk(left)?.len() as u64;
        }
        Ok(())
    }

    /// Reads once, so that up to `wanted` bytes fit from `start` on. What has been answered
    /// leaves before the read that may block.
    fn fill(&mut self, wanted: usize) -> Result<(), WireError> {
        self.flush()?;
        self.make_room(wanted);
        let mut room = self.buffer.len() - self.end;
        if let Some(limit) = self.receive_limit()? {
            room = room.min(usize::try_from(limit - self.received).unwrap_or(usize::MAX));
        }
        let into = &mut self.buffer[self.end..self.end + room];
        let count = self.pipe.read(into)?;
        if count == 0 {
            return Err(WireError::Closed);
        }
        self.pulse.beat(&self.house);
        self.end += count;
        self.received += count as u64;
        Ok(())
    }

    fn make_room(&mut self, wanted: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let needed = wanted.max(self.end - self.start + READ_BYTES_MIN);
        if self.buffer.len() - self.start < needed && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        }
    }

    /// The count of received bytes that the next read may reach.
    fn receive_limit(&self) -> Result<Option<u64>, WireError> {
        match self.house.faults.receiving(self.received) {
            Limit::None => Ok(None),
            Limit::At(bytes) => Ok(Some(bytes)),
            Limit::Reached(Ending::Silence) => Err(WireError::Silence),
            Limit::Reached(_) => Err(WireError::HangUp),
        }
    }

    /// Says one piece of a reply: to the socket at once with naive manners, otherwise to the
    /// buffer that [`Wire::flush`] empties.
    pub(crate) fn say(&mut self, piece: &[u8]) -> Result<(), WireError> {
        if self.house.personality.manners == Manners::Naive {
            return self.send(piece);
        }
        self.replies.extend_from_slice(piece);
        if self.replies.len() > REPLY_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Says this reply before the next read, and before all others said in this way until then.
    pub(crate) fn say_in_reverse(&mut self, reply: String) -> Result<(), WireError> {
        self.held.push(reply);
        if self.held.len() >= HELD_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends the replies collected.
    pub(crate) fn flush(&mut self) -> Result<(), WireError> {
        while let Some(reply) = self.held.pop() {
            self.say(reply.as_bytes())?;
        }
        if !self.replies.is_empty() {
            let mut replies = std::mem::take(&mut self.replies);
            self.send(&replies)?;
            replies.clear();
            replies.shrink_to(2 * REPLY_BYTES_MAX);
            self.replies = replies;
        }
        Ok(())
    }

    /// Sends these bytes, as far as the faults allow.
    fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        if self.house.has_crashed() {
            return Err(WireError::HangUp);
        }
        let end = self.said + bytes.len() as u64;
        let allowed = match self.house.faults.saying(self.said) {
            Limit::At(limit) if limit < end => limit - self.said,
            Limit::Reached(_) => return Err(WireError::Cut),
            Limit::At(_) | Limit::None => {
                self.said = end;
                return Ok(self.pipe.write_all(bytes)?);
            }
        };
        let (before, after) = bytes.split_at(usize::try_from(allowed).unwrap_or(0));
        self.said += allowed;
        self.pipe.write_all(before)?;
        // The limit has been reached; another one may be left, or another connection may have
        // taken this one.
        self.send(after)
    }

    /// Whether there is something that the peer sent ahead.
    pub(crate) fn has_unread(&self) -> bool {
        self.start < self.end
    }

    /// The layers between here and the socket, to which others may be added once all that was
    /// said has left.
    pub(crate) fn pipe(&mut self) -> &mut Pipe {
        &mut self.pipe
    }

    /// Reads to the end of the connection, and says nothing.
    pub(crate) fn stay_silent(&mut self) {
        while matches!(self.pipe.socket().read(&mut self.buffer), Ok(count) if count > 0) {}
    }

    /// Ends the connection so that the peer can read all that has been said: the replies
    /// leave, then a FIN, then what the peer still sends is read for a moment.
    pub(crate) fn close_gently(mut self) {
        if self.flush().is_err() || self.pipe.finish().is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER;
        let mut read = 0;
        while read < LINGER_BYTES_MAX && self.readable_before(deadline) {
            match self.pipe.socket().read(&mut self.buffer) {
                Ok(count) if count > 0 => read += count,
                _ => return,
            }
        }
    }

    /// Ends the connection at once; replies not yet sent are lost.
    pub(crate) fn close_abruptly(self) {
        // The peer may be gone already, which is what is wanted.
        let _ = self.pipe.socket().shutdown(Shutdown::Both);
    }

    fn readable_before(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else {
            return false;
        };
        let mut watched = [PollFd::new(self.pipe.socket(), PollFlags::IN)];
        !left.is_zero() && poll(&mut watched, Some(&timeout)).is_ok_and(|ready| ready > 0)
    }
}
