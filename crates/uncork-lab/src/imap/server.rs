//! The server: its configuration, its listener, and who is connected.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use socket2::{Domain, Socket, Type};
use thiserror::Error;

use super::fault::{Fault, FaultPlan};
use super::house::{House, Pulse};
use super::personality::{Manners, Personality};
use super::session;
use super::store::{Store, StoreError};

/// A connection silent for longer is closed unless the configuration says otherwise.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// How often silent connections are looked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Connections waiting to be accepted.
const BACKLOG: i32 = 128;

/// Everything that one lab server is.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The Maildir: INBOX itself, and beneath it one Maildir++ folder `.Name` each.
    pub mail_root: PathBuf,
    /// The only user.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// What is offered, and with which manners.
    pub personality: Personality,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// TCP_MAXSEG of the listener, so that loopback cuts segments as Ethernet does.
    #[doc(alias = "TCP_MAXSEG")]
    pub max_segment_bytes: Option<u32>,
    /// A connection that sends nothing for so long is closed.
    pub idle_limit: Duration,
}

/// Why a server could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The mail root can't be used.
    #[error("mail root {path}: {source}")]
    MailRoot {
        /// The root as configured.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another server stores into the same root.
    #[error("mail root {path} is in use by another lab server")]
    InUse {
        /// The root as configured.
        path: PathBuf,
    },
    /// The listener could not be made.
    #[error("{call} on 127.0.0.1: {source}")]
    Listen {
        /// The system call.
        call: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The listener's thread could not be started.
    #[error("starting the listener's thread: {0}")]
    Thread(#[source] io::Error),
}

/// A running server. Dropping it ends the listener and all connections, and waits for them.
#[derive(Debug)]
pub struct ImapServer {
    addr: SocketAddr,
    house: Arc<House>,
    /// A byte written here wakes the listener's thread.
    bell: UnixStream,
    listener: Option<JoinHandle<()>>,
}

impl ServerConfig {
    /// User `lab` with password `lab`, a careful server without faults.
    #[must_use]
    pub fn new(mail_root: impl Into<PathBuf>) -> Self {
        Self {
            mail_root: mail_root.into(),
            user: "lab".to_owned(),
            password: "lab".to_owned(),
            personality: Personality::careful(),
            faults: Vec::new(),
            max_segment_bytes: None,
            idle_limit: IDLE_LIMIT,
        }
    }
}

impl ImapServer {
    /// Listens on a free port of 127.0.0.1. The mail root is made where it is missing.
    ///
    /// # Errors
    /// Where the root can't be made, read or locked, or the listener can't be set up.
    pub fn start(config: ServerConfig) -> Result<Self, ServerError> {
        let path = config.mail_root;
        let store =
            Store::open(&path, config.personality.durability).map_err(|error| match error {
                StoreError::InUse => ServerError::InUse { path: path.clone() },
                other => ServerError::MailRoot {
                    path: path.clone(),
                    source: other.into(),
                },
            })?;
        let listener = listen(config.max_segment_bytes)?;
        let addr = listener
            .local_addr()
            .map_err(|source| ServerError::Listen {
                call: "getsockname",
                source,
            })?;
        let (bell, ear) = UnixStream::pair().map_err(ServerError::Thread)?;
        let house = Arc::new(House::new(
            path,
            store,
            (config.user, config.password),
            config.personality,
            FaultPlan::new(config.faults),
        ));
        let desk = Desk {
            house: Arc::clone(&house),
            listener,
            ear,
            guests: Vec::new(),
            idle_limit: config.idle_limit,
        };
        let listener = std::thread::Builder::new()
            .name("lab-imap".to_owned())
            .spawn(move || desk.run())
            .map_err(ServerError::Thread)?;
        Ok(Self {
            addr,
            house,
            bell,
            listener: Some(listener),
        })
    }

    /// Where the server listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The Maildir into which it stores.
    #[must_use]
    pub fn mail_root(&self) -> &Path {
        &self.house.mail_root
    }

    /// Messages committed since the start.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.house.stored.load(Ordering::Acquire)
    }

    /// Connections accepted since the start, refused ones included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.house.connections.load(Ordering::Acquire)
    }

    /// The first ten thousand commands since the start, with the folder where they name
    /// one: `APPEND INBOX`. Commands of all connections stand in the order of their arrival.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.house.transcript()
    }
}

