//! What is done for each system call that waits: its socket gets TCP_NODELAY, and the call goes on.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::address;
use super::call::Call;
use super::tally::{ChangedSocket, Reason, Tally};
use crate::sys::seccomp::{self, Notification};

/// `PIDFD_THREAD` of `linux/pidfd.h` (Linux 6.9): a descriptor of a thread that leads no process.
const PIDFD_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());

/// How many calls may have come and gone between the last one that a killed supervisor wrote down and
/// the one that it had just taken in hand.
const LOST_CALLS_MAX: u64 = 1024;

/// A fourth argument, which `connect` has not: by it an inner `uncork run` asks whether there is an
/// outer one. "uncork?!" in ASCII.
const QUESTION: u64 = 0x756e_636f_726b_3f21;

/// What the outer one has that call fail with: no `connect` does.
const ANSWER: Errno = Errno::NOTUNIQ;

/// Which sockets are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The ports connected to or listened on; all where there are none.
    pub(crate) ports: Vec<u16>,
}

impl Selection {
    pub(crate) fn has(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }

    fn is_all(&self) -> bool {
        self.ports.is_empty()
    }
}

/// Which sockets a report names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// None; they are counted only. Naming one costs a few more system calls.
    Count,
    /// The first [`SOCKETS_MAX`](super::SOCKETS_MAX).
    First,
}

/// One end of a listener, and what is known of the calls that came over it.
#[derive(Debug)]
pub(crate) struct Service {
    listener: OwnedFd,
    /// Holds the id of the call that was taken in hand last. Whoever takes over finds it there and lets
    /// that call go on, which nobody else would.
    in_hand: File,
    selection: Selection,
    listing: Listing,
    /// Whether the kernel has not refused descriptors of threads yet.
    has_thread_pidfds: bool,
    pub(crate) tally: Tally,
}

/// What became of the socket of a call.
enum Outcome {
    Changed(Option<ChangedSocket>),
    /// No TCP, or not meant, or on already; or a call that the kernel will refuse.
    LeftAlone,
    Refused(Reason),
}

impl Service {
    pub(crate) fn new(
        listener: OwnedFd,
        in_hand: File,
        selection: Selection,
        listing: Listing,
    ) -> Self {
        seccomp::wake_in_turns(&listener);
        Self {
            listener,
            in_hand,
            selection,
            listing,
            has_thread_pidfds: true,
            tally: Tally::default(),
        }
    }

