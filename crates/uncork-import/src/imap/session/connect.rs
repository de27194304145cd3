//! The way to a server: its addresses, one after the other.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::{ImportError, Options, Target};

/// How long a connection may take to come about, and its TLS again.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A way to the server.
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    /// Whether it leaves this machine.
    pub(super) reach: Reach,
}

/// How far a connection reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Over the loopback device: nobody else can listen.
    ThisMachine,
    Network,
}

impl Reach {
    fn of(addr: SocketAddr) -> Self {
        if addr.ip().to_canonical().is_loopback() {
            Self::ThisMachine
        } else {
            Self::Network
        }
    }
}

/// Tries the addresses of the host one after the other.
pub(super) async fn connect(target: &Target, options: &Options) -> Result<Connected, ImportError> {
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let found = found.map_err(|source| ImportError::Resolve {
        host: target.host.clone(),
        source,
    })?;
    let mut last_error = io::Error::from(io::ErrorKind::NotFound);
    for addr in found {
        match timeout(CONNECT_TIMEOUT, dial(addr, options)).await {
            Ok(Ok(stream)) => {
                if let Some(on_connect) = &options.on_connect {
                    on_connect(stream.as_fd());
                }
                let reach = Reach::of(addr);
                return Ok(Connected { stream, reach });
            }
            Ok(Err(error)) => last_error = error,
            Err(_) => last_error = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(ImportError::Connect {
        address: target.address(),
        source: last_error,
    })
}

async fn dial(addr: SocketAddr, options: &Options) -> io::Result<TcpStream> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(bytes) = options.segment_bytes_max {
        SockRef::from(&socket).set_tcp_mss(bytes)?;
    }
    let stream = socket.connect(addr).await?;
    // What a process that is killed has not sent yet is not to be sent after its death: a server
    // that goes on storing it doubles what a resumed import sends again.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    // A peer that takes nothing for this long is gone: sends of mail have no timeout of their own.
    #[cfg(target_os = "linux")]
    SockRef::from(&stream).set_tcp_user_timeout(Some(options.patience.answer))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches() {
        for (addr, expected) in [
            ("127.0.0.1:1", Reach::ThisMachine),
            ("127.9.9.9:1", Reach::ThisMachine),
            ("[::1]:1", Reach::ThisMachine),
            ("[::ffff:127.0.0.1]:1", Reach::ThisMachine),
            ("192.0.2.1:1", Reach::Network),
            ("[2001:db8::1]:1", Reach::Network),
            ("0.0.0.0:1", Reach::Network),
        ] {
            assert_eq!(Reach::of(addr.parse().unwrap()), expected, "{addr}");
        }
    }
}
