//! Why a command was not run.

use std::ffi::OsString;
use std::io;

/// Why a command was not run.
///
/// Sockets that it would have been started with may have the option by then: they get it before the start,
/// which is the first to know whether there is such a program. And whatever fails after the start, `poll`
/// for one, leaves the command running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is no such program, or it can't be started.
    #[error("can't run {}", .program.display())]
    Command {
        /// What was to be run.
        program: OsString,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel has not what it takes, or doesn't allow it.
    #[error("{call}")]
    System {
        /// The system call, or the file.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another program listens already to the system calls of all that is started here, and the kernel
    /// has room for one.
    #[error(
        "seccomp: another program supervises this process already, and the kernel has room for one"
    )]
    Occupied,
    /// The kernel is too old: before 5.9 nobody hears that the last process with a filter has ended.
    #[error("Linux 5.9 is needed, and this is {release}")]
    Kernel {
        /// What the kernel says it is.
        release: String,
    },
    /// uncork does not know the system calls of this processor.
    #[error("the system calls of this processor are not known: x86_64 and aarch64 are")]
    Architecture,
    /// The calling process has more than one thread, which a fork would leave behind.
    #[error("the process that runs a command has to have one thread")]
    Threads,
}

impl RunError {
    pub(crate) fn system(call: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::System { call, source }
    }

    /// What to do next, in a sentence for people.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        let Self::System { call, source } = self else {
            return None;
        };
        match source.raw_os_error() {
            Some(libc::ENOSYS | libc::EINVAL) => {
                Some("`uncork run` needs Linux 5.9, and a kernel with CONFIG_SECCOMP_FILTER")
            }
            Some(libc::EPERM | libc::EACCES) if *call == "pidfd_getfd" => Some(
                "a seccomp profile forbids it, as Docker's default one does: \
                 `--cap-add SYS_PTRACE` allows it",
            ),
            Some(libc::EPERM | libc::EACCES) => Some("a seccomp profile or a container forbids it"),
            _ => None,
        }
    }
}
