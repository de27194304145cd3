//! Integration tests.

#[path = "lab/link.rs"]
mod link;
#[path = "lab/naive_client.rs"]
mod naive_client;
