//! `uncork serve` as a process: what it prints, how it ends, and what signals do.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use uncork_lab::requirement;

use crate::running::Running;
use crate::signals::{kill, wait_for};
use crate::support::{run, uncork};

/// A server that has said that it is ready.
struct Serving {
    running: Running,
    folder: TempDir,
}

impl Serving {
    /// `uncork serve --config` with this text, and files beside it.
    fn by(text: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            write(&folder.path().join(path), bytes);
        }
        let config = folder.path().join("uncork.toml");
        fs::write(&config, text).unwrap();
        let mut command = uncork();
        command.args(["serve", "--listen", ":0", "--json", "--config"]);
        command.arg(config);
        Self::start(&mut command, folder)
    }

    fn of_root(files: &[(&str, &str)]) -> Self {
        let text = "[[site]]\nhosts = [\"_default\"]\nroot = \"root\"\n";
        Self::by(text, files)
    }

    fn start(command: &mut Command, folder: TempDir) -> Self {
        let stderr = fs::File::create(folder.path().join("stderr")).unwrap();
        let running = Running::start(command.stderr(stderr));
        Self { running, folder }
    }

    fn address(&self) -> SocketAddr {
        self.running.address()
    }

    fn get(&self, target: &str) -> String {
        get(self.address(), target)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap()
    }

    /// Waits for the end; everything behind the first document on stdout, and all of stderr.
    #[track_caller]
    fn ended(mut self, code: i32) -> (String, String) {
        let status = self.running.child.wait().unwrap();
        let stderr = self.stderr();
        assert_eq!(status.code(), Some(code), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        let mut rest = String::new();
        self.running.stdout.read_to_string(&mut rest).unwrap();
        (rest, stderr)
    }

    #[track_caller]
    fn stop(self) -> (String, String) {
        kill(&self.running.child, "-TERM");
        self.ended(0)
    }
}

fn write(path: &Path, bytes: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The whole response to one request on a connection of its own.
fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// The whole response to one request on a connection that goes on.
fn ask(stream: &mut TcpStream, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = Vec::new();
    let mut piece = [0; 64 * 1024];
    loop {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&response));
        response.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&response);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let mut lines = head.lines();
        let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
        if body.len() >= length.unwrap().parse().unwrap() {
            return text.into_owned();
        }
    }
}

#[test]
fn one_json_document_says_what_is_served() {
    let files = [("root/a", "hello"), ("root/b", "")];
    let serving = Serving::of_root(&files);
    assert_eq!(serving.running.ready["hosts"], 1);
    assert_eq!(serving.running.ready["has_default"], true);
    assert!(serving.get("/a").ends_with("\r\n\r\nhello"));
    let (rest, stderr) = serving.stop();
    assert_eq!(rest.trim(), "", "{stderr}");
}

#[test]
fn people_are_told_where_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("not a host")).unwrap();
    fs::create_dir(folder.path().join("a.example")).unwrap();
    let errors = folder.path().join("errors");
    let mut child = uncork()
        .args(["serve", "--listen", ":0", "--hosts"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&errors).unwrap();
    wait_for(|| said().contains("not a host"));
    assert!(said().contains("http://127.0.0.1:"), "{}", said());
    kill(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut stdout = String::new();
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
}

#[test]
fn calls_that_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let missing = folder.path().join("missing");
    let serve = |arguments: &[&str]| {
        let mut command = uncork();
        run(command.args(["serve", "--listen", ":0"]).args(arguments))
    };
    let (file, missing) = (file.to_str().unwrap(), missing.to_str().unwrap());
    serve(&["--root", missing]).with(2).says(&[missing]);
    serve(&["--root", file]).with(2).says(&[file]);
    serve(&["--hosts", missing]).with(2).says(&[missing]);
    serve(&["--config", missing]).with(2).says(&[missing]);
    serve(&[]).with(2).says(&["--root"]);
    serve(&["--root", "/", "--hosts", "/"]).with(2);
    serve(&["--root", "/", "--threads", "0"]).with(2);
    serve(&["--root", "/", "--listen", "nowhere"])
        .with(2)
        .says(&["nowhere"]);
}

