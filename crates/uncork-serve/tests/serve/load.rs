//! Reloads, exchanged folders and drains while requests come: none is lost.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;
use uncork_serve::config::Config;

use crate::support::{LIVENESS, Served, configuration, test_limits, until, write};

/// A closed loop on several connections: each sends its next request when it has the answer.
struct Load {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

/// What is asked for, and which answers are right.
#[derive(Clone, Copy)]
struct Task {
    request: &'static str,
    is_right: fn(u16, &[u8]) -> bool,
    /// Whether another connection follows one that has ended.
    reconnects: bool,
}

impl Load {
    fn start(address: SocketAddr, task: Task, connections: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let threads = (0..connections)
            .map(|_| {
                let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
                thread::spawn(move || ask(address, task, &is_over, &answered))
            })
            .collect();
        Self {
            is_over,
            answered,
            threads,
        }
    }

    /// Waits until so many more requests were answered.
    #[track_caller]
    fn goes_on(&self, more: u64) {
        let from = self.answered.load(Ordering::Relaxed);
        until(|| {
            let is_stuck = self.threads.iter().all(JoinHandle::is_finished);
            assert!(!is_stuck, "the load has ended");
            (self.answered.load(Ordering::Relaxed) >= from + more).then_some(())
        });
    }

    /// Ends it; each request that was lost, with the reason.
    fn end(self) -> Vec<String> {
        self.is_over.store(true, Ordering::Relaxed);
        self.join()
    }

    fn join(self) -> Vec<String> {
        let threads = self.threads.into_iter();
        threads.flat_map(|thread| thread.join().unwrap()).collect()
    }
}

/// One connection after the other, until it is over or nobody listens any more. A connection may end
/// behind a response that says so; anything else is a loss.
fn ask(address: SocketAddr, task: Task, is_over: &AtomicBool, answered: &AtomicU64) -> Vec<String> {
    let mut lost = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let mut stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            // The server has ended: this request was never sent.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => break,
            Err(error) => {
                lost.push(format!("connect: {error}"));
                break;
            }
        };
        stream.set_read_timeout(Some(LIVENESS)).unwrap();
        loop {
            match ask_once(&mut stream, task) {
                Ok(keeps) => {
                    answered.fetch_add(1, Ordering::Relaxed);
                    if !keeps && !task.reconnects {
                        return lost;
                    }
                    if !keeps || is_over.load(Ordering::Relaxed) {
                        break;
                    }
                }
                Err(reason) => {
                    lost.push(reason);
                    break;
                }
            }
        }
    }
    lost
}

/// One request. Whether the connection goes on, or what went wrong.
fn ask_once(stream: &mut TcpStream, task: Task) -> Result<bool, String> {
    let sent = stream.write_all(task.request.as_bytes());
    sent.map_err(|error| format!("write: {error}"))?;
    let mut received = Vec::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        if let Some((status, keeps, end)) = whole(&received) {
            let body = memchr::memmem::find(&received, b"\r\n\r\n").unwrap_or(0) + 4;
            if received.len() > end || !(task.is_right)(status, &received[body..end]) {
                let shown = String::from_utf8_lossy(&received[..received.len().min(600)]);
                return Err(format!("wrong: {shown}"));
            }
            return Ok(keeps);
        }
        match stream.read(&mut piece) {
            Ok(0) => return Err(format!("closed after {} bytes", received.len())),
            Ok(read) => received.extend_from_slice(&piece[..read]),
            Err(error) => return Err(format!("read: {error} after {}", received.len())),
        }
    }
}

/// Status, whether the connection is kept, and the length of a response that is whole.
fn whole(received: &[u8]) -> Option<(u16, bool, usize)> {
    let end = memchr::memmem::find(received, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&received[..end]).unwrap();
    let status = head.get(9..12)?.parse().unwrap();
    let length = head.split("Content-Length: ").nth(1)?;
    let length: usize = length.split("\r\n").next()?.parse().unwrap();
    let keeps = !head.contains("Connection: close");
    (received.len() >= end + length).then_some((status, keeps, end + length))
}

const SMALL: Task = Task {
    request: "GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n",
    is_right: |status, body| status == 200 && body == b"a",
    reconnects: true,
};

#[test]
fn reloads_lose_no_request() {
    let first = "threads = 2\n[[site]]\nhosts = [\"a.example\"]\nroot = \"root\"\n";
    let second = format!(
        "{first}cache_control = \"no-cache\"\n[[site]]\nhosts = [\"_default\"]\nroot = \"root\"\n"
    );
    let served = Served::by(first, &[("root/a", "a")]);
    let load = Load::start(served.address, SMALL, 8);
    for round in 0..20 {
        let text = if round % 2 == 0 { &second } else { first };
        let config = configuration(served.folder.path(), text);
        let config = Config {
            listen: crate::support::any_port(),
            ..config
        };
        served.server().reload(config).unwrap();
        // In force at once for whoever asks after it.
        let expected = (round % 2 == 0).then_some("no-cache");
        until(|| {
            let all = (0..4).all(|_| served.get("/a").header("cache-control") == expected);
            all.then_some(())
        });
        load.goes_on(200);
    }
    assert_eq!(load.end(), [""; 0]);
}

