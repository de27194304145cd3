//! `uncork fix`: what it says, and how it ends.

use std::fs;
use std::os::unix::fs::chown;
use std::process::{Command, Stdio};

use uncork_lab::python::Python;
use uncork_lab::requirement;
use uncork_sockets::{Process, children};

use crate::signals::{kill, wait_for};
use crate::support::{Ended, Ordinary, run, uncork};

const NOBODY: u32 = 65534;

/// The id of no process: the kernel gives smaller ones only.
const GONE: u32 = 4_194_304;

/// A server and a connection to it; goes on when it is told to.
const PAIR: &str = "
import socket, sys
a = socket.create_server(('127.0.0.1', 0))
c = socket.create_connection(a.getsockname())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(a.getsockname()[1], c.getsockname()[1], flush=True)
input()
d = socket.create_connection(a.getsockname())
print(d.getsockname()[1], flush=True)
input()
";

/// A server that accepts a connection when it is told to.
const ACCEPTING: &str = "
import socket
a = socket.create_server(('127.0.0.1', 0))
print('listening', flush=True)
input()
c = socket.create_connection(a.getsockname())
s, _ = a.accept()
print('accepted', flush=True)
input()
";

fn fix(arguments: &[&str]) -> Command {
    let mut command = uncork();
    command.arg("fix").args(arguments);
    command
}

/// NODELAY of its TCP sockets, in the order of their descriptors.
fn nodelay(pid: u32) -> Vec<bool> {
    let process = Process::open(pid).unwrap();
    let descriptors = process.descriptors().unwrap();
    let sockets = descriptors
        .iter()
        .filter_map(|one| process.socket(one.number).unwrap());
    sockets.map(|socket| socket.nodelay().unwrap()).collect()
}

#[test]
fn what_it_says() {
    let Some(mut python) = Python::start(PAIR, &[]) else {
        return;
    };
    let ports = python.line().unwrap();
    let (server, client) = ports.split_once(' ').unwrap();
    let pid = python.pid().to_string();
    let ended = run(&mut fix(&["-p", &pid])).with(0);
    let expected = format!(
        "pid {pid} python3 fd 3  127.0.0.1:{server} (listening)  NODELAY off → on\n\
         pid {pid} python3 fd 4  127.0.0.1:{client} → 127.0.0.1:{server}  NODELAY off → on\n"
    );
    assert_eq!(ended.stdout, expected);
    let undo = format!("undo: uncork fix --undo -p {pid}");
    ended.says(&["2 sockets changed, 1 left that are not TCP\n", &undo]);

    let again = run(&mut fix(&["--pid", &pid])).with(0);
    assert_eq!(again.stdout, "");
    again.says(&["0 sockets changed, 2 had NODELAY already, 1 left that are not TCP\n"]);

    let undone = run(&mut fix(&["--undo", "-p", &pid])).with(0);
    assert!(undone.stdout.contains(" (listening)  NODELAY on → off\n"));
    undone.says(&["2 sockets as before\n"]);
    assert_eq!(nodelay(python.pid()), [false, false]);
    let nothing = run(&mut fix(&["--undo", "-p", &pid])).with(0);
    assert_eq!(
        (&*nothing.stdout, &*nothing.stderr),
        ("", "nothing to undo\n")
    );

    let quiet = run(&mut fix(&["--quiet", "-p", &pid])).with(0);
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""));
    assert_eq!(nodelay(python.pid()), [true, true]);
    run(&mut fix(&["--quiet", "--undo", "-p", &pid])).with(0);
}

/// What was accepted while the listener had the option has it still: nobody knows what it would have had.
#[test]
fn what_undo_leaves() {
    let Some(mut python) = Python::start(ACCEPTING, &[]) else {
        return;
    };
    python.line().unwrap();
    let pid = python.pid().to_string();
    run(&mut fix(&["-p", &pid])).with(0);
    python.ask("").unwrap();
    assert_eq!(nodelay(python.pid()), [true, false, true]);
    let undone = run(&mut fix(&["--undo", "-p", &pid])).with(0);
    undone.says(&[
        "1 socket as before",
        "1 connection keeps NODELAY until it ends",
    ]);
    assert_eq!(nodelay(python.pid()), [false, false, true]);
}

