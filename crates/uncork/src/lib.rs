#![deny(unsafe_code)]
//! Message-aware sending over TCP.
//!
//! A program that writes a message in pieces loses time or packets, whichever way it sets
//! NODELAY: with Nagle's algorithm on, a small piece is held until the peer acknowledges the
//! one before, and the peer delays that ACK (40 ms a message on Linux); with it off, every
//! piece leaves in a packet of its own. The way out is to give the kernel whole messages.
//!
//! A [`Sender`] takes a connected stream and sends messages: pieces in memory, ranges of
//! files, or a [`Burst`] of unknown size. It decides what the kernel is told (NODELAY, cork,
//! `MSG_MORE`, `sendfile`), by a [plan](plan::plan) that can be printed and tested without a
//! socket. When a send returns, no byte of the message is held by Nagle or by a cork.
//!
//! ```
//! use std::io::Write;
//! use std::net::TcpStream;
//! # use std::io::Read;
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let addr = listener.local_addr()?;
//! # let reader = std::thread::spawn(move || {
//! #     let mut all = Vec::new();
//! #     listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
//! #     all.len()
//! # });
//! # let mut file = tempfile::tempfile()?;
//! # file.write_all(&[b'x'; 1000])?;
//! let mut stream = uncork::Sender::new(TcpStream::connect(addr)?)?;
//! let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
//!
//! stream.send([&head[..], &[b'x'; 1000]])?;                      // one vectored write
//! stream.message().bytes(head).file(&file, 0..1000).send()?;     // no packet for the head alone
//!
//! let mut burst = stream.burst()?;                               // size not known yet
//! for line in 0..1000 {
//!     write!(burst, "line {line}\r\n")?;
//! }
//! burst.finish()?;
//! # let sent = stream.counts().bytes;
//! # drop(stream);
//! # assert_eq!(reader.join().unwrap() as u64, sent);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//! - "Fewest segments" holds while the reader keeps up. With a reader slower than the link no
//!   way of sending is exact: the kernel sends what the window lets through.
//! - Linux runs in the tests. macOS, FreeBSD and the plain fallback are type-checked only.
//! - `sendfile` to a connection that is closed raises SIGPIPE. Rust programs ignore that signal;
//!   a host in another language has to ignore it as well.
//! - Bytes that go through TLS need the TLS library's records to be whole messages first.
//!
//! # When not to use it
//! Where every message is already one `write` of a buffer in memory, NODELAY is all you need.

mod burst;
mod draft;
mod error;
mod message;
pub mod nonblocking;
mod options;
pub mod plan;
mod run;
mod sender;
#[cfg_attr(
    any(target_os = "linux", target_os = "macos", target_os = "freebsd"),
    expect(unsafe_code, reason = "the one place for raw system calls")
)]
mod sys;
#[cfg(target_os = "linux")]
mod tcp_info;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use burst::{BURST_BUFFER_BYTES, Burst};
pub use draft::Draft;
pub use error::SendError;
pub use message::Message;
pub use options::{BACKLOG_DEFAULT, ListenOptions, quickack, set_unsent_limit};
pub use run::Counts;
pub use sender::Sender;
pub use sys::TcpSocket;
#[cfg(target_os = "linux")]
pub use tcp_info::TcpInfo;
