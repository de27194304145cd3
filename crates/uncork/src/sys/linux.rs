//! Linux: `sendmsg` with `MSG_MORE`, `sendfile`, `TCP_CORK`, and the options around them.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg, sockopt};

use super::TcpSocket;
use crate::plan::{Platform, Tail};
use crate::run::Wire;

/// What Linux offers.
pub(crate) const PLATFORM: Platform = Platform::LINUX;

/// The send side of a TCP socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tcp<'s>(BorrowedFd<'s>);

impl<'s> Tcp<'s> {
    pub(crate) fn of<S: TcpSocket>(socket: &'s S) -> Self {
        Tcp(socket.as_fd())
    }
}

impl Wire for Tcp<'_> {
    fn write(&mut self, slices: &[IoSlice<'_>], tail: Tail) -> io::Result<usize> {
        let flags = match tail {
            Tail::Push => SendFlags::NOSIGNAL,
            Tail::More => SendFlags::NOSIGNAL | SendFlags::MORE,
        };
        match slices {
            // The same call without a `msghdr` that the kernel has to copy and check.
            [only] => retry_interrupted(|| send(self.0, only, flags)),
            _ => retry_interrupted(|| {
                sendmsg(self.0, slices, &mut SendAncillaryBuffer::default(), flags)
            }),
        }
    }

    fn send_file(&mut self, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        let sent = retry_interrupted(|| {
            let mut offset = offset;
            rustix::fs::sendfile(self.0, file, Some(&mut offset), len)
        });
        // EINVAL and ENOSYS: a file without pages to splice from (many files of procfs), or a
        // seccomp filter. EOVERFLOW: an offset past what this file system counts.
        sent.map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL | libc::ENOSYS | libc::EOVERFLOW) => {
                io::ErrorKind::Unsupported.into()
            }
            _ => error,
        })
    }

    fn read_file(&mut self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        super::unix::read_file(file, offset, buffer)
    }

    fn cork(&mut self) -> io::Result<()> {
        Ok(sockopt::set_tcp_cork(self.0, true)?)
    }

    /// Clearing the cork also pushes what `MSG_MORE` holds: with NODELAY set,
    /// `__tcp_sock_set_cork` in `net/ipv4/tcp.c` pushes pending frames even if no cork was set.
    fn release(&mut self) -> io::Result<()> {
        Ok(sockopt::set_tcp_cork(self.0, false)?)
    }
}

fn retry_interrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

/// `TCP_QUICKACK`.
pub(crate) fn set_quickack(socket: impl AsFd) -> io::Result<()> {
    Ok(sockopt::set_tcp_quickack(socket, true)?)
}

/// `TCP_DEFER_ACCEPT`, in seconds.
pub(crate) fn set_defer_accept(socket: impl AsFd, seconds: libc::c_int) -> io::Result<()> {
    super::unix::set_tcp_option(socket.as_fd(), libc::TCP_DEFER_ACCEPT, seconds)
}

/// `TCP_INFO` into `buffer`; returns how many bytes of it the kernel filled.
pub(crate) fn tcp_info(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = libc::socklen_t::try_from(buffer.len()).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: the descriptor is open for the call (AsFd); `buffer` is writable for `len` bytes
    // and `len` is a socklen_t that the kernel may overwrite with what it filled.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            buffer.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result == 0 {
        Ok(buffer.len().min(len as usize))
    } else {
        Err(io::Error::last_os_error())
    }
}
