#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's task talks to the terminal"
)]
//! What developers of uncork run: `cargo xtask test`, `cargo xtask ci`, `cargo xtask fuzz`,
//! `cargo xtask bpf`, `cargo xtask bench`.

mod bench;
mod bpf;
mod check;
mod command;
mod fuzz;
mod peer;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// What developers of uncork run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run all tests, doc tests included.
    Test {
        /// Passed on to `cargo test`, e.g. `-p uncork -- --nocapture`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run all checks: formatting, lints, docs, licences, tests.
    Ci,
    /// Try the parsers with inputs that a fuzzer makes up (see fuzz/README.md).
    Fuzz(fuzz::Arguments),
    /// Build the BPF programs of `uncork trace`, or check the committed object (needs clang).
    Bpf(bpf::Arguments),
    /// Measure something and write bench/results/.
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
    /// Be a server that a bench measures.
    #[command(hide = true)]
    Peer {
        #[command(subcommand)]
        peer: peer::Peer,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Test { arguments } => check::test(&arguments),
        Task::Ci => check::ci(),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Bpf(arguments) => bpf::run(&arguments),
        Task::Bench { bench } => bench::run(&bench),
        Task::Peer { peer } => peer::run(&peer),
    }
}
