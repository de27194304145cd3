//! Imports that are killed, cut off and resumed, in small; in full: `cargo xtask bench crash`.

use std::io;
use std::process::Command;

use uncork_lab::crash::{self, Host, Scale, Tally};

/// The seeds of the runs.
const SEEDS: std::ops::Range<u64> = 0..12;

/// This test binary again, with nothing but [`child`].
fn command() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "crashes::child"]);
    Ok(command)
}

/// The child process of the test below. By itself it has nothing to do.
#[test]
fn child() {
    crash::child().unwrap();
}

#[test]
fn each_mail_arrives_once_whatever_is_killed() {
    let mut tally = Tally::default();
    for seed in SEEDS {
        tally += crash::run(seed, &Scale::SMALL, &Host::Lab, &command).unwrap();
    }
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
    assert!(
        tally.kills > 0 && tally.cuts > 0 && tally.resumes() > 0,
        "{tally:?}"
    );
}
