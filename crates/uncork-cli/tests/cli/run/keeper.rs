//! What goes on when the supervisor has ended, or is stopped.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use uncork_lab::process::{Process, tree};

use super::{has_yama, python, script, under, wait_for_file};
use crate::signals::{kill, wait_for};
use crate::support::Ordinary;

const LATE: &str = include_str!("late.py");

/// `late.py` under the supervisor.
struct Late {
    supervisor: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    keeper: Process,
}

impl Late {
    fn start(mut command: std::process::Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut supervisor = piped.spawn().unwrap();
        let stdin = supervisor.stdin.take();
        let mut stdout = BufReader::new(supervisor.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let mut keeper = None;
        wait_for(|| {
            keeper = tree(supervisor.id()).into_iter().find(is_keeper);
            keeper.is_some()
        });
        Self {
            supervisor,
            stdin,
            stdout,
            keeper: keeper.unwrap(),
        }
    }

    /// Lets the program connect.
    fn attempt(&mut self) -> String {
        self.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }
}

fn is_keeper(process: &Process) -> bool {
    let words = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    words.starts_with(b"uncork\0run-keeper\0")
}

/// What a program says that was served by a keeper, who is nobody's parent.
fn by_keeper(is_root: bool) -> &'static str {
    if has_yama() && !is_root {
        "[0, 0]"
    } else {
        "[1, 1]"
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn the_supervisor_is_killed() {
    let Some(python) = python() else { return };
    let (_place, script) = script(LATE);
    let user = Ordinary::new();
    let mut ordinary = user.uncork();
    ordinary.arg("run").arg(&python).arg(&script);
    let commands = [
        (under([python.as_os_str(), script.as_os_str()]), is_root()),
        (ordinary, false),
    ];
    for (command, is_root) in commands {
        let mut late = Late::start(command);
        assert_eq!(late.attempt(), "[1, 1]\n");
        kill(&late.supervisor, "-KILL");
        late.supervisor.wait().unwrap();
        assert_eq!(late.attempt().trim_end(), by_keeper(is_root));
        assert!(late.keeper.is_alive());
        // Who stops services by name or by group does not leave programs without it.
        for signal in ["-TERM", "-HUP", "-INT"] {
            let id = late.keeper.pid.to_string();
            std::process::Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap();
        }
        assert_eq!(late.attempt().trim_end(), by_keeper(is_root));
        drop(late.stdin.take());
        wait_for(|| !late.keeper.is_alive());
    }
}

/// The supervisor is killed while programs connect as fast as they can: whatever it had in hand goes on.
#[test]
fn the_supervisor_is_killed_in_the_middle() {
    let Some(python) = python() else { return };
    let busy = "
import socket, sys, threading
server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen(100)
def connect(who):
    for n in range(300):
        with socket.create_connection(server.getsockname()):
            server.accept()[0].close()
        if (who, n) == (0, 20):
            print('ready', flush=True)
threads = [threading.Thread(target=connect, args=[who]) for who in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print('done')
";
    let (_place, script) = script(busy);
    for _ in 0..10 {
        let mut child = under([python.as_os_str(), script.as_os_str()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill(&child, "-KILL");
        child.wait().unwrap();
        assert_eq!(lines.map_while(Result::ok).last().as_deref(), Some("done"));
    }
}

/// The command ends, and leaves a daemon.
#[test]
fn a_daemon_lives_on() {
    let Some(python) = python() else { return };
    let (place, script) = script(LATE);
    let [go, out] = ["go", "out"].map(|name| place.path().join(name));
    let mut command = under([
        python.as_os_str(),
        script.as_os_str(),
        go.as_ref(),
        out.as_ref(),
    ]);
    // Whoever reads its output sees the end when the command's has come.
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::write(&go, "").unwrap();
    assert_eq!(wait_for_file(&out), by_keeper(is_root()));
}

/// Without anybody left there is no keeper either.
#[test]
fn nothing_is_left() {
    let Some(python) = python() else { return };
    let (_place, script) = script(LATE);
    let mut late = Late::start(under([python.as_os_str(), script.as_os_str()]));
    drop(late.stdin.take());
    assert!(late.supervisor.wait().unwrap().success());
    assert!(!late.keeper.is_alive());
}

/// The keeper is killed: the supervisor does the work as before, and has a new one for the time after.
#[test]
fn the_keeper_is_killed() {
    let Some(python) = python() else { return };
    let (_place, script) = script(LATE);
    let mut late = Late::start(under([python.as_os_str(), script.as_os_str()]));
    let id = late.keeper.pid.to_string();
    std::process::Command::new("kill")
        .args(["-KILL", &id])
        .status()
        .unwrap();
    wait_for(|| !late.keeper.is_alive());
    assert_eq!(late.attempt(), "[1, 1]\n");
    wait_for(|| tree(late.supervisor.id()).iter().any(is_keeper));
    drop(late.stdin.take());
    assert!(late.supervisor.wait().unwrap().success());
}
