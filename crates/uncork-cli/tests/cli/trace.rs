//! `uncork trace`: what it says of programs that stall, of programs that don't, and of hard ones.

#[path = "trace/capture.rs"]
mod capture;
#[path = "trace/clean.rs"]
mod clean;
#[path = "trace/crowds.rs"]
mod crowds;
#[path = "trace/importing.rs"]
mod importing;
#[path = "trace/limits.rs"]
mod limits;
#[path = "trace/peers.rs"]
mod peers;
#[path = "trace/replaying.rs"]
mod replaying;
#[path = "trace/stalls.rs"]
mod stalls;
#[path = "trace/usage.rs"]
mod usage;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use uncork_trace::report::{Cause, EndedBy, Engine, Report, SocketReport, Stall};

use crate::signals::{kill, wait_for};
use crate::support::uncork;

/// The engines, by their names on the command line.
const EBPF: &str = "ebpf";
const SAMPLE: &str = "sample";

/// `uncork trace --json` with more arguments.
fn trace(arguments: &[&str]) -> Command {
    let mut command = uncork();
    command.args(["trace", "--json"]).args(arguments);
    command
}

/// A trace that runs, and is ended with its test.
struct Tracing {
    child: Child,
}

impl Tracing {
    /// Starts it, and waits until it watches.
    #[track_caller]
    fn start(command: &mut Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tracing = Self {
            child: piped.spawn().unwrap(),
        };
        // It says nothing before its end. The thread that takes events in begins when the engine has.
        wait_for(|| tracing.watches() || tracing.child.try_wait().unwrap().is_some());
        tracing
    }

    /// Watches a process that is there already.
    #[track_caller]
    fn of(pid: u32, engine: &str) -> Self {
        Self::start(&mut trace(&["--engine", engine, "-p", &pid.to_string()]))
    }

    fn watches(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let names = threads
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
        names.into_iter().any(|name| name.trim_end() == "events")
    }

    /// Ends it as Ctrl-C does, also where that is ignored: in the background of a script.
    #[track_caller]
    fn stop(self) -> Traced {
        kill(&self.child, "-TERM");
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    fn wait(mut self) -> Traced {
        let pid = self.child.id();
        let memory = thread::spawn(move || peak_bytes(pid));
        let text = |pipe: Option<&mut dyn Read>| {
            let mut text = String::new();
            pipe.unwrap().read_to_string(&mut text).unwrap();
            text
        };
        let mut stderr = self.child.stderr.take();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
            text
        });
        let mut stdout = self.child.stdout.take();
        let stdout = text(stdout.as_mut().map(|pipe| pipe as &mut dyn Read));
        let code = self.child.wait().unwrap().code().unwrap();
        let stderr = stderr.join().unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        let report = serde_json::from_str(&stdout);
        Traced {
            report: report.unwrap_or_else(|error| panic!("{error}: {code} {stdout} {stderr}")),
            code,
            stdout,
            stderr,
            peak_bytes: memory.join().unwrap(),
        }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // It has ended already, unless the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The most memory that a process has had, looked up until it ends.
fn peak_bytes(pid: u32) -> u64 {
    let mut peak_kib = 0;
    while let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
        // Who has ended and was not waited for has no memory.
        let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:")) else {
            break;
        };
        let kib = line.split_ascii_whitespace().nth(1).unwrap();
        peak_kib = kib.parse().unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    peak_kib * 1024
}

/// How a trace ended, and what it says.
#[derive(Debug)]
struct Traced {
    code: i32,
    stdout: String,
    stderr: String,
    report: Report,
    peak_bytes: u64,
}

impl Traced {
    /// Runs a trace that ends by itself.
    #[track_caller]
    fn run(command: &mut Command) -> Self {
        Tracing::start(command).wait()
    }

    #[track_caller]
    fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    fn by(self, engine: Engine) -> Self {
        assert_eq!(self.report.engine, engine, "{:?}", self.report.notes);
        self
    }

    /// The stalls with this cause, each with its socket.
    fn stalls(&self, cause: Cause) -> impl Iterator<Item = (&SocketReport, &Stall)> {
        let sockets = self.report.sockets.iter();
        let stalls =
            sockets.flat_map(|socket| socket.stalls.iter().map(move |stall| (socket, stall)));
        stalls.filter(move |(_, stall)| stall.cause == cause)
    }

    /// The stalls with this cause, in sums. Fails where they are not on one socket.
    #[track_caller]
    fn sum(&self, cause: Cause) -> Sum {
        let mut sum: Option<Sum> = None;
        for (socket, stall) in self.stalls(cause) {
            let sum = sum.get_or_insert_with(|| Sum::of(socket));
            assert_eq!(
                (sum.local, sum.remote),
                (socket.local, socket.remote),
                "{cause:?} on two sockets: {:#?}",
                self.report
            );
            sum.add(stall);
        }
        sum.unwrap_or_else(|| panic!("no {cause:?}: {:#?}", self.report))
    }

    /// Fails where anything was held: by Nagle's rule, or by a cork.
    #[track_caller]
    fn is_clean(&self) -> &Self {
        for cause in [Cause::Nagle, Cause::Cork] {
            let found: Vec<_> = self.stalls(cause).collect();
            assert!(found.is_empty(), "{found:#?}");
        }
        assert!(!self.report.sockets.is_empty(), "{:#?}", self.report);
        self
    }

    /// Whether one of the notes holds these words.
    fn notes(&self, words: &str) -> bool {
        self.report.notes.iter().any(|note| note.contains(words))
    }
}

/// Stalls of one socket.
#[derive(Debug)]
struct Sum {
    pid: u32,
    local: SocketAddr,
    remote: SocketAddr,
    count: u64,
    held_ms: f64,
    patterns: Vec<String>,
    ended_by: Vec<(EndedBy, u64)>,
}

impl Sum {
    fn of(socket: &SocketReport) -> Self {
        Self {
            pid: socket.pid,
            local: socket.local,
            remote: socket.remote,
            count: 0,
            held_ms: 0.0,
            patterns: Vec::new(),
            ended_by: Vec::new(),
        }
    }

    fn add(&mut self, stall: &Stall) {
        self.count += stall.count;
        self.held_ms += stall.held_ms_total;
        self.patterns.push(stall.pattern.clone());
        let endings = stall
            .ended_by
            .iter()
            .map(|ending| (ending.by, ending.count));
        self.ended_by.extend(endings);
    }

    /// How many of them ended so.
    fn ended(&self, by: EndedBy) -> u64 {
        let ended = self.ended_by.iter().filter(|ending| ending.0 == by);
        ended.map(|ending| ending.1).sum()
    }
}

/// Fails unless `found` is within `part` of `expected`.
#[track_caller]
fn near(found: f64, expected: f64, part: f64) {
    let error = (found - expected).abs() / expected;
    assert!(error <= part, "{found} is {error:.4} off {expected}");
}

/// A program in the background that says lines on stdout; ended with its test.
struct Program {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Program {
    #[track_caller]
    fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it has ended: {:?}", self.child);
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        uncork_lab::process::stop(&mut self.child);
    }
}
