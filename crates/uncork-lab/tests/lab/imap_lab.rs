//! What the tests of the lab's IMAP server share.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use uncork_lab::imap::{Fault, ImapServer, Personality, ServerConfig};

pub(crate) const MAIL: &str =
    "From: a@example.org\r\nSubject: One\r\nMessage-ID: <1@lab>\r\n\r\nText\r\n";

pub(crate) fn serving(personality: Personality) -> (ImapServer, TempDir) {
    with(personality, [])
}

pub(crate) fn failing(faults: impl IntoIterator<Item = Fault>) -> (ImapServer, TempDir) {
    with(Personality::careful(), faults)
}

pub(crate) fn with(
    personality: Personality,
    faults: impl IntoIterator<Item = Fault>,
) -> (ImapServer, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let server = serving_in(root.path(), personality, faults);
    (server, root)
}

pub(crate) fn serving_in(
    root: &Path,
    personality: Personality,
    faults: impl IntoIterator<Item = Fault>,
) -> ImapServer {
    start_in(root, |config| {
        config.personality = personality;
        config.faults = faults.into_iter().collect();
    })
}

/// A server with the configuration changed.
pub(crate) fn start(change: impl FnOnce(&mut ServerConfig)) -> (ImapServer, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (start_in(root.path(), change), root)
}

pub(crate) fn start_in(root: &Path, change: impl FnOnce(&mut ServerConfig)) -> ImapServer {
    let mut config = ServerConfig::new(root);
    change(&mut config);
    ImapServer::start(config).unwrap()
}

/// The names of the files in a part of a Maildir.
pub(crate) fn files(root: &Path, part: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root.join(part))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The UIDs in a folder.
pub(crate) fn uids(server: &ImapServer, folder: &str) -> Vec<u32> {
    let contents = server.folder_contents(folder).unwrap();
    contents.iter().map(|stored| stored.uid).collect()
}

/// Waits for what another thread does; panics where it doesn't.
#[track_caller]
pub(crate) fn eventually(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < deadline, "it never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}
