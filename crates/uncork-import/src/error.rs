//! Why an import ended early.

use std::io;
use std::time::Duration;

use uncork::SendError;

use crate::response::{ResponseError, Status};

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
        "{address} is not on this machine, and the password would cross the network in the clear: \
         tunnel the port through ssh, or say --allow-plaintext"
    )]
    Plaintext {
        /// Host and port.
        address: String,
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
    /// A mail changed while it was sent, so that its command could not be ended.
    #[error(
        "a mail of more than 1 MiB changed or could not be read while it was sent, and the \
         connection had to be given up: import from a source that nobody writes to"
    )]
    SourceChanged {
        /// What was found.
        source: io::Error,
    },
    /// The system has no epoll instance for the runtime, or none left.
    #[error("no runtime for the connection")]
    Runtime {
        /// What the kernel said.
        source: io::Error,
    },
}

impl ImportError {
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

    pub(crate) fn from_send(address: &str, error: SendError) -> Self {
        ImportError::HungUp {
            address: address.to_owned(),
            said: None,
            source: error.into(),
        }
    }

    pub(crate) fn folder(folder: &str, status: &Status) -> Self {
        ImportError::Folder {
            folder: folder.to_owned(),
            reason: status.reason(),
        }
    }
}
