//! The story of a program that nobody may change: the naive client as a process of its own, seen by
//! `uncork trace`, and mended by `uncork run` and `uncork fix`, just as a user would call them.
//!
//! None of it needs privileges, but a container or an old kernel may refuse it. Then the story says
//! so, and the demo goes on.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::PTracer;
use serde_json::Value;

use super::report::{ProgramManner, ProgramRow, ProgramStory, Seen};
use super::web_story::median;
use super::{DemoError, system};
use crate::imap::{ImapServer, Personality, ServerConfig};
use crate::mail::MailGenerator;
use crate::naive_client::{ClientError, Manner, NaiveClient};
use crate::{process, scratch};

/// Every run sends the same mails.
const SEED: u64 = 2;

/// Mails of a row that stalls, and of one that doesn't.
const MAILS_SLOW: usize = 50;
const MAILS_FAST: usize = 1000;

/// How many mails a running client has sent before it is mended.
const MAILS_BEFORE_FIX: usize = 10;

/// How long a process of the story may take.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Steps of this story.
pub(super) const STEPS: usize = 3;

/// The programs that take part.
#[derive(Debug, Clone)]
pub struct Programs {
    /// uncork's own executable.
    pub uncork: PathBuf,
    /// The verb by which that runs [`import_naively`]: the server, the number of mails and a file
    /// follow it.
    pub importer: &'static str,
}

/// Sends mails one by one as imaplib does, and writes into a new file how long each took: its
/// nanoseconds, one line a mail.
///
/// # Errors
/// Where the server doesn't take a mail, or the file no line.
pub fn import_naively(addr: SocketAddr, mails: usize, took: &Path) -> Result<(), DemoError> {
    let written = || system("a file for the times of its mails");
    let mut took = File::create(took).map_err(written())?;
    // `uncork fix` is no ancestor of this process; Yama would ask for that. Without Yama it fails.
    let _ = rustix::process::set_ptracer(PTracer::Any);
    let lab = ServerConfig::new("");
    let mut client = NaiveClient::connect(addr, Manner::Naive, None)?;
    client.login(&lab.user, &lab.password)?;
    for mail in MailGenerator::new(SEED).take(mails) {
        let literal = mail.bytes_crlf();
        let started = Instant::now();
        client.append("INBOX", &mail.flags.imap_list(), None, &literal)?;
        let line = format!("{}\n", started.elapsed().as_nanos());
        took.write_all(line.as_bytes()).map_err(written())?;
    }
    client.logout().map_err(ClientError::into)
}

pub(super) fn run(
    programs: &Programs,
    step: &mut impl FnMut(String),
) -> Result<ProgramStory, DemoError> {
    let root = scratch::folder(MAILS_SLOW + 3 * MAILS_FAST);
    let root = root.map_err(system("a folder for the server's mail"))?;
    let server = ImapServer::start(ServerConfig {
        personality: Personality::naive(),
        ..ServerConfig::new(root.path())
    })?;
    let place = tempfile::tempdir().map_err(system("a folder for the times of its mails"))?;
    let lab = Lab {
        programs,
        addr: server.addr(),
        took: place.path().join("took"),
    };
    let mut story = ProgramStory::default();
    step(format!("{MAILS_SLOW} mails under `uncork trace`"));
    match lab.trace(&[], MAILS_SLOW) {
        Ok((times, seen)) => story.push(ProgramManner::AsItIs, &times, Some(seen)),
        Err(refused) => story.refused.push(refused.say("trace")),
    }
    step(format!("{MAILS_FAST} mails under `uncork run`"));
    match lab.trace(&["run", "--quiet"], MAILS_FAST) {
        Ok((times, seen)) => story.push(ProgramManner::Run, &times, Some(seen)),
        Err(refused) => story.refused.push(refused.say("run")),
    }
    step("`uncork fix` of a client that is running".to_owned());
    match lab.fix() {
        Ok(times) => story.push(ProgramManner::Fixed, &times, None),
        Err(refused) => story.refused.push(refused.say("fix")),
    }
    Ok(story)
}

impl ProgramStory {
    fn push(&mut self, manner: ProgramManner, times_ns: &[u64], seen: Option<Seen>) {
        self.rows.push(ProgramRow {
            manner,
            messages: times_ns.len() as u64,
            ms_per_message: median(times_ns.iter().copied()) as f64 / 1e6,
            seen,
        });
    }
}

/// Why a part of the story could not be shown, in the words of the program that refused.
struct Refused(String);

