//! An IMAP4rev1 server for tests and demos, storing into a real Maildir on disk.
//!
//! It exists because no real server can be told to refuse the third message, to hang up
//! between storing and saying so, or to have the TCP manners of the peer on which CPython's
//! imaplib stalls. [`Personality`] says what the server offers and how it writes,
//! [`Fault`] what goes wrong and when.
//!
//! Threads and blocking sockets, one thread a connection: what one connection does can be
//! read from top to bottom, and the sockets behave as those of the servers this one stands
//! in for. It listens on 127.0.0.1 only, and where its personality has TLS, the certificate is
//! signed by an authority of its own; it is no mail server for people.
//!
//! ```
//! use std::io::{BufRead, BufReader};
//! use uncork_lab::imap::{ImapServer, ServerConfig};
//!
//! let root = tempfile::tempdir()?;
//! let server = ImapServer::start(ServerConfig::new(root.path()))?;
//! let client = std::net::TcpStream::connect(server.addr())?;
//! let mut greeting = String::new();
//! BufReader::new(client).read_line(&mut greeting)?;
//! assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is kept on disk, and what that costs, stands at the `folder` and `index` modules.
//!
//! # Limits
//! Unless the personality says otherwise no message is ever expunged: CLOSE only leaves the
//! folder, so that what a test did can still be counted. COPY, RENAME, IDLE, ENVELOPE,
//! BODYSTRUCTURE and MIME parts are not offered.

mod append;
mod batch;
mod builders;
mod capabilities;
mod certificate;
mod command;
mod content;
mod date;
mod desk;
mod fault;
mod fault_plan;
mod fetch;
mod fetch_item;
mod flags;
mod folder;
mod folder_name;
mod house;
mod index;
mod list;
mod list_request;
mod login;
mod mailbox;
mod maildir;
mod message_head;
mod modified_utf7;
mod namespace;
mod pattern;
mod permitted;
mod personality;
mod pipe;
mod preset;
mod search;
mod search_key;
mod section;
mod selected;
mod server;
mod server_folders;
mod session;
mod set;
mod store;
mod subscriptions;
mod token;
mod wire;

pub use capabilities::{Capabilities, Mechanism};
pub use content::{Alteration, Strictness, Verdict};
pub use fault::Fault;
pub use namespace::Namespace;
pub use permitted::{PermanentFlags, Unpermitted};
pub use personality::{
    Atomicity, Durability, Expunging, Manners, Oversize, Personality, ReplyOrder, Tls,
};
pub use server::{ImapServer, ServerConfig, ServerError};
pub use server_folders::Stored;
