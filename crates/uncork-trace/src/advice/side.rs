//! Which end of a connection a socket is, as far as its ports tell.

use crate::report::SocketReport;

/// Least port that Linux gives to those who ask for none (`ip_local_port_range`).
const EPHEMERAL_MIN: u16 = 32768;

/// Which end, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// It has asked for the connection, with a server on this port.
    Client(u16),
    /// It has been asked.
    Server,
    Unknown,
}

impl Side {
    pub(super) fn of(socket: &SocketReport) -> Self {
        let is_ephemeral = |port: u16| port >= EPHEMERAL_MIN;
        let (own, peers) = (socket.local.port(), socket.remote.port());
        match (is_ephemeral(own), is_ephemeral(peers)) {
            (true, false) => Self::Client(peers),
            (false, true) => Self::Server,
            _ => Self::Unknown,
        }
    }
}
