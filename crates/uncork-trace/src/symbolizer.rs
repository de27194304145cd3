//! Names of functions. They are in files of the programs that are watched, of which a library may be cut
//! short while it is read (SIGBUS), and others are made to confuse who reads them. So whoever can start
//! itself again finds them in a process of their own, and goes on without them where that ends.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use blazesym::symbolize;
use blazesym::symbolize::source::{self, Source};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

/// Frames of a stack that are told.
const FRAMES: usize = 12;

/// Bytes of a frame's name: C++ and Rust have very long ones.
const NAME_CHARS: usize = 120;

/// Of a map of names that a compiler at run time writes.
const MAP_BYTES: u64 = 64 * 1024 * 1024;

/// No line between the two processes is longer: `FRAMES` names with a file each.
const LINE_BYTES: u64 = 64 * 1024;

/// How often a process that has ended is started again.
const STARTS: u32 = 8;

/// Finds names.
#[derive(Debug)]
pub(crate) enum Symbolizer {
    Here(Box<symbolize::Symbolizer>),
    Apart(Box<Apart>),
}

/// Another process does it.
#[derive(Debug)]
pub(crate) struct Apart {
    command: Command,
    starts: u32,
    running: Option<Running>,
}

/// One line: whose stack it is, and what is on it. The answer is a line with the frames.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    pid: u32,
    addresses: Vec<u64>,
}

impl Symbolizer {
    /// In a process that `command` starts, which calls [`serve_symbols`]; in this one where there is none.
    pub(crate) fn new(command: Option<Command>) -> Self {
        let Some(mut command) = command else {
            return Self::Here(Box::default());
        };
        // Ctrl-C is for who waits for the last names.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        Self::Apart(Box::new(Apart {
            command,
            starts: 0,
            running: None,
        }))
    }

    /// Names of functions with their files where they are known; none where they can't be looked for.
    pub(crate) fn frames(&mut self, pid: u32, addresses: &[u64]) -> Vec<String> {
        match self {
            Self::Here(symbolizer) => frames(symbolizer, pid, addresses),
            Self::Apart(apart) => {
                let addresses = addresses.to_vec();
                apart.frames(&Request { pid, addresses })
            }
        }
    }
}

