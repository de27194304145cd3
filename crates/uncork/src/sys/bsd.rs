//! macOS and FreeBSD: `TCP_NOPUSH` and their own `sendfile`. Type-checked only: nobody has run
//! this on either system yet.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockRef;

use super::TcpSocket;
use crate::plan::{Platform, Tail};
use crate::run::Wire;

/// What macOS and FreeBSD offer.
pub(crate) const PLATFORM: Platform = Platform::BSD;

/// The send side of a TCP socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tcp<'s>(BorrowedFd<'s>);

impl<'s> Tcp<'s> {
    pub(crate) fn of<S: TcpSocket>(socket: &'s S) -> Self {
        Tcp(socket.as_fd())
    }
}

impl Wire for Tcp<'_> {
    /// There is no `MSG_MORE` here: a plan for this platform holds by cork alone.
    fn write(&mut self, slices: &[IoSlice<'_>], _tail: Tail) -> io::Result<usize> {
        loop {
            match SockRef::from(&self.0).send_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Both systems can move bytes *and* report `EAGAIN` or `EINTR`: bytes moved are progress.
    fn send_file(&mut self, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        loop {
            let (sent_bytes, result) = sendfile(self.0, file, offset, len)?;
            match result {
                Ok(()) => return Ok(sent_bytes),
                Err(_) if sent_bytes > 0 => return Ok(sent_bytes),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EINVAL | libc::EOPNOTSUPP) => {
                        return Err(io::ErrorKind::Unsupported.into());
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    fn read_file(&mut self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        super::unix::read_file(file, offset, buffer)
    }

    fn cork(&mut self) -> io::Result<()> {
        set_nopush(self.0, 1)
    }

    /// FreeBSD sends what is held when NOPUSH is cleared. macOS does not before the next
    /// write; setting NODELAY again makes it look.
    fn release(&mut self) -> io::Result<()> {
        set_nopush(self.0, 0)?;
        SockRef::from(&self.0).set_tcp_nodelay(true)
    }
}

fn set_nopush(socket: BorrowedFd<'_>, value: libc::c_int) -> io::Result<()> {
    super::unix::set_tcp_option(socket, libc::TCP_NOPUSH, value)
}

/// The bytes sent, and how the call ended.
type Sent = (usize, io::Result<()>);

#[cfg(target_os = "macos")]
fn sendfile(socket: BorrowedFd<'_>, file: &File, offset: u64, len: usize) -> io::Result<Sent> {
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    let mut moved = libc::off_t::try_from(len).map_err(io::Error::other)?;
    // SAFETY: both descriptors are open for the call, `moved` is a writable off_t, and a null
    // header list is allowed.
    let result = unsafe {
        libc::sendfile(
            file.as_raw_fd(),
            socket.as_raw_fd(),
            offset,
            &raw mut moved,
            std::ptr::null_mut(),
            0,
        )
    };
    Ok(outcome(result, moved))
}

#[cfg(target_os = "freebsd")]
fn sendfile(socket: BorrowedFd<'_>, file: &File, offset: u64, len: usize) -> io::Result<Sent> {
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    let mut moved: libc::off_t = 0;
    // SAFETY: both descriptors are open for the call, `moved` is a writable off_t, and a null
    // header list is allowed.
    let result = unsafe {
        libc::sendfile(
            file.as_raw_fd(),
            socket.as_raw_fd(),
            offset,
            len,
            std::ptr::null_mut(),
            &raw mut moved,
            0,
        )
    };
    Ok(outcome(result, moved))
}

fn outcome(result: libc::c_int, moved: libc::off_t) -> Sent {
    let sent_bytes = usize::try_from(moved).unwrap_or(0);
    if result == 0 {
        (sent_bytes, Ok(()))
    } else {
        (sent_bytes, Err(io::Error::last_os_error()))
    }
}
