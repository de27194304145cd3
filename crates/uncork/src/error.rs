//! What can go wrong while a message is sent.

use std::io;

/// Why a message was not sent, or not whole.
///
/// Every variant that can come in the middle of a message says how many of its bytes the
/// kernel had taken by then. After any of them nothing is left held by a cork.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A system call failed: the peer reset the connection, a timeout set on the socket ran
    /// out, the file could not be read.
    #[error("{call} failed after {sent_bytes} of {total_bytes} bytes of the message")]
    Call {
        /// The system call.
        call: &'static str,
        /// Bytes of this message that the kernel took before.
        sent_bytes: u64,
        /// Bytes of the whole message.
        total_bytes: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file has ended before the range that the message promised.
    #[error(
        "a file of the message ends {missing_bytes} bytes early: \
         {sent_bytes} of {total_bytes} bytes were sent"
    )]
    FileTooShort {
        /// Bytes of the range that the file does not have (any more).
        missing_bytes: u64,
        /// Bytes of this message that the kernel took before.
        sent_bytes: u64,
        /// Bytes of the whole message.
        total_bytes: u64,
    },
    /// An earlier message was left in the middle (an error, or a dropped future), so the peer
    /// would read this one as its rest. Nothing of this one was sent.
    #[error(
        "an earlier message is incomplete ({sent_bytes} of {total_bytes} bytes were sent): \
         the peer would take this one for its rest; close the connection"
    )]
    Incomplete {
        /// Bytes of the earlier message that were sent.
        sent_bytes: u64,
        /// Bytes of the earlier message.
        total_bytes: u64,
    },
}

impl SendError {
    /// The kind of I/O error that comes closest.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            SendError::Call { source, .. } => source.kind(),
            SendError::FileTooShort { .. } => io::ErrorKind::UnexpectedEof,
            SendError::Incomplete { .. } => io::ErrorKind::BrokenPipe,
        }
    }

    /// Bytes of the failed message that the kernel had taken.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        match self {
            SendError::Call { sent_bytes, .. } | SendError::FileTooShort { sent_bytes, .. } => {
                *sent_bytes
            }
            SendError::Incomplete { .. } => 0,
        }
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        io::Error::new(error.kind(), error)
    }
}
