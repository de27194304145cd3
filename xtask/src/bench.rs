//! `cargo xtask bench`: a registry of what can be measured.
//!
//! A bench compares its peers side by side in one run, interleaved, and writes
//! `bench/results/NAME.json` and `.md` with the spread and the machine.

mod import;
mod result;

use anyhow::Result;
use clap::Subcommand;

/// What can be measured. A new bench is a module, a variant here, and an arm in [`run`].
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Import a Maildir into a real Dovecot: uncork and other importers.
    Import(import::Arguments),
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Import(arguments) => import::run(arguments),
    }
}
