//! `cargo xtask bench`: a registry of what can be measured.
//!
//! A bench compares its peers side by side in one run, interleaved, and writes
//! `bench/results/NAME.json` and `.md` with the spread and the machine.

mod cores;
mod crash;
mod fix;
mod import;
mod race;
mod result;
mod run;
mod runtime;
mod scale;
mod segments;
mod serve;
mod server;
mod strace;
mod trace;

use anyhow::Result;
use clap::Subcommand;

use crate::command::{cargo, step};

/// What can be measured. A new bench is a module, a variant here, and an arm in [`run()`].
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Kill and cut off imports, resume them, and count what is lost or there twice.
    Crash(crash::Arguments),
    /// Repair an importer that stalls while it runs, and unrepair it: time a message, holds.
    Fix(fix::Arguments),
    /// Import a Maildir into a real Dovecot: uncork and other importers.
    Import(import::Arguments),
    /// Run programs by themselves and under `uncork run`: what it gains, and what it costs.
    Run(run::Arguments),
    /// Answer web requests without a look at them, on plain epoll and on tokio: CPU, system calls.
    Runtime(runtime::Arguments),
    /// Import more and more mails, and over a link with delay: time and memory.
    Scale(scale::Arguments),
    /// Send a header and a file in five manners: segments, system calls, CPU.
    Segments(segments::Arguments),
    /// Serve files by uncork and by other web servers: CPU, requests a second, system calls,
    /// memory.
    Serve(serve::Arguments),
    /// Serve as fast as it goes, untraced and under `uncork trace`: CPU a request.
    Trace(trace::Arguments),
}

/// Runs a bench, in a release build: `cargo xtask` itself is a debug build, which would measure
/// the lab's own bounds checks.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    if cfg!(debug_assertions) {
        let arguments = std::env::args_os().skip(1);
        let mut again = cargo(&["run", "--quiet", "--release", "--package", "xtask", "--"]);
        return step(again.args(arguments));
    }
    match bench {
        Bench::Crash(arguments) => crash::run(arguments),
        Bench::Fix(arguments) => fix::run(arguments),
        Bench::Import(arguments) => import::run(arguments),
        Bench::Run(arguments) => run::run(arguments),
        Bench::Runtime(arguments) => runtime::run(arguments),
        Bench::Scale(arguments) => scale::run(arguments),
        Bench::Segments(arguments) => segments::run(arguments),
        Bench::Serve(arguments) => serve::run(arguments),
        Bench::Trace(arguments) => trace::run(arguments),
    }
}
