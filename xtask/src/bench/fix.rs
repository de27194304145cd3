//! `cargo xtask bench fix`: imaplib, stalled on each mail, repaired while it runs and unrepaired again;
//! and what it costs to go on looking.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use uncork_lab::hold::HoldWatch;
use uncork_lab::imap::{ImapServer, Personality, ServerConfig};
use uncork_lab::imaplib::Importer;
use uncork_lab::process::{self, tree_cpu_ns};
use uncork_lab::python::Python;
use uncork_sockets::Process;

use super::race::seconds;
use super::result::{Measure, Report, Table};
use crate::command::{cargo, output, step, target_folder};

/// Mails that are not counted after each change: a stall needs a few until its rhythm is found.
const WARM_UP: u32 = 20;

/// Mails of a run while each of them is held, and while none is.
const HELD: u32 = 100;
const FREE: u32 = 2000;

/// Sockets of a process under watch.
const WATCHED: [u32; 3] = [10, 100, 1000];

const MEASURES: [Measure; 3] = [
    Measure::new("ms_per_message", "ms/message", 2),
    Measure::new("messages_per_second", "messages/s", 0),
    Measure::new("holds_per_message", "held/message", 2),
];

const WATCH_MEASURES: [Measure; 2] = [
    Measure::new("cpu_ms_per_second", "CPU, ms/s", 2),
    Measure::new("target_cpu_ms_per_second", "the target's CPU, ms/s", 2),
];

/// A process that has sockets, and does nothing.
const IDLE: &str = "
import socket, sys
kept = [socket.create_server(('127.0.0.1', 0)) for _ in range(int(sys.argv[1]))]
print('ready', flush=True)
sys.stdin.readline()
";

/// What can be chosen about the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often it is repaired and unrepaired.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long a process is watched in each run.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
}

/// Measures and writes the results.
///
/// # Errors
/// Where there is no Python, the lab fails, or the results can't be written.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    step(&mut cargo(&["build", "--release", "-p", "uncork-cli"]))?;
    let uncork = target_folder().join("release/uncork");
    let mut report = Report::new("fix");
    report.push(importer(&uncork, arguments.runs)?);
    report.push(watch(&uncork, arguments)?);
    report.note(
        "One imaplib process and one connection through all runs, on loopback, to the lab's server \
         without socket options. Held: times that TCP_INFO shows a small segment waiting, sampled \
         every 0.3 ms.",
    );
    report.note(
        "CPU of `uncork fix --watch --tree`, which looks at all descriptors fifty times a second, and \
         of the idle process that it watches.",
    );
    let path = report.write()?;
    println!("{}\nwritten to {}", report.markdown(), path.display());
    Ok(())
}

/// The same importer, as it is, repaired, and as it was.
fn importer(uncork: &Path, runs: u32) -> Result<Table> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let server = ImapServer::start(ServerConfig {
        personality: Personality::naive(),
        ..ServerConfig::new(folder.path())
    })?;
    let importer = Importer::start(server.addr())?;
    let mut importer = importer.context("no python3")?;
    let pid = importer.pid().to_string();
    let fix = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new(uncork);
        output(command.args(["fix", "-p", &pid]).args(arguments)).map(drop)
    };
    let (mut before, mut repaired, mut undone) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..runs {
        before.push(append(&mut importer, HELD)?);
        fix(&[])?;
        repaired.push(append(&mut importer, FREE)?);
        fix(&["--undo"])?;
        undone.push(append(&mut importer, HELD)?);
        eprintln!("run {} of {runs}: {:?}", run + 1, repaired.last());
    }
    let mut table = Table::new("imaplib appends mails of 353 bytes", &MEASURES);
    table.push_runs("before", &before);
    table.push_runs("after `uncork fix -p PID`", &repaired);
    table.push_runs("after `uncork fix --undo -p PID`", &undone);
    Ok(table)
}

fn append(importer: &mut Importer, mails: u32) -> Result<[f64; MEASURES.len()]> {
    importer.append(WARM_UP)?;
    let socket = Process::open(importer.pid())?.socket(importer.fd())?;
    let watch = HoldWatch::start(socket.context("the importer has no socket")?.into());
    let took = importer.append(mails)?.as_secs_f64();
    let holds = watch.finish();
    let mails = f64::from(mails);
    Ok([took * 1e3 / mails, mails / took, holds.count as f64 / mails])
}

/// What it takes to look at a process again and again.
fn watch(uncork: &Path, arguments: &Arguments) -> Result<Table> {
    let mut table = Table::new("Watching a process", &WATCH_MEASURES);
    for sockets in WATCHED {
        let python = Python::start(IDLE, &[&sockets.to_string()]);
        let mut python = python.context("no python3")?;
        ensure!(python.line()? == "ready", "no {sockets} sockets here");
        let mut runs = Vec::new();
        for _ in 0..arguments.runs {
            runs.push(watch_once(uncork, python.pid(), arguments.seconds)?);
        }
        table.push_runs(format!("{sockets} sockets"), &runs);
    }
    Ok(table)
}

fn watch_once(uncork: &Path, pid: u32, seconds: f64) -> Result<[f64; 2]> {
    let mut watch = Command::new(uncork)
        .args([
            "fix",
            "--watch",
            "--tree",
            "--quiet",
            "-p",
            &pid.to_string(),
        ])
        .stdout(Stdio::null())
        .spawn()
        .context("uncork can't be started")?;
    // The first look, which changes them all, is not what it costs to go on.
    sleep(Duration::from_millis(500));
    let (own, target) = (tree_cpu_ns(watch.id()), tree_cpu_ns(pid));
    let began = Instant::now();
    sleep(Duration::from_secs_f64(seconds));
    let per_second = |ns: u64| ns as f64 / 1e6 / began.elapsed().as_secs_f64();
    let own = tree_cpu_ns(watch.id()).saturating_sub(own);
    let taken = [
        per_second(own),
        per_second(tree_cpu_ns(pid).saturating_sub(target)),
    ];
    process::stop(&mut watch);
    Ok(taken)
}
