#![forbid(unsafe_code)]
//! TCP sockets of other processes: found through `/proc`, duplicated by `pidfd_getfd`, described.
//!
//! A duplicate is the same socket: an option set on it is set for its owner, and what TCP_INFO says
//! of it is what the owner's connection does. Nothing stops or slows the owner, and nothing of its
//! memory is touched.
//!
//! ```
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let process = uncork_sockets::Process::open(std::process::id())?;
//! for descriptor in process.descriptors()? {
//!     if let Some(socket) = process.socket(descriptor.number)? {
//!         println!("{} {} {}", socket.number(), socket.local(), socket.nodelay()?);
//!     }
//! }
//! # drop(listener);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//! Linux 5.6 and later. The kernel asks for the permission of a debugger (ptrace) over the owner:
//! the same user where Yama does not restrict it, or CAP_SYS_PTRACE. [`Error::advice`] says which of
//! it is missing. A socket that sits in a queue (sent over a Unix socket, not yet received) or in an
//! io_uring's table of registered files has no descriptor, and is not found.

mod advice;
mod cgroup;
mod error;
mod name;
mod pace;
mod process;
mod refusals;
mod socket;
mod tree;

pub use cgroup::{CgroupError, cgroup_pids};
pub use error::Error;
pub use name::{command, command_line, harmless, shell_word};
pub use pace::{Pace, Work};
pub use process::{Descriptor, Process};
pub use refusals::Refusals;
pub use socket::{Duplicate, Socket, Transport};
pub use tree::{children, processes};
