//! `cargo xtask bench import`: the same Maildir into a real Dovecot, by uncork and by others.
//!
//! Each importer is a process of its own and is measured as a whole: from its start to its
//! end, with its login and the reading of its files. Each gets an empty mailbox of a new user.
//! The runs of all of them are interleaved, so that what happens on the machine meanwhile
//! meets all alike.

mod maildir;
mod peer;
mod stored;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Instant;
use std::{fs, io};

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use tempfile::TempDir;
use uncork_lab::dovecot::{Dovecot, DovecotConfig, Fsync, Storage};
use uncork_lab::process::reaped_children_cpu_ns;
use uncork_lab::requirement;

use self::maildir::Maildir;
use self::peer::{Job, Peer};
pub(super) use self::peer::{build_uncork, python};
use self::stored::Difference;
use super::result::{Measure, Report, Spread, Table};

/// The columns; [`Sample::values`] has their values in this order.
const MEASURES: [Measure; 4] = [
    Measure::new("messages_per_second", "msg/s", 0),
    Measure::new("seconds", "seconds", 2),
    Measure::new("client_cpu_us_per_message", "client CPU, µs/msg", 0),
    Measure::new("server_cpu_us_per_message", "server CPU, µs/msg", 0),
];

/// The end of an importer's output that an error message shows.
const OUTPUT_TAIL_BYTES: usize = 2000;

/// What can be chosen about the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many mails to import.
    #[arg(long, default_value_t = 5000)]
    mails: usize,
    /// How often each importer runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How Dovecot stores the mail.
    #[arg(long, value_delimiter = ',', default_values = ["mdbox", "maildir"])]
    storage: Vec<StorageName>,
    /// Import by these only; a part of the name is enough.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StorageName {
    Mdbox,
    Maildir,
}

/// What one run of an importer took.
#[derive(Debug)]
struct Sample {
    /// The messages a second that the importer itself reports.
    own_rate: Option<f64>,
    seconds: f64,
    client_cpu_ns: u64,
    server_cpu_ns: u64,
}

/// What came of one importer into one kind of storage.
#[derive(Debug, Default)]
struct Outcome {
    samples: Vec<Sample>,
    /// Why there are no more samples.
    failure: Option<String>,
    /// In the first run: how the stored messages differ from the Maildir's.
    difference: Option<Difference>,
}

/// Measures and writes the results.
///
/// # Errors
/// Where Dovecot can't be started or files can't be written. An importer that fails is left
/// out and said in the results.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(dovecot) = requirement::program("dovecot") else {
        return Ok(());
    };
    let Some(doveadm) = requirement::program("doveadm") else {
        return Ok(());
    };
    let mut peers = peer::available(&doveadm)?;
    peers.retain(|peer| {
        let mut parts = arguments.only.iter();
        arguments.only.is_empty() || parts.any(|part| peer.name().contains(part.as_str()))
    });
    let folder = TempDir::with_prefix("uncork-bench").context("can't make a temporary folder")?;
    peer::open_to_all(folder.path())?;
    let maildir = Maildir::create(&folder.path().join("source"), arguments.mails)?;

    let mut report = Report::new("import");
    for &storage in &arguments.storage {
        let config = DovecotConfig::new(storage.storage(), Fsync::Never);
        let server = Dovecot::start(&dovecot, &config)?;
        let bench = Bench {
            server: &server,
            doveadm: &doveadm,
            maildir: &maildir,
            folder: &folder,
        };
        let outcomes = bench.interleave(&peers, arguments.runs);
        let title = format!(
            "{} mails, {:.1} MB, into Dovecot with {}, mail_fsync=never, over loopback",
            maildir.len(),
            bytes_mb(maildir.crlf_bytes()),
            storage.name()
        );
        tabulate(&mut report, &title, &peers, &outcomes, maildir.len());
    }
    report.note(
        "Wall time of the whole process, login and reading the Maildir included. Client CPU \
         is counted in clock ticks. Server CPU is that of all of Dovecot's processes; \
         `doveadm import` needs no server and does its work in its own process.",
    );
    let path = report.write()?;
    println!("{}", report.markdown());
    println!("written to {}", path.display());
    Ok(())
}

/// What the runs into one server have in common.
#[derive(Debug)]
struct Bench<'a> {
    server: &'a Dovecot,
    doveadm: &'a Path,
    maildir: &'a Maildir,
    folder: &'a TempDir,
}

