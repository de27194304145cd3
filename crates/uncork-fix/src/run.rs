//! `uncork run`: TCP_NODELAY, or TCP_QUICKACK, on every TCP socket of a command and of all that it starts.
//!
//! The command is started with a seccomp filter, whose listener gets each `connect` and `listen`, and
//! each send that connects (`MSG_FASTOPEN`), before the kernel carries it out. The supervisor, which is
//! the command's parent, duplicates the socket in question (`pidfd_getfd`), sets the option, and lets
//! the call go on. Accepted connections have the option from their listener. That needs no privileges
//! over one's own children, and nothing of the program: static ones are as good as any.
//!
//! TCP_QUICKACK is another matter, as the kernel takes it back all the time: a thread of the supervisor
//! looks for the command's connections, and sets it on them every few milliseconds. That takes no filter.
//!
//! What it does not see: sockets that connect through io_uring, sockets that come from outside over a
//! Unix socket, 32-bit programs. And a program that switches the option off afterwards has its way.
//!
//! ```no_run
//! use uncork_fix::run::{KeeperArguments, Listing, Settings, Work, run};
//!
//! let settings = Settings {
//!     work: Work::Nodelay,
//!     ports: Vec::new(),
//!     listing: Listing::Count,
//!     keeper: KeeperArguments { verb: "run-keeper" },
//! };
//! let ran = run(&["./import.py".into(), "--all".into()], &settings)?;
//! println!("{} sockets changed", ran.report.changed);
//! # Ok::<(), uncork_fix::run::RunError>(())
//! ```

mod address;
mod call;
mod error;
mod family;
mod filter;
mod keeper;
mod launch;
mod quickack;
mod service;
mod supervisor;
mod tally;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::RawFd;

use rustix::fs::MemfdFlags;

pub use self::error::RunError;
pub use self::keeper::KeeperArguments;
#[doc(hidden)]
pub use self::keeper::keep;
pub use self::service::Listing;
pub use self::tally::{ChangedSocket, QuickackReport, Refused, Report, SOCKETS_MAX};

use self::filter::Filter;
use self::service::{Selection, Service};
use self::supervisor::Supervisor;
use self::tally::Tally;
use crate::sys::{descriptors, seccomp, signals};

/// Whether ptrace is kept to ancestors: see `Documentation/admin-guide/LSM/Yama.rst`.
const YAMA: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// What is done to the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// What the command sends is not held: TCP_NODELAY.
    #[doc(alias = "TCP_NODELAY")]
    Nodelay,
    /// What the command receives is acknowledged at once, or nearly: TCP_QUICKACK.
    #[doc(alias = "TCP_QUICKACK")]
    Quickack,
    /// Both.
    NodelayAndQuickack,
}

impl Work {
    fn has_nodelay(self) -> bool {
        matches!(self, Self::Nodelay | Self::NodelayAndQuickack)
    }

    fn has_quickack(self) -> bool {
        matches!(self, Self::Quickack | Self::NodelayAndQuickack)
    }
}

/// What can be chosen about a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is done to the sockets.
    pub work: Work,
    /// Only sockets that connect to one of these ports, or listen on it; all where there are none.
    pub ports: Vec<u16>,
    /// Which sockets the report names.
    pub listing: Listing,
    /// How this program starts its keeper.
    pub keeper: KeeperArguments,
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has exited.
    Code(u8),
    /// A signal ended it.
    Signal(i32),
}

/// A run that is over.
#[derive(Debug)]
pub struct Ran {
    /// How the command ended.
    pub end: End,
    /// What has changed, as long as the command ran.
    pub report: Report,
    /// Why no keeper was there, where one was needed: had this process been killed, the command's
    /// later connections would have failed.
    pub no_keeper: Option<io::Error>,
    /// Why no thread was there for [`Work::Quickack`], where one was needed.
    pub no_quickack: Option<io::Error>,
}