#[test]
fn a_configuration_that_is_wrong_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uncork.toml");
    fs::create_dir(folder.path().join("root")).unwrap();
    for (text, place, word) in [
        ("threads = 1\nthraeds = 2\n", ":2:1", "thraeds"),
        (
            "[[site]]\nhosts = [\"a\", \"A\"]\nroot = \"root\"\n",
            ":2:15",
            "the host A",
        ),
        (
            "[[site]]\nhosts = [\"a\"]\nroot = \"missing\"\n",
            ":3:8",
            "missing",
        ),
        ("[[site]]\nhosts = [\"a\"\n", ":", "uncork.toml"),
    ] {
        fs::write(&path, text).unwrap();
        let mut command = uncork();
        let ended = run(command.args(["serve", "--config"]).arg(&path)).with(2);
        let named = format!("{}{place}", path.display());
        assert!(ended.stderr.contains(&named), "no `{named}` in {ended:?}");
        assert!(ended.stderr.contains(word), "no `{word}` in {ended:?}");
    }
}

#[test]
fn what_to_serve_has_to_be_said() {
    let ended = run(uncork().arg("serve")).with(2);
    ended.says(&["--root <DIR>", "--hosts <DIR>", "--config <FILE>"]);
    let ended = run(uncork().args(["serve", "--root", "/", "--hosts", "/"])).with(2);
    ended.says(&["--root", "--hosts"]);
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for threads in ["1", "2"] {
        let mut command = uncork();
        let command = command.args(["serve", "--root", "/", "--threads", threads]);
        let ended = run(command.args(["--listen", &address]));
        ended.with(2).says(&[&address, "in use", "--listen"]);
    }
    // Another one of ours shares it no more than a stranger.
    let serving = Serving::of_root(&[("root/a", "")]);
    let address = serving.address().to_string();
    let mut command = uncork();
    run(command.args(["serve", "--root", "/", "--listen", &address])).with(2);
    serving.stop();
}

#[test]
fn sighup_reads_the_configuration_again() {
    let site = |host: &str| format!("[[site]]\nhosts = [\"{host}\"]\nroot = \"root\"\n");
    let serving = Serving::by(&site("b.example"), &[("root/a", "hello")]);
    assert!(serving.get("/a").starts_with("HTTP/1.1 421 "));
    // A connection that is open stays.
    let mut stream = TcpStream::connect(serving.address()).unwrap();
    fs::write(serving.path("uncork.toml"), site("a.example")).unwrap();
    kill(&serving.running.child, "-HUP");
    wait_for(|| serving.get("/a").ends_with("hello"));
    assert!(
        serving.stderr().contains("reloaded"),
        "{}",
        serving.stderr()
    );
    stream
        .write_all(b"GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("hello"), "{response}");
    // One that is wrong changes nothing, and is said.
    fs::write(serving.path("uncork.toml"), "nonsense = 1\n").unwrap();
    kill(&serving.running.child, "-HUP");
    wait_for(|| serving.stderr().contains("not reloaded"));
    assert!(
        serving.stderr().contains("uncork.toml:1:1"),
        "{}",
        serving.stderr()
    );
    assert!(serving.get("/a").ends_with("hello"));
    // What can't be changed without a restart is said, too.
    let text = format!("threads = 7\n{}", site("a.example"));
    fs::write(serving.path("uncork.toml"), text).unwrap();
    kill(&serving.running.child, "-HUP");
    wait_for(|| serving.stderr().contains("`threads` has changed"));
    serving.stop();
}

/// What it leads to stands in a folder of its own, which Landlock has to leave readable.
#[test]
fn sighup_reads_a_configuration_behind_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let site = |host: &str| {
        let root = folder.path().join("sites/root");
        format!("[[site]]\nhosts = [\"{host}\"]\nroot = {root:?}\n")
    };
    write(&folder.path().join("sites/root/a"), "hello");
    let real = folder.path().join("real/serve.toml");
    write(&real, &site("b.example"));
    fs::create_dir(folder.path().join("etc")).unwrap();
    let link = folder.path().join("etc/uncork.toml");
    symlink("../real/serve.toml", &link).unwrap();
    let text = site("a.example");
    let mut command = uncork();
    command.args(["serve", "--listen", ":0", "--json", "--config"]);
    command.arg(link);
    let serving = Serving::start(&mut command, folder);
    fs::write(&real, text).unwrap();
    kill(&serving.running.child, "-HUP");
    wait_for(|| serving.stderr().contains("reloaded: "));
    assert!(serving.get("/a").ends_with("hello"));
    serving.stop();
}

