//! What a test needs from the machine, and what happens when it is not there.
//!
//! A test that needs root, a server or a tool asks here. Where it is missing the test prints
//! why it is skipped; with `UNCORK_FORBID_SKIP=1` (as in CI) a skip is a failure.

use std::path::PathBuf;

/// The environment variable that turns every skip into a failure.
pub const FORBID_SKIP: &str = "UNCORK_FORBID_SKIP";

/// The path of a program that the test needs, looked up in `PATH` and the `sbin` folders,
/// or `None` after saying that the test is skipped.
///
/// # Panics
/// Where the program is missing and [`FORBID_SKIP`] is set.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        skip(&format!("no program `{name}` on this machine"));
    }
    found
}

/// Whether this process runs as root; says that the test is skipped where it does not.
///
/// # Panics
/// Where it does not and [`FORBID_SKIP`] is set.
#[must_use]
pub fn root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip("not root");
    }
    is_root
}

/// Says that the running test is skipped and why.
///
/// # Panics
/// Where [`FORBID_SKIP`] is set.
#[expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "called by tests only: a skip is said aloud or fails the test"
)]
pub fn skip(reason: &str) {
    let forbidden = std::env::var_os(FORBID_SKIP).is_some_and(|value| value != "0");
    if forbidden {
        panic!("skipping is forbidden by {FORBID_SKIP}, and this test can't run: {reason}");
    }
    eprintln!("SKIPPED: {reason}");
}
