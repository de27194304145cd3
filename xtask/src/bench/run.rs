//! `cargo xtask bench run`: the same programs by themselves and under `uncork run`, in turns.
//!
//! What it gains where a server acknowledges late, and what it costs: a connection, other system calls,
//! the start of a command.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use tempfile::TempDir;
use uncork_lab::imap::{ImapServer, Personality, ServerConfig};
use uncork_lab::requirement;

use super::import::{build_uncork, python};
use super::result::{Measure, Report, Table};
use crate::command::{output, root};

const USER: &str = "ada";
const PASSWORD: &str = "analytical";

const MESSAGE_MS: Measure = Measure::new("message_ms", "ms a message", 2);
const CALL_US: Measure = Measure::new("call_us", "µs", 2);
const START_MS: Measure = Measure::new("start_ms", "ms", 2);

/// Which calls, and how many of them one run makes.
const CALLS: [(&str, &str, u32); 3] = [
    ("connect, accept, close", "connect", 10_000),
    (
        "sendto (of which the filter looks at an argument)",
        "sendto",
        1_000_000,
    ),
    (
        "getppid (of which it looks at the number)",
        "getppid",
        1_000_000,
    ),
];

/// What can be chosen about the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often each program runs.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Mails that each run appends.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    mails: u32,
}

/// In which company a program runs.
#[derive(Clone, Copy, Debug)]
enum Company {
    Alone,
    Run,
    /// The supervisor looks for addresses, too.
    RunWithReport,
}

impl Company {
    const BOTH: [Self; 2] = [Self::Alone, Self::Run];
    const ALL: [Self; 3] = [Self::Alone, Self::Run, Self::RunWithReport];

    fn name(self) -> &'static str {
        match self {
            Self::Alone => "by itself",
            Self::Run => "uncork run",
            Self::RunWithReport => "uncork run --report",
        }
    }

    fn command(self, uncork: &Path, program: &Path) -> Command {
        let mut command = match self {
            Self::Alone => return Command::new(program),
            Self::Run | Self::RunWithReport => Command::new(uncork),
        };
        command.arg("run");
        if matches!(self, Self::RunWithReport) {
            command.args(["--report", "/dev/null"]);
        }
        command.arg("--").arg(program);
        command
    }
}

/// A program with its arguments, as a row names it.
type Job = (&'static str, PathBuf, Vec<String>);

/// Measures and writes the results.
///
/// # Errors
/// Where a program can't be built or run, or the results not be written.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let place = tempfile::tempdir()?;
    let bench = Bench {
        uncork: build_uncork()?,
        runs: arguments.runs,
    };
    let mut report = Report::new("run");
    report.push(mails(&bench, arguments.mails, &place)?);
    let calls = build(&place, "calls")?;
    let jobs = CALLS.map(|(name, call, count)| {
        let words = vec![call.to_owned(), count.to_string()];
        (name, calls.clone(), words)
    });
    let title = "What a system call takes, in a static C program on loopback";
    report.push(bench.compare(title, CALL_US, &Company::ALL, &jobs, number)?);
    let jobs = [("/bin/true", PathBuf::from("/bin/true"), Vec::new())];
    let title = "A command from its start to its end";
    let starts = Bench {
        runs: bench.runs * 20,
        ..bench
    };
    report.push(starts.compare(title, START_MS, &Company::BOTH, &jobs, duration_ms)?);
    report.note(
        "The server of the mails is the lab's: it leaves Nagle on and acknowledges late. A message \
         goes out in three pieces, of which the last waits for the acknowledgement of the one before.",
    );
    let path = report.write()?;
    println!("{}\nwritten to {}", report.markdown(), path.display());
    Ok(())
}

/// Mail into a server that acknowledges late.
fn mails(bench: &Bench, mails: u32, place: &TempDir) -> Result<Table> {
    let server = ImapServer::start(ServerConfig {
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        personality: Personality::naive(),
        ..ServerConfig::new(place.path().join("mail"))
    })?;
    let port = server.addr().port().to_string();
    let words = [&port, USER, PASSWORD, &mails.to_string()].map(str::to_owned);
    let mut jobs: Vec<Job> = Vec::new();
    if let Some(python) = python() {
        let script = sources().join("append.py").display().to_string();
        let words = std::iter::once(script).chain(words.clone());
        jobs.push(("CPython's imaplib", python, words.collect()));
    }
    let program = build(place, "append")?;
    jobs.push(("a static C program", program, words.to_vec()));
    if let Some(program) = build_go(place, "append")? {
        let name = "a static Go program, which makes its system calls itself";
        jobs.push((name, program, words.to_vec()));
    }
    let title = format!("{mails} mails into an IMAP server that acknowledges late, on loopback");
    bench.compare(&title, MESSAGE_MS, &Company::BOTH, &jobs, number)
}

/// What all comparisons have in common.
#[derive(Debug)]
struct Bench {
    uncork: PathBuf,
    runs: u32,
}

impl Bench {
    /// Runs each job in each company, all in turns.
    fn compare(
        &self,
        title: &str,
        measure: Measure,
        companies: &[Company],
        jobs: &[Job],
        value: impl Fn(&mut Command) -> Result<f64>,
    ) -> Result<Table> {
        let mut samples = vec![Vec::new(); jobs.len() * companies.len()];
        for _ in 0..self.runs {
            let lanes = jobs
                .iter()
                .flat_map(|job| companies.iter().map(move |company| (job, company)));
            for (((_, program, words), company), samples) in lanes.zip(&mut samples) {
                let mut command = company.command(&self.uncork, program);
                samples.push(value(command.args(words))?);
            }
        }
        let mut table = Table::new(title, &[measure]);
        let mut samples = samples.into_iter();
        for (name, ..) in jobs {
            for company in companies {
                let name = format!("{name}, {}", company.name());
                table.push(name, &[samples.next().unwrap_or_default()]);
            }
        }
        Ok(table)
    }
}

/// What a program measured itself and prints.
fn number(command: &mut Command) -> Result<f64> {
    let printed = output(command)?;
    let number = printed.trim().parse();
    number.with_context(|| format!("no number: {printed}"))
}

fn duration_ms(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    output(command)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn sources() -> PathBuf {
    root().join("bench/run")
}

/// Builds a static program, where there is a Go that works.
fn build_go(place: &TempDir, name: &str) -> Result<Option<PathBuf>> {
    let Some(go) = requirement::program("go") else {
        return Ok(None);
    };
    let program = place.path().join(format!("{name}-go"));
    let source = sources().join(name).with_extension("go");
    let mut command = Command::new(go);
    command
        .env("CGO_ENABLED", "0")
        .args(["build", "-o"])
        .arg(&program)
        .arg(source);
    if let Err(error) = output(&mut command) {
        eprintln!("no Go program: {error:#}");
        return Ok(None);
    }
    Ok(Some(program))
}

/// Builds a static program.
fn build(place: &TempDir, name: &str) -> Result<PathBuf> {
    let compiler = ["musl-gcc", "gcc"]
        .into_iter()
        .find_map(requirement::program);
    let compiler = compiler.context("no C compiler")?;
    let program = place.path().join(name);
    let source = sources().join(name).with_extension("c");
    let mut command = Command::new(compiler);
    command
        .args(["-O2", "-static", "-o"])
        .arg(&program)
        .arg(source);
    output(&mut command)?;
    Ok(program)
}
