//! `uncork run`: what its sockets are like, and that a command does not notice it.

#[path = "run/keeper.rs"]
mod keeper;
#[path = "run/passing.rs"]
mod passing;
#[path = "run/programs.rs"]
mod programs;
#[path = "run/quickack.rs"]
mod quickack;
#[path = "run/terminal.rs"]
mod terminal;

use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use uncork_lab::requirement;

use crate::support::{Ordinary, run, uncork};

const SOCKETS: &str = include_str!("run/sockets.py");

/// Python itself, not a wrapper of it.
pub(crate) fn python() -> Option<PathBuf> {
    let usual = PathBuf::from("/usr/bin/python3");
    if usual.is_file() {
        return Some(usual);
    }
    requirement::program("python3")
}

/// `uncork run -- COMMAND...`
fn under<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Command {
    let mut command = uncork();
    command.args(["run", "--"]).args(words);
    command
}

/// A file in a folder that anybody may enter.
fn script(text: &str) -> (TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = place.path().join("script.py");
    fs::write(&path, text).unwrap();
    (place, path)
}

/// What `sockets.py` says where TCP sockets have the option, or have it not.
#[track_caller]
fn check_sockets(found: &Value, is_on: bool) {
    let tcp = [
        "listen",
        "connect",
        "accept",
        "thread",
        "fork",
        "non_blocking",
        "ipv6",
        "sendto",
        "sendmsg",
    ];
    for name in tcp {
        assert_eq!(found[name], is_on, "{name}: {found}");
    }
    for name in ["udp", "unix", "unix_connect"] {
        assert_eq!(found[name], "other", "{name}: {found}");
    }
    // The program's mistakes are its own.
    assert_eq!(found["refused"], 111, "ECONNREFUSED: {found}");
    assert_eq!(found["again"], 106, "EISCONN: {found}");
}

#[test]
fn sockets_of_all_kinds() {
    let Some(python) = python() else { return };
    let (_place, script) = script(SOCKETS);
    let plain = run(Command::new(&python).arg(&script)).with(0);
    check_sockets(&plain.json(), false);
    let ended = run(&mut under([python.as_os_str(), script.as_os_str()])).with(0);
    assert_eq!(ended.stderr, "");
    check_sockets(&ended.json(), true);
}

#[test]
fn without_root() {
    let Some(python) = python() else { return };
    let user = Ordinary::new();
    let (_place, script) = script(SOCKETS);
    let mut command = user.uncork();
    let ended = run(command.arg("run").arg(&python).arg(&script)).with(0);
    assert_eq!(ended.stderr, "");
    check_sockets(&ended.json(), true);
}

/// One does the work; the other becomes the command.
#[test]
fn under_itself() {
    let Some(python) = python() else { return };
    let (_place, script) = script(SOCKETS);
    let inner = under([python.as_os_str(), script.as_os_str()]);
    let mut outer = under([inner.get_program()]);
    let ended = run(outer.args(inner.get_args())).with(0);
    assert_eq!(ended.stderr, "");
    check_sockets(&ended.json(), true);
    let mut outer = under([inner.get_program()]);
    let status = "grep Seccomp_filters: /proc/self/status";
    let ended = run(outer.args(["run", "sh", "-c", status])).with(0);
    assert_eq!(ended.stdout, "Seccomp_filters:\t1\n");
}

/// Where the outer one leaves other ports alone, the inner one can't do it either, and becomes the
/// command all the same.
#[test]
fn under_a_choosy_one() {
    let inner = under(["sh", "-c", "exit 7"]);
    let mut outer = uncork();
    outer.args(["run", "--only", "25"]).arg(inner.get_program());
    let ended = run(outer.args(inner.get_args())).with(7);
    assert_eq!(ended.stderr, "");
}

