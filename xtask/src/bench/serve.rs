//! `cargo xtask bench serve`: the same files by uncork and by other web servers, each with one
//! process or thread on a core of its own, and the limit that none can beat.

mod hardship;
mod idle;
pub(super) mod peer;
pub(super) mod site;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use uncork_lab::http::get;
use uncork_lab::http::load::LoadConfig;

use self::peer::{Content, Peer, PeerName};
use self::site::Site;
use super::cores::Cores;
use super::race::{Baseline, Lane, Length, race, seconds};
use super::result::{Measure, Report};

/// How many connections ask, but for large files.
const CONNECTIONS: usize = 64;

/// The host in requests where there is one only.
const HOST: &str = "localhost";

/// The length of the pages of many hosts.
const HOST_PAGE_BYTES: usize = 1024;

const ONE_HOST: &str = "uncork, as many files of one host";

const BASELINES: [Baseline; 2] = [
    Baseline {
        lane: PeerName::Bare.name(),
        measure: Measure::new("cpu_to_bare", "CPU to the limit", 2),
    },
    Baseline {
        lane: PeerName::Nginx.name(),
        measure: Measure::new("cpu_to_nginx", "CPU to nginx's", 2),
    },
];

const HOSTS_BASELINES: [Baseline; 1] = [Baseline {
    lane: ONE_HOST,
    measure: Measure::new("cpu_to_one_host", "CPU to one host's", 2),
}];

/// What can be chosen about the bench.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure these servers only; a part of the name is enough.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure this build of uncork rather than build one.
    #[arg(long, value_name = "FILE")]
    uncork: Option<PathBuf>,
    /// What is asked for; everything unless given.
    #[arg(long, value_delimiter = ',')]
    work: Vec<Work>,
    /// How often each server runs.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long one run is.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// How many hosts `hosts` has.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    hosts: u32,
    /// How many connections `idle` and `slow` have.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    idle: u32,
    /// TCP_MAXSEG of the connections: 1448 gives segments as on a real link. Loopback's own have
    /// 64 KiB.
    #[arg(long, value_name = "BYTES")]
    segment_bytes: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Work {
    #[value(name = "1k")]
    OneKib,
    #[value(name = "10k")]
    TenKib,
    #[value(name = "100k")]
    HundredKib,
    #[value(name = "10m")]
    TenMib,
    Pipelined,
    Hosts,
    Idle,
    Slow,
    Cold,
}

/// One file, asked for again and again.
#[derive(Clone, Copy, Debug)]
struct Page {
    title: &'static str,
    body_bytes: usize,
    connections: usize,
    depth: usize,
}

/// Measures and writes the results.
///
/// # Errors
/// Where uncork does not build, or files can't be written. A server that does not start or fails
/// is left out and said in the results.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut bench = Bench {
        report: Report::new("serve"),
        peers: Vec::new(),
        cores: Cores::choose()?,
        site: Site::create()?,
        arguments,
    };
    bench.peers = peer::available(&arguments.only, arguments.uncork.clone(), &mut bench.report)?;
    bench.cores.load()?;
    for &work in Work::value_variants() {
        if !arguments.work.is_empty() && !arguments.work.contains(&work) {
            continue;
        }
        match (work.page(), work) {
            (Some(page), _) => bench.page(&page)?,
            (None, Work::Idle) => bench.idle()?,
            (None, Work::Slow | Work::Cold) => bench.hardship(work)?,
            (None, _) => bench.hosts()?,
        }
    }
    let Bench {
        mut report, cores, ..
    } = bench;
    cores.note(&mut report);
    report.note(
        "Each server has one process or thread that serves. CPU: of all its processes, by the \
         scheduler; on loopback it includes what the kernel does for the receiver. The limit \
         receives and sends and looks at nothing. Ratios are of runs of the same round. Requests at \
         once are answered when the last of them is. System calls: of a short run of its own under \
         strace.",
    );
    report.note(
        "The limit's response is in memory and is copied: from 100 KiB on sendfile takes less.",
    );
    let path = report.write()?;
    println!("{}\nwritten to {}", report.markdown(), path.display());
    Ok(())
}

struct Bench<'a> {
    report: Report,
    peers: Vec<Peer>,
    cores: Cores,
    site: Site,
    arguments: &'a Arguments,
}

