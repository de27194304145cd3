//! Integration tests.

#[path = "lab/link.rs"]
mod link;