/// A new site that can't be read any more would be 403 without a word.
#[test]
fn a_reload_says_which_site_needs_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let site = |host: &str, root: &str| {
        let root = folder.path().join(root);
        format!("[[site]]\nhosts = [\"{host}\"]\nroot = {root:?}\n")
    };
    write(&folder.path().join("sites/root/a"), "hello");
    write(&folder.path().join("elsewhere/root/a"), "hello");
    let config = folder.path().join("etc/uncork.toml");
    write(&config, &site("a.example", "sites/root"));
    let more = site("b.example", "elsewhere/root");
    let mut command = uncork();
    command.args(["serve", "--listen", ":0", "--json", "--config"]);
    let serving = Serving::start(command.arg(&config), folder);
    let text = fs::read_to_string(&config).unwrap() + &more;
    fs::write(&config, text).unwrap();
    kill(&serving.running.child, "-HUP");
    wait_for(|| serving.stderr().contains("reloaded: "));
    let stderr = serving.stderr();
    if serving.running.ready["holds"]
        .to_string()
        .contains("Landlock")
    {
        let root = serving.path("elsewhere/root");
        let note = format!("{} lies outside", root.display());
        assert!(stderr.contains(&note), "{stderr}");
    } else {
        requirement::skip("no Landlock in this kernel");
    }
    assert!(serving.get("/a").ends_with("hello"));
    serving.stop();
}

/// To read a configuration may take for ever: here it is a pipe into which nobody writes.
#[test]
fn sigterm_is_heard_during_a_reload() {
    let mut serving = Serving::of_root(&[("root/a", "hello")]);
    let config = serving.path("uncork.toml");
    fs::remove_file(&config).unwrap();
    let made = Command::new("mkfifo").arg(&config).status().unwrap();
    assert!(made.success());
    kill(&serving.running.child, "-HUP");
    // The signals are of different kinds, so that they may be seen in another order.
    thread::sleep(Duration::from_millis(500));
    assert!(serving.get("/a").ends_with("hello"));
    kill(&serving.running.child, "-TERM");
    wait_for(|| serving.running.child.try_wait().unwrap().is_some());
    serving.ended(0);
}

/// Nobody reads what it writes: its last lines are waited for, but not for ever.
#[test]
fn sigterm_ends_it_where_the_log_is_stuck() {
    let text = "[log]\nfile = \"-\"\n[limits]\ndrain_seconds = 1\n\
                [[site]]\nhosts = [\"_default\"]\nroot = \"root\"\n";
    let mut serving = Serving::by(text, &[("root/a", "hello")]);
    let long = "x".repeat(4000);
    // Far more than a pipe holds.
    for _ in 0..100 {
        serving.get(&format!("/a?{long}"));
    }
    // Lines are handed over once a second.
    thread::sleep(Duration::from_millis(1500));
    kill(&serving.running.child, "-TERM");
    wait_for(|| serving.running.child.try_wait().unwrap().is_some());
    assert!(serving.stderr().contains("access log"));
    serving.ended(1);
}

