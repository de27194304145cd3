//! One connection of a load.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::response::{Inbox, Response};
use super::script::Script;
use super::{Loss, Outcome, Reading};
use crate::place;

/// A connection and what it waits for.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// The request of the script that is sent next.
    pub(super) next: usize,
    pub(super) batch: Option<Batch>,
    inbox: Inbox,
}

/// Requests that were sent at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    /// Which request of the script was its first.
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) start: Instant,
    progress: Progress,
}

/// How far the answers to a batch have come.
#[derive(Debug, Clone, Copy)]
enum Progress {
    /// Their lengths are known: so many bytes of so many are in.
    Counted { bytes: u64, of_bytes: u64 },
    /// They are read: so many responses are in.
    Read { responses: usize },
}

/// What is to be done after a receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for more.
    Wait,
    /// All answers are in.
    Answered,
    /// The server said that it closes the connection now.
    Closes,
}

/// The requests, and the first answer to each.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) script: Script,
    pub(super) first: Vec<Option<Response>>,
    pub(super) reading: Reading,
}

impl Connection {
    /// # Errors
    /// What the kernel says.
    pub(super) fn open(addr: SocketAddr, segment_bytes_max: Option<u32>) -> io::Result<TcpStream> {
        let stream = place::connect(addr, segment_bytes_max)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub(super) fn new(stream: TcpStream, next: usize) -> Self {
        Self {
            stream,
            next,
            batch: None,
            inbox: Inbox::default(),
        }
    }

    /// Goes on with another stream.
    pub(super) fn replace(&mut self, stream: TcpStream) {
        self.stream = stream;
        self.batch = None;
        self.inbox = Inbox::default();
    }

    /// Sends the next `count` requests, by one call as a rule. It may wait: the server owes
    /// nothing now, so it takes what comes.
    pub(super) fn ask(&mut self, book: &Book, count: usize) -> Result<(), Errno> {
        let first = self.next;
        self.next = book.script.behind(first, count);
        self.batch = Some(Batch {
            first,
            count,
            start: Instant::now(),
            progress: book.progress(first, count),
        });
        let mut bytes = book.script.batch(first, count);
        while !bytes.is_empty() {
            match send(&self.stream, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what has come.
    ///
    /// # Errors
    /// Where that is the end of the connection, or not what was expected.
    pub(super) fn receive(
        &mut self,
        book: &mut Book,
        buffer: &mut [u8],
        outcome: &mut Outcome,
    ) -> Result<Step, Loss> {
        let Some(batch) = &mut self.batch else {
            return Err(Loss::Closed);
        };
        // With `MSG_TRUNC` the kernel copies nothing (tcp(7)).
        let flags = match batch.progress {
            Progress::Counted { .. } => RecvFlags::DONTWAIT | RecvFlags::TRUNC,
            Progress::Read { .. } => RecvFlags::DONTWAIT,
        };
        let received = match recv(&self.stream, &mut *buffer, flags) {
            Ok((0, _)) => return Err(Loss::Closed),
            Ok((received, _)) => received,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Step::Wait),
            Err(error) => return Err(Loss::Failed(error)),
        };
        match &mut batch.progress {
            Progress::Counted { bytes, of_bytes } => {
                *bytes += received as u64;
                match (*bytes).cmp(of_bytes) {
                    std::cmp::Ordering::Less => Ok(Step::Wait),
                    std::cmp::Ordering::Equal => Ok(Step::Answered),
                    std::cmp::Ordering::Greater => Err(Loss::Surplus),
                }
            }
            Progress::Read { responses } => {
                self.inbox.push(&buffer[..received]);
                while *responses < batch.count {
                    let index = book.script.behind(batch.first, *responses);
                    let Some(response) = self.inbox.take(book.script.body(index))? else {
                        return Ok(Step::Wait);
                    };
                    book.check(index, &response)?;
                    *responses += 1;
                    outcome.answered(response.status, response.bytes());
                    let closes = response.closes;
                    book.first[index].get_or_insert(response);
                    if closes {
                        return Ok(Step::Closes);
                    }
                }
                match self.inbox.is_empty() {
                    true => Ok(Step::Answered),
                    false => Err(Loss::Surplus),
                }
            }
        }
    }
}

impl Batch {
    /// How many of its requests are answered, once it has ended. Those whose answers were not
    /// read are added to the outcome now.
    pub(super) fn settle(&self, book: &Book, outcome: &mut Outcome) -> usize {
        let mut left_bytes = match self.progress {
            Progress::Read { responses } => return responses,
            Progress::Counted { bytes, .. } => bytes,
        };
        for nth in 0..self.count {
            let first = &book.first[book.script.behind(self.first, nth)];
            match first.as_ref().map(|first| (first.status, first.bytes())) {
                Some((status, bytes)) if bytes <= left_bytes => {
                    left_bytes -= bytes;
                    outcome.answered(status, bytes);
                }
                _ => return nth,
            }
        }
        self.count
    }
}

impl Book {
    /// The progress of a batch of which nothing is in.
    fn progress(&self, first: usize, count: usize) -> Progress {
        let bytes = |nth| {
            let first = self.first[self.script.behind(first, nth)].as_ref();
            first.map(Response::bytes)
        };
        let of_bytes = match self.reading {
            Reading::First => (0..count).map(bytes).sum::<Option<u64>>(),
            Reading::Every => None,
        };
        match of_bytes {
            Some(of_bytes) => Progress::Counted { bytes: 0, of_bytes },
            None => Progress::Read { responses: 0 },
        }
    }

    /// Another connection may have had the first answer meanwhile.
    fn check(&self, index: usize, response: &Response) -> Result<(), Loss> {
        let bytes = response.bytes();
        match &self.first[index] {
            Some(first) if self.reading == Reading::First && first.bytes() != bytes => {
                let first_bytes = first.bytes();
                Err(Loss::Length { bytes, first_bytes })
            }
            _ => Ok(()),
        }
    }
}

impl Outcome {
    fn answered(&mut self, status: u16, bytes: u64) {
        self.requests += 1;
        self.bytes += bytes;
        *self.statuses.entry(status).or_default() += 1;
    }
}
