//! `cargo xtask bench trace`: what a server pays for being traced, at its highest rate of requests.
//!
//! One server on a core of its own; the load and uncork on the other. Or, as a load that is disturbed makes
//! the server's work dearer, too (it finds fewer requests at a time), server and load on one core, and uncork
//! on the other. Each round is untraced, traced by one engine, by the other, and untraced again, so that
//! what disturbs the machine for seconds disturbs all four.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use uncork_lab::http::get;
use uncork_lab::http::load::{Load, LoadConfig, Until};
use uncork_lab::process;

use super::cores::Cores;
use super::import::build_uncork;
use super::race::seconds;
use super::result::{Measure, Report, Table};
use super::serve::peer::{self, Content, Peer};
use super::serve::site::Site;
use super::server::Server;

/// How many connections ask, and for how much.
const CONNECTIONS: usize = 64;
const BODY_BYTES: usize = 1024;

/// How long each part runs before it is counted: connections that are new to uncork, of which each event
/// is passed on and the stacks are looked up, are not what a busy server pays for. These are the first
/// milliseconds of each second.
const WARM_UP: Duration = Duration::from_millis(100);

/// How long uncork may take until it watches.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

const MEASURES: [Measure; 4] = [
    Measure::new("server_cpu_us_per_request", "CPU, µs/request", 3),
    Measure::new("requests_per_second", "requests/s", 0),
    Measure::new("cpu_to_untraced", "CPU to untraced", 3),
    Measure::new("uncork_cpu_ms_per_second", "uncork's own CPU, ms/s", 1),
];

/// What can be chosen about the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure these servers only; a part of the name is enough.
    #[arg(long, value_delimiter = ',', default_values_t = ["nginx".to_owned(), "uncork".to_owned()])]
    only: Vec<String>,
    /// Trace with this build of uncork, and let it serve, rather than build one.
    #[arg(long, value_name = "FILE")]
    uncork: Option<PathBuf>,
    /// How many rounds there are.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long each part of a round is: short, as the machine changes its pace from second to second.
    #[arg(long, default_value_t = 0.25, value_parser = seconds)]
    seconds: f64,
    /// Let server and load share a core, so that uncork, on the other, takes time from neither.
    #[arg(long)]
    uncork_apart: bool,
}

/// Under whose eyes a server works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Untraced,
    Ebpf,
    Sample,
    UntracedAgain,
}

impl Watch {
    const ALL: [Self; 4] = [
        Self::Untraced,
        Self::Ebpf,
        Self::Sample,
        Self::UntracedAgain,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Untraced => "untraced",
            Self::Ebpf => "traced by ebpf",
            Self::Sample => "traced by sample",
            Self::UntracedAgain => "untraced again",
        }
    }

    fn engine(self) -> Option<&'static str> {
        match self {
            Self::Untraced | Self::UntracedAgain => None,
            Self::Ebpf => Some("ebpf"),
            Self::Sample => Some("sample"),
        }
    }
}

/// What one part of a round took.
#[derive(Clone, Copy, Debug)]
struct Sample {
    cpu_us_per_request: f64,
    requests_per_second: f64,
    uncork_cpu_ms_per_second: f64,
}

/// Measures and writes the results.
///
/// # Errors
/// Where uncork does not build or may not trace, or files can't be written.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut report = Report::new(if arguments.uncork_apart {
        "trace-uncork-apart"
    } else {
        "trace"
    });
    let uncork = match &arguments.uncork {
        Some(built) => built.clone(),
        None => build_uncork()?,
    };
    let mut peers = peer::available(&arguments.only, Some(uncork.clone()), &mut report)?;
    // A log costs the same whether somebody looks on or not.
    peers.retain(|peer| !peer.name.has_log());
    let mut cores = Cores::choose()?;
    if arguments.uncork_apart {
        cores = cores.uncork_apart();
    }
    cores.load()?;
    let site = Site::create()?;
    for peer in &peers {
        let rounds = measure(peer, cores, &site, &uncork, arguments)?;
        let name = peer.name.name();
        report.push(table(name, &rounds));
        report.note(format!("{name}: {}.", certainty(&rounds)));
    }
    cores.note(&mut report);
    report.note(format!(
        "{CONNECTIONS} connections, kept alive, ask for {BODY_BYTES} bytes over and over. CPU: of all the \
         server's processes, by the scheduler. The ratio is to the mean of both untraced parts of the same \
         round; the bars are 1.03 for ebpf and 1.01 for sample. The few events of each connection that \
         are passed on at the beginning of each second are not in it."
    ));
    if !arguments.uncork_apart {
        report.note(
            "uncork runs on the load's core, which it takes time from: the rates of requests are therefore \
             not the server's own, and what it finds at a time is less. `--uncork-apart` leaves that out.",
        );
    }
    let path = report.write()?;
    println!("{}\nwritten to {}", report.markdown(), path.display());
    Ok(())
}