/// A program with its own filter, and one that would be a supervisor itself.
#[test]
fn with_a_filter_of_its_own() {
    let Some(python) = python() else { return };
    let (_place, script) = script(include_str!("run/filtered.py"));
    let ended = run(&mut under([python.as_os_str(), script.as_os_str()])).with(0);
    assert_eq!(ended.stdout, "[1, 1]\nDevice or resource busy\n");
    assert_eq!(ended.stderr, "");
}

/// As Docker's default profile does: the command is not run without what it was to be run with.
#[test]
fn where_a_container_forbids_it() {
    let Some(python) = python() else { return };
    let forbid = "
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
PIDFD_GETFD = 438
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, PIDFD_GETFD), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
fprog = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(steps), ctypes.addressof(program)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, fprog, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
";
    let mut command = Command::new(python);
    command.args(["-c", forbid]).arg(uncork().get_program());
    let ended = run(command.args(["run", "echo", "run"])).with(4);
    assert_eq!(ended.stdout, "");
    ended.says(&[
        "uncork: pidfd_getfd: Operation not permitted",
        "--cap-add SYS_PTRACE",
    ]);
}

/// Connects to two servers, to the second one thousand times, each in a process of its own.
const FORKS: &str = "
import os, socket, sys
def connect(port):
    with socket.create_connection(('127.0.0.1', int(port))) as sock:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
first = connect(sys.argv[1])
on = 0
for _ in range(20):
    children = []
    for _ in range(50):
        child = os.fork()
        if child == 0:
            os._exit(connect(sys.argv[2]))
        children.append(child)
    on += sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
print(first, on)
";

#[test]
fn a_thousand_forks_and_a_choice_of_ports() {
    let Some(python) = python() else { return };
    let servers = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = servers
        .each_ref()
        .map(|server| server.local_addr().unwrap().port());
    for server in servers {
        std::thread::spawn(move || server.incoming().for_each(drop));
    }
    let arguments = |command: &mut Command| {
        let command = command.arg("--").arg(&python).args(["-c", FORKS]);
        run(command.args(ports.map(|port| port.to_string()))).with(0)
    };
    let ended = arguments(uncork().arg("run"));
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("1 1000\n", "")
    );

    let report = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        report.path(),
        "what was there before, and is longer than nothing",
    )
    .unwrap();
    let mut command = uncork();
    command.args(["run", "--only", &ports[0].to_string(), "--report"]);
    let ended = arguments(command.arg(report.path()));
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("1 0\n", "")
    );
    let report: Value = serde_json::from_slice(&fs::read(report.path()).unwrap()).unwrap();
    assert_eq!(report["changed"], 1);
    assert_eq!(report["refused"], Value::Array(Vec::new()));
    let sockets = report["sockets"].as_array().unwrap();
    assert_eq!(sockets.len(), 1);
    assert_eq!(sockets[0]["call"], "connect");
    assert_eq!(sockets[0]["remote"], format!("127.0.0.1:{}", ports[0]));
    assert!(
        sockets[0]["command"]
            .as_str()
            .unwrap()
            .starts_with("python3"),
        "{report}"
    );
}

