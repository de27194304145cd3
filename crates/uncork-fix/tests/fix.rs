//! Programs that are running, repaired from outside.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is how they fail"
)]

#[path = "fix/cgroup.rs"]
mod cgroup;
#[path = "fix/family.rs"]
mod family;
#[path = "fix/importer.rs"]
mod importer;
#[path = "fix/once.rs"]
mod once;
#[path = "fix/support.rs"]
mod support;
#[path = "fix/watch.rs"]
mod watch;
