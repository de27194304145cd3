//! Integration tests.

#[path = "lab/segments.rs"]
mod segments;
