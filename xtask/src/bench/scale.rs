//! `cargo xtask bench scale`: what grows with the import, and what with the way to the server.
//!
//! Imports of more and more mails into a real Dovecot, each by a process of its own: seconds, CPU
//! and the most memory that it had. Time should grow as the mails do, and memory should not. Then
//! the same import over an emulated link without and with delay.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use uncork_lab::dovecot::{Dovecot, DovecotConfig, Fsync, Storage};
use uncork_lab::link::{Link, LinkConfig};
use uncork_lab::mail::{MailGenerator, write_maildir};
use uncork_lab::process::reaped_children_cpu_ns;
use uncork_lab::requirement;

use super::import::build_uncork;
use super::result::{Measure, Report, Table};

/// Decides every byte of the mails.
const SEED: u64 = 1;

/// What each direction of the link holds, so that its bandwidth does not limit: 600 MB a second
/// at 25 ms one way.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// How often a running import is asked for its memory. The kernel keeps the peak, so that only
/// what comes after the last question is missed.
const LOOK: Duration = Duration::from_millis(5);

/// What can be chosen about the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many mails the largest Maildir has.
    #[arg(long, default_value_t = 100_000)]
    mails: usize,
    /// How large the largest mbox is.
    #[arg(long, value_name = "MB", default_value_t = 1000)]
    mbox_mb: u64,
    /// The round trip of the link.
    #[arg(long, value_name = "MS", default_value_t = 50)]
    delay_ms: u64,
    /// How often each import runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

const MEASURES: [Measure; 6] = [
    Measure::new("messages_per_second", "msg/s", 0),
    Measure::new("megabytes_per_second", "MB/s", 0),
    Measure::new("seconds", "seconds", 2),
    Measure::new("client_cpu_us_per_message", "client CPU, µs/msg", 1),
    Measure::new("server_cpu_us_per_message", "server CPU, µs/msg", 1),
    Measure::new("client_memory_peak_mib", "client memory, MiB", 1),
];

/// Mails on disk.
#[derive(Debug)]
struct Source {
    name: String,
    path: PathBuf,
    mails: usize,
    bytes: u64,
}

/// What one import took.
#[derive(Debug)]
struct Sample {
    seconds: f64,
    cpu_ns: u64,
    server_cpu_ns: u64,
    memory_kib: u64,
}

/// Measures and writes the results.
///
/// # Errors
/// Where Dovecot can't be started, files can't be written, or an import fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(dovecot) = requirement::program("dovecot") else {
        return Ok(());
    };
    let mut config = DovecotConfig::new(Storage::Mdbox, Fsync::Never);
    config.is_in_memory = true;
    let bench = Bench {
        uncork: build_uncork()?,
        server: Dovecot::start(&dovecot, &config)?,
        folder: TempDir::with_prefix("uncork-bench").context("can't make a temporary folder")?,
        runs: arguments.runs,
    };
    let mut report = Report::new("scale");
    let direct = bench.server.addr();
    let mut sources = Vec::new();
    for part in [10, 3, 1] {
        sources.push(bench.maildir(arguments.mails / part)?);
    }
    for part in [10, 3, 1] {
        sources.push(bench.mbox(arguments.mbox_mb * 1_000_000 / part)?);
    }
    let rows: Vec<_> = sources
        .iter()
        .map(|source| (source.name.clone(), source, direct))
        .collect();
    report.push(bench.table("More and more mails", &rows)?);

    let link = |round_trip: Duration| {
        Link::start(LinkConfig {
            queue_bytes: QUEUE_BYTES,
            ..LinkConfig::new(direct, round_trip / 2)
        })
    };
    let near = link(Duration::ZERO)?;
    let far = link(Duration::from_millis(arguments.delay_ms))?;
    let rows: Vec<_> = [(0, &near), (arguments.delay_ms, &far)]
        .map(|(ms, link)| (format!("round trip {ms} ms"), &sources[2], link.addr()))
        .into();
    let title = format!("{} over an emulated link", sources[2].name);
    report.push(bench.table(&title, &rows)?);
    report.note(
        "Whole process, login included, with the journal; Dovecot with mdbox, mail_fsync=never, \
         its mail in memory. Memory is the peak of the process's resident set (VmHWM).",
    );
    let path = report.write()?;
    println!("{}", report.markdown());
    println!("written to {}", path.display());
    Ok(())
}

struct Bench {
    uncork: PathBuf,
    server: Dovecot,
    folder: TempDir,
    runs: u32,
}

impl Bench {
    fn maildir(&self, mails: usize) -> Result<Source> {
        let name = format!("Maildir of {mails} mails");
        let path = self.folder.path().join(format!("maildir-{mails}"));
        write_maildir(&path, SEED, mails).with_context(|| format!("can't write {path:?}"))?;
        let generated = MailGenerator::new(SEED).take(mails);
        let bytes = generated.map(|mail| mail.bytes.len() as u64).sum();
        Ok(Source {
            name,
            path,
            mails,
            bytes,
        })
    }

