//! What a run has changed, and what it could not. A value: pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use rustix::io::Errno;
use serde::Serialize;

/// How many sockets a report names; the others are counted.
pub const SOCKETS_MAX: usize = 1000;

/// What a run has changed, and what it could not change.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many sockets got TCP_NODELAY that had it not.
    pub changed: u64,
    /// Sockets that should have got it, by the reason why they did not.
    pub refused: Vec<Refused>,
    /// The first [`SOCKETS_MAX`] of the changed ones, where [`Settings`](super::Settings) ask for them.
    pub sockets: Vec<ChangedSocket>,
    /// What was done about late ACKs, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quickack: Option<QuickackReport>,
}

/// What was done about late ACKs, by [`Work::Quickack`](super::Work::Quickack).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QuickackReport {
    /// How many connections TCP_QUICKACK was set on, again and again.
    pub sockets: u64,
    /// How many found no room among those that are visited.
    pub sockets_left_out: u64,
    /// Processes that may not be looked into, or found no room.
    pub processes_left_out: u64,
}

/// Sockets that were not changed for one reason.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The system call or file, and what the kernel said.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A socket that got TCP_NODELAY.
#[derive(Debug, Serialize)]
pub struct ChangedSocket {
    /// The process that it belongs to.
    pub pid: u32,
    /// The name of that process, as in `/proc/PID/comm`.
    pub command: String,
    /// The system call at which it was changed; `start` where the command was started with it.
    pub call: String,
    /// Its own address, where it has one by then: listeners do.
    pub local: Option<SocketAddr>,
    /// Whom it connects to.
    pub remote: Option<SocketAddr>,
}

/// Why a socket was not changed: the call that failed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reason {
    pub(crate) call: &'static str,
    pub(crate) error: i32,
}

impl Reason {
    pub(crate) fn new(call: &'static str, error: Errno) -> Self {
        Self {
            call,
            error: error.raw_os_error(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = std::io::Error::from_raw_os_error(self.error).to_string();
        // The number behind it says nothing to anybody.
        let error = error.split(" (os error").next().unwrap_or_default();
        write!(f, "{}: {error}", self.call)
    }
}

/// Counts while a run goes on. Reasons are calls and error numbers of the kernel, which bounds them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    changed: u64,
    refused: BTreeMap<Reason, u64>,
    sockets: Vec<ChangedSocket>,
}

impl Tally {
    pub(crate) fn changed(&mut self) {
        self.changed += 1;
    }

    pub(crate) fn refused(&mut self, reason: Reason) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// Whether one more socket could be named.
    pub(crate) fn has_room(&self) -> bool {
        self.sockets.len() < SOCKETS_MAX
    }

    /// Keeps what `socket` says, where there is room.
    pub(crate) fn list(&mut self, socket: impl FnOnce() -> ChangedSocket) {
        if self.has_room() {
            self.sockets.push(socket());
        }
    }

    /// Says whose the sockets are that were listed before there was a process that has them.
    pub(crate) fn are_of(&mut self, pid: u32, command: &str) {
        for socket in &mut self.sockets {
            socket.pid = pid;
            command.clone_into(&mut socket.command);
        }
    }

    pub(crate) fn report(self) -> Report {
        let refused = self.refused.iter().map(|(reason, &count)| Refused {
            reason: reason.to_string(),
            count,
        });
        Report {
            changed: self.changed,
            refused: refused.collect(),
            sockets: self.sockets,
            quickack: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sockets_bounded() {
        let mut tally = Tally::default();
        for error in [Errno::PERM, Errno::MFILE, Errno::PERM] {
            tally.refused(Reason::new("pidfd_getfd", error));
        }
        for pid in 0..=1000 {
            tally.changed();
            tally.list(|| ChangedSocket {
                pid,
                command: "python3".to_owned(),
                call: "connect".to_owned(),
                local: None,
                remote: Some(([127, 0, 0, 1], 25).into()),
            });
        }
        let report = tally.report();
        assert_eq!((report.changed, report.sockets.len()), (1001, SOCKETS_MAX));
        let refused = |reason: &str, count| Refused {
            reason: reason.to_owned(),
            count,
        };
        let expected = [
            refused("pidfd_getfd: Operation not permitted", 2),
            refused("pidfd_getfd: Too many open files", 1),
        ];
        assert_eq!(report.refused, expected);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["sockets"][0]["remote"], "127.0.0.1:25");
        assert!(json["sockets"][0]["local"].is_null());
    }
}
