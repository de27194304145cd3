//! One connection: bytes in, responses out, and what it waits for.

mod record;

use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use smallvec::SmallVec;
use socket2::SockRef;
use uncork::nonblocking::{Sender, Turn};
use uncork::plan::StreamFacts;
use uncork::{SendError, TcpInfo};

use self::record::{Answered, OwnedRecord};
use crate::desk::{Answer, Desk};
use crate::head::{Head, Persistence};
use crate::loader::Errand;
use crate::outgoing::Outgoing;
use crate::render;
use crate::request::{self, Reject, Version};
use crate::site::{Site, Sites};
use crate::token::Token;

/// How long a peer has to close after it was told to.
const LINGER_SECONDS: u32 = 2;

/// Most bytes of one connection that leave before the others have their turn.
///
/// `cargo xtask bench serve --work 10m`: with 2 MiB, the bound of the library's `sendfile`, 10 MiB take
/// a fifth more CPU, as what one connection sends has left the processor's cache before its peer reads.
const TURN_BYTES: u64 = 256 * 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: Sender<TcpStream>,
    peer: IpAddr,
    /// Received and not yet answered. Takes no memory while the connection is idle.
    unread: Vec<u8>,
    /// How much of an unfinished head was searched for its end.
    searched_bytes: usize,
    /// Of a request's body that was not wanted: still to be thrown away.
    skip_bytes: u64,
    state: State,
    /// When something has to have happened, in the worker's seconds.
    deadline: u32,
    requests: u64,
    /// How often the request that is next has waited for the disk, and since when.
    waits: u8,
    waits_since: Option<Instant>,
    flight: Option<Box<Flight>>,
    /// After what is on its way, the connection ends.
    ending: Option<Ending>,
    /// Segments in which everything that has left could have.
    least_segments: u64,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It reads: between requests, or in the middle of one.
    Reading,
    /// It waits for what a path is.
    Finding,
    /// It sends, and the socket takes no more.
    Sending,
    /// It sends, and it is the others' turn.
    Yielding,
    /// It sends, and waits for a part of a file.
    Warming,
    /// The peer was told to close, and is listened to until it does.
    Lingering,
    /// It is over.
    Done,
}

/// How a connection ends after its last response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Everything that had come was read: closing loses nothing, unless more has come since.
    Close,
    /// The peer may still be sending. Closing now would reset the connection, and could destroy the
    /// response on its way (RFC 9112, section 9.6).
    Linger,
}

/// What a worker has to do with a connection after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait until it is readable.
    Read,
    /// Wait until it is writable.
    Write,
    /// Wait for a letter.
    Letter,
    /// Go on after the others.
    Turn,
    /// Close it.
    Close,
}

/// Responses that could not leave at once.
#[derive(Debug)]
struct Flight {
    outgoing: Box<Outgoing>,
    records: Vec<OwnedRecord>,
    /// Up to which byte of it the kernel has files in memory, as far as was asked.
    resident_bytes: u64,
    /// What the peer had acknowledged of the connection's bytes at the beginning of the window over
    /// which the rate is looked at.
    window_bytes: u64,
}

/// Most responses of one departure. Where the peer does not read, what is to be written down of them
/// waits with them.
const RESPONSES_MAX: usize = 64;

/// How often one request waits for the disk. A page, the application's page and the error's page can
/// each be unknown; a request that needs more of it than that would never end.
const WAITS_MAX: u8 = 8;

/// How long a request waits for this machine's disk.
const DISK_SECONDS: u32 = 30;

impl Connection {
    /// A fresh one.
    #[must_use]
    pub(crate) fn new(stream: TcpStream, facts: StreamFacts, peer: IpAddr, desk: &Desk) -> Self {
        Self {
            sender: Sender::with_facts(stream, facts),
            peer,
            unread: Vec::new(),
            searched_bytes: 0,
            skip_bytes: 0,
            state: State::Reading,
            deadline: desk.deadline(desk.limits.idle_time),
            requests: 0,
            waits: 0,
            waits_since: None,
            flight: None,
            ending: None,
            least_segments: 0,
        }
    }