    fn mbox(&self, bytes_max: u64) -> Result<Source> {
        let path = self.folder.path().join(format!("mbox-{bytes_max}"));
        let mut file = BufWriter::new(File::create(&path)?);
        let (mut mails, mut bytes) = (0, 0);
        for mail in MailGenerator::new(SEED) {
            if bytes >= bytes_max {
                break;
            }
            let date = mail.internal_date.strftime("%a %b %e %H:%M:%S %Y");
            let mut text = format!("From lab@lab.example {date}\n").into_bytes();
            for line in mail.bytes.split_inclusive(|&byte| byte == b'\n') {
                if line.trim_ascii_start().starts_with(b"From ") || line.starts_with(b">") {
                    text.push(b'>');
                }
                text.extend_from_slice(line);
            }
            text.push(b'\n');
            file.write_all(&text)?;
            bytes += text.len() as u64;
            mails += 1;
        }
        file.flush()?;
        Ok(Source {
            name: format!("mbox of {} MB, {mails} mails", bytes / 1_000_000),
            path,
            mails,
            bytes,
        })
    }

    /// Runs the imports of all rows in turn, so that what happens on the machine meanwhile meets
    /// all alike.
    fn table(&self, title: &str, rows: &[(String, &Source, SocketAddr)]) -> Result<Table> {
        let mut samples: Vec<Vec<[f64; MEASURES.len()]>> = vec![Vec::new(); rows.len()];
        for run in 0..self.runs {
            for ((name, source, addr), samples) in rows.iter().zip(&mut samples) {
                let sample = self.import(source, *addr)?;
                eprintln!(
                    "run {} of {}: {name}: {:.2} s",
                    run + 1,
                    self.runs,
                    sample.seconds
                );
                samples.push(sample.values(source));
            }
        }
        let mut table = Table::new(title, &MEASURES);
        for ((name, ..), samples) in rows.iter().zip(&samples) {
            table.push_runs(name.clone(), samples);
        }
        Ok(table)
    }

    /// One import into the empty mailbox of a new user.
    fn import(&self, source: &Source, addr: SocketAddr) -> Result<Sample> {
        let scratch = TempDir::with_prefix_in("run", &self.folder)?;
        let user = self.server.fresh_user();
        let report = scratch.path().join("report");
        let cpu_before = reaped_children_cpu_ns(std::process::id());
        let server_cpu_before = self.server.cpu_ns();
        let start = Instant::now();
        let mut child = Command::new(&self.uncork)
            .arg("import")
            .arg(&source.path)
            .arg(format!("imap://{user}@{addr}/INBOX"))
            .args(["--json", "--quiet"])
            .env("UNCORK_PASSWORD", self.server.password())
            .env("XDG_STATE_HOME", scratch.path())
            .stdin(Stdio::null())
            .stdout(File::create(&report)?)
            .spawn()
            .context("can't run uncork")?;
        let memory_kib = watch_memory(&mut child)?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu_ns = reaped_children_cpu_ns(std::process::id()).saturating_sub(cpu_before);
        let server_cpu_ns = self.server.cpu_ns().saturating_sub(server_cpu_before);
        let report: serde_json::Value = serde_json::from_slice(&fs::read(&report)?)?;
        let imported = report["imported"].as_u64();
        ensure!(
            imported == Some(source.mails as u64),
            "{}: {imported:?} mails imported",
            source.name
        );
        // What fails to go now goes with the whole instance.
        let _ = fs::remove_dir_all(self.server.mail_folder(&user));
        Ok(Sample {
            seconds,
            cpu_ns,
            server_cpu_ns,
            memory_kib,
        })
    }
}

impl Sample {
    /// In the order of [`MEASURES`].
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn values(&self, source: &Source) -> [f64; MEASURES.len()] {
        let mails = source.mails as f64;
        [
            mails / self.seconds,
            source.bytes as f64 / 1e6 / self.seconds,
            self.seconds,
            self.cpu_ns as f64 / 1e3 / mails,
            self.server_cpu_ns as f64 / 1e3 / mails,
            self.memory_kib as f64 / 1024.0,
        ]
    }
}

/// Waits for the end of a process; the most memory that it had, in KiB.
fn watch_memory(child: &mut Child) -> Result<u64> {
    let status_path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the import ended with {status}");
            return Ok(peak);
        }
        peak = memory_peak_kib(Path::new(&status_path)).unwrap_or(peak);
        std::thread::sleep(LOOK);
    }
}

/// `VmHWM` of a process's status (proc(5)); `None` once it has ended.
fn memory_peak_kib(status: &Path) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