fn measure(
    peer: &Peer,
    cores: Cores,
    site: &Site,
    uncork: &Path,
    arguments: &Arguments,
) -> Result<Vec<[Sample; Watch::ALL.len()]>> {
    let name = peer.name.name();
    let path = site.page(BODY_BYTES)?;
    let server = peer.start(cores, &Content::OneHost(site.root()), BODY_BYTES)?;
    let mut load = LoadConfig::new(server.addr(), vec![get("localhost", &path)]);
    load.connections = CONNECTIONS;
    // The same connections in all parts: where the kernel has put what belongs to one makes a difference.
    let mut load = Load::connect(load)?;
    let mut rounds = Vec::new();
    for run in 0..arguments.runs {
        let mut order = Watch::ALL;
        if run % 2 == 1 {
            order.reverse();
        }
        let mut round = [None; Watch::ALL.len()];
        for watch in order {
            let tracer = watch
                .engine()
                .map(|engine| cores.start_uncork(|| Tracer::start(uncork, engine, server.pid())))
                .transpose()?;
            let sample = part(&server, &mut load, tracer, arguments.seconds)?;
            let (cpu, word) = (sample.cpu_us_per_request, watch.name());
            eprintln!("{name}, {word}: round {}: {cpu:.3} µs/request", run + 1);
            round[watch as usize] = Some(sample);
        }
        let round = round.map(|sample| sample.context("each part was measured"));
        let [untraced, ebpf, sample, again] = round;
        rounds.push([untraced?, ebpf?, sample?, again?]);
    }
    Ok(rounds)
}

/// One part of a round.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn part(server: &Server, load: &mut Load, tracer: Option<Tracer>, seconds: f64) -> Result<Sample> {
    load.run(Until::Elapsed(WARM_UP))?;
    let own_ns = || tracer.as_ref().map_or(0, Tracer::cpu_ns);
    let (cpu_before, own_before) = (server.cpu_ns(), own_ns());
    let outcome = load.run(Until::Elapsed(Duration::from_secs_f64(seconds)))?;
    let cpu_ns = server.cpu_ns().saturating_sub(cpu_before);
    let uncork_ns = own_ns().saturating_sub(own_before);
    if let Some(tracer) = tracer {
        tracer.end()?;
    }
    let elapsed = outcome.elapsed.as_secs_f64();
    let requests = outcome.requests as f64;
    Ok(Sample {
        cpu_us_per_request: cpu_ns as f64 / 1e3 / requests,
        requests_per_second: requests / elapsed,
        uncork_cpu_ms_per_second: uncork_ns as f64 / 1e6 / elapsed,
    })
}

fn table(name: &str, rounds: &[[Sample; Watch::ALL.len()]]) -> Table {
    let mut table = Table::new(name, &MEASURES);
    for watch in Watch::ALL {
        let column = |value: &dyn Fn(&[Sample; 4]) -> f64| rounds.iter().map(value).collect();
        let ratio = |round: &[Sample; 4]| ratio(round, watch);
        let cells: [Vec<f64>; MEASURES.len()] = [
            column(&|round| round[watch as usize].cpu_us_per_request),
            column(&|round| round[watch as usize].requests_per_second),
            column(&ratio),
            match watch.engine() {
                Some(_) => column(&|round| round[watch as usize].uncork_cpu_ms_per_second),
                None => Vec::new(),
            },
        ];
        table.push(watch.name(), &cells);
    }
    table
}

