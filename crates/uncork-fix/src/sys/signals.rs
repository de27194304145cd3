//! Signals: what this process was started with, all of them through a descriptor, and dying by one.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::c_int;
use rustix::io::Errno;

/// Signals that mean a mistake of this very process: they have to reach it at once.
const OWN_MISTAKES: [c_int; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// The size of `struct signalfd_siginfo`: its layout is the kernel's for all time.
const SIGINFO_BYTES: usize = 128;

/// Whether SIGPIPE was ignored before Rust's runtime ignored it.
static WAS_SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// Which of stdin, stdout and stderr were closed before Rust's runtime put /dev/null there.
static WAS_CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// Runs before `main`, because the runtime of Rust has changed it all by then.
///
/// It stays out of what constructors may not rely on: two system calls and two kinds of store.
extern "C" fn look_before_main() {
    WAS_SIGPIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    for (number, was_closed) in (0..).zip(&WAS_CLOSED) {
        // SAFETY: F_GETFD takes no third argument and changes nothing, whatever the number is.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        was_closed.store(flags == -1, Ordering::Relaxed);
    }
}

// SAFETY: `.init_array` holds addresses of functions that the C runtime calls one after the other
// before `main`; the function takes fewer arguments than it is handed, which the C calling
// convention allows.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_BEFORE_MAIN: extern "C" fn() = look_before_main;

/// The signals that this process was started with: what a command has to get from it.
#[derive(Clone, Copy)]
pub(crate) struct Inherited {
    mask: libc::sigset_t,
    is_sigchld_ignored: bool,
}

/// A signal, and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) signal: c_int,
    /// `si_code`: whether a process or the kernel sent it.
    pub(crate) code: c_int,
    /// Which process, where one did.
    pub(crate) sender: u32,
}

/// From now on every signal comes through the returned descriptor, but those that mean a mistake of
/// this process. For a process of one thread.
pub(crate) fn take_over() -> io::Result<(Inherited, OwnedFd)> {
    let is_sigchld_ignored = is_ignored(libc::SIGCHLD);
    // Else children would be gone before they can be asked how they ended.
    set_disposition(libc::SIGCHLD, libc::SIG_DFL)?;
    let all = all_but_own_mistakes();
    let mask = set_mask(&all)?;
    let inherited = Inherited {
        mask,
        is_sigchld_ignored,
    };
    // SAFETY: `all` is an initialised set; -1 asks for a new descriptor.
    let descriptor = unsafe { libc::signalfd(-1, &raw const all, libc::SFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor, which nobody else owns.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok((inherited, descriptor))
}

/// Blocks whatever can be blocked: for a process that others rely on until they end.
pub(crate) fn block() -> io::Result<()> {
    set_mask(&all_but_own_mistakes()).map(drop)
}

/// The signals that wait on the descriptor of [`take_over`]. Blocks where none does.
pub(crate) fn read(descriptor: impl AsFd) -> io::Result<Vec<Received>> {
    const AT_ONCE: usize = 16;
    let mut buffer = [0; SIGINFO_BYTES * AT_ONCE];
    let len = rustix::io::read(descriptor, &mut buffer)?;
    let field = |info: &[u8], at: usize| {
        let bytes = info.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_ne_bytes)
    };
    let infos = buffer[..len.min(buffer.len())].chunks_exact(SIGINFO_BYTES);
    Ok(infos
        .map(|info| Received {
            signal: field(info, 0).cast_signed(),
            code: field(info, 8).cast_signed(),
            sender: field(info, 12),
        })
        .collect())
}

impl Inherited {
    /// Puts everything back as this process found it. Safe to call between fork and exec.
    pub(crate) fn restore(&self) -> io::Result<()> {
        let sigpipe = handler(WAS_SIGPIPE_IGNORED.load(Ordering::Relaxed));
        set_disposition(libc::SIGPIPE, sigpipe)?;
        set_disposition(libc::SIGCHLD, handler(self.is_sigchld_ignored))?;
        for (number, was_closed) in (0..).zip(&WAS_CLOSED) {
            if was_closed.load(Ordering::Relaxed) {
                // SAFETY: the descriptor is the /dev/null that Rust's runtime opened; the process is
                // about to become another program, and nothing of this one uses it any more.
                let _ = unsafe { libc::close(number) };
            }
        }
        set_mask(&self.mask).map(drop)
    }
}

/// Sends a signal. `process` has to be a child that was not waited for: its id can't be another's.
pub(crate) fn send(process: rustix::process::Pid, signal: c_int) {
    // SAFETY: the call touches no memory. It fails where the process has ended, which is as well.
    let _ = unsafe { libc::kill(process.as_raw_nonzero().get(), signal) };
}

/// Stops this process by a signal that stops processes. Returns when it goes on; all that was blocked
/// is so again.
pub(crate) fn stop_by(signal: c_int) {
    let mut only = empty_set();
    // SAFETY: the set is initialised; a number that is no signal's makes the call fail.
    let _ = unsafe { libc::sigaddset(&raw mut only, signal) };
    let _ = set_disposition(signal, libc::SIG_DFL);
    // Raised while it is blocked: one that the terminal has sent, too, is one with it then.
    // SAFETY: the call touches no memory.
    let _ = unsafe { libc::raise(signal) };
    // SAFETY: an initialised set; the process stops within the call.
    let _ = unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, ptr::null_mut()) };
    let _ = set_mask(&all_but_own_mistakes());
}

/// Ends this process by a signal, without a core of its own. Returns where the signal does not end
/// it: in a container's first process.
pub(crate) fn die_by(signal: c_int) {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    // The limit does not hold for cores that go to a program (`core_pattern` with a `|`).
    let undumpable = rustix::process::DumpableBehavior::NotDumpable;
    let _ = rustix::process::set_dumpable_behavior(undumpable);
    let _ = set_disposition(signal, libc::SIG_DFL);
    let _ = set_mask(&empty_set());
    // SAFETY: the call touches no memory.
    let _ = unsafe { libc::raise(signal) };
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null second argument changes nothing; the third is room for one sigaction.
    let result = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeros are a valid sigaction, and the kernel has written one where it succeeded.
    let action = unsafe { action.assume_init() };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

fn handler(is_ignored: bool) -> libc::sighandler_t {
    if is_ignored {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    }
}

/// To the default or to be ignored: no function of ours ever runs in a signal's context.
fn set_disposition(signal: c_int, handler: libc::sighandler_t) -> io::Result<()> {
    debug_assert!([libc::SIG_DFL, libc::SIG_IGN].contains(&handler));
    // SAFETY: the handler is SIG_DFL or SIG_IGN, so that no code is called.
    let before = unsafe { libc::signal(signal, handler) };
    if before == libc::SIG_ERR {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn set_mask(mask: &libc::sigset_t) -> io::Result<libc::sigset_t> {
    let mut before = empty_set();
    // SAFETY: both are initialised sets, and the second is writable.
    let error = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, &raw mut before) };
    match error {
        0 => Ok(before),
        error => Err(Errno::from_raw_os_error(error).into()),
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset writes a whole set and fails only where it has no room, which it has.
    let _ = unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: just written.
    unsafe { set.assume_init() }
}

fn all_but_own_mistakes() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset writes a whole set and fails only where it has no room, which it has.
    let _ = unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: just written.
    let mut set = unsafe { set.assume_init() };
    for signal in OWN_MISTAKES {
        // SAFETY: the set is initialised, and the number is a signal's.
        let _ = unsafe { libc::sigdelset(&raw mut set, signal) };
    }
    set
}
