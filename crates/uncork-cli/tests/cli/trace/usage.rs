//! `uncork trace` as scripts use it: its document, its exit codes, how it ends, what it refuses.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::Value;
use uncork_lab::python::Python;
use uncork_lab::requirement;
use uncork_trace::report::Engine;

use super::replaying::recording;
use super::{EBPF, SAMPLE, Traced, Tracing, trace};
use crate::run::python;
use crate::signals::{kill_group, wait_for};
use crate::support::{Ordinary, run, uncork};

/// Waits for a line, or for its end.
const IDLE: &str = "input()";

/// No process has this number: it is beyond what Linux gives out (`PID_MAX_LIMIT`).
const GONE: &str = "4194304";

#[test]
fn the_document() {
    let recording = recording("imaplib");
    let ended = run(uncork()
        .args(["trace", "--json", "--replay"])
        .arg(&recording))
    .with(1);
    let document = ended.json();
    let names = |value: &Value| {
        let object = value.as_object().unwrap();
        object.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        names(&document),
        "advice engine events events_lost events_skipped held_ms_error held_ms_total notes seconds sockets"
    );
    let socket = &document["sockets"][0];
    assert_eq!(
        names(socket),
        "bytes_sent command command_line container language limit local nodelay pid reads remote \
         round_trip_ms seconds segments_resent segments_sent shares stalls threads writes"
    );
    assert_eq!(
        names(&socket["stalls"][0]),
        "cause count ended_by held_bytes held_ms_error held_ms_max held_ms_p50 held_ms_total pattern \
         segments_wasted share stack"
    );
    assert_eq!(
        names(&socket["shares"]),
        "congestion_window_ms cork_ms device_ms nagle_ms peer_ms program_ms receive_window_ms \
         send_buffer_ms unseen_ms"
    );
    assert_eq!(
        names(&document["advice"][0]),
        "cause change command line pid repair"
    );
    assert_eq!(socket["stalls"][0]["cause"], "nagle");
    assert_eq!(socket["stalls"][0]["ended_by"][0]["by"], "delayed_ack");
}

#[test]
fn what_counts_as_a_loss() {
    let recording = recording("imaplib");
    for (arguments, code) in [
        (&[][..], 1),
        (&["--fail-over", "100ms"], 1),
        (&["--fail-over", "1h"], 0),
        (&["--quiet"], 1),
    ] {
        let mut command = uncork();
        command.args(["trace", "--replay"]).arg(&recording);
        let ended = run(command.args(arguments)).with(code);
        assert_eq!(
            ended.stdout.is_empty(),
            arguments == ["--quiet"],
            "{ended:?}"
        );
    }
}

#[test]
fn the_page() {
    let place = tempfile::tempdir().unwrap();
    let page = place.path().join("lost.html");
    let ended = run(uncork()
        .args(["trace", "--quiet", "--replay"])
        .arg(recording("imaplib"))
        .arg("--html")
        .arg(&page))
    .with(1);
    assert_eq!(ended.stdout, "");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for part in ["<svg", "Nagle&#39;s algorithm", "write 2", "TCP_NODELAY"] {
        assert!(page.contains(part), "{part}");
    }
    // It needs nothing from anywhere.
    for link in ["src=\"http", "href=\"http", "@import", "<link"] {
        assert!(!page.contains(link), "{link}");
    }
}

/// Ctrl-C ends the command, which shares the terminal, and so the trace; the report comes all the same.
#[test]
fn a_command_that_is_interrupted() {
    let Some(python) = requirement::program("python3") else {
        return;
    };
    let mut command = trace(&["--engine", SAMPLE, "--"]);
    command
        .arg(python)
        .args(["-c", "import time; time.sleep(100)"]);
    command.process_group(0);
    let tracing = Tracing::start(&mut command);
    let is_python = |pid: &u32| {
        let line = uncork_sockets::command_line(*pid);
        line.is_some_and(|line| line.contains("time.sleep"))
    };
    wait_for(|| {
        uncork_sockets::children(tracing.child.id())
            .iter()
            .any(is_python)
    });
    kill_group(&tracing.child, "-INT");
    let traced = tracing.wait().with(1).by(Engine::Sample);
    assert!(traced.stderr.contains("ended by signal 2"), "{traced:#?}");
}

#[test]
fn it_ends_after_a_while() {
    let Some(python) = Python::start(IDLE, &[]) else {
        return;
    };
    let pid = python.pid().to_string();
    let traced = Traced::run(&mut trace(&["--duration", "300ms", "-p", &pid])).with(0);
    assert!(traced.report.seconds >= 0.3, "{traced:#?}");
}

#[test]
fn it_ends_with_what_it_watches() {
    let Some(mut python) = Python::start(IDLE, &[]) else {
        return;
    };
    let tracing = Tracing::of(python.pid(), SAMPLE);
    python.say("").unwrap();
    python.wait().unwrap();
    tracing.wait().with(0).by(Engine::Sample);
}