impl Apart {
    fn frames(&mut self, request: &Request) -> Vec<String> {
        if self.running.is_none() && self.starts < STARTS {
            self.starts += 1;
            self.running = Running::start(&mut self.command).ok();
        }
        let answer = self.running.as_mut().map(|running| running.ask(request));
        match answer {
            Some(Ok(frames)) => frames,
            Some(Err(_)) => {
                self.running = None;
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}

/// The process; it ends with this.
#[derive(Debug)]
struct Running {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Running {
    fn start(command: &mut Command) -> io::Result<Self> {
        let mut process = command.spawn()?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self {
            process,
            requests,
            answers: BufReader::new(answers),
        })
    }

    fn ask(&mut self, request: &Request) -> io::Result<Vec<String>> {
        write_line(&mut self.requests, request)?;
        let frames: Option<Vec<String>> = read_line(&mut self.answers)?;
        frames.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or doesn't answer as it should.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Answers requests for names until there are no more: the whole work of the process that finds them. It
/// ends with the thread that has started it.
///
/// # Errors
/// Where a line can't be read, or is no request.
pub fn serve_symbols(requests: impl Read, mut answers: impl Write) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let symbolizer = symbolize::Symbolizer::new();
    let mut requests = BufReader::new(requests);
    while let Some(Request { pid, addresses }) = read_line(&mut requests)? {
        write_line(&mut answers, &frames(&symbolizer, pid, &addresses))?;
    }
    Ok(())
}

fn write_line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// `None` where there are no more.
fn read_line<T: for<'de> Deserialize<'de>>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Names of functions with their files where they are known; addresses otherwise.
fn frames(symbolizer: &symbolize::Symbolizer, pid: u32, addresses: &[u64]) -> Vec<String> {
    // All but the innermost are addresses to which calls return: one before is in the call.
    let calls: Vec<u64> = addresses
        .iter()
        .take(FRAMES)
        .enumerate()
        .map(|(depth, address)| address.saturating_sub(u64::from(depth > 0)))
        .collect();
    let mut process = source::Process::new(pid.into());
    // Names that a program's own compiler has written into /tmp/perf-PID.map: anybody could have put
    // something else there, or a pipe that is never opened at its other end.
    process.perf_map = has_own_map(pid);
    let source = Source::Process(process);
    match symbolizer.symbolize(&source, symbolize::Input::AbsAddr(&calls)) {
        Ok(symbols) => symbols.into_iter().zip(&calls).map(frame).collect(),
        Err(_) => Vec::new(),
    }
}

/// Whether there is a map of reasonable size that the process's own user has written.
fn has_own_map(pid: u32) -> bool {
    let process = fs::metadata(format!("/proc/{pid}"));
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let Some(own_pid) = status.ok().and_then(|status| innermost_pid(&status)) else {
        return false;
    };
    let map = fs::symlink_metadata(format!("/proc/{pid}/root/tmp/perf-{own_pid}.map"));
    let (Ok(process), Ok(map)) = (process, map) else {
        return false;
    };
    map.is_file() && map.uid() == process.uid() && map.len() <= MAP_BYTES
}

/// What the process itself takes for its id, in the container that it may be in: after that its map is named.
fn innermost_pid(status: &str) -> Option<u32> {
    let mut lines = status.lines();
    let ids = lines.find_map(|line| line.strip_prefix("NStgid:"))?;
    ids.split_ascii_whitespace().next_back()?.parse().ok()
}

fn frame((symbol, address): (symbolize::Symbolized<'_>, &u64)) -> String {
    let symbolize::Symbolized::Sym(symbol) = symbol else {
        return format!("{address:#x}");
    };
    let name: String = symbol.name.chars().take(NAME_CHARS).collect();
    let name = uncork_sockets::harmless(name.as_bytes());
    let place = symbol.code_info.as_deref();
    let line = place.and_then(|place| {
        let file = place.file.as_encoded_bytes();
        Some((&file[file.len().saturating_sub(NAME_CHARS)..], place.line?))
    });
    let module = symbol.module.as_deref();
    match (
        line,
        module.and_then(|module| Path::new(module).file_name()),
    ) {
        (Some((file, line)), _) => format!("{name} ({}:{line})", uncork_sockets::harmless(file)),
        (None, Some(module)) => {
            format!(
                "{name} in {}",
                uncork_sockets::harmless(module.as_encoded_bytes())
            )
        }
        (None, None) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that a shell plays.
    fn played(script: &str) -> Symbolizer {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Symbolizer::new(Some(command))
    }

    #[test]
    fn a_map_has_the_name_that_its_process_knows() {
        let status = |line: &str| format!("Name:\tnode\nTgid:\t812\n{line}NSpid:\t812\t2\n");
        assert_eq!(innermost_pid(&status("NStgid:\t812\t1\n")), Some(1));
        assert_eq!(innermost_pid(&status("NStgid:\t812\n")), Some(812));
        assert_eq!(innermost_pid(&status("")), None);
    }

    #[test]
    fn a_process_that_ends_is_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let mark = mark.display();
        let mut symbolizer = played(&format!(
            "read r; [ -e {mark} ] || {{ touch {mark}; kill -BUS $$; }}; echo '[\"main in a\"]'; read r"
        ));
        assert!(symbolizer.frames(1, &[2]).is_empty());
        assert_eq!(symbolizer.frames(1, &[2]), ["main in a"]);
    }

    #[test]
    fn a_process_that_always_ends_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let starts = folder.path().join("starts");
        let mut symbolizer = played(&format!("echo >> {}", starts.display()));
        for _ in 0..3 * STARTS {
            assert!(symbolizer.frames(1, &[2]).is_empty());
        }
        let starts = fs::read(starts).unwrap().len();
        assert_eq!(u32::try_from(starts), Ok(STARTS));
    }

    #[test]
    fn answers_that_are_none() {
        for answer in ["yes x", "cat /dev/zero", "echo"] {
            assert!(played(answer).frames(1, &[2]).is_empty(), "{answer}");
        }
        let mut nobody = Symbolizer::new(Some(Command::new("/uncork/has/no/such")));
        assert!(nobody.frames(1, &[2]).is_empty());
    }

    #[test]
    fn requests_are_answered() {
        let pid = std::process::id();
        let address = requests_are_answered as *const () as u64;
        let mut requests = Vec::new();
        for addresses in [vec![address], vec![1], vec![]] {
            write_line(&mut requests, &Request { pid, addresses }).unwrap();
        }
        let mut answers = Vec::new();
        std::thread::scope(|scope| {
            let served = scope.spawn(|| serve_symbols(&requests[..], &mut answers));
            served.join().unwrap().unwrap();
        });
        set_parent_process_death_signal(None).unwrap();
        let mut answers = &answers[..];
        let first: Vec<String> = read_line(&mut answers).unwrap().unwrap();
        assert!(first[0].contains("requests_are_answered"), "{first:?}");
        let second: Option<Vec<String>> = read_line(&mut answers).unwrap();
        assert_eq!(second.unwrap(), ["0x1"]);
        let third: Option<Vec<String>> = read_line(&mut answers).unwrap();
        assert_eq!(third, Some(Vec::new()));
    }
}