/// Listeners are chosen by their own port.
#[test]
fn a_choice_of_listeners() {
    let Some(python) = python() else { return };
    let listen = "
import socket, sys
for port in sys.argv[1:]:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(('127.0.0.1', int(port)))
    server.listen()
    print(server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
";
    // Free a moment ago, and most likely still.
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = free.map(|socket| socket.local_addr().unwrap().port().to_string());
    let mut command = uncork();
    command.args(["run", "--only", &ports[1]]).arg(python);
    let ended = run(command.args(["-c", listen]).args(&ports)).with(0);
    assert_eq!(ended.stdout, "0\n1\n");
}

/// A program that can't be looked into is left as it is, and that is told.
#[test]
fn what_may_not_be_changed() {
    let Some(python) = python() else { return };
    let user = Ordinary::new();
    let hide = "
import ctypes, socket
server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen()
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
for _ in range(2):
    client = socket.create_connection(server.getsockname())
    print(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
";
    let mut command = user.uncork();
    let ended = run(command.arg("run").arg(&python).args(["-c", hide])).with(0);
    assert_eq!(ended.stdout, "0\n0\n");
    let ended = ended.says(&["2 sockets were not changed: pidfd_getfd: Operation not permitted"]);
    assert!(ended.stderr.contains("As root it works"), "{ended:?}");
    let mut command = user.uncork();
    command.args(["run", "--quiet"]).arg(&python);
    let ended = run(command.args(["-c", hide])).with(0);
    assert_eq!(ended.stderr, "");
}

/// What a super-server hands over: a connection as stdin, a listener by number. And the command is
/// the one that the listener is meant for.
#[test]
fn sockets_that_it_is_started_with() {
    let Some(python) = python() else { return };
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let (accepted, _) = server.accept().unwrap();
    let look = "
import os, socket
print([socket.socket(fileno=n).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for n in (0, 3)])
print(os.environ['LISTEN_PID'] == str(os.getpid()))
print(os.getpid())
";
    let handing = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 0<&1 1>&2";
    let mut command = Command::new("sh");
    command.args(["-c", handing, "sh"]);
    let report = tempfile::NamedTempFile::new().unwrap();
    command
        .arg(uncork().get_program())
        .args(["run", "--report"]);
    command.arg(report.path()).arg(python).args(["-c", look]);
    command.stdin(OwnedFd::from(server));
    command
        .stdout(OwnedFd::from(accepted))
        .stderr(Stdio::piped());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let pid = said.strip_prefix("[1, 1]\nTrue\n").unwrap_or(&said);
    // They are the command's.
    let report: Value = serde_json::from_slice(&fs::read(report.path()).unwrap()).unwrap();
    let sockets = report["sockets"].as_array().unwrap();
    assert_eq!(sockets.len(), 2, "{said} {report}");
    for socket in sockets {
        assert_eq!(socket["call"], "start");
        assert_eq!(socket["pid"].to_string(), pid.trim_end());
        assert!(
            socket["command"].as_str().unwrap().starts_with("python3"),
            "{report}"
        );
    }
}

#[test]
fn the_wrong_call() {
    for arguments in [
        &["run"][..],
        &["run", "--"],
        &["run", "--only", "0", "true"],
        &["run", "--only", "imap", "true"],
        &["run", "--no-such-option", "true"],
        &["run", "--report", "/no/such/folder/report", "true"],
        &["run-keeper", "0", "1", "2"],
        &["run-keeper", "77", "78", "79"],
    ] {
        run(uncork().args(arguments)).with(2);
    }
    // As env(1) and the shells.
    let ended = run(&mut under(["no-such-command"])).with(127);
    ended.says(&["uncork: can't run no-such-command: No such file"]);
    let folder = tempfile::tempdir().unwrap();
    let ended = run(&mut under([folder.path()])).with(126);
    ended.says(&["can't run", "Permission denied"]);
    // The command's options are not ours.
    let ended = run(uncork().args(["run", "echo", "--only", "-h", "--"])).with(0);
    assert_eq!(ended.stdout, "--only -h --\n");
}

/// As with the files of all verbs: that it is not permitted has a code of its own.
#[test]
fn a_report_that_may_not_be_written() {
    let user = Ordinary::new();
    let folder = user.folder("closed");
    crate::support::forbid(&folder);
    let mut command = user.uncork();
    command.args(["run", "--report"]).arg(folder.join("report"));
    let ended = run(command.args(["echo", "run"])).with(4);
    assert_eq!(ended.stdout, "");
    ended.says(&["report can't be written: Permission denied"]);
}

/// Whether this machine keeps ptrace to ancestors, which a keeper is not.
fn has_yama() -> bool {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    scope.is_ok_and(|scope| scope.trim() != "0")
}

/// Waits for a file, and reads it.
fn wait_for_file(path: &Path) -> String {
    crate::signals::wait_for(|| path.exists());
    fs::read_to_string(path).unwrap()
}