#[test]
fn the_document() {
    let Some(mut python) = Python::start(PAIR, &[]) else {
        return;
    };
    let ports = python.line().unwrap();
    let (server, client) = ports.split_once(' ').unwrap();
    let (pid, gone) = (python.pid().to_string(), GONE.to_string());
    let ended = run(&mut fix(&["--json", "-p", &pid, &gone])).with(1);
    let document = ended.json();
    let changed = document["changed"].as_array().unwrap();
    assert_eq!(changed.len(), 2);
    let connected = &changed[1];
    assert_eq!(connected["pid"], python.pid());
    assert_eq!(connected["fd"], 4);
    assert_eq!(connected["local"], format!("127.0.0.1:{client}"));
    assert_eq!(connected["remote"], format!("127.0.0.1:{server}"));
    assert_eq!(connected["before"]["nodelay"], false);
    assert_eq!(connected["after"]["nodelay"], true);
    assert_eq!(changed[0]["is_listening"], true);
    assert!(changed[0]["remote"].is_null());
    assert_eq!(document["not_tcp_count"], 1);
    assert_eq!(document["refused"][0]["pid"], GONE);
    assert_eq!(document["refused"][0]["kind"], "no_process");
    // The changes are said beside it, too.
    ended.says(&["NODELAY off → on", "there is no process", "1 refused"]);
    let undone = run(&mut fix(&["--json", "--quiet", "--undo", "-p", &pid])).with(0);
    assert_eq!(undone.json()["changed_count"], 2);
    assert_eq!(undone.stderr, "");
}

#[test]
fn wrong_calls() {
    let gone = GONE.to_string();
    let ended = run(&mut fix(&["-p", &gone])).with(2);
    assert_eq!(ended.stdout, "");
    ended.says(&["uncork: there is no process 4194304 (pidfd_open: "]);
    run(&mut fix(&[])).with(2).says(&["--pid <PID>"]);
    run(&mut fix(&["--watch"])).with(2).says(&["--pid"]);
    run(&mut fix(&["--watch", "--undo", "-p", "1"])).with(2);
    run(&mut fix(&["-p", "python3"])).with(2);
    for wrong in ["0", "4194305"] {
        let ended = run(&mut fix(&["-p", wrong])).with(2);
        ended.says(&[&format!("{wrong} is not in 1..")]);
    }
    for (path, words) in [
        ("/proc", "/proc is no cgroup"),
        ("/no/such/cgroup", "/no/such/cgroup can't be read (statfs: "),
    ] {
        let ended = run(&mut fix(&["--cgroup", path])).with(2).says(&[words]);
        assert_eq!(
            ended.stderr.matches("os error").count(),
            usize::from(path != "/proc")
        );
    }
}

/// It says so at once, and goes on until Ctrl-C.
#[test]
fn watching() {
    let Some(mut python) = Python::start(PAIR, &[]) else {
        return;
    };
    python.line().unwrap();
    let pid = python.pid().to_string();
    let mut command = fix(&["--watch", "--json", "-p", &pid]);
    let watching = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(|| nodelay(python.pid()) == [true, true]);
    python.ask("").unwrap();
    wait_for(|| nodelay(python.pid()) == [true, true, true]);
    kill(&watching, "-INT");
    let output = watching.wait_with_output().unwrap();
    let ended = Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    let ended = ended
        .with(0)
        .says(&["watching", "3 sockets changed", "--undo"]);
    assert_eq!(ended.json()["changed_count"], 3);
    run(&mut fix(&["--undo", "-p", &pid])).with(0);
    assert_eq!(nodelay(python.pid()), [false, false, false]);
}

#[test]
fn a_hostile_name() {
    let program = "
import socket
with open('/proc/self/comm', 'wb') as comm:
    comm.write(b'\\x1b[2J\\r\\xff\\x07')
a = socket.create_server(('127.0.0.1', 0))
print('ready', flush=True)
input()
";
    let Some(mut python) = Python::start(program, &[]) else {
        return;
    };
    python.line().unwrap();
    let pid = python.pid().to_string();
    let ended = run(&mut fix(&["-p", &pid])).with(0);
    let name = "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}";
    assert!(
        ended
            .stdout
            .starts_with(&format!("pid {pid} {name} fd 3  ")),
        "{ended:?}"
    );
    let undone = run(&mut fix(&["--undo", "--json", "--quiet", "-p", &pid])).with(0);
    assert_eq!(undone.json()["changed"][0]["command"], name);
}

