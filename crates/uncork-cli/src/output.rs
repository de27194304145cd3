//! What goes to stdout and stderr, the same for all verbs.

use std::io::Write;

use serde::Serialize;

use crate::exit::{Exit, Failure};

/// Prints one JSON document on stdout.
pub(crate) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let print = || -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut stdout, document)?;
        Ok(writeln!(stdout)?)
    };
    print().map_err(failure)
}

/// A line for the person at the terminal, beside the output.
#[expect(clippy::print_stderr, reason = "logs go to stderr")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// stdout can't be written: a full disk, a closed pipe. The work itself is done.
pub(crate) fn failure(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(
        Exit::Losses,
        error.into().context("the output can't be written"),
    )
}
