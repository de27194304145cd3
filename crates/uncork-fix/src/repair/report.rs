//! What was done, what was left, and what was refused.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;
use uncork_sockets::{Error, Socket};

/// How many entries of each list a report keeps: who watches for days must not fill the memory. The
/// counts go on.
pub(crate) const LISTED_MAX: usize = 10_000;

/// All that one repair, or its undoing, came to.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Sockets that were changed, the first ten thousand of them.
    pub changed: Vec<Change>,
    /// What could not be done, the first ten thousand.
    pub refused: Vec<Refusal>,
    /// Sockets that were already as wanted, the first ten thousand.
    pub already: Vec<Already>,
    /// All that were changed.
    pub changed_count: u64,
    /// All refusals.
    pub refused_count: u64,
    /// All that were already as wanted.
    pub already_count: u64,
    /// Sockets that are not TCP, and so were left alone; in each process that has them.
    pub not_tcp_count: u64,
    /// Processes whose sockets were looked at.
    pub processes: u64,
    /// Whether the changes are written down, so that they can be undone.
    pub is_recorded: bool,
    /// What else there is to know.
    pub notes: Vec<String>,
}

impl Report {
    pub(crate) fn push_change(&mut self, change: Change) {
        self.changed_count += 1;
        if self.changed.len() < LISTED_MAX {
            self.changed.push(change);
        }
    }

    pub(crate) fn push_refusal(&mut self, refusal: Refusal) {
        self.refused_count += 1;
        if self.refused.len() < LISTED_MAX {
            self.refused.push(refusal);
        }
    }

    pub(crate) fn push_already(&mut self, already: Already) {
        self.already_count += 1;
        if self.already.len() < LISTED_MAX {
            self.already.push(already);
        }
    }
}

/// The option of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Nodelay {
    /// Whether Nagle's algorithm is off.
    #[doc(alias = "TCP_NODELAY")]
    pub nodelay: bool,
}

/// A socket that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// A process that has the socket; the first one that was met.
    pub pid: u32,
    /// What that process calls itself.
    pub command: String,
    /// The socket's descriptor in it.
    pub fd: i32,
    /// The socket's own address.
    pub local: SocketAddr,
    /// Its peer's, if it has one.
    pub remote: Option<SocketAddr>,
    /// Whether it waits for connections, which inherit the option.
    pub is_listening: bool,
    /// Whether a cork holds small segments, which NODELAY does not change.
    pub is_corked: bool,
    /// As it was.
    pub before: Nodelay,
    /// As it is.
    pub after: Nodelay,
}

/// A socket that was left as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Already {
    /// A process that has the socket; the first one that was met.
    pub pid: u32,
    /// The socket's descriptor in it.
    pub fd: i32,
    /// The socket's own address.
    pub local: SocketAddr,
    /// Its peer's, if it has one.
    pub remote: Option<SocketAddr>,
}

impl Already {
    pub(crate) fn new(pid: u32, socket: &Socket) -> Self {
        Self {
            pid,
            fd: socket.number(),
            local: socket.local(),
            remote: socket.remote(),
        }
    }
}

/// What could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// In which process.
    pub pid: u32,
    /// What it calls itself, unless it is gone.
    pub command: Option<String>,
    /// For which of its sockets; all of them if `None`.
    pub fd: Option<i32>,
    /// What the kernel said.
    pub reason: String,
    /// What is missing, and how to get it.
    pub advice: Option<String>,
    /// Of which kind.
    pub kind: RefusalKind,
}

/// Kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalKind {
    /// There is no such process, or it is a thread.
    NoProcess,
    /// It may not be looked into, or this kernel does not offer it.
    NotPermitted,
    /// Anything else.
    Failed,
}

impl Refusal {
    pub(crate) fn new(pid: u32, fd: Option<i32>, error: &Error) -> Self {
        Self {
            pid,
            command: uncork_sockets::command(pid),
            fd,
            reason: error.to_string(),
            advice: error.advice(),
            kind: match error {
                Error::Gone { .. } | Error::Thread { .. } => RefusalKind::NoProcess,
                Error::NotPermitted { .. } | Error::Unsupported { .. } => RefusalKind::NotPermitted,
                _ => RefusalKind::Failed,
            },
        }
    }

    /// What the kernel said of one socket's option.
    pub(crate) fn of_option(pid: u32, fd: i32, call: &str, error: &std::io::Error) -> Self {
        Self {
            pid,
            command: uncork_sockets::command(pid),
            fd: Some(fd),
            reason: format!("{call}: {error}"),
            advice: None,
            kind: RefusalKind::Failed,
        }
    }
}

/// What is said while it goes on.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A socket was changed.
    Changed(&'a Change),
    /// Something was refused.
    Refused(&'a Refusal),
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(change) => change.fmt(formatter),
            Self::Refused(refusal) => refusal.fmt(formatter),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            command,
            fd,
            local,
            ..
        } = self;
        write!(formatter, "pid {pid} {command} fd {fd}  {local}")?;
        match self.remote {
            Some(remote) => write!(formatter, " → {remote}")?,
            None if self.is_listening => write!(formatter, " (listening)")?,
            None => write!(formatter, " (not connected)")?,
        }
        let word = |nodelay: Nodelay| if nodelay.nodelay { "on" } else { "off" };
        let (before, after) = (word(self.before), word(self.after));
        write!(formatter, "  NODELAY {before} → {after}")?;
        if self.is_corked {
            write!(formatter, "  (corked, which NODELAY does not change)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is said of a process names it.
        let Some(fd) = self.fd else {
            return formatter.write_str(&self.reason);
        };
        write!(formatter, "pid {}", self.pid)?;
        if let Some(command) = &self.command {
            write!(formatter, " {command}")?;
        }
        write!(formatter, " fd {fd}: {}", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_on_a_line() {
        let connected = Change {
            pid: 1234,
            command: "python3".to_owned(),
            fd: 5,
            local: ([127, 0, 0, 1], 40000).into(),
            remote: Some(([127, 0, 0, 1], 1143).into()),
            is_listening: false,
            is_corked: false,
            before: Nodelay { nodelay: false },
            after: Nodelay { nodelay: true },
        };
        assert_eq!(
            connected.to_string(),
            "pid 1234 python3 fd 5  127.0.0.1:40000 → 127.0.0.1:1143  NODELAY off → on"
        );
        let listening = Change {
            remote: None,
            is_listening: true,
            is_corked: true,
            ..connected
        };
        assert_eq!(
            listening.to_string(),
            "pid 1234 python3 fd 5  127.0.0.1:40000 (listening)  NODELAY off → on  (corked, which \
             NODELAY does not change)"
        );
    }

    #[test]
    fn lists_end_and_counts_go_on() {
        let refusal = Refusal {
            pid: 1,
            command: None,
            fd: Some(3),
            reason: "no".to_owned(),
            advice: None,
            kind: RefusalKind::Failed,
        };
        assert_eq!(refusal.to_string(), "pid 1 fd 3: no");
        let mut report = Report::default();
        for _ in 0..LISTED_MAX + 2 {
            report.push_refusal(refusal.clone());
        }
        assert_eq!(report.refused.len(), LISTED_MAX);
        assert_eq!(report.refused_count, LISTED_MAX as u64 + 2);
    }
}
