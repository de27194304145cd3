//! The limit: a server that parses nothing and always sends the same.
//!
//! What it takes for a request is what the kernel takes, and no server on the same sockets can
//! take less: one `recv`, one `send`, and a share of an `epoll_wait`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{SocketFlags, accept_with, sockopt};

use super::replies::{Debt, Replies};
use super::request_ends::RequestEnds;

/// Bytes that one `recv` takes at most.
pub(super) const RECEIVE_BYTES: usize = 16 * 1024;

/// Events that one `epoll_wait` returns at most.
const EVENTS: usize = 256;

/// The listener's mark among the events; connections are marked by their index.
const LISTENER: u64 = u64::MAX;

/// Answers every request on every connection with `response`, in one thread, for ever.
///
/// A request is what ends with an empty line, so it must not have a body. Requests that come
/// together are answered by one `send`.
///
/// # Errors
/// Where epoll or the listener fails. A connection that fails is closed.
pub fn serve_epoll(listener: TcpListener, response: &[u8]) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    // Inherited by what is accepted; without it the last response of a batch might be held.
    sockopt::set_tcp_nodelay(&listener, true)?;
    let mut server = Server {
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        listener,
        connections: Vec::new(),
        free: Vec::new(),
        replies: Replies::new(response),
        buffer: vec![0; RECEIVE_BYTES],
    };
    let mark = EventData::new_u64(LISTENER);
    epoll::add(&server.epoll, &server.listener, mark, EventFlags::IN)?;
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        events.clear();
        match epoll::wait(&server.epoll, spare_capacity(&mut events), None) {
            Err(rustix::io::Errno::INTR) => continue,
            waited => waited?,
        };
        for event in &events {
            match event.data.u64() {
                LISTENER => server.accept()?,
                index => server.turn(usize::try_from(index).map_err(io::Error::other)?),
            }
        }
    }
}

#[derive(Debug)]
struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    /// Indices of `connections` that are empty. One that an event emptied may be taken again
    /// before the next wait: no socket has two events in one.
    free: Vec<usize>,
    replies: Replies,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    ends: RequestEnds,
    debt: Debt,
    waits: Waits,
}

/// What epoll watches a connection for: requests, or room for the rest of the responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    ForRequests,
    ForRoom,
}

impl Server {
    /// Accepts all who wait.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let stream = match accept_with(&self.listener, flags).map_err(io::Error::from) {
                Ok(socket) => TcpStream::from(socket),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Gone before it was accepted (accept(2)).
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let mark = EventData::new_u64(index as u64);
            epoll::add(&self.epoll, &stream, mark, EventFlags::IN)?;
            self.connections[index] = Some(Connection {
                stream,
                ends: RequestEnds::default(),
                debt: Debt::default(),
                waits: Waits::ForRequests,
            });
        }
    }

    /// Does what a connection is ready for, and closes it where it has ended or fails.
    fn turn(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let waits = connection.turn(&self.replies, &mut self.buffer);
        let is_open = match waits {
            Ok(Some(waits)) if waits == connection.waits => true,
            Ok(Some(waits)) => {
                connection.waits = waits;
                let mark = EventData::new_u64(index as u64);
                epoll::modify(&self.epoll, &connection.stream, mark, waits.events()).is_ok()
            }
            Ok(None) | Err(_) => false,
        };
        if !is_open {
            // Closed with it, the socket leaves the epoll by itself.
            self.connections[index] = None;
            self.free.push(index);
        }
    }
}

impl Connection {
    /// One receive, unless responses are still owed, and sends as long as there is room. What
    /// the connection waits for now, `None` once the client has closed it.
    fn turn(&mut self, replies: &Replies, buffer: &mut [u8]) -> io::Result<Option<Waits>> {
        if self.waits == Waits::ForRequests {
            let received = match self.stream.read(buffer) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                received => received?,
            };
            let requests = self.ends.count(&buffer[..received]);
            replies.owe(&mut self.debt, requests);
        }
        while let Some(next) = replies.next(self.debt) {
            match self.stream.write(next) {
                Ok(sent) => self.debt.pay(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Some(Waits::ForRoom));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Waits::ForRequests))
    }
}

impl Waits {
    fn events(self) -> EventFlags {
        match self {
            Self::ForRequests => EventFlags::IN,
            Self::ForRoom => EventFlags::OUT,
        }
    }
}