/// Between what the medians of the ratios lie, where the same is measured again and again.
fn certainty(rounds: &[[Sample; Watch::ALL.len()]]) -> String {
    let of = |watch: Watch| {
        let ratios = rounds.iter().map(|round| ratio(round, watch)).collect();
        let (least, most) = median_interval(ratios);
        format!("{} {least:.3} to {most:.3}", watch.name())
    };
    format!(
        "95 % intervals of the median ratio: {}, {}",
        of(Watch::Ebpf),
        of(Watch::Sample)
    )
}

/// The 95 % interval of a median, whatever the distribution: by the binomial one, as a normal one (1.96
/// standard deviations of it, sqrt(n) / 2 each, either side of the middle).
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small number of rounds"
)]
fn median_interval(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let middle = values.len() as f64 / 2.0;
    let side = 0.98 * (values.len() as f64).sqrt();
    let last = values.len().saturating_sub(1);
    let at = |rank: f64| {
        let value = values.get((rank.max(0.0) as usize).min(last));
        value.copied().unwrap_or(f64::NAN)
    };
    (at((middle - side).floor()), at((middle + side).ceil()))
}

/// The CPU time of a part in terms of the mean of both that were untraced.
fn ratio(round: &[Sample; Watch::ALL.len()], watch: Watch) -> f64 {
    let cpu = |watch: Watch| round[watch as usize].cpu_us_per_request;
    let untraced = f64::midpoint(cpu(Watch::Untraced), cpu(Watch::UntracedAgain));
    cpu(watch) / untraced
}

/// `uncork trace` while it runs.
struct Tracer {
    child: Child,
}

impl Tracer {
    /// Starts it, and waits until it watches.
    fn start(uncork: &Path, engine: &str, pid: u32) -> Result<Self> {
        let child = Command::new(uncork)
            .args(["trace", "--quiet", "--engine", engine, "-p"])
            .arg(pid.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("can't start uncork")?;
        let mut tracer = Self { child };
        let deadline = Instant::now() + START_TIMEOUT;
        while !tracer.watches() {
            if let Some(status) = tracer.child.try_wait()? {
                bail!("uncork trace --engine {engine} ended at its start with {status}");
            }
            ensure!(Instant::now() < deadline, "uncork does not begin to watch");
            sleep(POLL_INTERVAL);
        }
        Ok(tracer)
    }

    /// Its thread that takes events in is started once the engine is.
    fn watches(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let mut names = threads
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
        names.any(|name| name.trim_end() == "events")
    }

    fn cpu_ns(&self) -> u64 {
        process::tree_cpu_ns(self.child.id())
    }

    /// Ends it. What it has found doesn't matter here, but that it has not failed.
    fn end(mut self) -> Result<()> {
        process::signal(self.child.id(), rustix::process::Signal::TERM);
        let status = self.child.wait()?;
        let is_done = matches!(status.code(), Some(0 | 1));
        ensure!(is_done, "uncork trace ended with {status}");
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_of_many_is_certain() {
        let values = |count: u32| (0..count).map(f64::from).collect();
        assert_eq!(median_interval(values(100)), (40.0, 60.0));
        assert_eq!(median_interval(values(3)), (0.0, 2.0));
        assert!(median_interval(Vec::new()).0.is_nan());
    }

    #[test]
    fn the_ratio_is_to_both_untraced_parts() {
        let round = [1.0, 2.2, 1.5, 3.0].map(|cpu_us_per_request| Sample {
            cpu_us_per_request,
            requests_per_second: 1.0,
            uncork_cpu_ms_per_second: 0.0,
        });
        assert_eq!(ratio(&round, Watch::Ebpf), 1.1);
        assert_eq!(ratio(&round, Watch::Sample), 0.75);
        assert_eq!(ratio(&round, Watch::Untraced), 0.5);
    }
}