impl Refused {
    fn say(self, verb: &str) -> String {
        format!("`uncork {verb}` can't be shown here: {}", self.0)
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Where the client sends to, and what is known of it.
struct Lab<'a> {
    programs: &'a Programs,
    addr: SocketAddr,
    took: PathBuf,
}

impl Lab<'_> {
    /// The client under the tracer and, between them, under another verb.
    fn trace(&self, under: &[&str], mails: usize) -> Result<(Vec<u64>, Seen), Refused> {
        let uncork = self.programs.uncork.as_os_str();
        let mut command = Command::new(uncork);
        command.args(["trace", "--json", "--"]);
        if !under.is_empty() {
            command.arg(uncork).args(under).arg("--");
        }
        let output = finish(command.args(self.importer(mails)))?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| Refused(first_words(&output.stderr)))?;
        let times = times(&self.took)?;
        if times.len() < mails {
            return Err(Refused(first_words(&output.stderr)));
        }
        Ok((times, seen(&report)))
    }

    /// A client that is mended while it stalls. The times of its mails from then on.
    fn fix(&self) -> Result<Vec<u64>, Refused> {
        let mut client = Running(self.spawn_importer(2 * MAILS_FAST)?);
        client.wait_until(|| Ok(times(&self.took)?.len() >= MAILS_BEFORE_FIX))?;
        let mut command = Command::new(&self.programs.uncork);
        command.args(["fix", "--quiet", "-p"]);
        let output = finish(command.arg(client.0.id().to_string()))?;
        if !output.status.success() {
            return Err(Refused(first_words(&output.stderr)));
        }
        // The mail that was on its way waits to its end.
        let before = times(&self.took)?.len() + 1;
        client.wait_until(|| Ok(times(&self.took)?.len() >= before + MAILS_FAST / 2))?;
        Ok(times(&self.took)?.split_off(before))
    }

    fn spawn_importer(&self, mails: usize) -> Result<Child, Refused> {
        let _ = fs::remove_file(&self.took);
        let mut arguments = self.importer(mails).into_iter();
        let program = arguments.next().unwrap_or_default();
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        Ok(command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?)
    }

    fn importer(&self, mails: usize) -> [OsString; 5] {
        [
            self.programs.uncork.clone().into(),
            self.programs.importer.into(),
            self.addr.to_string().into(),
            mails.to_string().into(),
            self.took.clone().into(),
        ]
    }
}

/// A process that does not outlive the story.
struct Running(Child);

impl Running {
    /// Waits for something that the process does; its end is the last moment for it.
    fn wait_until(&mut self, is_done: impl Fn() -> Result<bool, Refused>) -> Result<(), Refused> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let has_ended = self.0.try_wait()?.is_some();
            if is_done()? {
                return Ok(());
            }
            if has_ended || Instant::now() >= deadline {
                return Err(Refused("the client did not send its mails".to_owned()));
            }
            sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        process::stop(&mut self.0);
    }
}

/// Runs a command to its end.
fn finish(command: &mut Command) -> Result<Output, Refused> {
    Ok(command.stdin(Stdio::null()).output()?)
}

/// The times that a client has written down, whole lines only.
fn times(took: &Path) -> Result<Vec<u64>, Refused> {
    let text = match fs::read_to_string(took) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    Ok(whole.lines().filter_map(|line| line.parse().ok()).collect())
}

/// What the trace has to say of the client, which has one connection.
fn seen(report: &Value) -> Seen {
    let stalls = report["sockets"][0]["stalls"].as_array();
    let nagle = || {
        let stalls = stalls.into_iter().flatten();
        stalls.filter(|stall| stall["cause"] == "nagle")
    };
    let most = nagle().max_by_key(|stall| stall["count"].as_u64());
    Seen {
        engine: report["engine"].as_str().unwrap_or_default().to_owned(),
        stalls: nagle().filter_map(|stall| stall["count"].as_u64()).sum(),
        held_ms_total: nagle()
            .filter_map(|stall| stall["held_ms_total"].as_f64())
            .fold(0.0, |sum, held_ms| sum + held_ms),
        pattern: most
            .and_then(|stall| stall["pattern"].as_str())
            .map(str::to_owned),
    }
}

/// The first line that a program said.
fn first_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("it said nothing");
    first.strip_prefix("uncork: ").unwrap_or(first).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trace_tells() {
        let report = serde_json::json!({
            "engine": "sample",
            "sockets": [{ "stalls": [
                { "cause": "local_delayed_ack", "count": 1, "held_ms_total": 41.0 },
                { "cause": "nagle", "count": 2, "pattern": "write 7", "held_ms_total": 80.5 },
                {
                    "cause": "nagle", "count": 97, "held_ms_total": 4300.0,
                    "pattern": "write 351, write 2, read waits 43 ms",
                },
            ] }],
        });
        let seen = seen(&report);
        assert_eq!(
            (seen.stalls, seen.held_ms_total, seen.engine.as_str()),
            (99, 4380.5, "sample")
        );
        assert!(seen.pattern.unwrap().starts_with("write 351, write 2"));
        let nothing = super::seen(&serde_json::json!({ "sockets": [] }));
        assert_eq!((nothing.stalls, nothing.pattern), (0, None));
    }

    #[test]
    fn half_a_line_is_no_time() {
        let folder = tempfile::tempdir().unwrap();
        let took = folder.path().join("took");
        assert!(times(&took).is_ok_and(|times| times.is_empty()));
        for (text, expected) in [
            ("", &[][..]),
            ("12", &[]),
            ("12\n3", &[12]),
            ("12\n3\n", &[12, 3]),
        ] {
            fs::write(&took, text).unwrap();
            assert!(times(&took).is_ok_and(|times| times == expected), "{text}");
        }
    }

    #[test]
    fn why_it_was_refused() {
        let said = first_words(b"\nuncork: pidfd_open: Function not implemented\nLinux 5.6\n");
        assert_eq!(
            Refused(said).say("trace"),
            "`uncork trace` can't be shown here: pidfd_open: Function not implemented"
        );
        assert_eq!(first_words(b""), "it said nothing");
    }
}
