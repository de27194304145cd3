//! What passes through: exit codes, signals, input and output, and what a process inherits.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use super::{python, script, under};
use crate::signals::{kill, wait_for};
use crate::support::{run, uncork};
use uncork_lab::process::tree;
use uncork_lab::requirement;

#[test]
fn exit_codes_and_deaths() {
    for code in [0, 1, 4, 127, 255] {
        run(&mut under(["sh", "-c", &format!("exit {code}")])).with(code);
    }
    for signal in [2, 9, 10, 13, 15, 34] {
        let words = ["sh", "-c", &format!("kill -{signal} $$")];
        let status = under(words).status().unwrap();
        assert_eq!(status, alone(words));
        assert!(!status.core_dumped());
    }
    assert_eq!(alone(["sh", "-c", "kill -9 $$"]).signal(), Some(9));
}

/// How a command ends by itself: not by Ctrl-C where the tests run in the background of a script.
fn alone(words: [&str; 3]) -> ExitStatus {
    let [program, arguments @ ..] = words;
    Command::new(program).args(arguments).status().unwrap()
}

struct Job {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Job {
    fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    #[track_caller]
    fn hears(&mut self, expected: &str) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expected);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Ended already, unless the test fails; the command ends with its input.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of signals that wait together the lesser number goes first: when the last one is there, all are.
#[test]
fn signals_that_processes_send() {
    let Some(python) = python() else { return };
    let (_place, script) = script(include_str!("job.py"));
    let mut job = Job::start(&mut under([python.as_os_str(), script.as_os_str()]));
    job.hears("ready");
    for (signal, heard) in [
        ("-TERM", "[('SIGRTMAX', 1), ('SIGTERM', 1)]"),
        ("-HUP", "[('SIGHUP', 1), ('SIGRTMAX', 2), ('SIGTERM', 1)]"),
        (
            "-INT",
            "[('SIGHUP', 1), ('SIGINT', 1), ('SIGRTMAX', 3), ('SIGTERM', 1)]",
        ),
    ] {
        kill(&job.child, signal);
        kill(&job.child, "-64");
        job.hears(heard);
    }
    drop(job.child.stdin.take());
    assert_eq!(job.child.wait().unwrap().code(), Some(3));
}

/// Somebody stops the command alone, and makes it alone go on, or ends it: the shell's child follows.
#[test]
fn the_command_alone_is_stopped() {
    for (signal, code, by) in [("-CONT", Some(7), None), ("-KILL", None, Some(9))] {
        let mut command = under(["sh", "-c", "echo $$; read line; exit 7"]);
        // A job of whoever runs the tests.
        let mut job = Job::start(command.process_group(0));
        let mut id = String::new();
        job.stdout.read_line(&mut id).unwrap();
        let send = |signal: &str| {
            let sent = Command::new("kill").args([signal, id.trim()]).status();
            assert!(sent.unwrap().success());
        };
        let own = job.child.id();
        // The keeper has to be there, or nobody would wake the supervisor.
        wait_for(|| {
            let names = tree(own).into_iter();
            let names = names.map(|one| fs::read_to_string(format!("/proc/{}/comm", one.pid)));
            names.flatten().any(|name| name == "uncork-keeper\n")
        });
        send("-STOP");
        let stat = || fs::read_to_string(format!("/proc/{own}/stat")).unwrap();
        wait_for(|| stat().contains(") T "));
        send(signal);
        wait_for(|| !stat().contains(") T "));
        drop(job.child.stdin.take());
        let status = job.child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (code, by));
    }
}

/// Without a keeper nobody would wake the supervisor: so it does not stop.
#[test]
fn the_command_alone_is_stopped_and_has_no_keeper() {
    for (signal, code, by) in [("-CONT", Some(7), None), ("-KILL", None, Some(9))] {
        let mut command = uncork();
        command.args(["run", "--quickack", "--", "sh", "-c"]);
        let words = "trap : USR1; echo $$; read line; exit 7";
        let mut job = Job::start(command.arg(words).process_group(0));
        let mut id = String::new();
        job.stdout.read_line(&mut id).unwrap();
        let id = id.trim();
        let send = |signal: &str| {
            let sent = Command::new("kill").args([signal, id]).status();
            assert!(sent.unwrap().success());
        };
        send("-STOP");
        let status = || fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        wait_for(|| status().contains("T (stopped)"));
        // It has heard of that before it passes on what comes after, which waits until the command goes on.
        kill(&job.child, "-USR1");
        wait_for(|| !status().contains("ShdPnd:\t0000000000000000"));
        send(signal);
        drop(job.child.stdin.take());
        let status = job.child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (code, by));
    }
}

/// What the command sends to its whole group comes back to it only once; it ends the supervisor as
/// little as it would end a shell that waits.
#[test]
fn signals_that_the_command_sends() {
    let Some(python) = python() else { return };
    let group = "
import os, signal
os.setpgid(0, 0)
os.execv(os.sys.argv[1], os.sys.argv[1:])
";
    let send = "
import os, signal, time
count = 0
def heard(*_):
    global count
    count += 1
signal.signal(signal.SIGTERM, heard)
os.killpg(0, signal.SIGTERM)
# Who waits for a child of its own has had its signals.
os.kill(os.getppid(), signal.SIGTERM)
os.system('true')
print(count)
";
    let inner = uncork();
    let mut command = Command::new(&python);
    command
        .args(["-c", group])
        .arg(inner.get_program())
        .arg("run");
    let ended = run(command.arg(&python).args(["-c", send])).with(0);
    assert_eq!(ended.stdout, "1\n");
}