    pub(crate) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    pub(crate) fn in_hand(&self) -> BorrowedFd<'_> {
        self.in_hand.as_fd()
    }

    /// Takes one call in hand, changes its socket, and lets it go on, whatever came of it. To be called
    /// where `poll` has found one: it would wait for the next.
    pub(crate) fn serve(&mut self) {
        // The call that `poll` saw may be gone: its thread was killed, or got a signal.
        let Ok(notification) = seccomp::receive(self.listener()) else {
            return;
        };
        let _ = self.in_hand.write_all_at(&notification.id.to_ne_bytes(), 0);
        if notification.arguments[3] == QUESTION
            && Call::of(notification.call) == Some(Call::Connect)
        {
            let _ = seccomp::refuse(self.listener(), notification.id, ANSWER.raw_os_error());
            return;
        }
        match self.change(&notification) {
            Outcome::Changed(socket) => {
                self.tally.changed();
                if let Some(socket) = socket {
                    self.tally.list(|| socket);
                }
            }
            Outcome::LeftAlone => {}
            Outcome::Refused(reason) => self.tally.refused(reason),
        }
        // Who waited may have been killed meanwhile.
        let _ = seccomp::go_on(self.listener(), notification.id);
    }

    /// Lets the call go on that somebody had in hand who was killed: nobody gets to see it again, and
    /// its thread would wait for ever. Ids count upwards, and the one that was written down may be the
    /// one before. They begin anywhere, so that the very first call can't be found: whoever is killed in
    /// the microseconds of that one takes its thread along.
    pub(crate) fn release_what_was_in_hand(&self) {
        let mut id = [0; 8];
        if self.in_hand.read_exact_at(&mut id, 0).is_err() {
            return;
        }
        let id = u64::from_ne_bytes(id);
        for id in (0..=LOST_CALLS_MAX).map(|more| id.wrapping_add(more)) {
            // Nobody may wait under it, or only in the queue, where it will be found.
            let _ = seccomp::go_on(self.listener(), id);
        }
    }

    fn change(&mut self, notification: &Notification) -> Outcome {
        let Some(call) = Call::of(notification.call) else {
            return Outcome::LeftAlone;
        };
        let socket = match self.duplicate(notification) {
            Ok(Some(socket)) => socket,
            Ok(None) => return Outcome::LeftAlone,
            Err(reason) => return Outcome::Refused(reason),
        };
        match needs_nodelay(&socket) {
            Ok(true) => {}
            Ok(false) => return Outcome::LeftAlone,
            Err(reason) => return Outcome::Refused(reason),
        }
        let peer = match self.peer(call, notification) {
            Ok(peer) => peer,
            Err(reason) => return Outcome::Refused(reason),
        };
        let local = match call {
            Call::Listen => local_address(&socket),
            _ => None,
        };
        let port = peer.or(local).map_or(0, |address| address.port());
        // All that was looked up by the thread's id was its own if it still waits in that call.
        if !self.selection.has(port) || !seccomp::is_waiting(self.listener(), notification.id) {
            return Outcome::LeftAlone;
        }
        match sockopt::set_tcp_nodelay(&socket, true) {
            Ok(()) => Outcome::Changed(self.describe(call, notification.thread, local, peer)),
            Err(error) => Outcome::Refused(Reason::new("setsockopt(TCP_NODELAY)", error)),
        }
    }

    /// The socket that the call is about; `None` where there is none.
    fn duplicate(&mut self, notification: &Notification) -> Result<Option<OwnedFd>, Reason> {
        // A socket is a number of 32 bits, whatever else is in the register.
        let number = notification.arguments[0] & u64::from(u32::MAX);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let thread = i32::try_from(notification.thread)
            .ok()
            .and_then(Pid::from_raw);
        let Some(thread) = thread else {
            return Err(Reason::new(
                "a PID namespace hides the process",
                Errno::SRCH,
            ));
        };
        let process = match self.pidfd(thread) {
            Ok(process) => process,
            Err(Errno::SRCH | Errno::NOENT) => return Ok(None),
            Err(error) => return Err(Reason::new("pidfd_open", error)),
        };
        match pidfd_getfd(process, number.cast_signed(), PidfdGetfdFlags::empty()) {
            Ok(socket) => Ok(Some(socket)),
            Err(Errno::BADF | Errno::SRCH) => Ok(None),
            Err(error) => Err(Reason::new("pidfd_getfd", error)),
        }
    }

    fn pidfd(&mut self, thread: Pid) -> Result<OwnedFd, Errno> {
        if self.has_thread_pidfds {
            match pidfd_open(thread, PIDFD_THREAD) {
                Err(Errno::INVAL) => self.has_thread_pidfds = false,
                done => return done,
            }
        }
        pidfd_open(process_of(thread)?, PidfdFlags::empty())
    }

    fn is_listing(&self) -> bool {
        self.listing == Listing::First && self.tally.has_room()
    }

    /// Whom the call connects to, where anybody wants to know: it costs a look into the memory.
    fn peer(&self, call: Call, notification: &Notification) -> Result<Option<SocketAddr>, Reason> {
        if self.selection.is_all() && !self.is_listing() {
            return Ok(None);
        }
        let peer = call.peer(&notification.arguments);
        match address::read(notification.thread, peer) {
            Ok(peer) => Ok(peer),
            // The report then has one address less.
            Err(_) if self.selection.is_all() => Ok(None),
            Err(error) => {
                let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                match error {
                    // The address is wrong, or the thread gone: the call will say so.
                    Errno::IO | Errno::SRCH | Errno::NOENT => Ok(None),
                    error => Err(Reason::new("/proc/PID/mem", error)),
                }
            }
        }
    }

    fn describe(
        &self,
        call: Call,
        thread: u32,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
    ) -> Option<ChangedSocket> {
        self.is_listing().then(|| {
            let process = status_field(thread, "Tgid:").unwrap_or(thread);
            ChangedSocket {
                pid: process,
                command: uncork_sockets::command(process).unwrap_or_default(),
                call: call.to_string(),
                local,
                remote,
            }
        })
    }
}

