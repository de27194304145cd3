use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::clock::Clock;

fn record<'a>(site: &'a str, target: &'a str) -> Record<'a> {
    Record {
        peer: "192.0.2.7".parse().unwrap(),
        site,
        method: b"GET",
        target: target.as_bytes(),
        version: "HTTP/1.1",
        status: 200,
        bytes: 1024,
        referer: Some(b"https://example.org/some/page.html"),
        user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        duration_us: 42,
    }
}

fn start(to: LogTarget) -> AccessLog {
    let format = LogFormat::Combined;
    AccessLog::start(&LogSettings { format, to }, 2).unwrap()
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "never so");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn every_line_of_two_workers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, "before\n").unwrap();
    let log = start(LogTarget::File(path.clone()));
    let clock = Clock::new();
    let dropped = log.dropped_counter();
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let mut mine = log.worker();
            let clock = &clock;
            scope.spawn(move || {
                for number in 0..20_000 {
                    mine.record(&record("a", &format!("/{worker}/{number}")), clock);
                    if number % 100 == 0 {
                        mine.flush();
                    }
                }
            });
        }
    });
    assert!(log.finish());
    let lines = lines(&path);
    assert_eq!(lines[0], "before");
    // A slow disk may lose some, and counts them.
    assert_eq!(
        lines.len() as u64 - 1 + dropped.load(Ordering::Relaxed),
        40_000
    );
    let numbers = |worker: &str| -> Vec<u32> {
        let parts = lines.iter().filter_map(|line| line.split(worker).nth(1));
        parts
            .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
            .collect()
    };
    assert!(numbers("GET /0/").is_sorted() && numbers("GET /1/").is_sorted());
}

#[test]
fn the_mode_is_0640() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    assert!(start(LogTarget::File(path.clone())).finish());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0);
}

#[test]
fn reopened_after_a_move() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (
        folder.path().join("access.log"),
        folder.path().join("access.log.1"),
    );
    let log = start(LogTarget::File(path.clone()));
    let clock = Clock::new();
    let mut worker = log.worker();
    worker.record(&record("a", "/1"), &clock);
    worker.flush();
    wait_until(|| lines(&path).len() == 1);
    fs::rename(&path, &moved).unwrap();
    worker.record(&record("a", "/2"), &clock);
    worker.flush();
    wait_until(|| lines(&moved).len() == 2);
    log.reopen();
    wait_until(|| path.exists());
    worker.record(&record("a", "/3"), &clock);
    drop(worker);
    assert!(log.finish());
    assert!(lines(&path)[0].contains(" /3 "));
    assert_eq!(lines(&moved).len(), 2);
}

#[test]
fn a_file_a_site() {
    let folder = tempfile::tempdir().unwrap();
    let log = start(LogTarget::PerHost(folder.path().to_owned()));
    let clock = Clock::new();
    let mut worker = log.worker();
    // More sites than may be open.
    for round in 0..3 {
        for site in 0..400 {
            let site = format!("s{site}.example.org");
            worker.record(&record(&site, &format!("/{round}")), &clock);
            worker.record(&record(&site, &format!("/{round}b")), &clock);
        }
        worker.flush();
        // The opens of a round take longer than its records.
        let last = folder.path().join("s399.example.org.log");
        wait_until(|| last.exists() && lines(&last).len() == 2 * (round + 1));
    }
    worker.record(&record("../evil", "/"), &clock);
    drop(worker);
    assert_eq!(log.dropped_lines(), 0);
    assert!(log.finish());
    for site in [0, 1, 255, 256, 399] {
        let lines = lines(&folder.path().join(format!("s{site}.example.org.log")));
        assert_eq!(lines.len(), 6);
        assert!(lines[0].starts_with("192.0.2.7 - - ") && lines[5].contains(" /2b "));
    }
    assert_eq!(lines(&folder.path().join("%2E.%2Fevil.log")).len(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 401);
}

#[test]
fn a_full_disk_is_counted() {
    let log = start(LogTarget::File("/dev/full".into()));
    let clock = Clock::new();
    let mut worker = log.worker();
    for _ in 0..1000 {
        worker.record(&record("a", "/"), &clock);
    }
    drop(worker);
    let dropped = log.dropped_counter();
    assert!(log.finish());
    assert_eq!(dropped.load(Ordering::Relaxed), 1000);
}

#[test]
fn a_writer_that_stands_still_blocks_no_worker() {
    // A FIFO that nobody reads: its 64 KiB, then nothing more.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let log = start(LogTarget::File(path));
    let clock = Clock::new();
    let mut worker = log.worker();
    for _ in 0..10_000 {
        worker.record(&record("a", "/"), &clock);
    }
    assert!(log.dropped_lines() > 0);
    drop(worker);
    // Nor does it hold those who end it.
    assert!(!log.finish());
    drop(reader);
}

/// Whoever can put something else in the place of the log must not lead it elsewhere.
#[test]
fn in_a_folder_of_others_only_a_plain_file_is_a_log() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let mode = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("plain"), "").unwrap();
    fs::write(place("secret"), "").unwrap();
    fs::hard_link(place("secret"), place("hard")).unwrap();
    symlink("secret", place("link")).unwrap();
    symlink("missing", place("dangling")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, place("fifo"), fifo, 0o600.into(), 0).unwrap();
    let open = |name: &str| {
        let format = LogFormat::Combined;
        let to = LogTarget::File(place(name));
        AccessLog::start(&LogSettings { format, to }, 1).map(AccessLog::finish)
    };
    mode(0o777);
    for name in ["link", "dangling", "hard", "fifo"] {
        let error = open(name).unwrap_err();
        assert!(matches!(error, LogError::Open { .. }), "{name}: {error}");
    }
    assert!(!place("missing").exists());
    for name in ["plain", "new"] {
        open(name).unwrap();
    }
    // In a folder of our own it is ourselves who say what it leads to.
    mode(0o755);
    for name in ["link", "hard"] {
        open(name).unwrap();
    }
}

#[test]
fn reopened_it_is_still_no_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (path, secret) = (folder.path().join("log"), folder.path().join("secret"));
    fs::write(&secret, "").unwrap();
    let log = start(LogTarget::File(path.clone()));
    fs::rename(&path, folder.path().join("moved")).unwrap();
    symlink("secret", &path).unwrap();
    log.reopen();
    let mut worker = log.worker();
    worker.record(&record("a", "/"), &Clock::new());
    drop(worker);
    assert!(log.finish());
    assert_eq!(fs::read_to_string(&secret).unwrap(), "");
    assert_eq!(lines(&folder.path().join("moved")).len(), 1);
}

#[test]
fn a_folder_that_is_not_there() {
    let format = LogFormat::Json;
    for to in [
        LogTarget::File("/nowhere/access.log".into()),
        LogTarget::PerHost("/nowhere".into()),
        LogTarget::PerHost("/dev/null".into()),
    ] {
        let error = AccessLog::start(&LogSettings { format, to }, 1).unwrap_err();
        assert!(matches!(error, LogError::Open { .. }), "{error}");
        // Whoever prints the causes as well says each once.
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(!error.to_string().contains(&reason), "{error}");
        assert!(
            error.to_string().contains("has to be there"),
            "what to do: {error}"
        );
    }
}