/// Runs a command to its end, in this process's group, on its terminal, with all that it has open.
///
/// From here on the process's signals are the command's: this is for a process that does nothing else.
/// Its inherited descriptors are closed, but stderr; stdin and stdout lead to /dev/null afterwards, and
/// its folder is `/`: paths that are used after the run have to be opened before.
///
/// Under an outer `uncork run` that does the work already, this process *becomes* the command, and the
/// function does not return.
///
/// # Errors
/// Where the command was not started, or can't be waited for. [`RunError::advice`] says what to do.
///
/// # Minimum kernel version
/// 5.9.
pub fn run(command: &[OsString], settings: &Settings) -> Result<Ran, RunError> {
    has_one_thread()?;
    let (inherited_signals, signals) =
        signals::take_over().map_err(RunError::system("signalfd"))?;
    // What an outer one does needs no filter, of which there can be one only.
    let has_filter = settings.work.has_nodelay() && !service::is_supervised();
    if !has_filter && !settings.work.has_quickack() {
        return Err(launch::become_command(command, inherited_signals));
    }
    let filter = has_filter.then(filter).transpose()?;
    service::probe().map_err(RunError::system("pidfd_getfd"))?;
    let inherited = descriptors::inherited().map_err(RunError::system("/proc/self/fd"))?;
    let in_hand = rustix::fs::memfd_create(c"uncork", MemfdFlags::CLOEXEC);
    let in_hand = in_hand.map_err(|error| RunError::system("memfd_create")(error.into()))?;
    adopt_orphans_for_yama();

    let selection = Selection {
        ports: settings.ports.clone(),
    };
    let mut tally = Tally::default();
    if has_filter {
        change_inherited(&inherited, &selection, settings.listing, &mut tally);
    }
    let (child, listener) = launch::start(command, filter, inherited_signals)?;
    let service = listener.map(|listener| {
        let in_hand = File::from(in_hand);
        let mut service = Service::new(listener, in_hand, selection.clone(), settings.listing);
        service.tally = tally;
        service
    });
    let mut supervisor = Supervisor::new(child, signals, service, settings.keeper.clone());
    // After the keeper, whose start is a fork: that has to happen in a process of one thread.
    let no_quickack = match settings.work.has_quickack() {
        true => supervisor.begin_quickack(&selection).err(),
        false => None,
    };
    let_go(&inherited);
    let end = supervisor.supervise().map_err(RunError::system("poll"))?;
    let no_keeper = supervisor.no_keeper.take();
    Ok(Ran {
        end,
        report: supervisor.finish(),
        no_keeper,
        no_quickack,
    })
}

/// The filter, where this machine can have it.
fn filter() -> Result<Filter, RunError> {
    let filter = Filter::new().ok_or(RunError::Architecture)?;
    kernel_is_recent()?;
    seccomp::probe().map_err(RunError::system("seccomp"))?;
    Ok(filter)
}

/// Ends this process as the command ended: by the same signal, too, so that a shell can tell.
pub fn end_like(end: End) -> ! {
    /// What shells make of a signal.
    const BY_SIGNAL: i32 = 128;
    let code = match end {
        End::Code(code) => code.into(),
        End::Signal(signal) => {
            signals::die_by(signal);
            // The first process of a container does not die by signals.
            BY_SIGNAL + signal
        }
    };
    std::process::exit(code)
}

/// Sets the option on sockets that the command is started with: stdin of a super-server's child, those
/// that systemd listens on.
fn change_inherited(
    inherited: &[RawFd],
    selection: &Selection,
    listing: Listing,
    tally: &mut Tally,
) {
    for &number in inherited {
        let changed = descriptors::with(number, |socket| {
            service::change_inherited(socket, selection)
        });
        match changed {
            Ok(None) => {}
            Ok(Some(socket)) => {
                tally.changed();
                if listing == Listing::First {
                    tally.list(|| socket);
                }
            }
            Err(reason) => tally.refused(reason),
        }
    }
}

/// Gives up what the command has now, so that its readers see the end when the command closes it.
/// stderr stays: it is where failures are told.
fn let_go(inherited: &[RawFd]) {
    const STANDARD: [RawFd; 3] = [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
    }
    // A file system that the command was started in can be taken off while it runs elsewhere.
    let _ = rustix::process::chdir("/");
    let others = inherited.iter().filter(|number| !STANDARD.contains(number));
    descriptors::close(others.copied());
}

/// Under Yama's first level a process may take the sockets of its descendants only: so those of the
/// command that lose their parent (daemons do) get this process as theirs. Elsewhere they go to init as
/// ever.
fn adopt_orphans_for_yama() {
    if std::fs::read_to_string(YAMA).is_ok_and(|scope| scope.trim() == "1") {
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
}

/// The one thing that no probe tells: `EPOLLHUP` from a listener that nobody calls any more.
fn kernel_is_recent() -> Result<(), RunError> {
    const LEAST: (u32, u32) = (5, 9);
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    match version(&release) {
        // What can't be read is hardly old.
        Some(version) if version < LEAST => Err(RunError::Kernel { release }),
        _ => Ok(()),
    }
}

/// The first two numbers of a release as `uname -r` has it.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

/// A fork has the calling thread only, and the locks of all.
fn has_one_thread() -> Result<(), RunError> {
    let threads =
        std::fs::read_dir("/proc/self/task").map_err(RunError::system("/proc/self/task"))?;
    match threads.count() {
        1 => Ok(()),
        _ => Err(RunError::Threads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        for (release, expected) in [
            ("6.18.44-fc-v657", Some((6, 18))),
            ("5.9", Some((5, 9))),
            ("5.10-rc1", Some((5, 10))),
            ("4.18.0-553.el8_10.x86_64", Some((4, 18))),
            ("5", None),
            ("", None),
            ("next", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
    }
}