/// The user whom it becomes owns the folder of the log, and must not lead root's pen elsewhere.
#[test]
fn a_log_that_the_user_made_a_link_is_not_followed() {
    if !requirement::root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(folder.path(), 0o755);
    write(&folder.path().join("root/a"), "hello");
    let (logs, secret) = (folder.path().join("logs"), folder.path().join("secret"));
    fs::create_dir(&logs).unwrap();
    fs::write(&secret, "secret\n").unwrap();
    mode(&secret, 0o600);
    symlink(&secret, logs.join("access.log")).unwrap();
    let nobody = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = nobody.lines().find(|line| line.starts_with("nobody:"));
    let uid = nobody.unwrap().split(':').nth(2).unwrap().parse().unwrap();
    std::os::unix::fs::chown(&logs, Some(uid), None).unwrap();
    let site = "[[site]]\nhosts = [\"_default\"]\nroot = \"root\"\n";
    let start = |log: &str| {
        let config = folder.path().join("uncork.toml");
        fs::write(&config, format!("user = \"nobody\"\n[log]\n{log}\n{site}")).unwrap();
        let mut command = uncork();
        command.args(["serve", "--listen", ":0", "--config"]);
        run(command.arg(config))
    };
    let access = logs.join("access.log");
    let ended = start("file = \"logs/access.log\"").with(2);
    ended.says(&[access.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret\n");
    // Nor does it begin where each line would be lost.
    let refused = start("per_host = \"root\"").with(2);
    refused.says(&["root", &format!("as uid {uid}"), "ermission denied"]);
}

/// However many connect and say nothing, pages can still be opened.
#[test]
fn idle_peers_leave_descriptors_to_files() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("root/a"), "hello");
    write(&folder.path().join("root/long"), &"x".repeat(100_000));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_uncork"));
    command.args(["serve", "--listen", ":0", "--json", "--root"]);
    command.arg(folder.path().join("root"));
    let serving = Serving::start(&mut command, folder);
    let said = serving.running.ready["does_not_hold"].to_string();
    assert!(said.contains("connections: "), "{}", serving.running.ready);
    assert!(said.contains("ulimit -Hn"), "{}", serving.running.ready);
    let mut before = TcpStream::connect(serving.address()).unwrap();
    assert!(ask(&mut before, "/missing").starts_with("HTTP/1.1 404 "));
    let idle: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(serving.address()).unwrap())
        .collect();
    thread::sleep(Duration::from_millis(500));
    for target in ["/a", "/long", "/a?again"] {
        let response = ask(&mut before, target);
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
    drop(idle);
    serving.stop();
}

/// A page that was known is served as it was, and not as 503.
#[test]
fn without_descriptors_what_was_known_is_served() {
    let Some(prlimit) = requirement::program("prlimit") else {
        return;
    };
    let serving = Serving::of_root(&[("root/a", "first")]);
    let limit = |files: &str| {
        let pid = format!("--pid={}", serving.running.child.id());
        let status = Command::new(&prlimit).args([&pid, files]).status();
        assert!(status.unwrap().success());
    };
    let mut stream = TcpStream::connect(serving.address()).unwrap();
    assert!(ask(&mut stream, "/a").ends_with("first"));
    limit("--nofile=3:");
    fs::write(serving.path("root/a"), "the second").unwrap();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(1100));
        let response = ask(&mut stream, "/a");
        assert!(response.ends_with("first"), "{response}");
        // What was not known is what it is: not to be opened just now.
        assert!(ask(&mut stream, "/b").starts_with("HTTP/1.1 503 "));
    }
    limit("--nofile=256:");
    wait_for(|| ask(&mut stream, "/a").ends_with("the second"));
    serving.stop();
}

#[test]
fn sigterm_finishes_what_is_under_way() {
    const LEN: usize = 20_000_000;
    let serving = Serving::of_root(&[("root/long", &"x".repeat(LEN))]);
    let address = serving.address();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut arrived = vec![0; 1000];
    stream.read_exact(&mut arrived).unwrap();
    kill(&serving.running.child, "-TERM");
    wait_for(|| TcpStream::connect(address).is_err());
    stream.read_to_end(&mut arrived).unwrap();
    let body = arrived.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    assert_eq!(arrived.len() - body.unwrap() - 4, LEN);
    serving.ended(0);
}