    /// Whose it is.
    #[must_use]
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Whether nothing of a request or a response is under way.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Reading && self.unread.is_empty() && self.skip_bytes == 0
    }

    /// The socket is readable: one read, and everything that it makes possible.
    pub(crate) fn on_readable(&mut self, buffer: &mut [u8], desk: &mut Desk, token: Token) -> Next {
        if !matches!(self.state, State::Reading | State::Lingering) {
            return self.next();
        }
        let read = match recv(self.sender.get_ref(), &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Next::Close,
            Ok((read, _)) => read,
            Err(Errno::AGAIN | Errno::INTR) => return self.next(),
            Err(_) => return Next::Close,
        };
        if self.state == State::Lingering {
            return Next::Read;
        }
        if self.unread.is_empty() {
            let used = self.answer(&buffer[..read], desk, token);
            self.unread.extend_from_slice(&buffer[used..read]);
        } else {
            self.unread.extend_from_slice(&buffer[..read]);
            self.answer_unread(desk, token);
        }
        self.next()
    }

    /// The socket takes bytes again, or it is this connection's turn.
    pub(crate) fn on_writable(&mut self, desk: &mut Desk, token: Token) -> Next {
        if matches!(self.state, State::Sending | State::Yielding) {
            self.go_on(desk, token);
        }
        self.next()
    }

    /// What this connection waited for is known.
    pub(crate) fn on_found(&mut self, desk: &mut Desk, token: Token) -> Next {
        if self.state == State::Finding {
            self.state = State::Reading;
            self.answer_unread(desk, token);
        }
        self.next()
    }

    /// The part of the file for which this connection waited is in memory.
    pub(crate) fn on_warmed(&mut self, desk: &mut Desk, token: Token) -> Next {
        if self.state == State::Warming {
            self.deadline = desk.deadline(desk.limits.send_window);
            if let Some(flight) = &mut self.flight {
                // It may have gone again, but asking once more could go on for ever where memory is
                // short.
                let next = flight.outgoing.next_of_file();
                flight.resident_bytes = next.map_or(0, |(.., end_bytes)| end_bytes);
            }
            self.go_on(desk, token);
        }
        self.next()
    }

    /// Whether its deadline has come.
    #[must_use]
    pub(crate) fn is_due(&self, seconds: u32) -> bool {
        self.deadline <= seconds
    }

    /// Its deadline has come: something took too long.
    pub(crate) fn on_tick(&mut self, desk: &mut Desk, token: Token) -> Next {
        match self.state {
            State::Reading if self.unread.is_empty() => self.state = State::Done,
            State::Reading => {
                let reason = "The request took too long to arrive";
                self.refuse(
                    Reject {
                        status: 408,
                        reason,
                    },
                    desk,
                    token,
                );
            }
            State::Sending | State::Yielding => self.check_rate(desk),
            State::Finding => {
                let reason = "The disk did not answer in time";
                self.refuse(
                    Reject {
                        status: 503,
                        reason,
                    },
                    desk,
                    token,
                );
            }
            State::Warming | State::Lingering | State::Done => self.state = State::Done,
        }
        self.next()
    }

    /// Says a status and a sentence, and ends.
    pub(crate) fn refuse(&mut self, reject: Reject, desk: &mut Desk, token: Token) {
        let nowhere = Rc::clone(&desk.nowhere);
        let mut outgoing = desk.outgoing.take().unwrap_or_default();
        let unread = std::mem::take(&mut self.unread);
        let answered = self.reject(reject, &unread, &nowhere, &mut outgoing, desk);
        self.depart(outgoing, &[answered], desk, token);
    }

    /// Writes down what was on its way, and counts segments.
    pub(crate) fn close(mut self, desk: &mut Desk) {
        if let Some(flight) = self.flight.take() {
            let sent_bytes = flight.outgoing.progress.sent_bytes();
            self.has_sent(sent_bytes);
            for record in &flight.records {
                record.write(self.peer, sent_bytes, desk);
            }
        }
        if self.requests == 0 {
            return;
        }
        if let Ok(info) = TcpInfo::of(self.sender.get_ref())
            && let Some(sent) = info.data_segments_out
        {
            let sent = sent.saturating_sub(info.retransmitted_segments);
            desk.metrics.segments(u64::from(sent), self.least_segments);
        }
    }

    /// Looks whether the kernel holds a small segment of it now.
    #[must_use]
    pub(crate) fn holds_small_segment(&self) -> bool {
        TcpInfo::of(self.sender.get_ref())
            .is_ok_and(|info| info.holds_small_segment() == Some(true))
    }

    fn next(&self) -> Next {
        match self.state {
            State::Reading | State::Lingering => Next::Read,
            State::Finding | State::Warming => Next::Letter,
            State::Sending => Next::Write,
            State::Yielding => Next::Turn,
            State::Done => Next::Close,
        }
    }

    /// Answers what has been kept.
    fn answer_unread(&mut self, desk: &mut Desk, token: Token) {
        let mut unread = std::mem::take(&mut self.unread);
        let used = self.answer(&unread, desk, token);
        if used < unread.len() {
            unread.drain(..used);
            self.unread = unread;
        }
    }

    /// Answers the requests in `bytes`, all that are whole in one departure. Returns how many bytes
    /// they took.
    fn answer(&mut self, bytes: &[u8], desk: &mut Desk, token: Token) -> usize {
        let requests_before = self.requests;
        let body_was_under_way = self.skip_bytes > 0;
        let was_under_way = self.searched_bytes > 0 || body_was_under_way;
        let mut left_bytes = TURN_BYTES;
        let sites = Rc::clone(&desk.sites);
        let nowhere = Rc::clone(&desk.nowhere);
        let mut used = 0;
        while self.state == State::Reading && used < bytes.len() {
            let mut outgoing = desk.outgoing.take().unwrap_or_default();
            let mut answered = SmallVec::new();
            let rest = &bytes[used..];
            let places = (&**sites, &*nowhere);
            let gathered = self.gather(rest, places, &mut outgoing, &mut answered, desk, token);
            used += gathered;
            if outgoing.is_empty() {
                desk.outgoing = Some(outgoing);
                break;
            }
            left_bytes = left_bytes.saturating_sub(outgoing.len());
            self.depart(outgoing, &answered, desk, token);
            if left_bytes == 0 && self.state == State::Reading && used < bytes.len() {
                self.state = State::Yielding;
            }
        }
        let has_answered_none = self.requests == requests_before;
        match self.state {
            // Empty lines between requests are no reason to wait longer for the next one.
            State::Reading if has_answered_none && !body_was_under_way && used == bytes.len() => {}
            State::Reading if used == bytes.len() && self.skip_bytes == 0 => {
                self.deadline = desk.deadline(desk.limits.idle_time);
            }
            // A head or a body that goes on keeps the deadline that it got with its first byte.
            State::Reading if was_under_way && has_answered_none => {}
            State::Reading | State::Yielding if self.flight.is_none() => {
                self.deadline = desk.deadline(desk.limits.head_time);
            }
            State::Finding => self.deadline = desk.seconds.saturating_add(DISK_SECONDS),
            _ => {}
        }
        used
    }

    /// Puts the answers to the requests in `bytes` together, until one is not whole, has to wait, or
    /// it is enough. Returns how many bytes the answered ones took.
    fn gather<'s, 'b>(
        &mut self,
        bytes: &'b [u8],
        (sites, nowhere): (&'s Sites, &'s Site),
        outgoing: &mut Outgoing,
        answered: &mut SmallVec<[Answered<'s, 'b>; 2]>,
        desk: &mut Desk,
        token: Token,
    ) -> usize {
        let mut used = 0;
        while self.ending.is_none() && !outgoing.is_full() && answered.len() < RESPONSES_MAX {
            let rest = &bytes[used..];
            if self.skip_bytes > 0 {
                let skipped = rest
                    .len()
                    .min(usize::try_from(self.skip_bytes).unwrap_or(usize::MAX));
                self.skip_bytes -= skipped as u64;
                used += skipped;
                if self.skip_bytes > 0 {
                    break;
                }
                continue;
            }
            if rest.is_empty() {
                break;
            }
            // Some peers end a body with an empty line that is no part of it. Kept, it would look like
            // the beginning of a request that never comes.
            if self.requests > 0 && request::is_blank(rest) {
                self.searched_bytes = 0;
                used = bytes.len();
                break;
            }
            let Some(head_bytes) = request::head_end(rest, self.searched_bytes) else {
                self.searched_bytes = rest.len();
                if let Some(reject) = request::early_reject(rest, &desk.limits) {
                    answered.push(self.reject(reject, rest, nowhere, outgoing, desk));
                    used = bytes.len();
                }
                break;
            };
            // Looked at where it is: it is large, and would be moved.
            let parsed = request::parse(&rest[..head_bytes], &desk.limits);
            let request = match &parsed {
                Ok(request) => request,
                Err(reject) => {
                    answered.push(self.reject(*reject, rest, nowhere, outgoing, desk));
                    used = bytes.len();
                    break;
                }
            };
            let site = sites.find(request.host.as_ref());
            let answer = match site {
                Some(site) => desk.answer(site, request, token),
                None => Some(Answer::Plain(421, "No site of this name is here")),
            };
            let answer = match answer {
                Some(answer) => answer,
                None if self.waits == WAITS_MAX => {
                    Answer::Plain(503, "The file can't be found out about just now")
                }
                None => {
                    self.waits += 1;
                    self.waits_since.get_or_insert(desk.now);
                    self.searched_bytes = head_bytes.saturating_sub(4);
                    self.state = State::Finding;
                    break;
                }
            };
            self.waits = 0;
            self.searched_bytes = 0;
            used += head_bytes;
            self.requests += 1;
            self.skip_bytes = request.body_bytes;
            if request.expects_continue {
                // Whether the body comes is the peer's choice now: nothing behind it can be told.
                self.ending = Some(Ending::Linger);
            } else if !request.keep_alive
                || desk.is_draining
                || self.requests >= desk.limits.requests_per_connection
            {
                // A peer that asked for the end sends no more. To any other the end is news, and its
                // next request may be on its way.
                let may_send = request.keep_alive || request.body_bytes > 0 || used < bytes.len();
                self.ending = Some(match may_send {
                    true => Ending::Linger,
                    false => Ending::Close,
                });
            }
            let head = Head {
                clock: &desk.clock,
                version: request.version,
                persistence: match self.ending {
                    None => Persistence::Keep,
                    Some(_) => Persistence::Close,
                },
            };
            let (status, body_bytes) = render::render(outgoing, request, &answer, head);
            let site = site.unwrap_or(nowhere);
            let end = outgoing.len();
            answered.push(Answered::new(site, request, status, end - body_bytes..end));
        }
        used
    }

    /// Puts a refusal of the request that `bytes` begin with together, after which the connection ends.
    fn reject<'s, 'b>(
        &mut self,
        reject: Reject,
        bytes: &[u8],
        nowhere: &'s Site,
        outgoing: &mut Outgoing,
        desk: &Desk,
    ) -> Answered<'s, 'b> {
        self.requests += 1;
        self.ending = Some(Ending::Linger);
        self.searched_bytes = 0;
        self.unread = Vec::new();
        let head = Head {
            clock: &desk.clock,
            version: Version::Http11,
            persistence: Persistence::Close,
        };
        // Whatever else is wrong with it: there is no body in a response to HEAD (RFC 9110, section
        // 9.3.2).
        let with_body = !bytes.trim_ascii_start().starts_with(b"HEAD ");
        let (status, body_bytes) =
            render::plain(outgoing, head, reject.status, reject.reason, with_body);
        let end = outgoing.len();
        Answered::refused(nowhere, status, end - body_bytes..end)
    }

    /// Sends what was gathered, as far as it goes now.
    fn depart(
        &mut self,
        mut outgoing: Box<Outgoing>,
        answered: &[Answered<'_, '_>],
        desk: &mut Desk,
        token: Token,
    ) {
        // What waits now is not among the responses that depart.
        let waited_since = match self.state {
            State::Finding => None,
            _ => self.waits_since.take(),
        };
        let mut resident_bytes = 0;
        let sent = self.send(&mut outgoing, &mut resident_bytes, desk, token);
        if let Sent::Waits(state) = sent {
            self.state = state;
            self.deadline = self.deadline_of_flight(desk);
            let started_at = waited_since.unwrap_or(desk.now);
            let records = answered.iter().map(|one| one.keep(started_at)).collect();
            self.flight = Some(Box::new(Flight {
                outgoing,
                records,
                resident_bytes,
                window_bytes: self.acked_bytes(),
            }));
            return;
        }
        let sent_bytes = match sent {
            Sent::Failed { sent_bytes } => sent_bytes,
            _ => outgoing.len(),
        };
        self.has_sent(sent_bytes);
        let took = waited_since.map(|since| since.elapsed());
        for one in answered {
            one.write(self.peer, sent_bytes, took, desk);
        }
        outgoing.clear();
        desk.outgoing = Some(outgoing);
        self.has_departed(&sent, desk);
    }

    /// Goes on with what is on its way, and then with what was received meanwhile.
    fn go_on(&mut self, desk: &mut Desk, token: Token) {
        if let Some(mut flight) = self.flight.take() {
            let Flight {
                outgoing,
                resident_bytes,
                ..
            } = &mut *flight;
            let sent = self.send(outgoing, resident_bytes, desk, token);
            if let Sent::Waits(state) = sent {
                self.state = state;
                if state == State::Warming {
                    self.deadline = self.deadline_of_flight(desk);
                }
                self.flight = Some(flight);
                return;
            }
            let sent_bytes = match sent {
                Sent::Failed { sent_bytes } => sent_bytes,
                _ => flight.outgoing.len(),
            };
            self.has_sent(sent_bytes);
            for record in &flight.records {
                record.write(self.peer, sent_bytes, desk);
            }
            self.deadline = desk.deadline(desk.limits.idle_time);
            self.state = State::Reading;
            self.has_departed(&sent, desk);
        } else {
            self.state = State::Reading;
        }
        if self.state == State::Reading && !self.unread.is_empty() {
            self.answer_unread(desk, token);
        }
    }

    /// One call of the library's, after a look whether it would wait for the disk. What leaves of a
    /// file is not more than was looked at.
    fn send(
        &mut self,
        outgoing: &mut Outgoing,
        resident_bytes: &mut u64,
        desk: &mut Desk,
        token: Token,
    ) -> Sent {
        let sent_bytes = outgoing.progress.sent_bytes();
        let mut budget_bytes = TURN_BYTES;
        if let Some((file, range, end_bytes)) = outgoing.next_of_file() {
            // A look goes further than one turn does.
            if end_bytes.min(sent_bytes + budget_bytes) > *resident_bytes {
                if !file.is_resident(&range, desk.now) {
                    let file = Arc::clone(&file.file);
                    // Where too much is waited for already, the worker waits itself: it still serves.
                    if desk.loader.hand_in(Errand::Warm { file, range, token }) {
                        desk.metrics.waited_for_disk();
                        return Sent::Waits(State::Warming);
                    }
                }
                *resident_bytes = end_bytes;
            }
            budget_bytes = budget_bytes.min(*resident_bytes - sent_bytes);
        }
        let (message, progress) = outgoing.parts();
        match self.sender.send(&message, progress, budget_bytes) {
            Ok(Turn::Finished) => Sent::Whole,
            Ok(Turn::Blocked) => Sent::Waits(State::Sending),
            Ok(Turn::Yielded) => Sent::Waits(State::Yielding),
            Err(error) => {
                if matches!(error, SendError::FileTooShort { .. }) {
                    desk.cache.doubt(desk.now);
                }
                Sent::Failed {
                    sent_bytes: error.sent_bytes(),
                }
            }
        }
    }

    /// How long something that is on its way may stay as it is.
    fn deadline_of_flight(&self, desk: &Desk) -> u32 {
        match self.state {
            State::Warming => desk.seconds.saturating_add(DISK_SECONDS),
            _ => desk.deadline(desk.limits.send_window),
        }
    }

    /// What the peer has acknowledged, of all bytes of the connection.
    fn acked_bytes(&self) -> u64 {
        let info = TcpInfo::of(self.sender.get_ref());
        info.ok().and_then(|info| info.acked_bytes).unwrap_or(0)
    }

    /// Counts what of a departure has left.
    fn has_sent(&mut self, sent_bytes: u64) {
        self.least_segments += self.sender.facts().least_segments(sent_bytes);
    }

    /// After a departure: whether the connection goes on.
    fn has_departed(&mut self, sent: &Sent, desk: &Desk) {
        match (sent, self.ending) {
            (Sent::Failed { .. }, _) => self.state = State::Done,
            (_, Some(Ending::Close)) if !self.has_unread() => self.state = State::Done,
            (_, Some(_)) => {
                let _ = self.sender.get_ref().shutdown(Shutdown::Write);
                self.state = State::Lingering;
                self.deadline = desk.seconds + LINGER_SECONDS;
            }
            (_, None) => {}
        }
    }

    /// Whether something has come since the last request was read. One system call, once a connection.
    fn has_unread(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        recv(self.sender.get_ref(), &mut [0; 1], flags).is_ok_and(|(_, bytes)| bytes > 0)
    }

    /// At the end of a window: whether the peer took enough of what is on its way.
    fn check_rate(&mut self, desk: &Desk) {
        let limits = &desk.limits;
        let least_bytes = limits
            .send_bytes_per_second
            .saturating_mul(limits.send_window.as_secs().max(1));
        // What the kernel has taken says little: it takes megabytes at once, and then nothing until
        // the peer has read a third of them.
        let acked_bytes = self.acked_bytes();
        match &mut self.flight {
            Some(flight) if acked_bytes.saturating_sub(flight.window_bytes) >= least_bytes => {
                flight.window_bytes = acked_bytes;
                self.deadline = desk.deadline(limits.send_window);
            }
            _ => {
                // Megabytes may be in the kernel's buffer, and would wait there for this peer.
                let socket = SockRef::from(self.sender.get_ref());
                let _ = socket.set_linger(Some(Duration::ZERO));
                self.state = State::Done;
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sender.get_ref().as_fd()
    }
}

/// How far a departure came.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Whole,
    Waits(State),
    Failed { sent_bytes: u64 },
}
