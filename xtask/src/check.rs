//! `cargo xtask test` and `cargo xtask ci`.

use std::process::{Command, Stdio};

use anyhow::Result;
use uncork_lab::requirement::{FORBID_SKIP, skip};

use crate::command::{cargo, step};

/// All tests of all crates with all features; without a choice of targets among the arguments,
/// cargo runs the doc tests too.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    if std::env::var_os(FORBID_SKIP).is_none_or(|value| value == "0") {
        eprintln!(
            "Tests that need root, a server or a tool say SKIPPED where it is missing \
             (shown with `-- --nocapture`). {FORBID_SKIP}=1 makes each of them a failure."
        );
    }
    step(cargo(&["test", "--workspace", "--all-features"]).args(arguments))
}

/// All checks, the quickest first.
pub(crate) fn ci() -> Result<()> {
    step(&mut cargo(&["fmt", "--all", "--check"]))?;
    lint()?;
    document()?;
    licences()?;
    crate::bpf::check()?;
    test(&[])
}

fn lint() -> Result<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--all-features"];
    step(cargo(&arguments).args(["--", "-D", "warnings"]))
}

fn document() -> Result<()> {
    let arguments = ["doc", "--no-deps", "--workspace", "--all-features"];
    step(
        cargo(&arguments)
            .arg("--document-private-items")
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// Advisories are left out: they change without a commit, and need the network.
fn licences() -> Result<()> {
    if !cargo_deny_is_installed() {
        skip("no cargo-deny on this machine (cargo install --locked cargo-deny)");
        return Ok(());
    }
    step(&mut cargo(&[
        "deny", "check", "bans", "licenses", "sources",
    ]))
}

fn cargo_deny_is_installed() -> bool {
    Command::new("cargo-deny")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
