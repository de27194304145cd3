//! seccomp(2): a filter with a listener, and what is said over the listener: seccomp_unotify(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_uint, c_ulong};

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of `linux/seccomp.h`, which the libc crate has not.
const SYNC_WAKE_UP: u64 = 1;

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Notification {
    /// What the answer has to name.
    pub(crate) id: u64,
    /// The id of the thread that waits, or 0 where it can't be seen from our PID namespace.
    pub(crate) thread: u32,
    /// The number of the system call.
    pub(crate) call: i32,
    /// Its arguments, as the registers have them.
    pub(crate) arguments: [u64; 6],
}

/// A struct that a newer kernel may know a longer version of, with room for that.
#[repr(C)]
struct Roomy<T> {
    value: T,
    room: [u64; 32],
}

/// Whether the kernel's structs fit into what [`receive`] and [`go_on`] hand over, and whether it
/// knows notifications at all (Linux 5.0).
pub(crate) fn probe() -> io::Result<()> {
    let mut sizes = libc::seccomp_notif_sizes {
        seccomp_notif: 0,
        seccomp_notif_resp: 0,
        seccomp_data: 0,
    };
    // SAFETY: SECCOMP_GET_NOTIF_SIZES writes one seccomp_notif_sizes, which `sizes` is.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_NOTIF_SIZES,
            0 as c_uint,
            &raw mut sizes,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let fits = usize::from(sizes.seccomp_notif) <= size_of::<Roomy<libc::seccomp_notif>>()
        && usize::from(sizes.seccomp_notif_resp) <= size_of::<Roomy<libc::seccomp_notif_resp>>();
    if fits {
        Ok(())
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Puts a filter on the calling thread, and all that it will start, and returns its listener.
///
/// Safe to call between fork and exec: it allocates nothing and takes no lock.
///
/// # Minimum kernel version
/// 5.0. From 5.19 on a thread whose call was taken in hand waits for the answer through signals that
/// don't kill it.
pub(crate) fn install(program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    // Without SPEC_ALLOW, kernels before 5.16 slow down a thread with a filter by a mitigation that is
    // meant for sandboxes. This is none.
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    match set_mode_filter(
        program,
        flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    ) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set_mode_filter(program, flags),
        done => done,
    }
}

fn set_mode_filter(program: &[libc::sock_filter], flags: c_ulong) -> io::Result<OwnedFd> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: `program` points to `len` instructions that live for the call; the kernel copies them and
    // writes nothing.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    let listener = c_int::try_from(listener).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: with NEW_LISTENER the call returns a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// Takes the next system call that waits in hand. Blocks where none does: ask `poll` first.
///
/// # Errors
/// ENOENT where the call that `poll` saw is gone again; EINTR.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> io::Result<Notification> {
    // The kernel insists on zeros.
    let mut notification = Roomy {
        value: libc::seccomp_notif {
            id: 0,
            pid: 0,
            flags: 0,
            data: libc::seccomp_data {
                nr: 0,
                arch: 0,
                instruction_pointer: 0,
                args: [0; 6],
            },
        },
        room: [0; 32],
    };
    // SAFETY: the ioctl writes one seccomp_notif of the kernel's size, for which `probe` has found room.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            &raw mut notification,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let Roomy { value, .. } = notification;
    Ok(Notification {
        id: value.id,
        thread: value.pid,
        call: value.data.nr,
        arguments: value.data.args,
    })
}

/// Whether the thread still waits in that call: only then is what was found under its id its own.
pub(crate) fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the ioctl reads one u64.
    let ask = || unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            &raw const id,
        )
    };
    repeat(ask).is_ok()
}

/// A `connect` of no socket to no address, with an argument that only a listener sees. Returns the
/// error: EBADF where there is none.
pub(crate) fn connect_nothing(argument: u64) -> c_int {
    const NO_SOCKET: libc::c_long = -1;
    const NO_ADDRESS: libc::c_long = 0;
    // SAFETY: a null address of no bytes is not followed, and a fourth argument is not looked at.
    let result = unsafe {
        libc::syscall(
            libc::SYS_connect,
            NO_SOCKET,
            NO_ADDRESS,
            NO_ADDRESS,
            argument,
        )
    };
    match result {
        0 => 0,
        _ => io::Error::last_os_error().raw_os_error().unwrap_or(0),
    }
}

/// Lets the call go on as if there was no filter.
///
/// # Errors
/// ENOENT where nobody waits under that id; EINPROGRESS where nobody took it in hand yet.
///
/// # Minimum kernel version
/// 5.5 (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`).
pub(crate) fn go_on(listener: BorrowedFd<'_>, id: u64) -> io::Result<()> {
    let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
    answer(listener, id, 0, flags)
}

/// Has the call fail with an error number of the kernel, without carrying it out.
///
/// # Errors
/// As [`go_on`].
pub(crate) fn refuse(listener: BorrowedFd<'_>, id: u64, error: c_int) -> io::Result<()> {
    answer(listener, id, -error, 0)
}

fn answer(listener: BorrowedFd<'_>, id: u64, error: c_int, flags: u32) -> io::Result<()> {
    let answer = Roomy {
        value: libc::seccomp_notif_resp {
            id,
            val: 0,
            error,
            flags,
        },
        room: [0; 32],
    };
    // SAFETY: the ioctl reads one seccomp_notif_resp, for which `probe` has found room.
    let send = || unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw const answer,
        )
    };
    repeat(send)
}

/// Until nothing interrupts it: blocked signals don't, but a freezer does, and who waits for an answer
/// that was not sent would wait for ever.
fn repeat(call: impl Fn() -> c_int) -> io::Result<()> {
    loop {
        if call() == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Asks for hand-overs on one core, as one of the two always waits for the other (Linux 6.6). An
/// older kernel refuses, and is slower.
pub(crate) fn wake_in_turns(listener: impl AsFd) {
    // SAFETY: the argument is a number, not an address.
    let _ = unsafe {
        libc::ioctl(
            listener.as_fd().as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
            SYNC_WAKE_UP,
        )
    };
}
