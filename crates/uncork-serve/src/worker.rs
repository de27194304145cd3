//! One thread: its epoll, its connections, and everything that they need.
//!
//! A warm request costs one `recv`, one `send`, and a share of one `epoll_wait`. Interest is told
//! to the kernel only where it changes, deadlines are looked at once a second, and nothing here is
//! shared with another worker but counters that only one of them writes.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, acceptfrom_with};
use slab::Slab;
use socket2::{SockFilter, SockRef};
use uncork::plan::{Platform, StreamFacts};

use crate::census::{Census, Crowded};
use crate::connection::{Connection, Next};
use crate::desk::Desk;
use crate::mailbox::{Letter, Mailbox};
use crate::token::Token;

/// Bytes that are read with one call.
const READ_BYTES: usize = 64 * 1024;

/// Events that are taken with one call.
const EVENTS_MAX: usize = 256;

/// Connections that are accepted before the others have their turn.
const ACCEPTS_MAX: usize = 64;

/// Connections of one listener that are accepted at a drain: more than a backlog holds, and an end to
/// it where they come faster than they are taken.
const DRAIN_ACCEPTS_MAX: usize = 16 * 1024;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Connections of which a tick looks whether the kernel holds something.
const SAMPLES_MAX: usize = 64;

/// How long, after a drain has begun, connections are accepted whose handshake was under way.
const DRAIN_ACCEPT_TIME: Duration = Duration::from_millis(100);

/// How long idle connections are kept after a drain has begun: a request may be on its way, and its
/// response says `Connection: close`.
const DRAIN_IDLE_SECONDS: u32 = 2;

/// The event of the mailbox.
const BELL: u64 = u64::MAX;

/// The event of the first listener; the others are below it.
const LISTENER: u64 = u64::MAX - 1;

/// One thread's server.
#[derive(Debug)]
pub(crate) struct Worker {
    epoll: OwnedFd,
    listeners: Vec<Listener>,
    slots: Slab<Slot>,
    /// How many connections there were.
    generation: u64,
    turns: VecDeque<Token>,
    desk: Desk,
    mailbox: Arc<Mailbox>,
    census: Arc<Census>,
    started_at: Instant,
    next_tick: Instant,
    drain_began: Option<u32>,
    /// When a drain closes the listeners.
    drain_until: Option<Instant>,
    /// Where the next samples are taken.
    sample_at: usize,
}

/// Whose a listening socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Ours: when we close it, nobody listens.
    Us,
    /// It was handed over, and goes on when we end.
    Another,
}

/// A socket on which connections come.
#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    owner: Owner,
    /// Facts of the first connection that came here.
    facts: Option<StreamFacts>,
    is_paused: bool,
}

#[derive(Debug)]
struct Slot {
    connection: Connection,
    token: Token,
    interest: Interest,
    /// It is in the queue of turns.
    has_turn: bool,
}

/// What epoll watches a connection for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interest {
    Read,
    Write,
    Nothing,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Interest::Read => EventFlags::IN,
            Interest::Write => EventFlags::OUT,
            Interest::Nothing => EventFlags::empty(),
        }
    }
}