impl Bench<'_> {
    /// Runs all peers `runs` times, each time in another order, and keeps the outcomes in the
    /// order of the peers. A peer that failed is not tried again.
    fn interleave(&self, peers: &[Peer], runs: u32) -> BTreeMap<usize, Outcome> {
        let mut outcomes: BTreeMap<usize, Outcome> = BTreeMap::new();
        for run in 0..runs as usize {
            for place in 0..peers.len() {
                let index = (place + run) % peers.len();
                let outcome = outcomes.entry(index).or_default();
                if outcome.failure.is_some() {
                    continue;
                }
                let peer = &peers[index];
                match self.import(peer, outcome) {
                    Ok(sample) => {
                        let rate = sample.messages_per_second(self.maildir.len());
                        eprintln!("run {} of {runs}: {peer}: {rate:.0} msg/s", run + 1);
                        outcome.samples.push(sample);
                    }
                    Err(error) => {
                        eprintln!("run {} of {runs}: {peer} left out: {error:#}", run + 1);
                        outcome.failure = Some(first_line(&format!("{error:#}")));
                    }
                }
            }
        }
        outcomes
    }

    /// One run of one peer into the empty mailbox of a new user, checked afterwards.
    fn import(&self, peer: &Peer, outcome: &mut Outcome) -> Result<Sample> {
        let scratch = TempDir::with_prefix_in("run", self.folder).context("no scratch folder")?;
        let user = self.server.fresh_user();
        let job = Job {
            server: self.server,
            user: &user,
            maildir: self.maildir,
            scratch: scratch.path(),
        };
        let mut command = peer.command(&job)?;
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| scratch.path().join(name));
        let create = |path| on_path(fs::File::create(path), "make", path);
        command
            .stdin(Stdio::null())
            .stdout(create(&stdout)?)
            .stderr(create(&stderr)?);

        let client_before = reaped_children_cpu_ns(std::process::id());
        let server_before = self.server.cpu_ns();
        let start = Instant::now();
        let status = command
            .status()
            .with_context(|| format!("can't run {peer}"))?;
        let seconds = start.elapsed().as_secs_f64();
        let server_after = self.server.cpu_ns();
        let client_after = reaped_children_cpu_ns(std::process::id());

        succeeded(status, &[&stdout, &stderr])?;
        let own_rate = peer.own_rate(&on_path(fs::read(&stdout), "read", &stdout)?)?;
        let stored = stored::messages(self.doveadm, self.server, &user)?;
        ensure!(
            stored.len() == self.maildir.len(),
            "the mailbox holds {} messages afterwards, not {}",
            stored.len(),
            self.maildir.len()
        );
        outcome
            .difference
            .get_or_insert_with(|| Difference::between(&stored, self.maildir.messages()));
        // What fails to go now goes with the whole instance.
        let _ = fs::remove_dir_all(self.server.mail_folder(&user));
        Ok(Sample {
            own_rate,
            seconds,
            client_cpu_ns: client_after.saturating_sub(client_before),
            server_cpu_ns: server_after.saturating_sub(server_before),
        })
    }
}

impl Sample {
    fn messages_per_second(&self, messages: usize) -> f64 {
        count(messages) / self.seconds
    }

    /// In the order of [`MEASURES`].
    fn values(&self, messages: usize) -> [f64; MEASURES.len()] {
        let us_per_message = |ns| duration_us(ns) / count(messages);
        [
            self.messages_per_second(messages),
            self.seconds,
            us_per_message(self.client_cpu_ns),
            us_per_message(self.server_cpu_ns),
        ]
    }
}

impl StorageName {
    fn storage(self) -> Storage {
        match self {
            Self::Mdbox => Storage::Mdbox,
            Self::Maildir => Storage::Maildir,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mdbox => "mdbox",
            Self::Maildir => "maildir",
        }
    }
}

/// Adds a table, and a note for each peer that failed or altered what it imported.
fn tabulate(
    report: &mut Report,
    title: &str,
    peers: &[Peer],
    outcomes: &BTreeMap<usize, Outcome>,
    messages: usize,
) {
    let mut notes = Vec::new();
    let mut table = Table::new(title, &MEASURES);
    for (&index, outcome) in outcomes {
        let peer = &peers[index];
        let rows: Vec<_> = outcome.samples.iter().map(|s| s.values(messages)).collect();
        table.push_runs(peer.to_string(), &rows);
        let own_rates = outcome.samples.iter().filter_map(|sample| sample.own_rate);
        if let Some(spread) = Spread::of(&own_rates.collect::<Vec<_>>()) {
            notes.push(format!(
                "{peer} itself reports {} msg/s ({title}).",
                spread.text(0)
            ));
        }
        if let Some(failure) = &outcome.failure {
            notes.push(format!("{peer} failed: {failure} ({title})."));
        }
        if let Some(words) = outcome.difference.and_then(Difference::words) {
            notes.push(format!("{peer}: {words} ({title})."));
        }
    }
    report.push(table);
    notes.into_iter().for_each(|note| report.note(note));
}

fn succeeded(status: ExitStatus, outputs: &[&Path]) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let read = |path: &&Path| fs::read(path).unwrap_or_default();
    let bytes: Vec<u8> = outputs.iter().flat_map(read).collect();
    let tail = &bytes[bytes.len().saturating_sub(OUTPUT_TAIL_BYTES)..];
    let tail = String::from_utf8_lossy(tail);
    Err(anyhow!("it ended with {status}: {}", tail.trim()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "far fewer messages than 2^53")]
fn count(messages: usize) -> f64 {
    messages as f64
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
fn bytes_mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no bench lasts 2^53 ns, 104 days"
)]
fn duration_us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// The error of a failed system call on `path`, in words.
fn on_path<T>(result: io::Result<T>, what: &str, path: &Path) -> Result<T> {
    result.with_context(|| format!("can't {what} {}", path.display()))
}
