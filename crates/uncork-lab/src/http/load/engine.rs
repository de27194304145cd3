//! The loop of a load.

use std::io;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::connection::{Book, Connection, Step};
use super::response::Response;
use super::script::Script;
use super::{Latencies, LoadConfig, LoadError, Loss, OnLoss, Outcome, SILENCE, Until};

/// Bytes that one `recv` takes at most. Nothing is copied there by most of them.
const RECEIVE_BYTES: usize = 1024 * 1024;

/// Events that one `epoll_wait` returns at most.
const EVENTS: usize = 256;

/// How long a server may refuse connections where losses are counted: it may be restarting.
const REFUSAL: Duration = Duration::from_secs(10);

/// The pause after a refused connection.
const REFUSED_PAUSE: Duration = Duration::from_millis(1);

/// Open connections to a server; closed when this is dropped.
#[derive(Debug)]
pub struct Load {
    config: LoadConfig,
    book: Book,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

/// A run while it goes on.
#[derive(Debug)]
struct Run {
    outcome: Outcome,
    budget: Budget,
    /// How many connections wait for answers.
    waiting: usize,
}

/// What may still be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Budget {
    Deadline(Instant),
    Requests(u64),
}

impl Load {
    /// Makes all connections.
    ///
    /// # Errors
    /// Where there is nothing to do, or one of them can't be made.
    pub fn connect(config: LoadConfig) -> Result<Self, LoadError> {
        if config.connections == 0 || config.requests.is_empty() || config.depth == 0 {
            return Err(LoadError::Empty);
        }
        let script = Script::new(&config.requests, config.depth);
        let mut load = Self {
            book: Book {
                first: vec![None; script.len()],
                script,
                reading: config.reading,
            },
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(LoadError::Epoll)?,
            connections: Vec::with_capacity(config.connections),
            buffer: vec![0; RECEIVE_BYTES],
            config,
        };
        for index in 0..load.config.connections {
            let addr = load.config.addr;
            let stream = Connection::open(addr, load.config.segment_bytes_max)
                .map_err(|source| LoadError::Connect { addr, source })?;
            let first = index * load.book.script.len() / load.config.connections;
            load.connections.push(Connection::new(stream, first));
            load.watch(index)?;
        }
        Ok(load)
    }

    /// The first answer to the request at `index`, if there was one.
    #[must_use]
    pub fn first_response(&self, index: usize) -> Option<&Response> {
        self.book.first.get(index)?.as_ref()
    }

