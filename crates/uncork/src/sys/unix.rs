//! What Linux and the BSDs share.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

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