/// Ctrl-C leaves the command that it ended to itself, or to its own Ctrl-C.
#[test]
fn signals_end_it_with_a_report() {
    let Some(python) = Python::start(IDLE, &[]) else {
        return;
    };
    for signal in ["-INT", "-TERM", "-HUP"] {
        let tracing = Tracing::of(python.pid(), SAMPLE);
        crate::signals::kill(&tracing.child, signal);
        tracing.wait().with(0);
    }
}

/// The window is closed on the live view: nobody can end it any more but itself.
#[test]
fn a_terminal_that_is_closed_ends_it() {
    let (Some(python), Some(mut idle)) = (python(), Python::start(IDLE, &[])) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("closed.py");
    fs::write(&script, include_str!("closed.py")).unwrap();
    let recording = folder.path().join("events");
    let mut command = Command::new(python);
    command.arg(script).arg(env!("CARGO_BIN_EXE_uncork"));
    command.args(["trace", "--engine", SAMPLE, "-p"]);
    command.arg(idle.pid().to_string());
    command.arg("--events").arg(&recording);
    let ended = run(&mut command).with(0);
    assert_eq!(ended.stdout, "ended with 0\n", "{ended:?}");
    let whole = fs::read_to_string(&recording).unwrap();
    let last = whole.lines().last().unwrap();
    assert!(last.starts_with(r#"{"end":"#), "{last}");
    idle.say("").unwrap();
}

/// What a trace that didn't begin would have put in its place is still there.
#[test]
fn a_recording_outlives_a_wrong_pid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events");
    fs::write(&file, "an older recording").unwrap();
    let mut command = trace(&["-p", GONE, "--events"]);
    run(command.arg(&file)).with(2);
    assert_eq!(fs::read_to_string(&file).unwrap(), "an older recording");
    let mut command = trace(&["--engine", SAMPLE, "--events"]);
    Traced::run(command.arg(&file).args(["--", "true"])).with(0);
    assert!(!fs::read_to_string(&file).unwrap().contains("older"));
}

/// As under nohup, and in the background of a script.
#[test]
fn what_is_ignored_stays_so_for_the_command() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("ignored.py");
    fs::write(&script, include_str!("ignored.py")).unwrap();
    let mut command = Command::new(&python);
    command.arg(&script).arg(env!("CARGO_BIN_EXE_uncork"));
    command.args(["trace", "--quiet", "--engine", SAMPLE, "--"]);
    command.arg(&python).arg(&script);
    let ended = run(&mut command).with(0);
    assert_eq!(ended.stdout, "SIGHUP SIGINT\n", "{ended:?}");
}

#[test]
fn a_command_keeps_its_stdout_out_of_the_document() {
    let traced = Traced::run(&mut trace(&["--", "echo", "hello"])).with(0);
    assert!(
        traced.stdout.starts_with('{') && !traced.stdout.contains("hello"),
        "{traced:#?}"
    );
    assert!(traced.stderr.contains("hello\n"), "{traced:#?}");
    let ended = run(uncork().args(["trace", "--quiet", "--", "echo", "hello"])).with(0);
    assert_eq!((&*ended.stdout, &*ended.stderr), ("hello\n", ""));
}

#[test]
fn a_command_that_fails() {
    let traced = Traced::run(&mut trace(&["--", "sh", "-c", "exit 7"])).with(1);
    assert!(
        traced
            .stderr
            .contains("the command failed, with exit code 7"),
        "{traced:#?}"
    );
    let traced = Traced::run(&mut trace(&["--", "sh", "-c", "kill -KILL $$"])).with(1);
    assert!(
        traced.stderr.contains("the command was ended by signal 9"),
        "{traced:#?}"
    );
}

#[test]
fn what_is_not_there() {
    let ended = run(&mut trace(&["--", "no-such-command"])).with(2);
    assert_eq!(ended.stdout, "");
    ended.says(&["no-such-command can't be started: "]);
    let ended = run(&mut trace(&["-p", GONE])).with(2);
    assert_eq!(ended.stdout, "");
    ended.says(&["there is no process 4194304"]);
    let many = vec!["1"; 1025].join(",");
    let ended = run(&mut trace(&["-p", &many])).with(2);
    ended.says(&["too many processes are named; `--all`"]);
    let ended = run(&mut trace(&["--replay", "/no/such/file"])).with(2);
    ended.says(&["/no/such/file can't be read: "]);
    let ended = run(&mut trace(&["--events", "/no/such/place", "--", "true"])).with(2);
    ended.says(&["/no/such/place can't be written: "]);
}

#[test]
fn what_is_not_permitted() {
    if !requirement::root() {
        return;
    }
    // A process of root's.
    let mut other = Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let pid = other.id().to_string();
    let user = Ordinary::new();
    let mut command = user.uncork();
    let ended = run(command.args(["trace", "--json", "-p", &pid])).with(4);
    assert_eq!(ended.stdout, "");
    ended.says(&[&pid, "Operation not permitted"]);
    let mut command = user.uncork();
    let ended = run(command.args(["trace", "--engine", EBPF, "--", "true"])).with(4);
    ended.says(&[
        "the ebpf engine can't run here: not permitted",
        "--engine sample",
    ]);
    other.kill().unwrap();
    other.wait().unwrap();
}
