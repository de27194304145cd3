//! The program, a server for it, and mail.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use uncork_lab::imap::{Fault, ImapServer, Personality, ServerConfig};

/// Of every server here; looked for in all that the program prints.
pub(crate) const PASSWORD: &str = "kork1234";

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Fails unless stderr holds each of `words`.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in {self:?}");
        }
        self
    }

    /// Fails unless stdout holds each of `words`.
    #[track_caller]
    pub(crate) fn prints(&self, words: &[&str]) {
        for word in words {
            assert!(self.stdout.contains(word), "no `{word}` in {self:?}");
        }
    }

    /// stdout as the one JSON document that it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

thread_local! {
    /// Where the journals of one test are: each test has a thread of its own.
    static STATE: TempDir = tempfile::tempdir().unwrap();
}

/// The journal's default place.
pub(crate) fn default_journal() -> PathBuf {
    STATE.with(|state| state.path().join("uncork/import.sqlite"))
}

/// The program, with a clean environment as far as it looks at it.
pub(crate) fn uncork() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uncork"));
    command.env_remove("UNCORK_PASSWORD").stdin(Stdio::null());
    STATE.with(|state| command.env("XDG_STATE_HOME", state.path()));
    command
}

/// `uncork import`, with the password in the environment.
pub(crate) fn import(source: &Path, url: &str) -> Command {
    let mut command = uncork();
    command
        .arg("import")
        .arg(source)
        .arg(url)
        .env("UNCORK_PASSWORD", PASSWORD);
    command
}

/// Runs it to its end. Whatever it prints, the password is not in it.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let ended = Ended {
        code: output.status.code().unwrap_or_else(|| panic!("{output:?}")),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains(PASSWORD), "the password is shown: {ended:?}");
        assert!(!text.contains("panicked"), "{ended:?}");
    }
    ended
}

/// A server for user `ada`.
pub(crate) struct Lab {
    pub(crate) server: ImapServer,
    _root: TempDir,
}

impl Lab {
    pub(crate) fn start(personality: Personality, faults: Vec<Fault>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let server = ImapServer::start(ServerConfig {
            user: "ada".to_owned(),
            password: PASSWORD.to_owned(),
            personality,
            faults,
            ..ServerConfig::new(root.path())
        });
        Self {
            server: server.unwrap(),
            _root: root,
        }
    }

    pub(crate) fn careful() -> Self {
        Self::start(Personality::careful(), Vec::new())
    }

    pub(crate) fn url(&self, folder: &str) -> String {
        format!("imap://ada@{}/{folder}", self.server.addr())
    }
}

/// A folder of `count` .eml files of 30 bytes.
pub(crate) fn mails(count: usize) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for n in 0..count {
        let mail = format!("Subject: {n:05}\r\n\r\nxxxxxxxxx\r\n");
        assert_eq!(mail.len(), 29);
        fs::write(root.path().join(format!("{n:03}.eml")), mail).unwrap();
    }
    root
}

/// The same program for a user who is not root: this one, or else `nobody`, who gets a copy in a
/// place that he can enter.
pub(crate) struct Ordinary {
    place: TempDir,
    is_root: bool,
}

impl Ordinary {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let state = place.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
        let is_root = fs::metadata(place.path()).unwrap().uid() == 0;
        if is_root {
            fs::copy(env!("CARGO_BIN_EXE_uncork"), place.path().join("uncork")).unwrap();
        }
        Self { place, is_root }
    }

    pub(crate) fn uncork(&self) -> Command {
        const NOBODY: u32 = 65534;
        if !self.is_root {
            return uncork();
        }
        let mut command = Command::new(self.place.path().join("uncork"));
        command.env_remove("UNCORK_PASSWORD").stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.place.path().join("state"));
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    }

    /// A folder that the user can enter, with nothing in it.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.place.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    }
}

pub(crate) fn forbid(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}
