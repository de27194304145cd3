//! What Linux and the BSDs share.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl};

use super::Ready;

/// After `EAGAIN`: waits until a non-blocking socket takes bytes again.
pub(crate) fn wait_writable(socket: impl AsFd) -> io::Result<Ready> {
    let socket = socket.as_fd();
    if !fcntl_getfl(socket)?.contains(OFlags::NONBLOCK) {
        return Ok(Ready::TimedOut);
    }
    loop {
        let mut polled = [PollFd::new(&socket, PollFlags::OUT)];
        match poll(&mut polled, None) {
            Ok(_) => return Ok(Ready::Writable),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `pread(2)`.
pub(super) fn read_file(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::pread(file, buffer, offset)?)
}

/// A TCP option whose value is an int, for those that no crate has a name for.
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
pub(super) fn set_tcp_option(
    socket: BorrowedFd<'_>,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let value_len = size_of::<libc::c_int>();
    // SAFETY: the descriptor is open while it is borrowed, and the option value is a c_int that
    // outlives the call, of the length that is passed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            libc::socklen_t::try_from(value_len).unwrap_or(libc::socklen_t::MAX),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
