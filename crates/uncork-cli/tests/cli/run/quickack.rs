//! `uncork run --quickack`: late ACKs are sent, and a command does not notice it otherwise.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{python, script};
use crate::support::{Ordinary, run, uncork};

const CONNECTIONS: &str = include_str!("quickack.py");

/// What `quickack.py` finds, run in this way.
#[track_caller]
fn found(command: &mut Command, script: &Path, python: &Path) -> Value {
    let ended = run(command.arg("--").arg(python).arg(script)).with(0);
    assert_eq!(ended.stderr, "");
    ended.json()
}

#[track_caller]
fn check(found: &Value, nodelay: u64, filters: u64) {
    for name in ["connect", "accept", "orphan"] {
        assert_eq!(found[name], true, "{name}: {found}");
    }
    assert_eq!(found["ends"], 100, "{found}");
    assert_eq!(found["nodelay"], nodelay, "{found}");
    assert_eq!(found["filters"], filters, "{found}");
}

/// What is named is done, and nothing else; `--nodelay` where nothing is named.
#[test]
fn a_choice_of_options() {
    let Some(python) = python() else { return };
    let (place, script) = script(CONNECTIONS);
    let with = |options: &[&str]| {
        let mut command = uncork();
        command.arg("run").args(options);
        found(&mut command, &script, &python)
    };
    check(&with(&["--quickack"]), 0, 0);
    let report = place.path().join("report.json");
    let options = ["--nodelay", "--quickack", "--report"];
    check(
        &with(&[&options[..], &[report.to_str().unwrap()]].concat()),
        1,
        1,
    );
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    // Four are there for long; the others may be gone before they are found.
    let sockets = report["quickack"]["sockets"].as_u64().unwrap();
    assert!(sockets >= 4, "{report}");
    assert_eq!(report["quickack"]["sockets_left_out"], 0);
    assert_eq!(report["quickack"]["processes_left_out"], 0);
    assert!(report["changed"].as_u64().unwrap() > 100, "{report}");

    for options in [&["run"][..], &["run", "--nodelay"]] {
        let mut command = uncork();
        command.args(options).arg(&python).arg(&script).arg("off");
        let found = run(&mut command).with(0).json();
        assert_eq!(
            (&found["nodelay"], &found["connect"]),
            (&1.into(), &false.into())
        );
    }
}

#[test]
fn without_root() {
    let Some(python) = python() else { return };
    let user = Ordinary::new();
    let (_place, script) = script(CONNECTIONS);
    let mut command = user.uncork();
    check(
        &found(command.args(["run", "--quickack"]), &script, &python),
        0,
        0,
    );
}

/// The outer one has the only filter that there can be; this takes none.
#[test]
fn under_another_one() {
    let Some(python) = python() else { return };
    let (_place, script) = script(CONNECTIONS);
    let mut command = uncork();
    command.args(["run", "--"]).arg(uncork().get_program());
    command.args(["run", "--nodelay", "--quickack"]);
    check(&found(&mut command, &script, &python), 1, 1);
}

/// Exchanges with two servers that answer in two writes, the second of which waits for the ACK of the
/// first; `--only` names one of them. The other is the measure: both are asked in turns.
#[test]
fn answers_that_wait_for_an_acknowledgement() {
    const EXCHANGES: &str = "
import json, socket, statistics, sys, time
connections = [socket.create_connection(('127.0.0.1', int(port))) for port in sys.argv[1:]]
times = [[], []]
for _ in range(31):
    for connection, took in zip(connections, times):
        start = time.monotonic()
        connection.send(b'?')
        answer = b''
        while len(answer) < 150:
            answer += connection.recv(1000)
        took.append(time.monotonic() - start)
json.dump([statistics.median(took) for took in times], sys.stdout)
";
    const SERVERS: &str = "
import socket, subprocess, sys, threading
def serve(server):
    connection, _ = server.accept()
    while connection.recv(1):
        connection.send(b'h' * 100)
        connection.send(b'b' * 50)
servers = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]
for server in servers:
    threading.Thread(target=serve, args=[server], daemon=True).start()
ports = [str(server.getsockname()[1]) for server in servers]
command = [sys.argv[1], 'run', '--quickack', '--only', ports[0], '--', sys.executable, '-c', sys.argv[2]]
sys.exit(subprocess.run(command + ports).returncode)
";
    let Some(python) = python() else { return };
    let mut command = Command::new(python);
    command.args(["-c", SERVERS]).arg(uncork().get_program());
    let ended = run(command.arg(EXCHANGES)).with(0);
    let medians = ended.json();
    let [with, without] = [0, 1].map(|n| medians[n].as_f64().unwrap());
    assert!(with < without / 2.0, "{with} s with, {without} s without");
}

/// Other ports are left alone: the option comes back on one of the two only.
#[test]
fn a_choice_of_ports() {
    const TWO: &str = "
import json, socket, sys, time
def option(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)
chosen, other = [socket.create_connection(('127.0.0.1', int(port))) for port in sys.argv[1:]]
other.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
for _ in range(20):
    chosen.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    while not option(chosen):
        time.sleep(0.001)
print(option(other))
";
    let Some(python) = python() else { return };
    let servers = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = servers.map(|server| {
        let port = server.local_addr().unwrap().port();
        // It keeps what it accepts.
        std::thread::spawn(move || server.incoming().collect::<Vec<_>>());
        port.to_string()
    });
    let mut command = uncork();
    command.args(["run", "--quickack", "--only", &ports[0], "--"]);
    let ended = run(command.arg(python).args(["-c", TWO]).args(&ports)).with(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("0\n", ""));
}

#[test]
fn exit_codes_and_deaths() {
    for options in [&["--quickack"][..], &["--quickack", "--nodelay"]] {
        let under = |words: &str| {
            let mut command = uncork();
            command.arg("run").args(options);
            command.args(["--", "sh", "-c", words]);
            command
        };
        for code in [0, 1, 127, 255] {
            run(&mut under(&format!("exit {code}"))).with(code);
        }
        for signal in [9, 10, 15] {
            let status = under(&format!("kill -{signal} $$")).status().unwrap();
            assert_eq!(status.signal(), Some(signal));
        }
        // The thread is at work by then.
        run(&mut under("sleep 0.2; exit 3")).with(3);
        let mut command = uncork();
        command.arg("run").args(options).arg("no-such-command");
        run(&mut command).with(127);
    }
}
