//! Ctrl-C and its like: what is on its way is waited for, and the next run goes on from there.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use uncork_lab::imap::{Fault, Personality};

use crate::support::{Ended, Lab, default_journal, import, mails, run};

/// Long enough for a slow machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that stores one mail after the other, each with a wait.
fn slow(per_message: Duration) -> Lab {
    Lab::start(
        Personality::careful().multi_append(false),
        vec![Fault::SlowDisk(per_message)],
    )
}

fn start(command: &mut Command) -> Child {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().unwrap()
}

pub(crate) fn kill(child: &Child, signal: &str) {
    let id = child.id().to_string();
    let status = Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(status.success());
}

/// The same for all of its process group, as Ctrl-C is.
pub(crate) fn kill_group(leader: &Child, signal: &str) {
    let group = format!("-{}", leader.id());
    let status = Command::new("kill")
        .args([signal, "--", &group])
        .status()
        .unwrap();
    assert!(status.success());
}

#[track_caller]
pub(crate) fn wait_for(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn end(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn the_first_signal_ends_gently() {
    const MAILS: usize = 400;
    for signal in ["-INT", "-TERM"] {
        let (source, lab) = (mails(MAILS), slow(Duration::from_millis(5)));
        let mut command = import(source.path(), &lab.url("Old"));
        let child = start(command.arg("--json"));
        wait_for(|| lab.server.stored() >= 3);
        kill(&child, signal);
        let ended = end(child).with(1).says(&[
            "stopping: waiting for what is on its way",
            "stopped after",
            "run the same command again",
            default_journal().to_str().unwrap(),
        ]);
        let report = ended.json();
        assert!(
            report["error"].as_str().unwrap().contains("stopped"),
            "{report}"
        );
        assert_eq!(report["unknown_messages"], 0);
        assert_eq!(report["imported"], lab.server.stored());

        let second = run(import(source.path(), &lab.url("Old")).arg("--json")).with(0);
        assert_eq!(second.json()["already_there"], report["imported"]);
        assert_eq!(lab.server.stored(), MAILS as u64);
    }
}

#[test]
fn the_second_signal_ends_at_once() {
    const MAILS: usize = 20;
    let (source, lab) = (mails(MAILS), slow(Duration::from_secs(2)));
    let child = start(&mut import(source.path(), &lab.url("Old")));
    wait_for(|| {
        lab.server
            .commands()
            .iter()
            .any(|command| command.starts_with("APPEND"))
    });
    kill(&child, "-INT");
    std::thread::sleep(Duration::from_millis(100));
    kill(&child, "-INT");
    end(child).with(130).says(&["Ctrl-C again leaves at once"]);
    assert!(lab.server.stored() < MAILS as u64);
}

/// Waiting for a server to come back ends with the first signal, too.
#[test]
fn a_server_that_is_gone() {
    let source = mails(50);
    let hang_up = Fault::HangUpBeforeTagged { message: 8 };
    let lab = Lab::start(Personality::careful().multi_append(false), vec![hang_up]);
    let child = start(import(source.path(), &lab.url("")).args(["--json", "--quiet"]));
    wait_for(|| lab.server.stored() >= 8);
    drop(lab);
    kill(&child, "-INT");
    let ended = end(child)
        .with(1)
        .says(&["stopping", "run the same command again"]);
    let report = ended.json();
    assert_eq!(report["sources_read"], false);
    assert!(report["unknown_messages"].as_u64().unwrap() > 0, "{report}");
}
