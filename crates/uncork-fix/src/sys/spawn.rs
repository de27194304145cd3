//! Between fork and exec: what std's `Command` has no safe word for.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Runs `prepare` in the child, before it becomes the command.
///
/// For a process of one thread only: no other can hold a lock, of the allocator or of the environment,
/// that would stay locked in the child for ever.
pub(crate) fn before_exec(
    command: &mut Command,
    prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: what the child may do between fork and exec is what any process of one thread may.
    unsafe { command.pre_exec(prepare) };
}

/// Sets a variable of the calling process: in [`before_exec`], the command's. std's own function would
/// wait for a lock that `spawn` holds across the fork.
pub(crate) fn set_variable(name: &CStr, value: &CStr) {
    const OVERWRITE: libc::c_int = 1;
    // SAFETY: both are strings with an end, which setenv copies, and there is one thread: nothing reads
    // the environment meanwhile.
    let _ = unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), OVERWRITE) };
}

/// Removes a variable, under the same terms.
pub(crate) fn unset_variable(name: &CStr) {
    // SAFETY: a string with an end, and one thread: nothing reads the environment meanwhile.
    let _ = unsafe { libc::unsetenv(name.as_ptr()) };
}

/// Hands a descriptor on to the program that this process is about to become.
pub(crate) fn keep_across_exec(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(
        descriptor,
        rustix::io::FdFlags::empty(),
    )?)
}