/// More connections wait than are accepted at once; each has sent its request, and gets its answer.
#[test]
fn sigterm_answers_those_who_wait_to_be_accepted() {
    const WAITING: usize = 500;
    let text = "threads = 1\n[[site]]\nhosts = [\"_default\"]\nroot = \"root\"\n";
    let serving = Serving::by(text, &[("root/a", "hello")]);
    kill(&serving.running.child, "-STOP");
    let mut waiting: Vec<TcpStream> = (0..WAITING)
        .map(|_| {
            let mut stream = TcpStream::connect(serving.address()).unwrap();
            stream
                .write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    kill(&serving.running.child, "-TERM");
    kill(&serving.running.child, "-CONT");
    let mut lost = Vec::new();
    for (number, stream) in waiting.iter_mut().enumerate() {
        let mut response = String::new();
        let read = stream.read_to_string(&mut response);
        if !response.ends_with("hello") {
            lost.push((number, read.err()));
        }
    }
    assert_eq!(lost.len(), 0, "{:?} …", lost.first());
    serving.ended(0);
}

#[test]
fn sigusr1_opens_a_renamed_log_again() {
    let text = "[log]\nfile = \"access.log\"\n[[site]]\nhosts = [\"_default\"]\nroot = \"root\"\n";
    let serving = Serving::by(text, &[("root/a", "hello")]);
    let log = |name: &str| fs::read_to_string(serving.path(name)).unwrap_or_default();
    serving.get("/a?before");
    wait_for(|| log("access.log").contains("/a?before"));
    fs::rename(serving.path("access.log"), serving.path("access.log.1")).unwrap();
    kill(&serving.running.child, "-USR1");
    wait_for(|| serving.path("access.log").exists());
    serving.get("/a?after");
    wait_for(|| log("access.log").contains("/a?after"));
    let (old, new) = (log("access.log.1"), log("access.log"));
    assert_eq!(
        (old.lines().count(), new.lines().count()),
        (1, 1),
        "{old}{new}"
    );
    let path = serving.path("access.log");
    // What is in the buffers at the end is written, too.
    serving.get("/a?last");
    let folder = fs::canonicalize(path.parent().unwrap()).unwrap();
    kill(&serving.running.child, "-TERM");
    wait_for(|| {
        fs::read_to_string(folder.join("access.log")).is_ok_and(|text| text.contains("/a?last"))
    });
    serving.ended(0);
}

/// Signals by the dozen, with requests in between: each of them is answered.
#[test]
fn signals_lose_no_request() {
    let serving = Serving::of_root(&[("root/a", "hello")]);
    let address = serving.address();
    let asking: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                (0..250)
                    .filter(|_| !get(address, "/a").ends_with("hello"))
                    .count()
            })
        })
        .collect();
    for _ in 0..20 {
        kill(&serving.running.child, "-HUP");
        kill(&serving.running.child, "-USR1");
    }
    let lost: usize = asking
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert_eq!(lost, 0);
    serving.stop();
}

/// One read, one write and a share of one epoll_wait for each request of a small file that is kept.
#[test]
fn system_calls_of_warm_requests() {
    const REQUESTS: usize = 1000;
    /// Of all threads in a second: the tick's samples, a look at the file, the watcher's poll.
    const OTHERS_A_SECOND: u64 = 40;
    let Some(strace) = requirement::program("strace") else {
        return;
    };
    let probe = Command::new(&strace)
        .args(["-o", "/dev/null", "true"])
        .output();
    if !probe.unwrap().status.success() {
        return requirement::skip("strace may not trace here");
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    write(&folder.path().join("root/kib"), &"k".repeat(1024));
    let mut command = Command::new(strace);
    command.arg("-f").arg("-o").arg(&trace);
    command.arg(env!("CARGO_BIN_EXE_uncork"));
    command.args([
        "serve",
        "--listen",
        ":0",
        "--threads",
        "1",
        "--json",
        "--root",
    ]);
    command.arg(folder.path().join("root"));
    let serving = Serving::start(&mut command, folder);
    let mut stream = TcpStream::connect(serving.address()).unwrap();
    let mut ask = |target: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert!(piece.starts_with(b"HTTP/1.1 "), "{read}");
        read
    };
    // Until the file's time is so old that it is known for certain.
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(3500) {
        ask("/kib");
        thread::sleep(Duration::from_millis(50));
    }
    ask("/begin");
    let since = Instant::now();
    for _ in 0..REQUESTS {
        assert!(ask("/kib") > 1024);
    }
    let seconds = since.elapsed().as_secs() + 2;
    ask("/end");
    let text = || fs::read_to_string(&trace).unwrap();
    wait_for(|| text().contains("GET /end"));
    let (of_worker, of_others) = between(&text(), "GET /begin", "GET /end");
    let count = |names: &[&str]| {
        let named = of_worker.iter().filter(|call| names.contains(&&***call));
        named.count()
    };
    let (reads, writes) = (count(&["recvfrom"]), count(&["sendto"]));
    let waits = count(&["epoll_wait", "epoll_pwait", "epoll_pwait2"]);
    let rest = of_worker.len() - reads - writes - waits + of_others.len();
    let allowed = usize::try_from(OTHERS_A_SECOND * seconds).unwrap();
    // The call that reads `/end` is there twice where another thread came between.
    assert!((REQUESTS..=REQUESTS + 1).contains(&reads), "{reads} reads");
    // And the answer to `/begin`.
    assert_eq!(writes, REQUESTS + 1, "{writes} writes");
    // One for each, and one a second for the tick.
    let waits_max = REQUESTS + 2 + usize::try_from(seconds).unwrap();
    assert!(waits <= waits_max, "{waits} waits");
    assert!(
        rest <= allowed,
        "{rest} others: {of_worker:?} {of_others:?}"
    );
    let pid = text().split_whitespace().next().unwrap().to_owned();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(killed.success());
    serving.ended(0);
}

