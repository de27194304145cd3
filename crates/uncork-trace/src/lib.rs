#![forbid(unsafe_code)]
//! Which process, socket and write pattern loses how much time to TCP, and why.
//!
//! An engine makes [`Event`]s of what the kernel does; a state machine a socket makes stalls of
//! events; a [`Report`] is what people and programs read. The state machine is pure: recorded events
//! give the same report again, without privileges.

pub mod advice;
pub mod container;
pub mod event;
pub mod language;
pub mod report;

pub use event::{Event, Facts, Identity, Kind, SocketId};
pub use report::Report;
