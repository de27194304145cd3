//! A TCP socket of another process.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_tcp_nodelay, socket_acceptconn, socket_cookie, socket_domain, socket_protocol, socket_type,
    tcp_congestion, tcp_cork, tcp_nodelay,
};
use rustix::net::{AddressFamily, SocketAddrAny, SocketType, getpeername, getsockname, ipproto};

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP itself.
    Tcp,
    /// Multipath TCP (RFC 8684): one connection over several of TCP. Its NODELAY is that of all of
    /// them; a connection whose peer does not speak it is TCP.
    Multipath,
}

/// A duplicate of a TCP socket of another process: the same socket, under a number of this process.
#[derive(Debug)]
pub struct Socket {
    duplicate: OwnedFd,
    number: i32,
    inode: u64,
    cookie: u64,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    is_listening: bool,
    transport: Transport,
}

impl Socket {
    /// Describes a duplicate; `None` where it is no TCP socket.
    pub(crate) fn new(
        duplicate: OwnedFd,
        number: i32,
    ) -> Result<Option<Self>, (&'static str, Errno)> {
        let getsockopt = |errno| ("getsockopt", errno);
        match socket_type(&duplicate) {
            Ok(SocketType::STREAM) => {}
            Ok(_) | Err(Errno::NOTSOCK | Errno::BADF) => return Ok(None),
            Err(errno) => return Err(getsockopt(errno)),
        }
        let domain = socket_domain(&duplicate).map_err(getsockopt)?;
        let protocol = socket_protocol(&duplicate).map_err(getsockopt)?;
        let transport = match protocol {
            Some(ipproto::TCP) => Transport::Tcp,
            Some(ipproto::MPTCP) => Transport::Multipath,
            _ => return Ok(None),
        };
        if !matches!(domain, AddressFamily::INET | AddressFamily::INET6) {
            return Ok(None);
        }
        let local = getsockname(&duplicate).map_err(|errno| ("getsockname", errno))?;
        let Some(local) = address(local) else {
            return Ok(None);
        };
        let facts = fstat(&duplicate).map_err(|errno| ("fstat", errno))?;
        Ok(Some(Self {
            number,
            inode: facts.st_ino,
            cookie: socket_cookie(&duplicate).map_err(getsockopt)?,
            local,
            // Not connected, not yet or not any more: that is no failure.
            remote: getpeername(&duplicate).ok().flatten().and_then(address),
            is_listening: socket_acceptconn(&duplicate).map_err(getsockopt)?,
            transport,
            duplicate,
        }))
    }

    /// Of the descriptor in its own process.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.number
    }

    /// As in `/proc/net/tcp`. Used again for other sockets once this one is closed.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Unlike the inode, never given to another socket as long as the machine runs, in whatever
    /// network namespace (Linux 5.4; here there is at least 5.6).
    #[doc(alias = "SO_COOKIE")]
    #[must_use]
    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Its own address when it was found. One that is IPv4 in an IPv6 socket is shown as IPv4.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Its peer's address when it was found, if it was connected.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Whether it waits for connections. Those that it accepts inherit its options.
    #[doc(alias = "SO_ACCEPTCONN")]
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.is_listening
    }

    /// TCP, or Multipath TCP.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether Nagle's algorithm is off.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "TCP_NODELAY")]
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(tcp_nodelay(&self.duplicate)?)
    }

    /// Turns Nagle's algorithm off or on again. Turning it off also sends what it holds.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "TCP_NODELAY")]
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        Ok(set_tcp_nodelay(&self.duplicate, nodelay)?)
    }

    /// Whether a cork holds small segments, NODELAY or not.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "TCP_CORK")]
    pub fn corked(&self) -> io::Result<bool> {
        Ok(tcp_cork(&self.duplicate)?)
    }

    /// The algorithm of congestion control: `cubic`, `bbr`.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "TCP_CONGESTION")]
    pub fn congestion(&self) -> io::Result<String> {
        Ok(tcp_congestion(&self.duplicate)?)
    }
}

/// A duplicate of a socket that is known already, for the moment of one look at it: while it is there,
/// its owner's `close()` sends no FIN.
#[derive(Debug)]
pub struct Duplicate(OwnedFd);

impl Duplicate {
    /// `None` where it is another socket than that of the cookie, or none.
    pub(crate) fn new(duplicate: OwnedFd, cookie: u64) -> Result<Option<Self>, Errno> {
        match socket_cookie(&duplicate) {
            Ok(found) => Ok((found == cookie).then_some(Self(duplicate))),
            Err(Errno::NOTSOCK | Errno::BADF) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether Nagle's algorithm is off.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "TCP_NODELAY")]
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(tcp_nodelay(&self.0)?)
    }

    /// Whether a cork holds small segments, NODELAY or not.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "TCP_CORK")]
    pub fn corked(&self) -> io::Result<bool> {
        Ok(tcp_cork(&self.0)?)
    }
}

impl AsFd for Duplicate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.duplicate.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.duplicate.as_raw_fd()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.duplicate
    }
}

fn address(address: SocketAddrAny) -> Option<SocketAddr> {
    let address = SocketAddr::try_from(address).ok()?;
    let canonical = address.ip().to_canonical();
    Some(if canonical.is_ipv4() {
        SocketAddr::new(canonical, address.port())
    } else {
        // With its scope.
        address
    })
}
