//! One line of the record.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use uncork_sockets::Socket;

/// A line is not looked at beyond this; ours have a quarter of it.
const LINE_BYTES_MAX: usize = 1024;

/// How a socket was before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// `/proc/sys/kernel/random/boot_id`.
    boot: String,
    /// The kernel gives it to no other socket before its next start: with `boot` it is the key. Since
    /// Linux 5.4 it is one count for all network namespaces.
    pub(crate) cookie: u64,
    /// Whether NODELAY was on.
    pub(crate) nodelay: bool,
    /// Where the socket was found.
    pub(crate) pid: u32,
    pub(crate) fd: i32,
    /// For people who read the file.
    local: SocketAddr,
    remote: Option<SocketAddr>,
}

impl Entry {
    pub(crate) fn new(boot: &str, pid: u32, socket: &Socket, nodelay: bool) -> Self {
        Self {
            boot: boot.to_owned(),
            cookie: socket.cookie(),
            nodelay,
            pid,
            fd: socket.number(),
            local: socket.local(),
            remote: socket.remote(),
        }
    }

    /// Its own port, and its peer's, 0 where it had none.
    pub(crate) fn ports(&self) -> (u16, u16) {
        let remote = self.remote.map_or(0, |remote| remote.port());
        (self.local.port(), remote)
    }

    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = line.get(..line.len().min(LINE_BYTES_MAX))?;
        serde_json::from_slice(line).ok()
    }

    pub(super) fn line(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings can be written as JSON")
    }

    pub(super) fn is_of(&self, boot: &str) -> bool {
        self.boot == boot
    }

    #[cfg(test)]
    pub(super) fn with(cookie: u64, pid: u32, boot: &str) -> Self {
        Self {
            boot: boot.to_owned(),
            cookie,
            nodelay: false,
            pid,
            fd: 3,
            local: ([127, 0, 0, 1], 1).into(),
            remote: None,
        }
    }
}
