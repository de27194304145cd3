#![forbid(unsafe_code)]
//! Name-based static hosting over HTTP/1.1.
//!
//! A request goes one way: `request` reads and validates its head (no file, no clock), `sites` finds
//! the site by host, `resource` finds what the path is (the only room that touches files), `respond`
//! decides the response (pure), `departure` gives it to the library, `log` records it. One thread a
//! core does all of that for its own connections (`worker`).

pub mod accept_encoding;
pub mod admin;
pub mod clock;
pub mod condition;
pub mod config;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
pub mod limits;
pub mod lockdown;
pub mod log;
pub mod media_type;
pub mod metrics;
pub mod range;
pub mod request;
pub mod rules;
pub mod service;
