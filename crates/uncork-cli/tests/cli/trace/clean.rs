//! Programs that send well: nothing is told of them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use uncork_lab::http::get;
use uncork_lab::http::load::{Load, LoadConfig, Until};
use uncork_lab::requirement;
use uncork_trace::report::Limit;

use super::peers::{Daemon, client, succeed};
use super::{EBPF, SAMPLE, Traced, Tracing, trace};
use crate::running::Running;
use crate::support::{Lab, PASSWORD, mails, uncork};

const SMALL: &str = "/small";
const LARGE: &str = "/large";
const LARGE_BYTES: usize = 300_000;

/// The engines that can be used here.
fn engines() -> &'static [&'static str] {
    if requirement::root() {
        &[EBPF, SAMPLE]
    } else {
        &[SAMPLE]
    }
}

/// A small file and one of many segments.
fn pages() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(&SMALL[1..]), [b'x'; 1000]).unwrap();
    fs::write(folder.path().join(&LARGE[1..]), vec![b'x'; LARGE_BYTES]).unwrap();
    folder
}

/// One connection after the other, and many at the same time.
#[track_caller]
fn ask(addr: SocketAddr) {
    succeed(&mut client(addr, SMALL, 200).unwrap());
    // With `tcp_nopush` nginx leaves Nagle's algorithm on: where many connections mix sizes, the end of a
    // large answer may really be held.
    succeed(&mut client(addr, &format!("{SMALL},{LARGE}"), 100).unwrap());
    let mut load = LoadConfig::new(addr, vec![get("localhost", SMALL)]);
    load.connections = 8;
    Load::connect(load)
        .unwrap()
        .run(Until::Requests(2000))
        .unwrap();
}

/// Nothing was held, and what each socket waited for most is its program or its peer: no window, buffer or
/// device of this machine.
#[track_caller]
fn check(traced: &Traced) {
    for socket in &traced.is_clean().report.sockets {
        let is_true = matches!(socket.limit, Limit::Program | Limit::Peer);
        assert!(is_true, "{socket:#?}");
    }
}

/// A web server, from outside, by both engines.
#[track_caller]
fn check_server(pid: u32, addr: SocketAddr) {
    if client(addr, SMALL, 1).is_none() {
        return;
    }
    for engine in engines() {
        let tracing = Tracing::of(pid, engine);
        ask(addr);
        let traced = tracing.stop();
        check(&traced);
        assert_eq!(traced.code, 0, "{engine}: {traced:#?}");
    }
}

fn start_nginx(folder: &TempDir) -> Option<Daemon> {
    let nginx = requirement::program("nginx")?;
    let server = Daemon::start(nginx, |addr| {
        let root = folder.path().to_str().unwrap();
        // Its worker has to enter a folder that is its owner's only.
        let user = if requirement::root() {
            "user root; "
        } else {
            ""
        };
        let conf = format!(
            "{user}daemon off; worker_processes 1; error_log {root}/error.log; pid {root}/pid;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n\
             access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n\
             client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;\n\
             fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
             server {{ listen {addr}; root {root}; }}\n\
             }}\n"
        );
        let path = folder.path().join("nginx.conf");
        fs::write(&path, conf).unwrap();
        vec!["-c".to_owned(), path.to_str().unwrap().to_owned()]
    });
    Some(server)
}

#[test]
fn nginx() {
    let folder = pages();
    if let Some(server) = start_nginx(&folder) {
        check_server(server.pid(), server.addr);
    }
}

/// Each answer is corked for a moment; passing all of them on would cost the server what they cost uncork.
#[test]
fn little_is_passed_on_of_a_busy_server() {
    const CONNECTIONS: u32 = 32;
    const REQUESTS: u64 = 20_000;
    /// Of one connection in a second, at most: 24 calls, 24 segments, its beginning and end, and what a
    /// busy machine makes of some of them.
    const EVENTS: u32 = 60;
    let folder = pages();
    let Some(server) = start_nginx(&folder).filter(|_| requirement::root()) else {
        return;
    };
    let tracing = Tracing::of(server.pid(), EBPF);
    let mut load = LoadConfig::new(server.addr, vec![get("localhost", SMALL)]);
    load.connections = CONNECTIONS as usize;
    Load::connect(load)
        .unwrap()
        .run(Until::Requests(REQUESTS))
        .unwrap();
    let traced = tracing.stop().with(0);
    check(&traced);
    let report = &traced.report;
    let most = f64::from(CONNECTIONS * EVENTS) * (report.seconds + 1.0);
    assert!(
        (report.events as f64) < most,
        "{} events of at most {most}",
        report.events
    );
    assert!(
        report.events + report.events_skipped > 4 * REQUESTS,
        "all are counted"
    );
}

