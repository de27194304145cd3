//! Integration tests.

#[path = "lab/imap_server.rs"]
mod imap_server;
#[path = "lab/link.rs"]
mod link;
#[path = "lab/naive_client.rs"]
mod naive_client;
#[path = "lab/segments.rs"]
mod segments;
