//! Process groups and sessions, as ids in this pid namespace: 0 for one whose leader lives outside it, as in
//! a container that was entered from a shell, and for what the kernel has started and nobody has moved.
//!
//! rustix has these calls too, for a group and a session that have an id: its `Pid` is never 0.

use rustix::process::Pid;

/// The group of this process.
pub(crate) fn own_group() -> u32 {
    // SAFETY: the call touches no memory, and never fails.
    unsafe { libc::getpgrp() }.cast_unsigned()
}

/// The session of this process.
pub(crate) fn own_session() -> u32 {
    // SAFETY: the call touches no memory; for the calling process (0) it never fails.
    unsafe { libc::getsid(0) }.cast_unsigned()
}

/// The group of another process; `None` where it has ended and was waited for.
pub(crate) fn group_of(process: Pid) -> Option<u32> {
    // SAFETY: the call touches no memory.
    let group = unsafe { libc::getpgid(process.as_raw_nonzero().get()) };
    u32::try_from(group).ok()
}