impl Drop for ImapServer {
    fn drop(&mut self) {
        self.house.stop();
        // Where the bell can't be rung, the listener looks up within one watch interval.
        let _ = self.bell.write_all(b"!");
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn listen(max_segment_bytes: Option<u32>) -> Result<TcpListener, ServerError> {
    let failed = |call: &'static str| move |source: io::Error| ServerError::Listen { call, source };
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(failed("socket"))?;
    if let Some(bytes) = max_segment_bytes {
        // Accepted sockets inherit it, and announce it to the peer in their SYN-ACK.
        socket
            .set_tcp_mss(bytes)
            .map_err(failed("setsockopt(TCP_MAXSEG)"))?;
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&address.into()).map_err(failed("bind"))?;
    socket.listen(BACKLOG).map_err(failed("listen"))?;
    socket.set_nonblocking(true).map_err(failed("fcntl"))?;
    Ok(socket.into())
}

/// One connection, as the listener knows it.
#[derive(Debug)]
struct Guest {
    /// Weak, so that the session's own end closes the socket.
    stream: Weak<TcpStream>,
    pulse: Arc<Pulse>,
    thread: JoinHandle<()>,
}

/// The listener's thread: accepts, watches for silence, and ends everyone at the end.
///
/// Silence is watched from here and not by SO_RCVTIMEO, because a naive server's accepted
/// sockets keep every option at its default.
#[derive(Debug)]
struct Desk {
    house: Arc<House>,
    listener: TcpListener,
    ear: UnixStream,
    guests: Vec<Guest>,
    idle_limit: Duration,
}

impl Desk {
    fn run(mut self) {
        while !self.house.is_stopping() {
            self.wait();
            self.guests.retain(|guest| !guest.thread.is_finished());
            self.show_out(|guest, desk| guest.pulse.silence(&desk.house) > desk.idle_limit);
            while let Ok((stream, _)) = self.listener.accept() {
                self.admit(stream);
            }
        }
        self.show_out(|_, _| true);
        for guest in self.guests {
            // A session that panicked has been said so by the panic itself.
            let _ = guest.thread.join();
        }
    }

    fn wait(&self) {
        let mut watched = [
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::new(&self.ear, PollFlags::IN),
        ];
        let Ok(timeout) = Timespec::try_from(WATCH_INTERVAL) else {
            return;
        };
        // Whatever poll says, the loop looks at everything.
        let _ = poll(&mut watched, Some(&timeout));
    }

    fn show_out(&self, due: impl Fn(&Guest, &Self) -> bool) {
        for guest in self.guests.iter().filter(|guest| due(guest, self)) {
            if let Some(stream) = guest.stream.upgrade() {
                // It may have ended by itself in between.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn admit(&mut self, stream: TcpStream) {
        self.house.connections.fetch_add(1, Ordering::AcqRel);
        let manners = self.house.personality.manners;
        if manners == Manners::Careful && stream.set_nodelay(true).is_err() {
            return;
        }
        self.guests.retain(|guest| !guest.thread.is_finished());
        if self.guests.len() >= self.house.personality.connection_limit {
            // The peer may be gone already; then nobody misses the reason.
            let _ = (&stream).write_all(b"* BYE Too many connections\r\n");
            return;
        }
        let stream = Arc::new(stream);
        let pulse = Arc::new(Pulse::new(&self.house));
        let guest_stream = Arc::downgrade(&stream);
        let (house, guest_pulse) = (Arc::clone(&self.house), Arc::clone(&pulse));
        let thread = std::thread::Builder::new()
            .name("lab-imap-session".to_owned())
            .spawn(move || session::run(stream, &house, guest_pulse));
        // Without a thread the stream was dropped with the closure, and the peer sees it.
        if let Ok(thread) = thread {
            self.guests.push(Guest {
                stream: guest_stream,
                pulse,
                thread,
            });
        }
    }
}