/// The names of the calls between two lines of a trace: of the thread that made the first, and of all
/// others.
fn between(trace: &str, begin: &str, end: &str) -> (Vec<String>, Vec<String>) {
    let mut lines = trace.lines().skip_while(|line| !line.contains(begin));
    let worker = lines.next().unwrap().split(' ').next().unwrap();
    let lines = lines.take_while(|line| !line.contains(end));
    let calls = lines.filter_map(|line| {
        let (pid, call) = line.split_once(' ')?;
        let (name, _) = call.trim_start().split_once('(')?;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_name = name.bytes().all(is_part);
        is_name.then(|| (pid == worker, name.to_owned()))
    });
    let (of_worker, of_others): (Vec<_>, Vec<_>) = calls.partition(|(is_worker, _)| *is_worker);
    let names = |calls: Vec<(bool, String)>| calls.into_iter().map(|(_, name)| name).collect();
    (names(of_worker), names(of_others))
}

/// The admin's port tells what was served, and each site has a log of its own.
#[test]
fn metrics_health_and_a_log_for_each_host() {
    let [admin] = uncork_lab::place::free_addrs(Ipv4Addr::LOCALHOST).unwrap();
    let text = format!(
        "admin = \"{admin}\"\n[log]\nformat = \"json\"\nper_host = \"logs\"\n\
         [[site]]\nhosts = [\"a.example\"]\nroot = \"root\"\n"
    );
    let serving = Serving::by(&text, &[("root/a", "hello"), ("logs/.keep", "")]);
    assert!(serving.get("/a").ends_with("hello"));
    assert!(serving.get("/missing").starts_with("HTTP/1.1 404 "));
    let metrics = get(admin, "/metrics");
    for line in [
        "uncork_requests_total{site=\"a.example\",code=\"200\"} 1\n",
        "uncork_requests_total{site=\"a.example\",code=\"404\"} 1\n",
        "uncork_connections_total 2\n",
        "uncork_segments_wasted_total 0\n",
        "uncork_log_lines_dropped_total 0\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(get(admin, "/health").starts_with("HTTP/1.1 200 OK\r\n"));
    let log = serving.path("logs/a.example.log");
    kill(&serving.running.child, "-TERM");
    // The folder of `serving` has to outlive the look into it.
    let mut serving = serving;
    assert_eq!(serving.running.child.wait().unwrap().code(), Some(0));
    let lines = fs::read_to_string(log).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut said: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["target"].as_str().unwrap(),
                line["status"].as_u64().unwrap(),
            )
        })
        .collect();
    // Each of the threads writes when it likes.
    said.sort_unstable();
    assert_eq!(said, [("/a", 200), ("/missing", 404)]);
    assert_eq!(lines[0]["host"], "a.example");
}

/// Root may read everything, so it serves as somebody else; and it is seen that reading is allowed,
/// though neither the file's content nor its folder has changed.
#[test]
fn an_unreadable_file_is_403_until_it_is_readable() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let locked = folder.path().join("root/locked");
    write(&locked, "secret");
    mode(folder.path(), 0o755);
    mode(&folder.path().join("root"), 0o755);
    mode(&locked, 0o000);
    let user = match fs::read(&locked) {
        Ok(_) => "user = \"nobody\"\n",
        Err(_) => "",
    };
    let text = format!("{user}[[site]]\nhosts = [\"_default\"]\nroot = \"root\"\n");
    let config = folder.path().join("uncork.toml");
    fs::write(&config, text).unwrap();
    let mut command = uncork();
    command.args(["serve", "--listen", ":0", "--json", "--config"]);
    let serving = Serving::start(command.arg(config), folder);
    let refused = serving.get("/locked");
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    mode(&locked, 0o644);
    wait_for(|| serving.get("/locked").ends_with("\r\n\r\nsecret"));
    serving.stop();
}
