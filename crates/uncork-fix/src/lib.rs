#![deny(unsafe_code)]
//! NODELAY for programs that cannot be changed: from their start, or while they run.

pub mod repair;
pub mod run;
mod sys;