impl Worker {
    /// A worker that accepts from these non-blocking listeners.
    ///
    /// # Errors
    /// Where the kernel has no room for its epoll.
    pub(crate) fn new(
        listeners: Vec<(TcpListener, Owner)>,
        desk: Desk,
        mailbox: Arc<Mailbox>,
        census: Arc<Census>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            mailbox.bell(),
            EventData::new_u64(BELL),
            EventFlags::IN,
        )?;
        let now = desk.now;
        let mut worker = Self {
            epoll,
            listeners: Vec::new(),
            slots: Slab::new(),
            generation: 0,
            turns: VecDeque::new(),
            desk,
            mailbox,
            census,
            started_at: now,
            next_tick: now + TICK,
            drain_began: None,
            drain_until: None,
            sample_at: 0,
        };
        for (socket, owner) in listeners {
            worker.listeners.push(Listener {
                socket,
                owner,
                facts: None,
                is_paused: true,
            });
        }
        worker.resume_listeners()?;
        Ok(worker)
    }

    /// Serves until it is drained.
    ///
    /// # Errors
    /// Where epoll itself fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let mut buffer = vec![0; READ_BYTES];
        while !self.is_over() {
            events.clear();
            self.wait(&mut events)?;
            for event in events.drain(..) {
                let data = event.data.u64();
                match Token::of_event(data) {
                    Some(token) => self.on_event(token, event.flags, &mut buffer),
                    None if data == BELL => self.read_letters(),
                    None => {
                        let index = usize::try_from(LISTENER - data).unwrap_or(usize::MAX);
                        self.accept(index);
                    }
                }
            }
            for _ in 0..self.turns.len() {
                if let Some(token) = self.turns.pop_front() {
                    if let Some(slot) = of(&mut self.slots, token) {
                        slot.has_turn = false;
                    }
                    self.with(token, Connection::on_writable);
                }
            }
            self.desk.end_round();
            if self.drain_until.is_some_and(|until| self.desk.now >= until) {
                self.close_listeners();
            }
            if self.desk.now >= self.next_tick {
                self.tick();
            }
        }
        for slot in std::mem::take(&mut self.slots) {
            self.bury(slot.1.connection);
        }
        if let Some(log) = &mut self.desk.log {
            log.flush();
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let Some(began) = self.drain_began else {
            return false;
        };
        let waited = u64::from(self.desk.seconds - began);
        self.slots.is_empty() && self.listeners.is_empty()
            || waited > self.desk.limits.drain_time.as_secs()
    }

    /// Waits for events, at most until the next tick, and not at all where somebody has a turn.
    fn wait(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let most = if self.turns.is_empty() {
            let until = self.drain_until.unwrap_or(self.next_tick);
            until
                .min(self.next_tick)
                .saturating_duration_since(self.desk.now)
        } else {
            Duration::ZERO
        };
        let most = rustix::event::Timespec {
            tv_sec: i64::try_from(most.as_secs()).unwrap_or(0),
            tv_nsec: most.subsec_nanos().into(),
        };
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&most)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.desk.now = Instant::now();
        self.desk.clock.tick();
        Ok(())
    }

    fn on_event(&mut self, token: Token, flags: EventFlags, buffer: &mut [u8]) {
        let Some(slot) = of(&mut self.slots, token) else {
            return;
        };
        if flags.contains(EventFlags::ERR) {
            return self.close(token);
        }
        let next = match slot.interest {
            Interest::Read => slot.connection.on_readable(buffer, &mut self.desk, token),
            Interest::Write => slot.connection.on_writable(&mut self.desk, token),
            // Both sides are closed, and epoll says so whether it is watched or not.
            Interest::Nothing => Next::Close,
        };
        self.do_next(token, next);
    }

    /// Calls one of a connection's methods, and does what it says.
    fn with(&mut self, token: Token, call: impl FnOnce(&mut Connection, &mut Desk, Token) -> Next) {
        if let Some(slot) = of(&mut self.slots, token) {
            let next = call(&mut slot.connection, &mut self.desk, token);
            self.do_next(token, next);
        }
    }

    fn do_next(&mut self, token: Token, next: Next) {
        let Some(slot) = of(&mut self.slots, token) else {
            return;
        };
        let interest = match next {
            Next::Read => Interest::Read,
            Next::Write => Interest::Write,
            Next::Letter => Interest::Nothing,
            Next::Turn => {
                if !std::mem::replace(&mut slot.has_turn, true) {
                    self.turns.push_back(token);
                }
                Interest::Nothing
            }
            Next::Close => return self.close(token),
        };
        if slot.interest != interest {
            slot.interest = interest;
            let data = EventData::new_u64(token.event());
            let watched = epoll::modify(&self.epoll, &slot.connection, data, interest.flags());
            if watched.is_err() {
                self.close(token);
            }
        }
    }

    fn close(&mut self, token: Token) {
        if of(&mut self.slots, token).is_some() {
            self.desk.loader.forget(token);
            let slot = self.slots.remove(token.place());
            self.bury(slot.connection);
        }
    }

    fn bury(&mut self, connection: Connection) {
        self.census.leave(connection.peer());
        self.desk.metrics.connection_closed();
        connection.close(&mut self.desk);
    }

    /// Accepts what has come, up to a bound. Whether there may be more.
    fn accept(&mut self, index: usize) -> bool {
        for _ in 0..ACCEPTS_MAX {
            let Some(listener) = self.listeners.get(index) else {
                return false;
            };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match acceptfrom_with(&listener.socket, flags) {
                Ok((socket, address)) => {
                    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
                    let peer = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.ip());
                    self.welcome(index, TcpStream::from(socket), peer.to_canonical());
                }
                Err(Errno::AGAIN) => return false,
                // The peer has gone already.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO) => {}
                // No descriptors or no memory: what waits is accepted when some are free again.
                Err(_) => {
                    self.desk.cache.release_files();
                    self.pause_listener(index);
                    return false;
                }
            }
        }
        true
    }

    fn welcome(&mut self, index: usize, stream: TcpStream, peer: IpAddr) {
        if let Err(crowded) = self.census.enter(peer) {
            self.desk.metrics.connection_refused();
            return turn_away(&stream, crowded);
        }
        self.desk.metrics.connection_opened();
        let facts = self.facts(index, &stream);
        let connection = Connection::new(stream, facts, peer, &self.desk);
        self.generation += 1;
        let entry = self.slots.vacant_entry();
        let token = Token::new(entry.key(), self.generation);
        let data = EventData::new_u64(token.event());
        if epoll::add(&self.epoll, &connection, data, EventFlags::IN).is_err() {
            return self.bury(connection);
        }
        entry.insert(Slot {
            connection,
            token,
            interest: Interest::Read,
            has_turn: false,
        });
    }

    /// What the library plans by. NODELAY is the listener's, the send buffer is as of any other
    /// connection that was accepted here; segments are as long as the way to the peer allows.
    fn facts(&mut self, index: usize, stream: &TcpStream) -> StreamFacts {
        /// What Linux gives where the socket does not tell.
        const UNKNOWN: StreamFacts = StreamFacts {
            send_buffer_bytes: 16 * 1024,
            segment_bytes: 536,
            platform: Platform::LINUX,
        };
        let listener = &mut self.listeners[index];
        let socket = SockRef::from(stream);
        let common = *listener.facts.get_or_insert_with(|| StreamFacts {
            send_buffer_bytes: socket.send_buffer_size().map_or(0, |bytes| bytes as u64),
            ..UNKNOWN
        });
        StreamFacts {
            segment_bytes: socket.tcp_mss().unwrap_or(UNKNOWN.segment_bytes),
            ..common
        }
    }

    fn pause_listener(&mut self, index: usize) {
        let listener = &mut self.listeners[index];
        if !listener.is_paused {
            listener.is_paused = epoll::delete(&self.epoll, &listener.socket).is_ok();
        }
    }

    fn resume_listeners(&mut self) -> io::Result<()> {
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if listener.is_paused {
                // Where workers share a socket, one of them is woken and not all.
                let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
                let data = EventData::new_u64(LISTENER - index as u64);
                epoll::add(&self.epoll, &listener.socket, data, flags)?;
                listener.is_paused = false;
            }
        }
        Ok(())
    }

    fn read_letters(&mut self) {
        for letter in self.mailbox.take() {
            match letter {
                Letter::Found {
                    site,
                    key,
                    resource,
                } => {
                    for token in self.desk.found(site, key, *resource) {
                        self.with(token, Connection::on_found);
                    }
                    self.desk.fresh = None;
                }
                Letter::Warmed { token } => {
                    self.desk.loader.forget(token);
                    self.with(token, Connection::on_warmed);
                }
                Letter::Sites(sites) => {
                    let ids: std::collections::HashSet<_> =
                        sites.iter().map(|site| site.id).collect();
                    self.desk.cache.retain_sites(|id| ids.contains(&id));
                    self.desk.sites = Rc::new(sites);
                }
                Letter::Drain => self.drain(),
            }
        }
    }

    /// Lets no connection begin any more, and accepts those that had begun for a moment longer.
    fn drain(&mut self) {
        if self.drain_began.is_some() {
            return;
        }
        self.drain_began = Some(self.desk.seconds);
        self.drain_until = Some(self.desk.now + DRAIN_ACCEPT_TIME);
        self.desk.is_draining = true;
        for index in 0..self.listeners.len() {
            let listener = &self.listeners[index];
            match listener.owner {
                // Where that fails, a few more come in, and are served.
                Owner::Us => drop(SockRef::from(&listener.socket).attach_filter(&*NO_SYN)),
                // What comes now is for whoever has it next.
                Owner::Another => self.pause_listener(index),
            }
        }
    }

    /// Accepts what has come until now, and closes the listeners.
    fn close_listeners(&mut self) {
        self.drain_until = None;
        for index in 0..self.listeners.len() {
            if self.listeners[index].owner == Owner::Us {
                // Those who wait may have sent their requests already: closing would reset them.
                let mut turns = 0..DRAIN_ACCEPTS_MAX / ACCEPTS_MAX;
                while turns.next().is_some() && self.accept(index) {}
            }
            self.pause_listener(index);
        }
        self.listeners.clear();
    }

    /// Once a second: deadlines, the log, samples, listeners that were paused.
    fn tick(&mut self) {
        self.next_tick = self.desk.now + TICK;
        let seconds = self.desk.now.duration_since(self.started_at).as_secs();
        self.desk.seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let drains_idle = self
            .drain_began
            .is_some_and(|began| self.desk.seconds >= began + DRAIN_IDLE_SECONDS);
        let seconds = self.desk.seconds;
        let due = self.slots.iter().filter(|(_, slot)| {
            let Slot {
                connection, token, ..
            } = slot;
            let is_due = connection.is_due(seconds)
                && !self.desk.loader.may_still_come(*token, self.desk.now);
            is_due || drains_idle && connection.is_idle()
        });
        let due: Vec<Token> = due.map(|(_, slot)| slot.token).collect();
        for token in due {
            match of(&mut self.slots, token) {
                Some(slot) if drains_idle && slot.connection.is_idle() => self.close(token),
                _ => self.with(token, Connection::on_tick),
            }
        }
        self.sample();
        self.desk.cache.sweep();
        let cache = &self.desk.cache;
        self.desk
            .metrics
            .cache(cache.len() as u64, cache.bytes() as u64);
        if let Some(log) = &mut self.desk.log {
            log.flush();
        }
        if self.drain_began.is_none() {
            // What is still paused after a failure is tried again a second later.
            let _ = self.resume_listeners();
        }
    }

    /// Looks at some connections, others each time, whether the kernel holds a small segment. One
    /// that does stands for all that were not looked at, and for the time until the next look.
    fn sample(&mut self) {
        let all = self.slots.len();
        let looked_at = all.min(SAMPLES_MAX);
        if looked_at == 0 {
            return;
        }
        let mut held = 0;
        let around = self.slots.iter().cycle().skip(self.sample_at % all);
        for (_, slot) in around.take(looked_at) {
            self.desk.metrics.held_sample();
            held += u32::from(slot.connection.holds_small_segment());
        }
        self.sample_at = (self.sample_at + looked_at) % all;
        if held > 0 {
            self.desk.metrics.held(held_time(held, looked_at, all));
        }
    }
}

