//! Descriptors by their number: those that this process was started with, and those it hands on.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::FdFlags;

/// The numbers of the descriptors that a program gets from this process when it is started:
/// everything without CLOEXEC, which is what this process itself was started with.
pub(crate) fn inherited() -> io::Result<Vec<RawFd>> {
    let mut numbers = open_numbers()?;
    numbers.retain(|&number| {
        // SAFETY: the number was open a moment ago, nothing of ours closes descriptors meanwhile (one
        // thread), and one that is gone makes the call fail.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_getfd(descriptor).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
    });
    Ok(numbers)
}

/// Runs `look` on an inherited descriptor.
pub(crate) fn with<T>(number: RawFd, look: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
    // SAFETY: inherited descriptors are nobody's in this process, so that nobody closes them but
    // `close` below, which runs after all looks; a number that is not open makes calls fail.
    look(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Closes inherited descriptors, once the command has its own: whoever waits for the end of a pipe, or
/// of a lock, waits for the command, not for us.
pub(crate) fn close(numbers: impl IntoIterator<Item = RawFd>) {
    for number in numbers {
        // SAFETY: an inherited descriptor, which no value of this process owns.
        let _ = unsafe { libc::close(number) };
    }
}

/// Closes everything but stdin, stdout, stderr and `kept`. For a process that has opened nothing yet.
pub(crate) fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let numbers = open_numbers()?;
    let others = numbers
        .into_iter()
        .filter(|number| *number > libc::STDERR_FILENO && !kept.contains(number));
    close(others);
    Ok(())
}

/// Takes descriptors that another `uncork` handed on by number, each once. `None` where one is not open.
pub(crate) fn adopt<const N: usize>(numbers: [RawFd; N]) -> Option<[OwnedFd; N]> {
    let is_open = |number: RawFd| {
        number > libc::STDERR_FILENO && with(number, |end| rustix::io::fcntl_getfd(end)).is_ok()
    };
    let are_distinct = (1..N).all(|n| !numbers[..n].contains(&numbers[n]));
    if !are_distinct || !numbers.into_iter().all(is_open) {
        return None;
    }
    // SAFETY: each is open, comes from the program's start, and is taken here and nowhere else: the
    // process has opened nothing else yet, which is the contract of this function.
    Some(numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) }))
}

fn open_numbers() -> io::Result<Vec<RawFd>> {
    let names = std::fs::read_dir("/proc/self/fd")?;
    let numbers = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // One of them is the folder that was read; it is closed by now.
    Ok(numbers.collect())
}