/// Sets TCP_NODELAY on a socket that the command is started with. Returns whether that changed it; whose
/// it is, is known once the command has started: see [`Tally::are_of`].
pub(crate) fn change_inherited(
    socket: BorrowedFd<'_>,
    selection: &Selection,
) -> Result<Option<ChangedSocket>, Reason> {
    if !needs_nodelay(socket)? {
        return Ok(None);
    }
    let local = local_address(socket);
    let remote = rustix::net::getpeername(socket).ok().flatten();
    let remote = remote.and_then(|address| address.try_into().ok());
    let ports = [local, remote].map(|address: Option<SocketAddr>| address.map(|a| a.port()));
    if !selection.is_all() && !ports.into_iter().flatten().any(|port| selection.has(port)) {
        return Ok(None);
    }
    sockopt::set_tcp_nodelay(socket, true)
        .map_err(|error| Reason::new("setsockopt(TCP_NODELAY)", error))?;
    Ok(Some(ChangedSocket {
        pid: 0,
        command: String::new(),
        call: "start".to_owned(),
        local,
        remote,
    }))
}

/// Whether it is a TCP socket with Nagle on. What is no socket, and no TCP, needs nothing.
fn needs_nodelay(socket: impl AsFd) -> Result<bool, Reason> {
    let socket = socket.as_fd();
    // Other families have other options under the same numbers.
    let family = sockopt::socket_domain(socket);
    if !matches!(family, Ok(AddressFamily::INET | AddressFamily::INET6)) {
        return Ok(false);
    }
    let is_stream = sockopt::socket_type(socket) == Ok(SocketType::STREAM);
    let protocol = sockopt::socket_protocol(socket);
    let is_tcp = matches!(protocol, Ok(Some(ipproto::TCP | ipproto::MPTCP)));
    if !is_stream || !is_tcp {
        return Ok(false);
    }
    match sockopt::tcp_nodelay(socket) {
        Ok(is_on) => Ok(!is_on),
        Err(error) => Err(Reason::new("getsockopt(TCP_NODELAY)", error)),
    }
}

fn local_address(socket: impl AsFd) -> Option<SocketAddr> {
    rustix::net::getsockname(socket).ok()?.try_into().ok()
}

/// The process that a thread belongs to.
fn process_of(thread: Pid) -> Result<Pid, Errno> {
    let process = status_field(thread.as_raw_nonzero().get().cast_unsigned(), "Tgid:");
    let process = process.and_then(|process| i32::try_from(process).ok());
    process.and_then(Pid::from_raw).ok_or(Errno::SRCH)
}

fn status_field(process: u32, name: &str) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// Whether an outer `uncork run` supervises this very process, whatever it selects.
pub(crate) fn is_supervised() -> bool {
    seccomp::connect_nothing(QUESTION) == ANSWER.raw_os_error()
}

/// Whether descriptors can be duplicated here at all (Linux 5.6, and no seccomp profile against it).
pub(crate) fn probe() -> io::Result<()> {
    let own = pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&own);
    pidfd_getfd(&own, number, PidfdGetfdFlags::empty())?;
    Ok(())
}