#[test]
fn lighttpd() {
    let Some(lighttpd) = requirement::program("lighttpd") else {
        return;
    };
    let folder = pages();
    let server = Daemon::start(lighttpd, |addr| {
        let root = folder.path().to_str().unwrap();
        let (ip, port) = (addr.ip(), addr.port());
        let conf = format!(
            "server.document-root = \"{root}\"\nserver.bind = \"{ip}\"\nserver.port = {port}\n\
             server.max-keep-alive-requests = 1000000\n"
        );
        let path = folder.path().join("lighttpd.conf");
        fs::write(&path, conf).unwrap();
        ["-D", "-f", path.to_str().unwrap()]
            .map(str::to_owned)
            .to_vec()
    });
    check_server(server.pid(), server.addr);
}

fn serve(root: &Path) -> Running {
    let mut command = uncork();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--json", "--root"])
        .arg(root);
    Running::start(command.stderr(std::process::Stdio::null()))
}

#[test]
fn uncork_serve() {
    let folder = pages();
    let running = serve(folder.path());
    check_server(running.child.id(), running.address());
}

#[test]
fn curl() {
    let Some(curl) = requirement::program("curl") else {
        return;
    };
    let folder = pages();
    let running = serve(folder.path());
    for engine in engines() {
        let mut command = trace(&["--engine", engine, "--"]);
        command
            .arg(&curl)
            .args(["--silent", "--show-error", "--fail"]);
        for path in [SMALL, LARGE, SMALL, LARGE] {
            command.args(["-o", "/dev/null"]);
            command.arg(format!("http://{}{path}", running.address()));
        }
        let traced = Traced::run(&mut command).with(0);
        // Samples may come too late for so short a run.
        if *engine == EBPF {
            check(&traced);
            assert_eq!(traced.report.sockets[0].command, "curl");
        }
        assert!(
            traced
                .report
                .sockets
                .iter()
                .all(|socket| socket.stalls.is_empty())
        );
    }
}

#[test]
fn uncork_import() {
    let source = mails(200);
    for engine in engines() {
        let lab = Lab::careful();
        let mut command = trace(&[
            "--engine",
            engine,
            "--",
            env!("CARGO_BIN_EXE_uncork"),
            "import",
        ]);
        command.arg(source.path()).arg(lab.url("Old"));
        let traced = Traced::run(command.env("UNCORK_PASSWORD", PASSWORD)).with(0);
        assert_eq!(lab.server.stored(), 200);
        if *engine == EBPF {
            check(&traced);
        }
        assert_eq!(traced.report.held_ms_total, 0.0);
    }
}

#[test]
fn redis() {
    let programs = ["redis-server", "redis-benchmark"].map(requirement::program);
    let [Some(redis), Some(benchmark)] = programs else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Daemon::start(redis, |addr| {
        let (ip, port) = (addr.ip().to_string(), addr.port().to_string());
        let place = folder.path().to_str().unwrap();
        let arguments = ["--bind", &ip, "--port", &port, "--save", "", "--dir", place];
        arguments.map(str::to_owned).to_vec()
    });
    let arguments = |command: &mut Command| {
        let (ip, port) = (server.addr.ip().to_string(), server.addr.port().to_string());
        command.args(["-h", &ip, "-p", &port, "-t", "set,get", "-n", "20000", "-q"]);
    };
    for engine in engines() {
        let tracing = Tracing::of(server.pid(), engine);
        let mut command = Command::new(&benchmark);
        arguments(&mut command);
        succeed(&mut command);
        check(&tracing.stop().with(0));
        let mut command = trace(&["--engine", engine, "--"]);
        arguments(command.arg(&benchmark));
        check(&Traced::run(&mut command).with(0));
    }
}
