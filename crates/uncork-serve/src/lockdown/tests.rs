//! What a lockdown changes belongs to a process, so that each test runs this binary again.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use uncork_lab::requirement;

use super::*;

/// A folder with `site`, `logs` and `outside`: the child's place.
const FOLDER: &str = "UNCORK_TEST_LOCKDOWN";
const USER: &str = "UNCORK_TEST_LOCKDOWN_USER";

/// The child: locks itself down, and says what it can still do.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let plan = LockdownPlan {
        user: std::env::var(USER).ok(),
        readable: vec![folder.join("site"), folder.join("gone")],
        writable: vec![folder.join("logs")],
    };
    // cargo's test runner has threads; this one alone is locked down, and those that it makes.
    match Lockdown::apply(&plan) {
        Ok(statements) => statements
            .iter()
            .for_each(|statement| println!("= {statement}")),
        Err(error) => println!("= error: {error}"),
    }
    println!(
        "= files: {}",
        std::thread::spawn(move || reach(&folder)).join().unwrap()
    );
    println!("= core {:?}", getrlimit(Resource::Core).maximum);
    println!("= no_new_privs {}", rustix::thread::no_new_privs().unwrap());
}

fn reach(folder: &Path) -> String {
    let append = |name: &str| {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(folder.join(name))
            .is_ok()
    };
    let read = |name: &str| File::open(folder.join(name)).is_ok();
    [
        ("read site", read("site/a")),
        ("list site", fs::read_dir(folder.join("site")).is_ok()),
        ("write site", append("site/b")),
        ("read outside", read("outside/a")),
        ("write logs", append("logs/new.log")),
        (
            "remove logs",
            fs::remove_file(folder.join("logs/new.log")).is_ok(),
        ),
    ]
    .iter()
    .filter_map(|&(what, can)| can.then_some(what))
    .collect::<Vec<_>>()
    .join(", ")
}

fn run(user: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["site", "logs", "outside"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        let mode = fs::Permissions::from_mode(0o777);
        fs::set_permissions(folder.path().join(name), mode).unwrap();
        fs::write(folder.path().join(name).join("a"), "a").unwrap();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "lockdown::tests::child", "--nocapture"])
        .env(FOLDER, folder.path());
    if let Some(user) = user {
        child.env(USER, user);
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn files_outside_are_out_of_reach() {
    let text = run(None);
    assert!(text.contains("= no_new_privs true"), "{text}");
    assert!(text.contains("= core Some(0)"), "{text}");
    if text.contains("this kernel has none") {
        requirement::skip("no Landlock in this kernel");
        return;
    }
    assert!(
        text.contains("= Landlock: files are readable only beneath "),
        "{text}"
    );
    assert!(text.contains("nor later: "), "{text}");
    assert!(
        text.contains("= files: read site, list site, write logs\n"),
        "{text}"
    );
}

#[test]
fn becomes_a_user_for_good() {
    if !requirement::root() {
        return;
    }
    let text = run(Some("nobody"));
    assert!(text.contains("= user: runs as nobody (uid "), "{text}");
    let text = run(Some("no-such-user"));
    assert!(
        text.contains("= error: there is no user no-such-user in /etc/passwd"),
        "{text}"
    );
    let text = run(None);
    assert!(text.contains("= NOT HELD: user: runs as root"), "{text}");
}

#[test]
fn open_files_are_raised() {
    let statement = raise_open_files();
    assert!(statement.holds(), "{statement}");
    let limit = getrlimit(Resource::Nofile);
    assert_eq!(limit.current, limit.maximum);
}
