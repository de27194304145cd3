#![forbid(unsafe_code)]
//! Which process, socket and write pattern loses how much time to TCP, and why.
//!
//! An engine makes [`Event`]s of what the kernel does; a state machine a socket makes stalls of
//! events; a [`Report`] is what people and programs read. The state machine is pure: recorded events
//! give the same report again, without privileges.

pub mod advice;
pub mod container;
mod conversation;
pub mod ebpf;
mod ends;
pub mod engine;
pub mod event;
mod hold;
pub mod language;
mod machine;
mod message;
mod process;
mod recording;
pub mod report;
mod sample;
mod session;
mod shares;
mod stacks;
mod symbolizer;
mod tally;

pub use conversation::Detail;
pub use ends::Ends;
pub use event::{Event, Facts, Identity, Kind, SocketId};
pub use machine::Machine;
pub use process::{Process, Processes};
pub use recording::{Recorder, RecordingError, replay};
pub use report::Report;
pub use sample::SampleError;
pub use session::{Choice, Session, StartError, now_ns};
pub use symbolizer::serve_symbols;