impl Bench<'_> {
    fn length(&self) -> Length {
        Length {
            runs: self.arguments.runs,
            seconds: self.arguments.seconds,
        }
    }

    fn load(&self, requests: Vec<Vec<u8>>) -> LoadConfig {
        // The address is set as soon as there is a server.
        let mut load = LoadConfig::new(([127, 0, 0, 1], 0).into(), requests);
        load.connections = CONNECTIONS;
        load.segment_bytes_max = self.arguments.segment_bytes;
        load
    }

    /// One file by all servers.
    fn page(&mut self, page: &Page) -> Result<()> {
        let path = self.site.page(page.body_bytes)?;
        let mut load = self.load(vec![get(HOST, &path)]);
        load.connections = page.connections;
        load.depth = page.depth;
        let content = Content::OneHost(self.site.root());
        let mut lanes = Vec::new();
        let mut failed = Vec::new();
        for peer in &self.peers {
            match peer.start(self.cores, &content, page.body_bytes) {
                Ok(server) => {
                    load.addr = server.addr();
                    let name = peer.name.name();
                    lanes.push(Lane::new(name, server, load.clone(), page.body_bytes));
                }
                Err(error) => failed.push((peer.name, error)),
            }
        }
        // Who did not start once is not tried again.
        for (name, error) in failed {
            self.leave_out(name, &error);
        }
        let length = self.length();
        race(&mut self.report, page.title, lanes, length, &BASELINES);
        Ok(())
    }

    /// Many hosts against one, by uncork.
    fn hosts(&mut self) -> Result<()> {
        let Some(peer) = self.peers.iter().find(|peer| peer.name == PeerName::Uncork) else {
            return Ok(());
        };
        let count = self.arguments.hosts as usize;
        let many = self.site.hosts(count, HOST_PAGE_BYTES)?;
        let one = self.site.pages(count, HOST_PAGE_BYTES)?;
        let hosts = (0..count).map(|nth| get(&site::host(nth), "/")).collect();
        let pages = (0..count).map(|nth| get(HOST, &site::page_path(nth)));
        let rows = [
            (
                format!("uncork, {count} hosts"),
                Content::Hosts(&many),
                hosts,
            ),
            (ONE_HOST.to_owned(), Content::OneHost(&one), pages.collect()),
        ];
        let mut lanes = Vec::new();
        for (name, content, requests) in rows {
            let mut load = self.load(requests);
            match peer.start(self.cores, &content, HOST_PAGE_BYTES) {
                Ok(server) => {
                    load.addr = server.addr();
                    lanes.push(Lane::new(name, server, load, HOST_PAGE_BYTES));
                }
                Err(error) => {
                    self.leave_out(PeerName::Uncork, &error);
                    return Ok(());
                }
            }
        }
        let title = format!("{count} different pages of 1 KiB");
        let length = self.length();
        race(&mut self.report, &title, lanes, length, &HOSTS_BASELINES);
        Ok(())
    }

    /// The memory of connections that are kept and not used.
    fn idle(&mut self) -> Result<()> {
        let connections = self.arguments.idle as usize;
        let path = self.site.page(HOST_PAGE_BYTES)?;
        let load = self.load(vec![get(HOST, &path)]);
        let content = Content::OneHost(self.site.root());
        let start = |peer: &Peer| peer.start(self.cores, &content, HOST_PAGE_BYTES);
        let (table, failed) =
            idle::measure(&self.peers, start, &load, connections, self.arguments.runs)?;
        self.report.push(table);
        self.report.note(
            "Memory: resident sets. Room that a server takes at its start for connections to come \
             is in the first column; what the kernel holds for sockets is in none.",
        );
        for (name, error) in failed {
            self.leave_out(name, &error);
        }
        Ok(())
    }

    /// What others feel of slow connections, and of files that are not in memory.
    fn hardship(&mut self, work: Work) -> Result<()> {
        let path = self.site.page(HOST_PAGE_BYTES)?;
        let long_path = self.site.page(10 << 20)?;
        let hot = self.load(vec![get(HOST, &path)]);
        let root = self.site.root();
        let content = Content::OneHost(root);
        let start = |peer: &Peer| peer.start(self.cores, &content, HOST_PAGE_BYTES);
        let runs = self.arguments.runs;
        let (table, failed) = match work {
            Work::Slow => {
                let slow = self.arguments.idle as usize;
                hardship::slow(&self.peers, start, &hot, &long_path, slow, runs)?
            }
            _ => hardship::cold(&self.peers, start, &hot, root, runs)?,
        };
        self.report.push(table);
        for (name, error) in failed {
            self.leave_out(name, &error);
        }
        Ok(())
    }

    fn leave_out(&mut self, name: PeerName, error: &anyhow::Error) {
        let text = format!("{error:#}");
        let first = text.lines().next().unwrap_or_default();
        eprintln!("{} left out: {text}", name.name());
        self.report
            .note(format!("{} is left out: {first}", name.name()));
        self.peers.retain(|peer| peer.name != name);
    }
}

impl Work {
    fn page(self) -> Option<Page> {
        let page = |title, body_bytes| Page {
            title,
            body_bytes,
            connections: CONNECTIONS,
            depth: 1,
        };
        Some(match self {
            Self::OneKib => page("1 KiB, 64 connections", 1 << 10),
            Self::TenKib => page("10 KiB, 64 connections", 10 << 10),
            Self::HundredKib => page("100 KiB, 64 connections", 100 << 10),
            Self::TenMib => Page {
                connections: 4,
                ..page("10 MiB, 4 connections", 10 << 20)
            },
            Self::Pipelined => Page {
                depth: 16,
                ..page("1 KiB, 64 connections, 16 requests at once", 1 << 10)
            },
            Self::Hosts | Self::Idle | Self::Slow | Self::Cold => return None,
        })
    }
}
