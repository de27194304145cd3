//! Connections of which both ends are watched.

use std::collections::HashSet;
use std::net::SocketAddr;

use crate::report::{Cause, SocketReport, Stall};

/// The ends whose small writes were held. Where the peer of one is watched too, what the peer says of its
/// own delayed ACKs is the same time, seen from the other side: it counts at the end that held, once, and
/// the change belongs there.
#[derive(Debug, Clone, Default)]
pub struct Ends(HashSet<(SocketAddr, SocketAddr)>);

impl Ends {
    /// Those among the sockets of a report.
    #[must_use]
    pub fn of(sockets: &[SocketReport]) -> Self {
        let is_holder = |one: &&SocketReport| {
            let mut stalls = one.stalls.iter();
            stalls.any(|stall| stall.cause == Cause::Nagle)
        };
        let holders = sockets.iter().filter(is_holder);
        Self(holders.map(|one| (one.local, one.remote)).collect())
    }

    /// Whether a stall of a socket is told, and counted, at the other end of its connection.
    #[must_use]
    pub fn is_of_peer(&self, socket: &SocketReport, stall: &Stall) -> bool {
        stall.cause == Cause::LocalDelayedAck && self.0.contains(&(socket.remote, socket.local))
    }
}
