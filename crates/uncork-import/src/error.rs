//! Why an import ended early.

use std::io;
use std::time::Duration;

use crate::folder_map::MapError;
use crate::imap::response::{ResponseError, Status};
use crate::imap::throttle::Setback;
use crate::journal::JournalError;
use crate::prepare::rejects::RejectsError;

/// Why an import ended before its last mail. What was stored by then is in the report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The host name has no address.
    #[error("{host} has no address: check the host name")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody listens there, or the way is closed.
    #[error("no connection to {address}: is an IMAP server listening there?")]
    Connect {
        /// Host and port.
        address: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The password would cross a network in the clear.
    #[error(
        "{address} is not on this machine and offers no STARTTLS, so password and mail would cross \
         the network in the clear: write imaps:// where it has TLS, or say --allow-plaintext"
    )]
    Plaintext {
        /// Host and port.
        address: String,
    },
    /// TLS did not come about: the server's certificate is not to be trusted, or one side has
    /// not what the other wants.
    #[error("no TLS with {address}: {reason}")]
    Tls {
        /// Host and port.
        address: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Something else than an IMAP server listens there.
    #[error("{address} is no IMAP server: {reason}")]
    NotImap {
        /// Host and port.
        address: String,
        /// What it said instead.
        reason: String,
    },
    /// The server does not want this user and password.
    #[error("the server refuses to log in {user}: {reason}")]
    Login {
        /// The user.
        user: String,
        /// What the server said.
        reason: String,
    },
    /// The server lets nobody in, or not this user, for now.
    #[error("{address} lets nobody in for now: {reason}")]
    Unavailable {
        /// Host and port.
        address: String,
        /// What the server said.
        reason: String,
    },
    /// There is no token to log in with.
    #[error("no token to log in with")]
    Token {
        /// What its source said.
        source: io::Error,
    },
    /// The folder is missing and can't be made, or can't be looked at.
    #[error("the server refuses folder {folder}: {reason}")]
    Folder {
        /// The folder.
        folder: String,
        /// What the server said.
        reason: String,
    },
    /// The server ended the connection, or it broke.
    #[error("{address} hung up{}", said.as_deref().map(|text| format!(", saying: {text}")).unwrap_or_default())]
    HungUp {
        /// Host and port.
        address: String,
        /// Its last words (BYE), if it had any.
        said: Option<String>,
        /// How the connection ended.
        source: io::Error,
    },
    /// The server did not answer.
    #[error("{address} has not answered for {} seconds", after.as_secs())]
    Silent {
        /// Host and port.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// A long mail, kept in a file until it is sent, can't be read any more.
    #[error(
        "a long mail's temporary file could not be read, and the connection had to be given up: \
         look at the disk that TMPDIR or /var/tmp is on"
    )]
    Spool {
        /// What was found.
        source: io::Error,
    },
    /// The server does not let its mails be looked at.
    #[error("{address} does not tell what is in the folder: {reason}")]
    Unreadable {
        /// Host and port.
        address: String,
        /// What the server said.
        reason: String,
    },
    /// The user has no space left on the server.
    #[error("the mailbox is full ({reason}): make room on the server, then run the same again")]
    Full {
        /// What the server said.
        reason: String,
    },
    /// The user asked for the end.
    #[error("stopped: run the same again to go on from here")]
    Stopped,
    /// The journal can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// `Options::map` makes no sense.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The folder for repaired and refused mails can't be used.
    #[error(transparent)]
    Rejects(#[from] RejectsError),
    /// The system has no epoll instance for the runtime, or none left.
    #[error("no runtime for the connection")]
    Runtime {
        /// What the kernel said.
        source: io::Error,
    },
}

impl ImportError {
    /// Whether the same may go well later: the way to the server or the server itself failed,
    /// not what it was asked for.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Unavailable { .. }
            | Self::HungUp { .. }
            | Self::Silent { .. } => true,
            Self::Plaintext { .. }
            | Self::Tls { .. }
            | Self::NotImap { .. }
            | Self::Login { .. }
            | Self::Token { .. }
            | Self::Folder { .. }
            | Self::Spool { .. }
            | Self::Unreadable { .. }
            | Self::Full { .. }
            | Self::Stopped
            | Self::Journal(_)
            | Self::Map(_)
            | Self::Rejects(_)
            | Self::Runtime { .. } => false,
        }
    }

    /// What the server's last words mean for the pace.
    pub(crate) fn setback(&self) -> Setback {
        match self {
            Self::HungUp {
                said: Some(said), ..
            } => Setback::of(&Status::bye(said)),
            _ => Setback::Nothing,
        }
    }

    pub(crate) fn from_response(address: &str, error: ResponseError, said: Option<String>) -> Self {
        let address = address.to_owned();
        match error {
            ResponseError::Closed => ImportError::HungUp {
                address,
                said,
                source: io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"),
            },
            ResponseError::Read(source) => ImportError::HungUp {
                address,
                said,
                source,
            },
            error => ImportError::NotImap {
                address,
                reason: error.to_string(),
            },
        }
    }
}
