//! Integration tests.

#[path = "lab/imap_server.rs"]
mod imap_server;
