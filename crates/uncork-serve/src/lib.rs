#![forbid(unsafe_code)]
//! Name-based static hosting over HTTP/1.1.
//!
//! A request goes one way. [`request`] reads and validates its head; the [`site`] is found by host;
//! [`resource`] finds what the path is, and is the only room that touches files; [`respond`] decides
//! the response; [`render`] and [`outgoing`] put it together; the library sends it; [`log`] writes it
//! down. Reading, deciding and sending know nothing of each other, so that TLS and HTTP/2 can share
//! the first two.
//!
//! One thread a core does all of that for its own connections ([`worker`]). What would wait for the
//! disk is done by [`loader`]'s threads.

pub mod accept_encoding;
pub mod admin;
mod beneath;
mod cache;
mod census;
pub mod clock;
pub mod condition;
pub mod config;
mod connection;
mod desk;
mod digits;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod head;
pub mod host;
mod hosts_folder;
mod join;
pub mod limits;
mod lines;
mod loader;
pub mod lockdown;
pub mod log;
mod mailbox;
pub mod media_type;
pub mod metrics;
mod outgoing;
pub mod range;
mod render;
pub mod request;
mod resource;
mod respond;
pub mod rules;
mod server;
pub mod service;
pub mod site;
mod token;
mod witness;
mod worker;

pub use beneath::Opener;
pub use server::{Bound, Reloader, ServeError, Server};
