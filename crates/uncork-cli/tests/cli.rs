//! The program `uncork`, run as a process.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a panic is how they fail"
)]

#[path = "cli/clients.rs"]
mod clients;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/far_side.rs"]
mod far_side;
#[path = "cli/fix.rs"]
mod fix;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/password.rs"]
mod password;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/serve.rs"]
mod serve;
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/surroundings.rs"]
mod surroundings;
#[path = "cli/trace.rs"]
mod trace;
#[path = "cli/usage.rs"]
mod usage;
