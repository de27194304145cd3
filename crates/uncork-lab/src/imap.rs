//! An IMAP4rev1 server for tests and demos, storing into a real Maildir on disk.
//!
//! It exists because no real server can be told to refuse the third message, to hang up
//! between storing and saying so, or to have the TCP manners of the peer on which CPython's
//! imaplib stalls. [`Personality`] says what the server offers and how it writes,
//! [`Fault`] what goes wrong and when.
//!
//! Threads and blocking sockets, one thread a connection: what one connection does can be
//! read from top to bottom, and the sockets behave as those of the servers this one stands
//! in for. It listens on 127.0.0.1 only and speaks no TLS; it is no mail server for people.
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
//! No message is ever expunged: CLOSE only leaves the folder, so that what a test did can
//! still be counted. ENVELOPE, BODYSTRUCTURE and MIME parts are not offered.

mod append;
mod command;
mod date;
mod fault;
mod fetch;
mod fetch_item;
mod flags;
mod folder;
mod folder_name;
mod house;
mod index;
mod mailbox;
mod message_head;
mod pattern;
mod personality;
mod search;
mod search_key;
mod section;
mod server;
mod session;
mod set;
mod store;
mod token;
mod wire;

pub use fault::Fault;
pub use personality::{Capabilities, Durability, Manners, Personality};
pub use server::{ImapServer, ServerConfig, ServerError};
