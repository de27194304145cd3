//! Programs that stall: who is named, why, and what is advised.

use std::fs;
use std::process::Command;

use uncork_lab::requirement;
use uncork_trace::report::{Advice, Cause, EndedBy, Language};

use super::peers::{Daemon, client, server, succeed};
use super::{EBPF, Program, Sum, Traced, Tracing, trace};
use crate::run::python;

const REQUESTS: u32 = 20;

/// The first requests of a connection are acknowledged at once (`TCP_MAX_QUICKACKS`), so that as few as
/// these stall.
const STALLED: u64 = 10;

/// The advice for a cause; there is one.
#[track_caller]
fn advice(traced: &Traced, cause: Cause) -> &Advice {
    let mut advice = traced.report.advice.iter();
    let found = advice.find(|advice| advice.cause == cause);
    found.unwrap_or_else(|| panic!("{traced:#?}"))
}

/// The language of the only process with stalls.
#[track_caller]
fn check_process(traced: &Traced, sum: &Sum, language: Language, line: &str) {
    let socket = traced
        .report
        .sockets
        .iter()
        .find(|socket| socket.pid == sum.pid);
    assert_eq!(socket.unwrap().language, Some(language), "{traced:#?}");
    let advice = advice(traced, Cause::Nagle);
    assert_eq!(advice.pid, sum.pid);
    let said = advice.line.as_ref().unwrap();
    assert!(said.contains(line), "{said}");
    assert!(!advice.change.is_empty());
}

#[test]
fn pythons_http_server() {
    let Some(python) = python().filter(|_| requirement::root()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page"), [b'x'; 1000]).unwrap();
    let server = Daemon::start(python, |addr| {
        let port = addr.port().to_string();
        let place = folder.path().to_str().unwrap();
        let arguments = [
            "-m",
            "http.server",
            &port,
            "--bind",
            "127.0.0.1",
            "--protocol",
            "HTTP/1.1",
        ];
        let arguments = arguments.into_iter().chain(["--directory", place]);
        arguments.map(str::to_owned).collect()
    });
    let tracing = Tracing::of(server.pid(), EBPF);
    succeed(&mut client(server.addr, "/page", REQUESTS).unwrap());
    let traced = tracing.stop().with(1);
    let sum = traced.sum(Cause::Nagle);
    assert_eq!((sum.pid, sum.local), (server.pid(), server.addr));
    assert!((STALLED..=REQUESTS.into()).contains(&sum.count), "{sum:?}");
    // On a busy machine the peer's ACK is late, and the kernel's own probe may come before it.
    let by_ack = sum.ended(EndedBy::DelayedAck);
    assert_eq!(by_ack + sum.ended(EndedBy::Probe), sum.count, "{sum:?}");
    assert!(by_ack >= STALLED, "{sum:?}");
    check_process(&traced, &sum, Language::Python, "TCP_NODELAY");
}

#[test]
fn node_that_writes_twice() {
    let Some(node) = requirement::program("node").filter(|_| requirement::root()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("twice.js");
    fs::write(&script, include_str!("twice.js")).unwrap();
    let mut command = trace(&["--engine", EBPF, "--"]);
    let traced = Traced::run(command.arg(node).arg(script).arg(REQUESTS.to_string())).with(1);
    // What the command prints is not in the document, nor lost.
    let port: u16 = traced.stderr.lines().next().unwrap().parse().unwrap();
    let sum = traced.sum(Cause::Nagle);
    assert_eq!(sum.remote.port(), port, "the client's socket: {sum:?}");
    assert!((STALLED..=REQUESTS.into()).contains(&sum.count), "{sum:?}");
    assert!(
        sum.patterns[0].starts_with("write 100, write 10, "),
        "{sum:?}"
    );
    check_process(&traced, &sum, Language::Node, "setNoDelay");
}

#[test]
fn javas_http_server() {
    let programs = (requirement::program("javac"), requirement::program("java"));
    let ((Some(javac), Some(java)), true) = (programs, requirement::root()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("Served.java");
    fs::write(&source, include_str!("Served.java")).unwrap();
    let mut compile = Command::new(javac);
    succeed(compile.arg("-d").arg(folder.path()).arg(source));
    let mut command = Command::new(java);
    let mut server = Program::start(command.arg("-cp").arg(folder.path()).arg("Served"));
    let addr = ([127, 0, 0, 1], server.line().parse().unwrap()).into();
    let tracing = Tracing::of(server.pid(), EBPF);
    succeed(&mut client(addr, "/", REQUESTS).unwrap());
    let traced = tracing.stop().with(1);
    let sum = traced.sum(Cause::Nagle);
    // Java's sockets are of IPv6 though the address is of IPv4.
    assert_eq!((sum.pid, sum.local.port()), (server.pid(), addr.port()));
    assert!((STALLED..=REQUESTS.into()).contains(&sum.count), "{sum:?}");
    check_process(&traced, &sum, Language::Java, "setTcpNoDelay");
}

/// Each answer is held for as long as the kernel holds a cork.
#[track_caller]
fn check_cork(manner: &str) {
    const ANSWERS: u32 = 5;
    if !requirement::root() {
        return;
    }
    let Some((server, addr)) = server(include_str!("corked.py"), &[manner]) else {
        return;
    };
    let tracing = Tracing::of(server.pid(), EBPF);
    succeed(&mut client(addr, "/", ANSWERS).unwrap());
    let traced = tracing.stop().with(1);
    let sum = traced.sum(Cause::Cork);
    assert_eq!((sum.pid, sum.local), (server.pid(), addr));
    assert_eq!(sum.count, u64::from(ANSWERS), "{sum:?}");
    assert_eq!(sum.ended(EndedBy::Ceiling), sum.count, "{sum:?}");
    assert_eq!(traced.stalls(Cause::Nagle).count(), 0);
    let advice = advice(&traced, Cause::Cork);
    assert_eq!(advice.pid, server.pid());
    assert!(!advice.change.is_empty());
}

#[test]
fn a_cork_that_is_forgotten() {
    check_cork("cork");
}

#[test]
fn msg_more_with_nothing_more() {
    check_cork("more");
}