/// What can't be reloaded leaves all as it was.
#[test]
fn a_reload_that_fails_changes_nothing() {
    let served = Served::by("hosts = \"sites\"\n", &[("sites/a.example/a", "a")]);
    let load = Load::start(served.address, SMALL, 2);
    for _ in 0..5 {
        let mut config = Config::of_hosts(served.folder.path().join("missing"));
        config.listen = crate::support::any_port();
        served.server().reload(config).unwrap_err();
        load.goes_on(50);
    }
    assert_eq!(load.end(), [""; 0]);
}

/// A folder is exchanged by two renames: between them there is none, and the answer is 404. It is never
/// an error, and never a mixture.
#[test]
fn exchanging_the_root_loses_no_request() {
    const TASK: Task = Task {
        reconnects: true,
        request: "GET /page HTTP/1.1\r\nHost: a\r\n\r\n",
        is_right: |status, body| match status {
            200 => [100_000, 300].contains(&body.len()) && body.iter().all(|byte| *byte == body[0]),
            status => status == 404,
        },
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write(&path("root/page"), vec![b'1'; 100_000]);
    write(&path("next/page"), vec![b'2'; 300]);
    let config = Config {
        limits: test_limits(),
        threads: Some(2),
        ..Config::of_root(path("root"))
    };
    let (root, next, away) = (path("root"), path("next"), path("away"));
    let served = Served::of(folder, config);
    let load = Load::start(served.address, TASK, 8);
    for _ in 0..20 {
        fs::rename(&root, &away).unwrap();
        fs::rename(&next, &root).unwrap();
        fs::rename(&away, &next).unwrap();
        load.goes_on(300);
    }
    assert_eq!(load.end(), [""; 0]);
}

/// By a link, as people deploy, there is no moment without a root.
#[test]
fn turning_the_link_of_a_root_loses_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for release in ["1", "2"] {
        write(&path("releases").join(release).join("a"), "a");
    }
    let turn = |folder: &TempDir, round: usize| {
        let (link, next) = (folder.path().join("root"), folder.path().join("next"));
        let release = format!("releases/{}", 1 + round % 2);
        std::os::unix::fs::symlink(release, &next).unwrap();
        fs::rename(next, link).unwrap();
    };
    turn(&folder, 0);
    let config = Config {
        limits: test_limits(),
        threads: Some(2),
        ..Config::of_root(path("root"))
    };
    let served = Served::of(folder, config);
    let load = Load::start(served.address, SMALL, 8);
    for round in 1..30 {
        turn(&served.folder, round);
        load.goes_on(300);
    }
    assert_eq!(load.end(), [""; 0]);
}

#[test]
fn folders_of_sites_that_come_and_go_lose_no_request() {
    let served = Served::by(
        "threads = 2\nhosts = \"sites\"\n",
        &[("sites/a.example/a", "a")],
    );
    let load = Load::start(served.address, SMALL, 8);
    let sites = served.folder.path().join("sites");
    for round in 0..30 {
        let site = sites.join(format!("site-{round}.example"));
        write(&site.join("a"), "new");
        load.goes_on(100);
        fs::remove_dir_all(site).unwrap();
    }
    assert_eq!(load.end(), [""; 0]);
}

/// The file itself is written anew by a rename, as it should be: each answer is one version.
#[test]
fn replacing_a_file_loses_no_request() {
    const TASK: Task = Task {
        reconnects: true,
        request: "GET /page HTTP/1.1\r\nHost: a\r\n\r\n",
        is_right: |status, body| {
            status == 200 && !body.is_empty() && body.iter().all(|byte| *byte == body[0])
        },
    };
    let served = crate::support::Setup::new()
        .file("page", "0000")
        .threads(2)
        .start();
    let load = Load::start(served.address, TASK, 8);
    for round in 0u8..30 {
        let len = if round % 2 == 0 { 200_000 } else { 100 };
        served.write(".next", vec![b'a' + round % 26; len]);
        fs::rename(served.root().join(".next"), served.root().join("page")).unwrap();
        load.goes_on(300);
    }
    assert_eq!(load.end(), [""; 0]);
}

/// A listener that is closed resets who connects in that very moment: connections that were there before
/// are looked at here. Open connections get their answer with `Connection: close`, and then nobody listens.
#[test]
fn a_drain_loses_no_request() {
    for _ in 0..5 {
        let served = Served::by(
            "threads = 2\n[[site]]\nhosts = [\"_default\"]\nroot = \"root\"\n",
            &[("root/a", "a")],
        );
        let task = Task {
            reconnects: false,
            ..SMALL
        };
        let load = Load::start(served.address, task, 16);
        load.goes_on(1000);
        let address = served.address;
        served.drain();
        assert_eq!(load.join(), [""; 0]);
        assert!(TcpStream::connect(address).is_err());
    }
}

/// What is on its way at the drain arrives whole.
#[test]
fn a_drain_waits_for_a_download() {
    const LEN: usize = 20_000_000;
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("long"), vec![7; LEN]);
    let config = Config::of_root(folder.path().to_owned());
    let served = Served::of(folder, config);
    let mut client = served.client();
    client.send(crate::support::get("/long", ""));
    let mut beginning = [0; 1000];
    client.stream.read_exact(&mut beginning).unwrap();
    let reading = thread::spawn(move || {
        thread::sleep(std::time::Duration::from_millis(1500));
        client.rest()
    });
    served.drain();
    let arrived = [&beginning[..], &reading.join().unwrap()].concat();
    let head = memchr::memmem::find(&arrived, b"\r\n\r\n").unwrap() + 4;
    assert_eq!(arrived.len() - head, LEN);
}
