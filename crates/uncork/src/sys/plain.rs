//! Any other system: vectored writes, files by a copy. Type-checked only.

use std::fs::File;
use std::io::{self, IoSlice};

use socket2::SockRef;

use super::TcpSocket;
use crate::plan::{Platform, Tail};
use crate::run::Wire;

/// Vectored writes, and nothing beyond.
pub(crate) const PLATFORM: Platform = Platform::PLAIN;

/// The send side of a TCP socket.
#[derive(Debug)]
pub(crate) struct Tcp<'s>(SockRef<'s>);

impl<'s> Tcp<'s> {
    pub(crate) fn of<S: TcpSocket>(socket: &'s S) -> Self {
        Tcp(SockRef::from(socket))
    }
}

impl Wire for Tcp<'_> {
    fn write(&mut self, slices: &[IoSlice<'_>], _tail: Tail) -> io::Result<usize> {
        self.0.send_vectored(slices)
    }

    fn send_file(&mut self, _file: &File, _offset: u64, _len: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(unix)]
    fn read_file(&mut self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        super::unix::read_file(file, offset, buffer)
    }

    #[cfg(windows)]
    fn read_file(&mut self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
    }

    fn cork(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn release(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Windows has no way to ask whether a socket blocks: a write that was told to wait ends.
#[cfg(windows)]
pub(crate) fn wait_writable<S: TcpSocket>(_socket: &S) -> io::Result<super::Ready> {
    Ok(super::Ready::TimedOut)
}