/// How long bytes were held, by what was seen: `held` of those looked at, of all.
fn held_time(held: u32, looked_at: usize, all: usize) -> Duration {
    let all = u32::try_from(all).unwrap_or(u32::MAX);
    let looked_at = u32::try_from(looked_at).unwrap_or(u32::MAX).max(1);
    TICK.saturating_mul(held.saturating_mul(all)) / looked_at
}

/// The connection of a token, unless it has ended.
fn of(slots: &mut Slab<Slot>, token: Token) -> Option<&mut Slot> {
    let slot = slots.get_mut(token.place());
    slot.filter(|slot| slot.token == token)
}

/// A filter of packets (classic BPF over the TCP header) that drops each SYN and nothing else: no
/// connection begins, and those in the middle of their handshake come through. A peer sends its SYN
/// again after a second, and finds nobody, or our successor.
static NO_SYN: LazyLock<[SockFilter; 4]> = LazyLock::new(|| {
    /// `BPF_LD | BPF_B | BPF_ABS`: loads the byte with the flags.
    const LOAD_BYTE: u16 = 0x30;
    /// `BPF_JMP | BPF_JSET | BPF_K`: whether a bit is set.
    const JUMP_IF_SET: u16 = 0x45;
    /// `BPF_RET | BPF_K`: how many bytes are let through.
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_SET, 0, 1, 0x02),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
});

/// Says why, as far as that goes without waiting, and closes.
fn turn_away(stream: &TcpStream, crowded: Crowded) {
    let text: &[u8] = match crowded {
        Crowded::All => {
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n\
              Content-Length: 0\r\n\r\n"
        }
        Crowded::Address => {
            b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\n\
              Content-Length: 0\r\n\r\n"
        }
    };
    // What was received and not read would make the close a reset, and destroy the answer.
    let mut scratch = [0; 4096];
    let _ = rustix::net::recv(stream, &mut scratch, RecvFlags::DONTWAIT);
    let _ = rustix::net::send(stream, text, rustix::net::SendFlags::NOSIGNAL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_looked_at_stand_for_all() {
        assert_eq!(held_time(1, 64, 64), TICK);
        assert_eq!(held_time(1, 64, 128), TICK * 2);
        assert_eq!(held_time(64, 64, 127), TICK * 127);
        assert_eq!(held_time(1, 64, 127), TICK * 127 / 64);
    }
}
