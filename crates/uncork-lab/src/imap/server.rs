//! The server: its configuration, and how it starts and stops.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use thiserror::Error;

use super::certificate::Certificate;
use super::desk::Desk;
use super::fault::Fault;
use super::fault_plan::FaultPlan;
use super::folder_name::FolderName;
use super::house::House;
use super::personality::{Personality, Tls};
use super::store::{Store, StoreError};

/// A connection silent for longer is closed unless the configuration says otherwise.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

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
    /// The host names and addresses in the certificate, where there is TLS.
    pub certificate_names: Vec<String>,
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
    /// The certificate could not be made.
    #[error("making the certificate: {0}")]
    Certificate(String),
    /// The listener's thread could not be started.
    #[error("starting the listener's thread: {0}")]
    Thread(#[source] io::Error),
}

/// A running server. Dropping it ends the listener and all connections, and waits for them.
#[derive(Debug)]
pub struct ImapServer {
    addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    pub(super) house: Arc<House>,
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
            certificate_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
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
        let unusable = |error: StoreError| match error {
            StoreError::InUse => ServerError::InUse { path: path.clone() },
            other => ServerError::MailRoot {
                path: path.clone(),
                source: other.into(),
            },
        };
        let store = Store::open(&path, config.personality.durability).map_err(unusable)?;
        for (name, _) in &config.personality.special_folders {
            match FolderName::from_wire(name.as_bytes()).map(|name| store.create(&name)) {
                Ok(Ok(()) | Err(StoreError::Exists)) => {}
                Ok(Err(error)) => return Err(unusable(error)),
                Err(error) => return Err(unusable(io::Error::other(error).into())),
            }
        }
        let (listener, addr) = listen(config.max_segment_bytes)?;
        let (mut certificate, mut tls_listener, mut tls_addr) = (None, None, None);
        if config.personality.tls != Tls::None {
            let made = Certificate::new(config.certificate_names);
            certificate = Some(made.map_err(|why| ServerError::Certificate(why.to_string()))?);
            let (listener, addr) = listen(config.max_segment_bytes)?;
            (tls_listener, tls_addr) = (Some(listener), Some(addr));
        }
        let (bell, ear) = UnixStream::pair().map_err(ServerError::Thread)?;
        ear.set_nonblocking(true).map_err(ServerError::Thread)?;
        let house = Arc::new(House::new(
            path,
            store,
            (config.user, config.password),
            (config.personality, FaultPlan::new(config.faults)),
            certificate,
            bell,
        ));
        let desk = Desk {
            house: Arc::clone(&house),
            listener,
            tls_listener,
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
            tls_addr,
            house,
            listener: Some(listener),
        })
    }

    /// Where the server listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the server listens for TLS from the first byte on, if its personality has any.
    #[must_use]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
    }

    /// The authority that signed the server's certificate, in PEM, if there is one.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        let certificate = self.house.certificate.as_ref();
        certificate.map(|certificate| certificate.ca_pem.as_str())
    }

    /// The Maildir into which it stores.
    #[must_use]
    pub fn mail_root(&self) -> &Path {
        &self.house.mail_root
    }

    /// Messages that clients have had stored since the start.
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
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn listen(max_segment_bytes: Option<u32>) -> Result<(TcpListener, SocketAddr), ServerError> {
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
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().map_err(failed("getsockname"))?;
    Ok((listener, address))
}