/// `uncork fix` as nobody, with a place of its own for the record.
fn as_nobody(ordinary: &Ordinary) -> Command {
    let folder = ordinary.folder("run");
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = ordinary.uncork();
    command.env("XDG_RUNTIME_DIR", folder).arg("fix");
    command
}

#[test]
fn somebody_elses_process() {
    if !requirement::root() {
        return;
    }
    let Some(mut python) = Python::start(PAIR, &[]) else {
        return;
    };
    python.line().unwrap();
    let pid = python.pid().to_string();
    let ordinary = Ordinary::new();
    let ended = run(as_nobody(&ordinary).args(["--json", "-p", &pid])).with(4);
    let document = ended.json();
    assert_eq!(document["changed_count"], 0);
    assert_eq!(document["refused"][0]["kind"], "not_permitted");
    ended.says(&[
        "not permitted for process",
        "runs as uid 0",
        "this is uid 65534",
        "sudo",
    ]);
    assert_eq!(nodelay(python.pid()), [false, false]);
}

/// Becomes nobody. A program that has done so is not dumpable, until another is started in its place;
/// cat(1) is one that everybody may start.
const BECOMES: &str = "
import os, socket, sys
a = socket.create_server(('127.0.0.1', 0))
c = socket.create_connection(a.getsockname())
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print('ready', flush=True)
if len(sys.argv) > 1:
    a.set_inheritable(True); c.set_inheritable(True)
    os.execvp('cat', ['cat'])
input()
";

#[test]
fn ones_own_process_without_root() {
    if !requirement::root() {
        return;
    }
    for is_dumpable in [true, false] {
        let arguments: &[&str] = if is_dumpable { &["exec"] } else { &[] };
        let Some(mut python) = Python::start(BECOMES, arguments) else {
            return;
        };
        python.line().unwrap();
        if is_dumpable {
            // cat(1) says it again once it is there.
            assert_eq!(python.ask("there").unwrap(), "there");
        }
        let pid = python.pid().to_string();
        let ordinary = Ordinary::new();
        let folder = ordinary.folder("run");
        chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        let fix = || {
            let mut command = ordinary.uncork();
            command
                .env("XDG_RUNTIME_DIR", &folder)
                .args(["fix", "-p", &pid]);
            command
        };
        let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
        let is_restricted = yama.is_ok_and(|scope| scope.trim() != "0");
        let ended = run(&mut fix());
        if is_restricted {
            ended.with(4).says(&["ptrace_scope"]);
        } else if is_dumpable {
            ended
                .with(0)
                .says(&["2 sockets changed", "undo: uncork fix --undo -p"]);
            // As after a logout.
            fs::remove_dir_all(&folder).unwrap();
            let undone = run(fix().arg("--undo")).with(0);
            undone.says(&["2 sockets as before"]);
        } else {
            ended
                .with(4)
                .says(&["not permitted", "not dumpable", "as root"]);
        }
        assert_eq!(nodelay(python.pid()), [false, false]);
    }
}

#[test]
fn a_cgroup_is_no_place_for_nobody() {
    if !requirement::root() {
        return;
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mut mounts = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let Some(mount) = mounts.find(|words| words[2] == "cgroup2") else {
        return requirement::skip("no cgroups of version 2 are mounted");
    };
    let ordinary = Ordinary::new();
    let ended = run(as_nobody(&ordinary).args(["--cgroup", mount[1]])).with(4);
    ended.says(&["not permitted (BPF_PROG_", "CAP_BPF", "uncork fix -p PID"]);
}

#[test]
fn a_tree() {
    let program = "
import os, socket
if os.fork() == 0:
    a = socket.create_server(('127.0.0.1', 0))
    print('ready', flush=True)
    os.read(0, 1)
    os._exit(0)
os.wait()
";
    let Some(mut python) = Python::start(program, &[]) else {
        return;
    };
    python.line().unwrap();
    let pid = python.pid().to_string();
    let child = children(python.pid())[0];
    run(&mut fix(&["-p", &pid]))
        .with(0)
        .says(&["0 sockets changed"]);
    let ended = run(&mut fix(&["-p", &pid, "--tree"])).with(0);
    assert!(
        ended
            .stdout
            .starts_with(&format!("pid {child} python3 fd 3  ")),
        "{ended:?}"
    );
    ended.says(&["1 socket changed", "--tree"]);
    run(&mut fix(&["--undo", "-p", &pid, "--tree"])).with(0);
    assert_eq!(nodelay(child), [false]);
}
