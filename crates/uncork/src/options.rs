//! Socket options that belong to sending whole messages, and listeners that set them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

#[cfg(unix)]
use socket2::SockRef;
use socket2::{Domain, Protocol, Socket, Type};

#[cfg(target_os = "linux")]
use crate::sys;
use crate::sys::TcpSocket;

/// Connections that wait for `accept`, unless [`ListenOptions::backlog`] says otherwise.
pub const BACKLOG_DEFAULT: i32 = 1024;

/// Makes the kernel acknowledge what arrives next at once.
///
/// This is not permanent: the kernel goes back to delayed ACKs by itself when the connection
/// looks interactive. Say it after every read whose peer may be waiting for the ACK, that is,
/// where the peer is known to write small pieces with Nagle's algorithm on.
///
/// # Errors
/// `Unsupported` outside Linux; what the kernel says where this is no TCP socket.
#[doc(alias = "TCP_QUICKACK")]
pub fn quickack<S: TcpSocket>(socket: &S) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return sys::set_quickack(socket);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Bounds the bytes that wait unsent in the kernel: a socket is writable only below this.
///
/// Keeps what leaves next decidable until late (priorities, cancelled responses) at the price
/// of more wake-ups.
///
/// # Errors
/// `Unsupported` outside Linux; what the kernel says where this is no TCP socket.
#[doc(alias = "TCP_NOTSENT_LOWAT")]
pub fn set_unsent_limit<S: TcpSocket>(socket: &S, bytes: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return SockRef::from(socket).set_tcp_notsent_lowat(bytes);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, bytes);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Payload bytes of a full segment on this connection.
///
/// # Errors
/// What the kernel says where this is no TCP socket.
#[doc(alias = "TCP_MAXSEG")]
pub(crate) fn segment_bytes<S: TcpSocket>(socket: &S) -> io::Result<u32> {
    #[cfg(unix)]
    return SockRef::from(socket).tcp_mss();
    #[cfg(not(unix))]
    {
        /// What an Ethernet link leaves without TCP options.
        const SEGMENT_BYTES_DEFAULT: u32 = 1460;
        let _ = socket;
        Ok(SEGMENT_BYTES_DEFAULT)
    }
}

/// A listener whose accepted sockets inherit what a [`Sender`](crate::Sender) wants.
///
/// ```
/// let listener = uncork::ListenOptions::new().bind("127.0.0.1:0".parse()?)?;
/// let addr = listener.local_addr()?;
/// # assert_ne!(addr.port(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing until they are bound"]
pub struct ListenOptions {
    reuse_port: bool,
    only_v6: bool,
    defer_accept: Option<Duration>,
    unsent_limit_bytes: Option<u32>,
    segment_bytes_max: Option<u32>,
    backlog: i32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ListenOptions {
    /// NODELAY for every accepted socket; everything else as the kernel has it.
    #[doc(alias = "TCP_NODELAY")]
    pub fn new() -> Self {
        Self {
            reuse_port: false,
            only_v6: false,
            defer_accept: None,
            unsent_limit_bytes: None,
            segment_bytes_max: None,
            backlog: BACKLOG_DEFAULT,
        }
    }

    /// Lets several listeners share the address; the kernel spreads connections over them.
    /// Not on Windows.
    #[doc(alias = "SO_REUSEPORT")]
    pub fn reuse_port(mut self) -> Self {
        self.reuse_port = true;
        self
    }

    /// Keeps an IPv6 address from taking IPv4 as well, so that `0.0.0.0` and `[::]` can have one port.
    #[doc(alias = "IPV6_V6ONLY")]
    pub fn only_v6(mut self) -> Self {
        self.only_v6 = true;
        self
    }

    /// Leaves a connection in the kernel until its first bytes have come, or about this long.
    /// Rounded up to seconds; Linux only.
    #[doc(alias = "TCP_DEFER_ACCEPT")]
    pub fn defer_accept(mut self, most: Duration) -> Self {
        self.defer_accept = Some(most);
        self
    }

    /// [`set_unsent_limit`] for every accepted socket.
    #[doc(alias = "TCP_NOTSENT_LOWAT")]
    pub fn unsent_limit(mut self, bytes: u32) -> Self {
        self.unsent_limit_bytes = Some(bytes);
        self
    }

    /// Bounds the segments of accepted connections, TCP options included: gives loopback the
    /// segments of a real link. Not on Windows.
    #[doc(alias = "TCP_MAXSEG")]
    pub fn segment_bytes_max(mut self, bytes: u32) -> Self {
        self.segment_bytes_max = Some(bytes);
        self
    }

    /// Connections that may wait for `accept`. The kernel bounds it too (`somaxconn`).
    pub fn backlog(mut self, connections: i32) -> Self {
        self.backlog = connections;
        self
    }

    /// Binds and listens. Whether an IPv6 address takes IPv4 as well is as the system is
    /// set, unless it is [`ListenOptions::only_v6`].
    ///
    /// # Errors
    /// What the kernel says; `Unsupported` for an option that this platform has not.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
        if self.only_v6 && addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if self.reuse_port {
            #[cfg(unix)]
            socket.set_reuse_port(true)?;
            #[cfg(not(unix))]
            return Err(io::ErrorKind::Unsupported.into());
        }
        if let Some(_most) = self.defer_accept {
            #[cfg(target_os = "linux")]
            sys::set_defer_accept(&socket, whole_seconds(_most))?;
            #[cfg(not(target_os = "linux"))]
            return Err(io::ErrorKind::Unsupported.into());
        }
        if let Some(bytes) = self.unsent_limit_bytes {
            set_unsent_limit(&socket, bytes)?;
        }
        if let Some(_bytes) = self.segment_bytes_max {
            #[cfg(unix)]
            socket.set_tcp_mss(_bytes)?;
            #[cfg(not(unix))]
            return Err(io::ErrorKind::Unsupported.into());
        }
        socket.bind(&addr.into())?;
        socket.listen(self.backlog)?;
        Ok(socket.into())
    }
}

/// A duration in seconds, rounded up, at least one.
#[cfg(target_os = "linux")]
fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds.max(1)).unwrap_or(i32::MAX)
}
