//! Why a process, or one of its sockets, can't be had.

use std::io;

use rustix::io::Errno;

use crate::advice::Facts;

/// What an operation on another process came to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such process, or not any more.
    #[error("there is no process {pid} ({call}: {reason})")]
    Gone {
        /// Of the process.
        pid: u32,
        /// Which system call said so.
        call: &'static str,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The id is that of one thread of a process.
    #[error("{pid} is a thread of process {process} (pidfd_open: {reason})")]
    Thread {
        /// What was asked for.
        pid: u32,
        /// Of the process that it belongs to.
        process: u32,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The kernel does not let this process at the other; [`advice`](Error::advice) says why.
    #[error("not permitted for process {pid} ({call}: {reason})")]
    NotPermitted {
        /// Of the process.
        pid: u32,
        /// Which system call was refused.
        call: &'static str,
        /// What the kernel said.
        reason: io::Error,
    },
    /// This kernel has no such system call, or a filter says that it has not.
    #[error("no {call} here ({reason})")]
    Unsupported {
        /// Which system call.
        call: &'static str,
        /// What the kernel said.
        reason: io::Error,
    },
    /// Anything else: no descriptors left, for one.
    #[error("process {pid} can't be looked at ({call}: {reason})")]
    System {
        /// Of the process.
        pid: u32,
        /// Which system call failed.
        call: &'static str,
        /// What the kernel said.
        reason: io::Error,
    },
}

impl Error {
    /// Sorts what a system call said about a process.
    pub(crate) fn of(pid: u32, call: &'static str, errno: Errno) -> Self {
        let reason = io::Error::from(errno);
        match errno {
            Errno::SRCH | Errno::NOENT => Self::Gone { pid, call, reason },
            Errno::PERM | Errno::ACCESS => Self::NotPermitted { pid, call, reason },
            Errno::NOSYS => Self::Unsupported { call, reason },
            _ => Self::System { pid, call, reason },
        }
    }

    /// Whether the process has ended, which is no failure for somebody who watches it.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }

    /// Whether this process, or the machine, had no descriptor left: a later try may succeed.
    #[must_use]
    pub fn is_scarcity(&self) -> bool {
        let Self::System { reason, .. } = self else {
            return false;
        };
        let scarcity = [Errno::MFILE, Errno::NFILE];
        Errno::from_io_error(reason).is_some_and(|errno| scarcity.contains(&errno))
    }

    /// What is missing and how to get it, in a sentence or two; `None` where nothing helps.
    ///
    /// Looks at both processes as they are now, so it costs a few reads of `/proc`.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::NotPermitted { pid, .. } => Some(Facts::about(*pid).advice()),
            Self::Thread { process, .. } => Some(format!("Give the id of its process: {process}.")),
            Self::Unsupported { call, .. } => Some(format!(
                "{call} needs Linux 5.6, and a container whose seccomp filter lets it through: \
                 `--cap-add SYS_PTRACE`, or `--security-opt seccomp=unconfined`."
            )),
            Self::Gone { .. } | Self::System { .. } => None,
        }
    }
}
