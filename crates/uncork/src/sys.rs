//! Every raw system call of this crate, one platform a file.
//!
//! | platform | held by | files by | run by the tests |
//! |---|---|---|---|
//! | Linux | `TCP_CORK`, `MSG_MORE` | `sendfile` | yes |
//! | macOS, FreeBSD | `TCP_NOPUSH` | their `sendfile` | no: type-checked only |
//! | others | – | a copy | no: type-checked only |
//!
//! To type-check the others: `rustup target add x86_64-unknown-freebsd`, then `cargo check -p
//! uncork --features tokio --target x86_64-unknown-freebsd`. Done for FreeBSD, NetBSD, macOS and
//! Windows.

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
mod bsd;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
mod plain;
#[cfg(unix)]
mod unix;

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
pub(crate) use bsd::{PLATFORM, Tcp};
#[cfg(target_os = "linux")]
pub(crate) use linux::{PLATFORM, Tcp, set_defer_accept, set_quickack, tcp_info};
#[cfg(windows)]
pub(crate) use plain::wait_writable;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
pub(crate) use plain::{PLATFORM, Tcp};
#[cfg(unix)]
pub(crate) use unix::wait_writable;

/// Anything that is, or lends, an open TCP socket: `TcpStream`, `&TcpStream`,
/// `Arc<TcpStream>`, `socket2::Socket`, a file descriptor.
#[cfg(unix)]
pub trait TcpSocket: std::os::fd::AsFd {}
#[cfg(unix)]
impl<T: std::os::fd::AsFd> TcpSocket for T {}

/// Anything that is, or lends, an open TCP socket.
#[cfg(windows)]
pub trait TcpSocket: std::os::windows::io::AsSocket {}
#[cfg(windows)]
impl<T: std::os::windows::io::AsSocket> TcpSocket for T {}

/// Why a write was told to wait, and whether waiting helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The socket is non-blocking, and takes bytes again.
    #[cfg_attr(windows, expect(dead_code, reason = "nothing there tells it"))]
    Writable,
    /// The socket blocks, so `SO_SNDTIMEO` has run out.
    TimedOut,
}