    /// Asks, until it is enough and all answers are in. The connections stay open; the next run
    /// goes on with the requests where this one stopped.
    ///
    /// # Errors
    /// Where a connection is lost with [`OnLoss::Fail`], or can't be made again.
    pub fn run(&mut self, until: Until) -> Result<Outcome, LoadError> {
        let start = Instant::now();
        let mut run = Run {
            outcome: Outcome::default(),
            budget: match until {
                Until::Elapsed(time) => Budget::Deadline(start + time),
                Until::Requests(requests) => Budget::Requests(requests),
            },
            waiting: 0,
        };
        for index in 0..self.connections.len() {
            self.ask(index, &mut run)?;
        }
        let silence = Timespec::try_from(SILENCE).unwrap_or_default();
        let mut events = Vec::with_capacity(EVENTS);
        while run.waiting > 0 {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&silence)) {
                Err(Errno::INTR) => continue,
                waited => waited.map_err(LoadError::Epoll)?,
            };
            if events.is_empty() {
                self.lose_all(&mut run)?;
            }
            for event in &events {
                // The marks are indices that this process gave.
                let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
                self.turn(index, &mut run)?;
            }
        }
        run.outcome.elapsed = start.elapsed();
        Ok(run.outcome)
    }

    /// Sends the next batch of a connection, if there is to be one.
    fn ask(&mut self, index: usize, run: &mut Run) -> Result<(), LoadError> {
        loop {
            let count = run.budget.take(self.config.depth);
            if count == 0 {
                return Ok(());
            }
            run.waiting += 1;
            match self.connections[index].ask(&self.book, count) {
                Ok(()) => return Ok(()),
                Err(error) => self.lose(index, Loss::Failed(error), run)?,
            }
        }
    }

    /// Takes what has come on a connection, and asks again where that was all.
    fn turn(&mut self, index: usize, run: &mut Run) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        let Some(batch) = connection.batch else {
            // Nothing was asked, so this is the end, while the others get their last answers.
            return self.reconnect(index, run);
        };
        match connection.receive(&mut self.book, &mut self.buffer, &mut run.outcome) {
            Ok(Step::Wait) => return Ok(()),
            Ok(Step::Answered) => {
                if let Some(batch) = connection.batch.take() {
                    batch.settle(&self.book, &mut run.outcome);
                }
                if self.config.latencies == Latencies::Keep {
                    run.outcome.latencies.push(batch.start.elapsed());
                }
                run.waiting -= 1;
            }
            Ok(Step::Closes) => {
                let ended = connection.batch.take().unwrap_or(batch);
                let answered = ended.settle(&self.book, &mut run.outcome);
                connection.next = self.book.script.behind(batch.first, answered);
                run.budget.give_back(batch.count - answered);
                run.waiting -= 1;
                self.reconnect(index, run)?;
            }
            Err(loss) => self.lose(index, loss, run)?,
        }
        self.ask(index, run)
    }

    /// Counts what a connection leaves unanswered, and makes it again.
    fn lose(&mut self, index: usize, loss: Loss, run: &mut Run) -> Result<(), LoadError> {
        let Some(batch) = self.connections[index].batch.take() else {
            return Ok(());
        };
        run.waiting -= 1;
        let unanswered = batch.count - batch.settle(&self.book, &mut run.outcome);
        match self.config.on_loss {
            OnLoss::Fail => Err(LoadError::Lost { unanswered, loss }),
            OnLoss::CountAndReconnect => {
                run.outcome.lost += unanswered as u64;
                self.reconnect(index, run)
            }
        }
    }

    fn lose_all(&mut self, run: &mut Run) -> Result<(), LoadError> {
        for index in 0..self.connections.len() {
            if self.connections[index].batch.is_some() {
                self.lose(index, Loss::Silence, run)?;
                self.ask(index, run)?;
            }
        }
        Ok(())
    }

    /// Makes a connection again. The old one leaves the epoll as it is closed.
    fn reconnect(&mut self, index: usize, run: &mut Run) -> Result<(), LoadError> {
        let addr = self.config.addr;
        let deadline = Instant::now() + REFUSAL;
        let stream = loop {
            match Connection::open(addr, self.config.segment_bytes_max) {
                Ok(stream) => break stream,
                Err(error) if is_passing(&error) && Instant::now() < deadline => {
                    run.outcome.refused += 1;
                    sleep(REFUSED_PAUSE);
                }
                Err(source) => return Err(LoadError::Connect { addr, source }),
            }
        };
        run.outcome.reconnects += 1;
        self.connections[index].replace(stream);
        self.watch(index)
    }

    fn watch(&self, index: usize) -> Result<(), LoadError> {
        let mark = EventData::new_u64(index as u64);
        let stream = &self.connections[index].stream;
        epoll::add(&self.epoll, stream, mark, EventFlags::IN).map_err(LoadError::Epoll)
    }
}

impl Budget {
    /// How many of up to `depth` requests may be sent now.
    fn take(&mut self, depth: usize) -> usize {
        match self {
            Self::Deadline(deadline) if Instant::now() < *deadline => depth,
            Self::Deadline(_) => 0,
            Self::Requests(left) => {
                let count = usize::try_from(*left).map_or(depth, |left| left.min(depth));
                *left -= count as u64;
                count
            }
        }
    }

    /// These were not sent after all, or have to be sent again.
    fn give_back(&mut self, count: usize) {
        if let Self::Requests(left) = self {
            *left += count as u64;
        }
    }
}

/// What a server does to who connects while it is restarted.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_requests_is_used_up_and_given_back() {
        let mut budget = Budget::Requests(20);
        assert_eq!([16, 16, 16].map(|depth| budget.take(depth)), [16, 4, 0]);
        budget.give_back(3);
        assert_eq!(budget, Budget::Requests(3));
        let past = Budget::Deadline(Instant::now());
        assert_eq!({ past }.take(16), 0);
    }
}