/// An alarm survives an exec, and is meant for the command.
#[test]
fn an_alarm_that_was_set_before() {
    let Some(python) = python() else { return };
    let set = "
import os, signal, sys
signal.setitimer(signal.ITIMER_REAL, 0.3)
os.execv(sys.argv[1], sys.argv[1:])
";
    let mut command = Command::new(python);
    command.args(["-c", set]).arg(uncork().get_program());
    let status = command.args(["run", "sleep", "60"]).status().unwrap();
    assert_eq!(status.signal(), Some(14));
}

/// Masks, dispositions and closed descriptors, as a command finds them.
#[test]
fn what_a_process_inherits() {
    let Some(python) = python() else { return };
    let set = "
import os, signal, sys
which = sys.argv[1]
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
if which == 'odd':
    for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGCHLD])
    os.close(0)
    os.dup2(1, 77)
os.execv(sys.argv[2], sys.argv[2:])
";
    let look = "
import os
status = open('/proc/self/status').read().splitlines()
wanted = ('SigBlk', 'SigIgn', 'NoNewPrivs', 'Umask', 'Threads', 'NSsid')
print([line for line in status if line.startswith(wanted)])
print(sorted(name for name in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + name)))
print(sorted(os.environ.items()))
print(os.getcwd(), os.getpgrp(), os.nice(0))
";
    for which in ["usual", "odd"] {
        let look = |wrapper: Option<&std::ffi::OsStr>| {
            let mut command = Command::new(&python);
            command.args(["-c", set, which]);
            if let Some(wrapper) = wrapper {
                command.arg(wrapper).arg("run");
            }
            // Python ignores SIGPIPE by itself.
            let shell = "\"$@\"; grep SigIgn /proc/self/status";
            command.args(["/bin/sh", "-c", shell, "sh"]);
            run(command.arg(&python).args(["-S", "-c", look]))
        };
        let uncork = uncork();
        let (plain, under) = (look(None), look(Some(uncork.get_program())));
        assert_eq!(plain.stdout, under.stdout, "{which}");
        assert_eq!(under.stderr, plain.stderr);
        assert!(plain.stdout.contains("SigIgn"), "{plain:?}");
    }
}

#[test]
fn input_and_output() {
    let bytes: Vec<u8> = (0..1_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut child = under(["cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = bytes.clone();
    let sender = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let mut came = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut came).unwrap();
    sender.join().unwrap();
    assert!(came == bytes && child.wait().unwrap().success());
}

/// The supervisor has nothing open that the command has closed: readers see the end.
#[test]
fn what_the_command_closes_is_closed() {
    let script = "exec 3>&1; exec >&- 3>&-; read -r line; exit 5";
    let mut child = under(["sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut Vec::new())
        .unwrap();
    child.stdin.take().unwrap().write_all(b"on\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

/// What runs a command as the first process of a container; `None` after saying that the test is skipped.
fn container() -> Option<Command> {
    let unshare = requirement::root().then(|| requirement::program("unshare"));
    let mut command = Command::new(unshare.flatten()?);
    command.args(["--pid", "--fork", "--mount-proc"]);
    Some(command)
}

/// As the first process of a container it is everybody's heir, and does not die by signals.
#[test]
fn as_the_first_process() {
    let (Some(python), Some(mut command)) = (python(), container()) else {
        return;
    };
    let orphan = "
import os, sys, time
readable, writable = os.pipe()
if os.fork() == 0:
    child = os.fork()
    if child == 0:
        time.sleep(0.05)
        os._exit(0)
    os.write(writable, str(child).encode())
    os._exit(0)
child = os.read(readable, 100).decode()
os.wait()
while os.path.exists('/proc/' + child):
    time.sleep(0.01)
print(os.getppid())
os.kill(os.getpid(), 9)
";
    command.arg(uncork().get_program());
    let ended = run(command.arg("run").arg(python).args(["-c", orphan])).with(137);
    assert_eq!(ended.stdout, "1\n");
}

/// A container that was entered from outside: its processes have a session, and the first one a group,
/// whose ids are none in there. The command stops, and whoever waits for uncork sees it.
#[test]
fn a_session_from_outside_the_container() {
    let (Some(python), Some(mut command)) = (python(), container()) else {
        return;
    };
    let shell = "
import os, signal, sys
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
stopped = os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
os.killpg(child, signal.SIGCONT)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(os.getsid(0), os.getpgrp(), stopped, code)
";
    command
        .arg(python)
        .args(["-c", shell])
        .arg(uncork().get_program())
        .args(["run", "sh", "-c", "kill -STOP $$; exit 7"]);
    assert_eq!(run(&mut command).with(0).stdout, "0 0 True 7\n");
}
